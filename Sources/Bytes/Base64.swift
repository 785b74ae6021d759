internal import CBytes

/// Base64 (RFC 4648): strict in what it takes, so that bytes have one spelling.
public enum Base64 {
  /// Bytes that padded base64 of `text` stands for, by its length and padding only; nil if it can't be any.
  public static func decodedCount(_ text: UnsafeRawBufferPointer) -> Int? {
    guard text.count % 4 == 0 else { return nil }
    guard text.count > 0 else { return 0 }
    let padding =
      text[text.count - 1] != UInt8(ascii: "=") ? 0 : text[text.count - 2] == UInt8(ascii: "=") ? 2 : 1
    return text.count / 4 * 3 - padding
  }

  /// Decodes standard base64 with padding (section 4) into `to`, which may not overlap it. Every part but
  /// the last is a multiple of 4 long and has no padding; bits left over by padding must be zero.
  /// - Returns: the bytes written, or nil if `text` isn't base64 or `to` has no room.
  public static func decode(
    _ text: UnsafeRawBufferPointer, into to: UnsafeMutableRawBufferPointer, isLast: Bool = true
  ) -> Int? {
    guard let count = decodedCount(text), count <= to.count else { return nil }
    guard let source = text.baseAddress, count > 0, let target = to.baseAddress else {
      return text.isEmpty ? 0 : nil
    }
    let written = engram_base64_decode(target, source, text.count, isLast ? 1 : 0)
    return written == -1 ? nil : Int(written)
  }

  private static let alphabet: StaticString =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

  /// Standard base64 with padding (section 4). Byte by byte: for short texts.
  public static func encode(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var text = encode(bytes, alphabet)
    while text.count % 4 != 0 { text.append(UInt8(ascii: "=")) }
    return text
  }

  private static let urlAlphabet: StaticString =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

  /// The URL-safe alphabet (section 5), without padding.
  public static func encodeURL(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { encode(bytes, urlAlphabet) }

  private static func encode(_ bytes: UnsafeRawBufferPointer, _ alphabet: StaticString) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    var held: UInt32 = 0
    var bits = 0
    for byte in bytes {
      held = held << 8 | UInt32(byte)
      bits += 8
      while bits >= 6 {
        bits -= 6
        text.append(alphabet.utf8Start[Int(held >> UInt32(bits) & 63)])
      }
    }
    if bits > 0 { text.append(alphabet.utf8Start[Int(held << UInt32(6 - bits) & 63)]) }
    return text
  }

  /// The bytes of URL-safe base64 without padding; nil if it is anything else.
  public static func decodeURL(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
    guard text.count % 4 != 1 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count * 3 / 4)
    var held: UInt32 = 0
    var bits = 0
    for character in text {
      guard let value = urlValue(character) else { return nil }
      held = held << 6 | value
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: held >> UInt32(bits)))
      }
    }
    return held & (1 << UInt32(bits) - 1) == 0 ? bytes : nil
  }

  private static func urlValue(_ character: UInt8) -> UInt32? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a") + 26)
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0") + 52)
    case UInt8(ascii: "-"): 62
    case UInt8(ascii: "_"): 63
    default: nil
    }
  }
}
