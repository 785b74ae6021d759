/// Why a text is no acceptable JSON, and where. Small enough to be thrown in registers.
public struct JSONError: Error, Hashable, Sendable {
  public enum Reason: UInt8, Sendable {
    // 1 to 5 are also the numbers of `CBytesText.h`.
    case unexpectedEnd = 1
    case controlCharacter = 2
    case badEscape = 3
    case loneSurrogate = 4
    case invalidUTF8 = 5
    case unexpectedByte = 6
    case badNumber = 7
    case integerTooLarge = 8
    case tooDeep = 9
    case duplicateMember = 10
    case trailingBytes = 11
    case byteOrderMark = 12
    case wrongType = 13
    case tooManySkipped = 14
    case tooLong = 15
    /// The text is JSON, but not what the reader of a schema wants: that reader knows more.
    case refused = 16
  }

  public let reason: Reason
  /// Byte offset in the text, from 0.
  public let offset: UInt32

  @inlinable public init(_ reason: Reason, at offset: Int) {
    self.reason = reason
    self.offset = UInt32(truncatingIfNeeded: offset)
  }

  public var detail: String { "\(phrase) at byte \(offset)" }

  private var phrase: String {
    switch reason {
    case .unexpectedEnd: "the JSON text ends too early"
    case .controlCharacter: "unescaped control character in a string"
    case .badEscape: "unknown escape in a string"
    case .loneSurrogate: "surrogate escape without its pair"
    case .invalidUTF8: "invalid UTF-8"
    case .unexpectedByte: "unexpected character"
    case .badNumber: "malformed number"
    case .integerTooLarge: "integer beyond 2^53 - 1"
    case .tooDeep: "nested more than \(JSONScanner.depthMax) levels deep"
    case .duplicateMember: "member name given twice in one object"
    case .trailingBytes: "more text after the JSON value"
    case .byteOrderMark: "byte order mark"
    case .wrongType: "value of another type than expected"
    case .tooManySkipped: "more than \(JSONKeys.skippedMax) members and elements in values that are ignored"
    case .tooLong: "JSON text too long"
    case .refused: "value refused"
    }
  }
}
