public import Bytes

/// The content types that this server sends, as whole lines, so that writing one is a copy.
public enum MediaType: UInt8, Sendable, CaseIterable {
  case json, problem, text, binary, eventStream, prometheus, none

  var line: StaticString {
    switch self {
    case .json: "Content-Type: application/json\r\n"
    case .problem: "Content-Type: application/problem+json\r\n"
    case .text: "Content-Type: text/plain; charset=utf-8\r\n"
    case .binary: "Content-Type: application/octet-stream\r\n"
    case .eventStream: "Content-Type: text/event-stream\r\n"
    case .prometheus: "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
    case .none: ""
    }
  }
}

/// What an answer says about its connection.
public enum Persistence: UInt8, Sendable {
  /// Nothing: the connection stays, as HTTP/1.1 has it.
  case implied
  /// `Connection: keep-alive`, which a peer of HTTP/1.0 that asked for it waits for.
  case keepAlive
  /// `Connection: close`: nothing comes behind this answer.
  case close
  /// `Connection: Upgrade`, with a 101 or a 426.
  case upgrade

  /// What to answer to `head`, given whether the server keeps the connection.
  public init(_ head: borrowing RequestHead, keep: Bool) {
    self = !(keep && head.keepAlive) ? .close : head.minorVersion == 0 ? .keepAlive : .implied
  }

  var line: StaticString {
    switch self {
    case .implied: ""
    case .keepAlive: "Connection: keep-alive\r\n"
    case .close: "Connection: close\r\n"
    case .upgrade: "Connection: Upgrade\r\n"
    }
  }
}

/// The head of an answer. `begin` writes the status line and the fields that every answer has; further fields
/// follow with `ByteWriter.field`, and `endHead` closes it:
/// ```
/// var writer = ByteWriter(memory, capacity: ResponseHead.bytesMax + requestID.count)
/// ResponseHead(.created, .json, length: 512).begin(&writer, date: date, requestID: requestID)
/// writer.field("ETag", etag)
/// writer.endHead()
/// ```
/// Nothing is allocated. Values are written as they are: they come from this server or out of a parsed head, and
/// so hold no CR or LF (checked in debug builds).
public struct ResponseHead: Sendable {
  public var status: Status
  public var mediaType: MediaType
  /// The value of Content-Length, or `nil` for none: streams that end with the connection, 101, 204 and 304.
  public var length: UInt64?
  public var persistence: Persistence

  /// Room that `begin` and `endHead` never exceed, the value of X-Request-ID and further fields not counted.
  public static let bytesMax = 320

  /// The interim answer that asks for the body (RFC 9110, section 15.2.1).
  public static let continueLine: StaticString = "HTTP/1.1 100 Continue\r\n\r\n"

  public init(
    _ status: Status, _ mediaType: MediaType = .none, length: UInt64? = nil,
    persistence: Persistence = .implied
  ) {
    self.status = status
    self.mediaType = mediaType
    self.length = length
    self.persistence = persistence
  }

  private static let nosniffLine: StaticString = "X-Content-Type-Options: nosniff\r\n"

  /// Room for a field line with a name of `name` and a value of `value` bytes.
  public static func fieldBytes(name: Int, value: Int) -> Int { name + value + 4 }

  /// Writes everything but further fields and the empty line. An empty `requestID` leaves X-Request-ID out.
  public func begin(
    _ writer: inout ByteWriter, date: borrowing DateCache, requestID: UnsafeRawBufferPointer
  ) {
    writer.run(status.line)
    date.write(to: &writer)
    if mediaType != .none { writer.run(mediaType.line) }
    if let length, !status.isBodiless {
      writer.run("Content-Length: ")
      writer.decimal(length)
      writer.run("\r\n")
    }
    if persistence != .implied { writer.run(persistence.line) }
    // Whatever is answered, no browser is to take it for something that runs (Fetch, section 3.6).
    if status != .switchingProtocols { writer.run(ResponseHead.nosniffLine) }
    if !requestID.isEmpty { writer.field("X-Request-ID", requestID) }
  }

  /// Writes a whole head without further fields.
  public func write(
    to writer: inout ByteWriter, date: borrowing DateCache, requestID: UnsafeRawBufferPointer
  ) {
    begin(&writer, date: date, requestID: requestID)
    writer.endHead()
  }
}

extension ByteWriter {
  /// A field line: `name`, a colon, a space, `value`, CRLF.
  public mutating func field(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
    assert(value.allSatisfy { $0 != ASCII.carriageReturn && $0 != ASCII.lineFeed })
    run(name)
    run(": ")
    run(value)
    run("\r\n")
  }

  public mutating func field(_ name: StaticString, _ value: StaticString) {
    field(name, UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
  }

  public mutating func field(_ name: StaticString, _ value: UInt64) {
    run(name)
    run(": ")
    decimal(value)
    run("\r\n")
  }

  /// The empty line that ends a head.
  public mutating func endHead() { run("\r\n") }

  /// `value` in decimal digits, at most 20 of them.
  public mutating func decimal(_ value: UInt64) {
    let digits = decimalDigits(value)
    precondition(remaining >= digits, "no room left")
    var rest = value
    var offset = count + digits
    repeat {
      offset -= 1
      base.storeBytes(of: UInt8(truncatingIfNeeded: 0x30 + rest % 10), toByteOffset: offset, as: UInt8.self)
      rest /= 10
    } while rest > 0
    advance(digits)
  }
}

/// How many decimal digits `value` has.
public func decimalDigits(_ value: UInt64) -> Int {
  var digits = 1
  var rest = value
  while rest >= 10 {
    rest /= 10
    digits += 1
  }
  return digits
}
