/// Why a WebSocket ends (RFC 6455, section 7.4).
public struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt16

  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public static let normal = WebSocketCloseCode(rawValue: 1000)
  public static let goingAway = WebSocketCloseCode(rawValue: 1001)
  public static let protocolError = WebSocketCloseCode(rawValue: 1002)
  public static let unsupported = WebSocketCloseCode(rawValue: 1003)
  public static let invalidText = WebSocketCloseCode(rawValue: 1007)
  public static let policy = WebSocketCloseCode(rawValue: 1008)
  public static let tooBig = WebSocketCloseCode(rawValue: 1009)
  public static let internalError = WebSocketCloseCode(rawValue: 1011)
  public static let tryAgainLater = WebSocketCloseCode(rawValue: 1013)

  /// Whether a close frame may carry it: 1000 to 1003 and 1007 to 1014 of IANA's registry, and 3000 to 4999, which are
  /// for libraries and applications. 1004 is reserved, 1005, 1006 and 1015 are never sent.
  public var mayStandInFrame: Bool {
    switch rawValue {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }
}

/// What of a peer's frames is refused: the closed list. Each ends the connection with a code.
public enum WebSocketError: UInt8, Error, Equatable, Sendable, CaseIterable {
  case unmasked, reservedBits, reservedOpcode
  case fragmentedControl, controlTooLong
  case lengthNotMinimal, lengthTooLarge
  case nothingToContinue, messageUnfinished
  case binary, invalidText
  case messageTooBig, tooManyFragments, tooManyEmptyFragments
  case closeOfOneByte, invalidCloseCode, invalidCloseReason

  public var code: WebSocketCloseCode {
    switch self {
    case .binary: .unsupported
    case .invalidText, .invalidCloseReason: .invalidText
    case .messageTooBig: .tooBig
    case .tooManyFragments, .tooManyEmptyFragments: .policy
    default: .protocolError
    }
  }

  /// One short sentence for the close frame: at most `WebSocketFrame.reasonBytesMax` bytes.
  public var reason: StaticString {
    switch self {
    case .unmasked: "a client's frames must be masked"
    case .reservedBits: "a reserved bit is set, but no extension was agreed on"
    case .reservedOpcode: "the opcode is reserved"
    case .fragmentedControl: "a control frame can't be fragmented"
    case .controlTooLong: "a control frame has more than 125 bytes"
    case .lengthNotMinimal: "a length is not encoded in the fewest bytes"
    case .lengthTooLarge: "the highest bit of a length is set"
    case .nothingToContinue: "there is no message to continue"
    case .messageUnfinished: "a message begins inside a fragmented one"
    case .binary: "messages are JSON in text frames"
    case .invalidText: "a text is not UTF-8"
    case .messageTooBig: "the message is too big"
    case .tooManyFragments: "the message has too many fragments"
    case .tooManyEmptyFragments: "the message has too many empty fragments"
    case .closeOfOneByte: "a close frame has half a code"
    case .invalidCloseCode: "a close frame can't carry this code"
    case .invalidCloseReason: "the reason of a close frame is not UTF-8"
    }
  }
}

/// What one message may cost before it is understood. Beyond each: the error named beside it.
public struct WebSocketLimits: Sendable {
  /// Bytes of a message, all fragments together. `messageTooBig`, 1009, as soon as a frame declares it.
  public var messageBytesMax: UInt32 = 16 << 20
  /// Frames of a message: 16 MiB in frames of 256 bytes, or 4 MiB of 64. `tooManyFragments`, 1008.
  public var fragmentsMax: UInt32 = 65_536
  /// Frames of a message that bring nothing: they could go on for ever. `tooManyEmptyFragments`, 1008.
  public var emptyFragmentsMax: UInt32 = 128

  public init() {}
}
