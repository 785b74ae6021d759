/// The head of a client's frame (RFC 6455, section 5.2), and what of it is wrong whatever was sent before.
struct WebSocketFrameHead {
  /// Two bytes, eight of length, four of masking key.
  static let bytesMax = 14

  enum Parsed {
    /// It isn't all there: this many bytes at least, counted from its first, before another look.
    case needs(Int)
    case head(WebSocketFrameHead, bytes: Int)
    case failure(WebSocketError)
  }

  let opcode: WebSocketOpcode
  let isFinal: Bool
  let length: UInt64
  /// The masking key as it stands in memory.
  let key: UInt32

  /// Reads a head at the beginning of `bytes`. Of a bad one the first fault is told, as soon as its bytes are there.
  @inline(__always) static func parse(_ bytes: UnsafeRawBufferPointer) -> Parsed {
    guard bytes.count > 0 else { return .needs(2) }
    let first = bytes[0]
    guard first & 0x70 == 0 else { return .failure(.reservedBits) }
    guard let opcode = WebSocketOpcode(rawValue: first & 0x0f) else { return .failure(.reservedOpcode) }
    let isFinal = first & 0x80 != 0
    guard isFinal || !opcode.isControl else { return .failure(.fragmentedControl) }
    guard bytes.count > 1 else { return .needs(2) }
    guard bytes[1] & 0x80 != 0 else { return .failure(.unmasked) }
    let short = Int(bytes[1] & 0x7f)
    guard !opcode.isControl || short <= WebSocketFrame.controlBytesMax else {
      return .failure(.controlTooLong)
    }
    let keyAt = short < 126 ? 2 : short == 126 ? 4 : 10
    guard bytes.count >= keyAt else { return .needs(keyAt + 4) }
    var length = UInt64(short)
    if short == 126 {
      length = UInt64(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
      guard length > 125 else { return .failure(.lengthNotMinimal) }
    } else if short == 127 {
      length = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
      guard length >> 63 == 0 else { return .failure(.lengthTooLarge) }
      guard length > 0xffff else { return .failure(.lengthNotMinimal) }
    }
    guard bytes.count >= keyAt + 4 else { return .needs(keyAt + 4) }
    let key = bytes.loadUnaligned(fromByteOffset: keyAt, as: UInt32.self)
    let head = WebSocketFrameHead(opcode: opcode, isFinal: isFinal, length: length, key: key)
    return .head(head, bytes: keyAt + 4)
  }
}
