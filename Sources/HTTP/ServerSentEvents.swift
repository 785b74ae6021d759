public import Bytes

/// Framing of an event stream (WHATWG HTML, section 9.2, "Server-sent events"). Each piece says its size
/// beforehand, so that the caller can reserve it, and is written without allocation.
public enum ServerSentEvents {
  /// What ends an event whose data is one line.
  public static let suffix: StaticString = "\n\n"

  /// Bytes of `retry`.
  public static func retryBytes(milliseconds: UInt64) -> Int { 7 + decimalDigits(milliseconds) + 2 }

  /// How long a client waits before it connects again.
  public static func retry(milliseconds: UInt64, to writer: inout ByteWriter) {
    writer.run("retry: ")
    writer.decimal(milliseconds)
    writer.run(suffix)
  }

  /// Bytes of `prefix`.
  public static func prefixBytes(event: StaticString, id: UInt64?) -> Int {
    let name = event.utf8CodeUnitCount
    return (name == 0 ? 0 : 7 + name + 1) + idLineBytes(id) + 6
  }

  /// Everything of an event before its data, which is one line (no CR or LF) and stands elsewhere: all
  /// subscribers share these bytes, then the data, then `suffix`. An empty `event` leaves its line out.
  public static func prefix(event: StaticString, id: UInt64?, to writer: inout ByteWriter) {
    lead(event, id, to: &writer)
    writer.run("data: ")
  }

  /// Bytes of `event` with this data.
  public static func eventBytes(_ event: StaticString, id: UInt64?, data: UnsafeRawBufferPointer) -> Int {
    var lines = 1
    var breaks = 0
    forEachBreak(data) { start, end in
      lines += 1
      breaks += end - start
    }
    return prefixBytes(event: event, id: id) - 6 + lines * 7 + data.count - breaks + 1
  }

  /// A whole event. Data of several lines (CR, LF or CRLF) becomes as many `data` lines, which the client joins
  /// by LF.
  public static func event(
    _ event: StaticString, id: UInt64?, data: UnsafeRawBufferPointer, to writer: inout ByteWriter
  ) {
    lead(event, id, to: &writer)
    var from = 0
    forEachBreak(data) { start, end in
      line(UnsafeRawBufferPointer(rebasing: data[from..<start]), to: &writer)
      from = end
    }
    line(UnsafeRawBufferPointer(rebasing: data[from...]), to: &writer)
    writer.run("\n")
  }

  /// Bytes of `bookmark`.
  public static func bookmarkBytes(id: UInt64) -> Int { idLineBytes(id) + 1 }

  /// An `id` without data: no event reaches the page, but a client that connects again resumes from here.
  public static func bookmark(id: UInt64, to writer: inout ByteWriter) {
    writer.run("id: ")
    writer.decimal(id)
    writer.run(suffix)
  }

  /// Bytes of `comment`.
  public static func commentBytes(_ text: StaticString) -> Int { 2 + text.utf8CodeUnitCount + 2 }

  /// A comment of one line, which clients skip: it keeps the connection and its middle boxes awake.
  public static func comment(_ text: StaticString, to writer: inout ByteWriter) {
    writer.run(": ")
    writer.run(text)
    writer.run(suffix)
  }

  private static func idLineBytes(_ id: UInt64?) -> Int { id.map { 4 + decimalDigits($0) + 1 } ?? 0 }

  private static func lead(_ event: StaticString, _ id: UInt64?, to writer: inout ByteWriter) {
    if event.utf8CodeUnitCount > 0 {
      writer.run("event: ")
      writer.run(event)
      writer.run("\n")
    }
    if let id {
      writer.run("id: ")
      writer.decimal(id)
      writer.run("\n")
    }
  }

  private static func line(_ text: UnsafeRawBufferPointer, to writer: inout ByteWriter) {
    writer.run("data: ")
    writer.run(text)
    writer.run("\n")
  }

  private static func forEachBreak(_ data: UnsafeRawBufferPointer, _ body: (Int, Int) -> Void) {
    var index = 0
    while index < data.count {
      let start = index
      index += 1
      guard data[start] == ASCII.lineFeed || data[start] == ASCII.carriageReturn else { continue }
      if data[start] == ASCII.carriageReturn, index < data.count, data[index] == ASCII.lineFeed { index += 1 }
      body(start, index)
    }
  }
}
