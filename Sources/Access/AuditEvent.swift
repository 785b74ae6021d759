internal import Bytes

/// Something that an operator wants to read about afterwards: who was refused what, and what was done to the server.
/// A value that holds copies, so that the request may go. Never a credential, a payload or a query.
public struct AuditEvent: Sendable, Equatable {
  /// What has happened. The names stand in the lines.
  public enum Kind: String, Sendable, CaseIterable {
    /// A credential was presented that is none, or none was where one is needed.
    case authenticationFailure = "authentication_failure"
    /// Who asks is known, and may not.
    case denial
    /// A lock that somebody else held was released.
    case forcedRelease = "forced_release"
    /// The server has begun to serve.
    case start
    case stop
    /// Policies, tokens, keys, certificates or limits were read again.
    case reload
    /// Lines that were left out: an address or an agent was refused more often than is worth a line each.
    case suppressed
    /// Lines that were lost, because they came faster than they could be written.
    case dropped

    /// Whether peers can bring it about as often as they like.
    public var isByPeer: Bool { self == .authenticationFailure || self == .denial }
  }

  public enum Outcome: String, Sendable {
    case success, failure
  }

  public var kind: Kind
  public var outcome: Outcome
  public var requestID: [UInt8] = []
  /// Empty where nobody knows who it is.
  public var agent: [UInt8] = []
  /// Whether a credential stands for the agent; else it is what the peer calls itself. Not in the line.
  public var isAgentKnown = false
  public var address: ClientAddress?
  public var verb: Verb?
  /// `context/ID`, `lock/PATH`, a route, or a file.
  public var resource: [UInt8] = []
  /// Why: a closed list in the caller, never what a peer has sent.
  public var reason = ""
  /// Of `suppressed` and `dropped`: how many.
  public var count: UInt64 = 0

  public init(_ kind: Kind, _ outcome: Outcome) {
    self.kind = kind
    self.outcome = outcome
  }
}

/// Takes audit events. Any thread; returns at once: what can't be kept up with is counted.
public protocol AuditSink: AnyObject, Sendable {
  func record(_ event: AuditEvent)
}

/// Writes an event as a line of JSON.
public enum AuditLine {
  /// Bytes of an agent, a resource or a reason that a line has, at most: more is cut.
  public static let fieldBytesMax = 1024

  /// The line, with its end. Whatever the bytes are, it is one line of valid JSON: control characters are escaped, and
  /// bytes that aren't UTF-8 become U+FFFD.
  /// - Parameter time: RFC 3339.
  public static func json(_ event: AuditEvent, time: String) -> [UInt8] {
    var line =
      "{\"time\":\"\(time)\",\"event\":\"\(event.kind.rawValue)\",\"result\":\"\(event.outcome.rawValue)\""
    func member(_ name: String, _ text: String) {
      let bytes = Array(text.utf8)
      let quoted = bytes.withUnsafeBytes { bytes in
        ByteWriter.bytes(capacity: JSONText.quotedCount(bytes)) { JSONText.writeQuoted(bytes, to: &$0) }
      }
      line += ",\"\(name)\":" + String(decoding: quoted, as: UTF8.self)
    }
    if !event.requestID.isEmpty { member("request_id", clean(event.requestID)) }
    if !event.agent.isEmpty { member("agent", clean(event.agent)) }
    if let address = event.address { member("address", address.text) }
    if let verb = event.verb { member("verb", verb.rawValue) }
    if !event.resource.isEmpty { member("resource", clean(event.resource)) }
    if !event.reason.isEmpty { member("reason", clean(Array(event.reason.utf8))) }
    if event.count > 0 { line += ",\"count\":\(event.count)" }
    return Array(line.utf8) + Array("}\n".utf8)
  }

  /// Valid UTF-8 of at most `fieldBytesMax` bytes and a mark that something was cut; terminals' control characters
  /// beyond ASCII (U+007F to U+009F, U+2028, U+2029 and the marks of direction) are replaced, since JSON doesn't escape them.
  static func clean(_ bytes: [UInt8]) -> String {
    let isCut = bytes.count > fieldBytesMax
    var text = String.UnicodeScalarView()
    for scalar in String(decoding: bytes.prefix(fieldBytesMax), as: UTF8.self).unicodeScalars {
      text.append(isInvisible(scalar) ? "\u{fffd}" : scalar)
    }
    return String(text) + (isCut ? "…" : "")
  }

  private static func isInvisible(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x7f...0x9f, 0x2028...0x202e, 0x2066...0x2069, 0x200e, 0x200f, 0xfeff: true
    default: false
    }
  }
}
