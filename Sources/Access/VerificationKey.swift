internal import Bytes
internal import COpenSSL

/// A key that signatures are checked with, bound to the one algorithm of its type. Immutable; any thread.
public final class VerificationKey: @unchecked Sendable {
  public let algorithm: JWTAlgorithm
  /// `kid`.
  public let id: [UInt8]?
  /// Tells keys apart: a digest of type and value.
  let fingerprint: SHA256
  /// The shared secret of HS256.
  private let secret: [UInt8]
  /// What OpenSSL made of a public key. Never changed: OpenSSL lets several threads verify with one.
  private let key: OpaquePointer?

  private init(
    _ algorithm: JWTAlgorithm, id: [UInt8]?, fingerprint: SHA256, secret: [UInt8], key: OpaquePointer?
  ) {
    self.algorithm = algorithm
    self.id = id
    self.fingerprint = fingerprint
    self.secret = secret
    self.key = key
  }

  deinit { engram_key_free(key) }

  private static func fingerprint(_ type: JWTAlgorithm, _ parts: [UInt8]...) -> SHA256? {
    var text = Array(type.rawValue.utf8)
    for part in parts { text += [0] + Array("\(part.count)".utf8) + [0] + part }
    return text.withUnsafeBytes { SHA256(of: $0) }
  }

  /// A shared secret. Nil only where the library has no memory left.
  static func secret(_ bytes: [UInt8], id: [UInt8]?) -> VerificationKey? {
    guard let fingerprint = fingerprint(.hs256, bytes) else { return nil }
    return VerificationKey(.hs256, id: id, fingerprint: fingerprint, secret: bytes, key: nil)
  }

  /// An RSA key, big-endian. Nil if it isn't sound.
  static func rsa(modulus: [UInt8], exponent: [UInt8], id: [UInt8]?) -> VerificationKey? {
    make(
      .rs256, id, engram_key_rsa(modulus, modulus.count, exponent, exponent.count),
      fingerprint(.rs256, modulus, exponent))
  }

  /// A point of P-256. Nil if it isn't one, or isn't of 32 bytes each.
  static func p256(x: [UInt8], y: [UInt8], id: [UInt8]?) -> VerificationKey? {
    guard x.count == 32, y.count == 32 else { return nil }
    return make(.es256, id, engram_key_p256(x, y), fingerprint(.es256, x, y))
  }

  /// A key for Ed25519, of 32 bytes. Nil if it isn't one.
  static func ed25519(_ point: [UInt8], id: [UInt8]?) -> VerificationKey? {
    guard point.count == 32 else { return nil }
    return make(.edDSA, id, engram_key_ed25519(point), fingerprint(.edDSA, point))
  }

  /// Takes over the key.
  private static func make(
    _ algorithm: JWTAlgorithm, _ id: [UInt8]?, _ key: OpaquePointer?, _ fingerprint: SHA256?
  ) -> VerificationKey? {
    guard let key else { return nil }
    guard let fingerprint else {
      engram_key_free(key)
      return nil
    }
    return VerificationKey(algorithm, id: id, fingerprint: fingerprint, secret: [], key: key)
  }

  /// Bits of an RSA key's modulus.
  var bits: Int { key.map { Int(engram_key_bits($0)) } ?? 0 }

  /// Whether `signature` is this key's over `bytes`. From 1 µs (HS256) to about 100 µs (EdDSA, ES256).
  func verifies(_ signature: [UInt8], over bytes: UnsafeRawBufferPointer) -> Bool {
    switch algorithm {
    case .hs256:
      guard let code = SHA256(hmacOf: bytes, key: secret) else { return false }
      return code.withBytes { code in signature.withUnsafeBytes { ConstantTime.equal(code, $0) } }
    case .rs256:
      return engram_verify_rs256(key, bytes.baseAddress, bytes.count, signature, signature.count) == 1
    case .es256:
      guard signature.count == 64 else { return false }
      return engram_verify_es256(key, bytes.baseAddress, bytes.count, signature) == 1
    case .edDSA:
      guard signature.count == 64 else { return false }
      return engram_verify_ed25519(key, bytes.baseAddress, bytes.count, signature) == 1
    }
  }
}
