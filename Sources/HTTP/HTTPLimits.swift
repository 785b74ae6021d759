/// What a request may cost before it is understood. Beyond each: the error named beside it.
public struct HTTPLimits: Sendable {
  /// Bytes from the first of the request line to the empty line, both included. `headTooLarge`, 431.
  public var headBytesMax: UInt16 = 16 << 10
  /// Bytes of the request line without its CRLF; RFC 9112, section 3, asks for 8000. `requestLineTooLong`, 431.
  public var requestLineBytesMax: UInt16 = 8 << 10
  /// Field lines of a head. `tooManyFields`, 431.
  public var fieldsMax: UInt8 = 100
  /// Bytes of all chunk extensions of a body together: nobody here reads them. `chunkExtensionsTooLarge`, 400.
  public var chunkExtensionBytesMax: UInt16 = 4 << 10
  /// Bytes of the trailer section, its last CRLF included. `trailersTooLarge`, 431.
  public var trailerBytesMax: UInt16 = 8 << 10
  /// Field lines of the trailer section. `trailersTooLarge`, 431.
  public var trailerFieldsMax: UInt8 = 100

  /// Bytes of a field name; fixed, since a length is kept in one byte. `fieldNameTooLong`, 431.
  public static let fieldNameBytesMax = 255
  /// Digits of a chunk size, leading zeros included: 16 of them just fill 64 bits. `malformedChunkSize`, 400.
  public static let chunkSizeDigitsMax = 16

  public init() {}
}
