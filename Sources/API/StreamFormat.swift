internal import Bytes
internal import HTTP
internal import Model

/// How followers are told what happens: events of Server-Sent Events (WHATWG HTML, section 9.2), or JSON in text frames
/// of WebSocket (RFC 6455, section 5.2; a server's frames aren't masked, so that all followers can share them).
///
/// An event is framed as a prefix, (most of) its record's body, and a suffix. Bodies are JSON on one line.
enum StreamFormat: Int, CaseIterable {
  case sse, webSocket

  /// Room that a prefix needs at most, in bytes.
  static let prefixBytesMax = 96
  /// Milliseconds after which an EventSource connects again.
  static let retryMilliseconds: UInt64 = 1000

  // MARK: Events

  /// What stands between prefix and suffix: the body, less what the prefix says in its place. Nil for events that
  /// nobody may follow.
  func body(of event: EventView) -> UnsafeRawBufferPointer? {
    switch event.kind {
    case .unit, .context: event.body
    // `{"action":…,"lock":…}`: in a frame, other members come first.
    case .lock:
      self == .sse ? event.body : UnsafeRawBufferPointer(rebasing: event.body.dropFirst())
    case .restart, nil: nil
    }
  }

  /// Writes what stands before `bodyBytes` of body: at most `prefixBytesMax`.
  func writePrefix(of event: EventView, bodyBytes: Int, to writer: inout ByteWriter) {
    let id = event.position.rawValue
    switch self {
    case .sse:
      ServerSentEvents.prefix(event: StreamFormat.name(event.kind), id: id, to: &writer)
    case .webSocket:
      let (type, member) = StreamFormat.members(event.kind)
      let lead = StreamFormat.cursorBytes(type, id) + member.utf8CodeUnitCount
      StreamFormat.textHead(lead + bodyBytes + suffix(event.kind).utf8CodeUnitCount, to: &writer)
      StreamFormat.cursor(type, id, to: &writer)
      writer.run(member)
    }
  }

  /// What stands behind the body.
  func suffix(_ kind: EventKind?) -> StaticString {
    switch self {
    case .sse: ServerSentEvents.suffix
    case .webSocket: kind == .lock ? "" : "}"
    }
  }

  /// The name of an event, and the `type` of a frame.
  private static func name(_ kind: EventKind?) -> StaticString {
    switch kind {
    case .context: "context"
    case .lock: "lock"
    case .unit, .restart, nil: "workunit"
    }
  }

  /// Of a frame: its `type`, and what stands between its cursor and the body.
  private static func members(_ kind: EventKind?) -> (type: StaticString, member: StaticString) {
    let member: StaticString =
      switch kind {
      case .context: ",\"context\":"
      case .lock: ","
      case .unit, .restart, nil: ",\"work_unit\":"
      }
    return (name(kind), member)
  }

  // MARK: Frames of the stream's own

  /// The first of a subscription: where it starts, and what contexts it names (none: all).
  func subscribed(_ position: Position, contexts: [[UInt8]]) -> [UInt8] {
    var names = 2
    for name in contexts { names += name.withUnsafeBytes { JSONText.quotedCount($0) } + 1 }
    let data = ByteWriter.bytes(capacity: 96 + names) { writer in
      writer.run(self == .sse ? "{\"position\":" : "{\"type\":\"subscribed\",\"position\":")
      writer.decimal(position.rawValue)
      writer.run(",\"contexts\":[")
      for (place, name) in contexts.enumerated() {
        if place > 0 { writer.run(",") }
        name.withUnsafeBytes { JSONText.writeQuoted($0, to: &writer) }
      }
      writer.run("]}")
    }
    guard self == .sse else { return StreamFormat.text(data) }
    let milliseconds = StreamFormat.retryMilliseconds
    let retry = ByteWriter.bytes(capacity: ServerSentEvents.retryBytes(milliseconds: milliseconds)) {
      ServerSentEvents.retry(milliseconds: milliseconds, to: &$0)
    }
    return retry + StreamFormat.event("subscribed", id: position.rawValue, data)
  }

  /// A part of history that is no longer kept: all of it behind `after` and before `next`. Who resumes from here
  /// gets what is at `next`.
  func gap(after: Position, next: Position) -> [UInt8] {
    let data = ByteWriter.bytes(capacity: 96) { writer in
      writer.run(self == .sse ? "{\"after\":\"" : "{\"type\":\"gap\",\"after\":\"")
      writer.decimal(after.rawValue)
      writer.run("\",\"next\":\"")
      writer.decimal(next.rawValue)
      writer.run("\"}")
    }
    guard self == .sse else { return StreamFormat.text(data) }
    return StreamFormat.event("gap", id: max(next.rawValue, 1) - 1, data)
  }

  /// Room that `writeProgress` needs at most, in bytes.
  static let progressBytesMax = 96

  /// That nothing which matches is missing up to `position`: written when nothing else is.
  func writeProgress(_ position: Position, to writer: inout ByteWriter) {
    let id = position.rawValue
    switch self {
    case .sse:
      ServerSentEvents.comment("", to: &writer)
      ServerSentEvents.bookmark(id: id, to: &writer)
    case .webSocket:
      StreamFormat.textHead(StreamFormat.cursorBytes("progress", id) + 1, to: &writer)
      StreamFormat.cursor("progress", id, to: &writer)
      writer.run("}")
    }
  }

  // MARK: Parts

  private static func event(_ name: StaticString, id: UInt64, _ data: [UInt8]) -> [UInt8] {
    data.withUnsafeBytes { data in
      ByteWriter.bytes(capacity: ServerSentEvents.eventBytes(name, id: id, data: data)) {
        ServerSentEvents.event(name, id: id, data: data, to: &$0)
      }
    }
  }

  private static func cursorBytes(_ type: StaticString, _ id: UInt64) -> Int {
    21 + type.utf8CodeUnitCount + decimalDigits(id) + 1
  }

  /// `{"type":"…","cursor":"…"`
  private static func cursor(_ type: StaticString, _ id: UInt64, to writer: inout ByteWriter) {
    writer.run("{\"type\":\"")
    writer.run(type)
    writer.run("\",\"cursor\":\"")
    writer.decimal(id)
    writer.run("\"")
  }

  private static func text(_ json: [UInt8]) -> [UInt8] {
    ByteWriter.bytes(capacity: 10 + json.count) { writer in
      textHead(json.count, to: &writer)
      json.withUnsafeBytes { writer.run($0) }
    }
  }

  /// The head of a whole text frame of `bytes` bytes (RFC 6455, section 5.2).
  private static func textHead(_ bytes: Int, to writer: inout ByteWriter) {
    writer.byte(0x81)
    if bytes < 126 {
      writer.byte(UInt8(bytes))
    } else if bytes <= Int(UInt16.max) {
      writer.byte(126)
      writer.integer(UInt16(bytes).byteSwapped)
    } else {
      writer.byte(127)
      writer.integer(UInt64(bytes).byteSwapped)
    }
  }
}
