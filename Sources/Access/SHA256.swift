internal import COpenSSL

/// A SHA-256 digest (FIPS 180-4).
public struct SHA256: Hashable, Sendable {
  public static let byteCount = Int(ENGRAM_SHA256_BYTES)

  /// The digest's bytes in their order in memory.
  private var words: [4 of UInt64] = [0, 0, 0, 0]

  private init() {}

  /// Of some bytes. Nil only where the library has no memory left.
  public init?(of bytes: UnsafeRawBufferPointer) {
    let isDone = withUnsafeMutableBytes(of: &words) { digest in
      digest.withMemoryRebound(to: UInt8.self) {
        engram_sha256(bytes.baseAddress, bytes.count, $0.baseAddress) == 1
      }
    }
    guard isDone else { return nil }
  }

  /// The HMAC of some bytes (RFC 2104). Nil only where the library has no memory left.
  public init?(hmacOf bytes: UnsafeRawBufferPointer, key: [UInt8]) {
    let isDone = withUnsafeMutableBytes(of: &words) { code in
      code.withMemoryRebound(to: UInt8.self) { code in
        engram_hmac_sha256(key, key.count, bytes.baseAddress, bytes.count, code.baseAddress) == 1
      }
    }
    guard isDone else { return nil }
  }

  /// As it is, of 32 bytes.
  public init?(bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Self.byteCount else { return nil }
    withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
  }

  /// As 64 hexadecimal digits, of either case.
  public init?(hexadecimal text: UnsafeRawBufferPointer) {
    guard text.count == 2 * Self.byteCount else { return nil }
    var bytes: [UInt8] = []
    for place in 0..<Self.byteCount {
      guard let high = Hexadecimal.value(text[2 * place]), let low = Hexadecimal.value(text[2 * place + 1])
      else { return nil }
      bytes.append(high << 4 | low)
    }
    withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
  }

  /// 64 digits in lower case.
  public var hexadecimal: String {
    withBytes { bytes in
      var text: [UInt8] = []
      for byte in bytes { text += [Hexadecimal.digit(byte >> 4), Hexadecimal.digit(byte & 15)] }
      return String(decoding: text, as: UTF8.self)
    }
  }

  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    var copy = words
    return withUnsafeBytes(of: &copy, body)
  }

  /// The first eight bytes as a number.
  var prefix: UInt64 { words[0] }

  public static func == (a: SHA256, b: SHA256) -> Bool { ConstantTime.equal(a, b) }

  public func hash(into hasher: inout Hasher) {
    for n in words.indices { hasher.combine(words[n]) }
  }
}

/// Comparisons whose time doesn't tell how much of a guess is right.
public enum ConstantTime {
  /// Whether two runs are the same. Of runs of equal length the time is one, whatever is in them; the length is no
  /// secret.
  public static func equal(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
    guard one.count == other.count else { return false }
    guard let a = one.baseAddress, let b = other.baseAddress else { return true }
    return engram_equal(a, b, one.count) == 1
  }

  static func equal(_ one: SHA256, _ other: SHA256) -> Bool {
    one.withBytes { a in other.withBytes { b in equal(a, b) } }
  }
}

/// Bytes that nobody can guess.
public enum SecureRandom {
  /// Nil where the system's source fails: then nothing may be made of it.
  public static func bytes(_ count: Int) -> [UInt8]? {
    var isDone = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { memory, filled in
      isDone = engram_random(memory.baseAddress, count) == 1
      filled = isDone ? count : 0
    }
    return isDone ? bytes : nil
  }
}

enum Hexadecimal {
  static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}
