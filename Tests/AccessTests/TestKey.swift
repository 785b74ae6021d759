import Access
import Bytes
import CAccessTesting

/// A key pair that signs what the tests present.
final class TestKey: @unchecked Sendable {
  enum Kind {
    case rsa(bits: Int, exponent: Int = 65537)
    case p256, p384, ed25519
  }

  let pointer: OpaquePointer?

  init(_ kind: Kind) {
    pointer =
      switch kind {
      case .rsa(let bits, let exponent): test_key_rsa(Int32(bits), Int32(exponent))
      case .p256: test_key_p256()
      case .p384: test_key_p384()
      case .ed25519: test_key_ed25519()
      }
    precondition(pointer != nil)
  }

  deinit { test_key_free(pointer) }

  private static func bytes(_ room: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int) -> [UInt8] {
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: room)
    defer { memory.deallocate() }
    return Array(UnsafeBufferPointer(start: memory, count: body(memory)))
  }

  /// A public number, big-endian.
  func part(_ name: Character) -> [UInt8] {
    Self.bytes(2048) { test_key_part(pointer, CChar(name.asciiValue ?? 0), $0, 2048) }
  }

  func encoded(_ name: Character) -> String { base64(part(name)) }

  var pem: [UInt8] { Self.bytes(4096) { test_key_pem(pointer, $0, 4096) } }

  /// A signature as OpenSSL writes it: ECDSA in DER.
  func sign(_ text: String, bits: Int, isPSS: Bool = false) -> [UInt8] {
    let text = Array(text.utf8)
    return Self.bytes(2048) { test_sign(pointer, Int32(bits), isPSS ? 1 : 0, text, text.count, $0, 2048) }
  }

  /// r and s of an ECDSA signature.
  func signRaw(_ text: String, bits: Int = 256, width: Int = 32) -> [UInt8] {
    let der = sign(text, bits: bits)
    return Self.bytes(2 * width) { test_raw_signature(der, der.count, width, $0) == 1 ? 2 * width : 0 }
  }

  /// A self-signed certificate in DER.
  func certificate(
    alternative: String? = nil, common: [[UInt8]] = [], notAfter: Int64 = 2_000_000_000
  ) -> [UInt8] {
    let names = common.map { name in
      let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, name.count))
      memory.initialize(from: name, count: name.count)
      return memory
    }
    defer { names.forEach { $0.deallocate() } }
    let pointers = names.map { UnsafePointer($0) as UnsafePointer<UInt8>? }
    return Self.bytes(4096) {
      test_certificate(pointer, alternative, pointers, common.map(\.count), common.count, notAfter, $0, 4096)
    }
  }
}

func base64(_ bytes: [UInt8]) -> String {
  String(decoding: bytes.withUnsafeBytes { Base64.encodeURL($0) }, as: UTF8.self)
}

func base64(_ text: String) -> String { base64(Array(text.utf8)) }

func bytes(ofBase64 text: String) -> [UInt8] {
  Array(text.utf8).withUnsafeBytes { Base64.decodeURL($0) } ?? []
}

func hmac(_ text: String, key: [UInt8]) -> [UInt8] {
  Array(text.utf8).withUnsafeBytes { SHA256(hmacOf: $0, key: key)?.withBytes { Array($0) } } ?? []
}

func digest(_ text: String) -> String {
  Array(text.utf8).withUnsafeBytes { SHA256(of: $0)?.hexadecimal } ?? ""
}

func keySet(_ text: String) throws(KeySetError) -> KeySet {
  return try Array(text.utf8).withUnsafeBufferPointer { text throws(KeySetError) -> KeySet in
    try KeySet(parsing: UnsafeRawBufferPointer(text))
  }
}

func tokenTable(_ text: String) throws(TokenFileError) -> TokenTable {
  return try Array(text.utf8).withUnsafeBufferPointer { text throws(TokenFileError) -> TokenTable in
    try TokenTable(parsing: UnsafeRawBufferPointer(text))
  }
}
