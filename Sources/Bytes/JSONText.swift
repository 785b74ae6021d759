internal import CBytes

/// Strings of JSON: from tokens to the UTF-8 that they stand for, and back.
public enum JSONText {
  // MARK: From tokens

  /// Decodes the raw bytes between a token's quotes, which may hold escapes, into `to`.
  /// - Returns: the bytes written, or nil if `raw` is malformed or `to` has no room.
  public static func decode(
    _ raw: UnsafeRawBufferPointer, into to: UnsafeMutableRawBufferPointer
  ) -> Int? {
    guard let source = raw.baseAddress, !raw.isEmpty else { return 0 }
    guard let target = to.baseAddress else { return nil }
    let step = engram_json_unescape(target, to.count, source, raw.count)
    return step.consumed == raw.count ? step.written : nil
  }

  /// Decodes as many characters as fit into `to`. Where neither count moves, `raw` is malformed or `to`
  /// holds less than 4 bytes.
  public static func decodeSome(
    _ raw: UnsafeRawBufferPointer, into to: UnsafeMutableRawBufferPointer
  ) -> (consumed: Int, written: Int) {
    guard let source = raw.baseAddress, !raw.isEmpty, let target = to.baseAddress else { return (0, 0) }
    let step = engram_json_unescape(target, to.count, source, raw.count)
    return (step.consumed, step.written)
  }

  /// Runs `body` with a token's decoded bytes: those of the text itself where nothing is escaped.
  public static func withDecoded<Result>(
    _ token: JSONString, of text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    let raw = token.raw(of: text)
    guard token.hasEscapes else { return body(raw) }
    return withUnsafeTemporaryAllocation(byteCount: Int(token.decodedCount), alignment: 1) { memory in
      let count = decode(raw, into: memory) ?? 0
      return body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[0..<count]))
    }
  }

  static func hash(_ token: JSONString, of text: UnsafeRawBufferPointer) -> UInt64 {
    withDecoded(token, of: text) { engram_name_hash($0.baseAddress, $0.count) }
  }

  /// Less than, equal to or greater than 0, as the decoded bytes of `a` stand to those of `b`.
  static func order(_ a: JSONString, _ b: JSONString, of text: UnsafeRawBufferPointer) -> Int {
    withDecoded(a, of: text) { left in
      withDecoded(b, of: text) { right in
        let common = min(left.count, right.count)
        let order = common == 0 ? 0 : Int(engram_compare(left.baseAddress, right.baseAddress, common))
        return order != 0 ? order : left.count - right.count
      }
    }
  }

  /// Whether two runs of bytes are the same.
  public static func same(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    a.count == b.count && (a.isEmpty || engram_compare(a.baseAddress, b.baseAddress, a.count) == 0)
  }

  static func equal(_ token: JSONString, of bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    guard Int(token.decodedCount) == text.utf8CodeUnitCount else { return false }
    let wanted = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    return withDecoded(token, of: bytes) { same($0, wanted) }
  }

  /// Whether valid UTF-8 holds U+0000–001F, 007F or 0080–009F.
  public static func hasControl(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.baseAddress.map { engram_has_control($0, bytes.count) != 0 } ?? false
  }

  /// Whether `bytes` are valid UTF-8 (RFC 3629).
  public static func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    engram_utf8_valid(bytes.baseAddress, bytes.count) != 0
  }

  // MARK: To tokens

  /// Bytes of the string token that stands for valid UTF-8, quotes included.
  public static func quotedCount(_ bytes: UnsafeRawBufferPointer) -> Int {
    var count = 2 + bytes.count
    var at = 0
    while let byte = nextEscaped(bytes, &at) {
      count += escape(byte).count - 1
    }
    return count
  }

  /// Writes the string token that stands for valid UTF-8, quotes included: one copy where nothing needs
  /// an escape. Escapes are the short ones of RFC 8259, section 7, and `\u00XX` in lower case.
  public static func writeQuoted(_ bytes: UnsafeRawBufferPointer, to out: inout ByteWriter) {
    out.byte(UInt8(ascii: "\""))
    var at = 0
    var copied = 0
    while let byte = nextEscaped(bytes, &at) {
      out.run(UnsafeRawBufferPointer(rebasing: bytes[copied..<at - 1]))
      copied = at
      let escape = escape(byte)
      withUnsafeBytes(of: escape.text) { out.run(UnsafeRawBufferPointer(rebasing: $0[0..<escape.count])) }
    }
    out.run(UnsafeRawBufferPointer(rebasing: bytes[copied...]))
    out.byte(UInt8(ascii: "\""))
  }

  /// The next byte that needs an escape, with `at` moved behind it.
  @inline(__always)
  private static func nextEscaped(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> UInt8? {
    guard let base = bytes.baseAddress, at < bytes.count else { return nil }
    at += engram_json_plain(base + at, bytes.count - at)
    guard at < bytes.count else { return nil }
    defer { at += 1 }
    return bytes[at]
  }

  /// The escape for a byte, as little-endian text.
  private static func escape(_ byte: UInt8) -> (text: UInt64, count: Int) {
    let short: UInt8
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): short = byte
    case 0x08: short = UInt8(ascii: "b")
    case 0x09: short = UInt8(ascii: "t")
    case 0x0A: short = UInt8(ascii: "n")
    case 0x0C: short = UInt8(ascii: "f")
    case 0x0D: short = UInt8(ascii: "r")
    default:
      let low = byte & 0xF
      let digit = low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10
      let text: UInt64 = 0x0000_3030_755C | UInt64(UInt8(ascii: "0") + byte >> 4) << 32 | UInt64(digit) << 40
      return (text.littleEndian, 6)
    }
    return ((0x5C | UInt64(short) << 8).littleEndian, 2)
  }
}
