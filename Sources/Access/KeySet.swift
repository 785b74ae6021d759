internal import Bytes

/// Why a JWKS file isn't taken. Nothing of its content is told but the number of a key.
public struct KeySetError: Error, Sendable, CustomStringConvertible {
  public enum Fault: String, Sendable, CaseIterable {
    case json = "is not a JSON object with an array \"keys\" of objects"
    case tooLong = "is longer than it may be"
    case tooMany = "has more keys than it may have"
    case none =
      "has no key that is of use: oct for HS256, RSA for RS256, EC P-256 for ES256, OKP Ed25519 for EdDSA"
    case member = "has a member of the wrong type, or one that is missing"
    case encoding = "has a value that is not canonical base64url without padding"
    case keyID = "has a kid that is empty or too long"
    case privateKey = "is a private key: only its public part belongs into this file"
    case secret = "is a shared secret of less than 32 or more than 1024 bytes"
    case modulus = "is an RSA key of less than 2048 or more than 8192 bits"
    case exponent = "is an RSA key whose exponent is even, below 65537 or beyond 64 bits"
    case key = "is not a sound key of its type"
    case duplicate = "has the kid of an earlier key for the same algorithm"
  }

  /// Counted from 0; nil is the file as a whole.
  public var key: Int?
  public var fault: Fault

  public var description: String { key.map { "key \($0) \(fault.rawValue)" } ?? fault.rawValue }
}

/// The keys of a JWKS file (RFC 7517) that signatures may be checked with. Immutable; any thread.
///
/// Keys of other types, curves, uses and algorithms are passed over, as section 5 asks for. A key that would be used
/// but isn't sound refuses the file: who wrote it should know.
public final class KeySet: Sendable {
  public let keys: [VerificationKey]
  /// Whether there are shared secrets among them: then nobody else may read the file.
  public var holdsSecrets: Bool { keys.contains { $0.algorithm == .hs256 } }

  public init(parsing text: UnsafeRawBufferPointer) throws(KeySetError) {
    guard text.count <= CredentialLimits.keyFileBytesMax else { throw KeySetError(key: nil, fault: .tooLong) }
    var entries: [KeyEntry] = []
    var hasKeys = false
    var hasTooMany = false
    var reader = ObjectReader(text)
    do throws(JSONError) {
      try reader.document { (reader, name) throws(JSONError) in
        guard reader.scanner.matches(name, "keys") else { return false }
        hasKeys = true
        var more = try reader.scanner.enterArray()
        while more {
          guard entries.count < CredentialLimits.keysMax else {
            hasTooMany = true
            throw reader.refused()
          }
          entries.append(try KeyEntry(&reader))
          more = try reader.scanner.nextElement()
        }
        return true
      }
    } catch {
      throw KeySetError(key: nil, fault: hasTooMany ? .tooMany : .json)
    }
    guard hasKeys else { throw KeySetError(key: nil, fault: .json) }
    var keys: [VerificationKey] = []
    for (number, entry) in entries.enumerated() {
      do throws(KeyEntry.Refusal) {
        guard let key = try entry.key() else { continue }
        if let id = key.id, keys.contains(where: { $0.id == id && $0.algorithm == key.algorithm }) {
          throw KeyEntry.Refusal(.duplicate)
        }
        keys.append(key)
      } catch {
        throw KeySetError(key: number, fault: error.fault)
      }
    }
    guard !keys.isEmpty else { throw KeySetError(key: nil, fault: .none) }
    self.keys = keys
  }

  /// The key for a signature: the one that has this name, or, without a name, the only one for the algorithm.
  func key(for algorithm: JWTAlgorithm, id: [UInt8]?) -> VerificationKey? {
    let fitting = keys.filter { $0.algorithm == algorithm && (id == nil || $0.id == id) }
    return fitting.count == 1 ? fitting[0] : nil
  }

  func holds(_ fingerprint: SHA256) -> Bool { keys.contains { $0.fingerprint == fingerprint } }
}

/// One member of `keys`, read but not judged.
private struct KeyEntry {
  struct Refusal: Error {
    var fault: KeySetError.Fault
    init(_ fault: KeySetError.Fault) { self.fault = fault }
  }

  /// Members that are strings, by name.
  private static let names: [StaticString] = [
    "kty", "kid", "use", "alg", "crv", "n", "e", "x", "y", "k", "d",
  ]

  private var texts: [[UInt8]?] = Array(repeating: nil, count: names.count)
  private var operations: [[UInt8]]?
  /// Whether a member that matters is of another type.
  private var isMisshapen = false

  init(_ reader: inout ObjectReader) throws(JSONError) {
    var entry = self
    try reader.object { (reader, name) throws(JSONError) in
      if reader.scanner.matches(name, "key_ops") {
        guard try reader.scanner.peek() == .array else {
          entry.isMisshapen = true
          return false
        }
        entry.operations = try reader.texts(countMax: 16)
        return true
      }
      guard let place = Self.names.firstIndex(where: { reader.scanner.matches(name, $0) }) else {
        return false
      }
      guard try reader.scanner.peek() == .string else {
        entry.isMisshapen = true
        return false
      }
      entry.texts[place] = try reader.text()
      return true
    }
    self = entry
  }

  private subscript(_ name: String) -> [UInt8]? {
    Self.names.firstIndex { "\($0)" == name }.flatMap { texts[$0] }
  }

  private func says(_ name: String, _ text: String) -> Bool {
    self[name].map { $0.elementsEqual(text.utf8) } ?? false
  }

  /// A value in base64url.
  private func value(_ name: String) throws(Refusal) -> [UInt8] {
    guard let text = self[name] else { throw Refusal(.member) }
    guard let bytes = text.withUnsafeBytes({ Base64.decodeURL($0) }) else { throw Refusal(.encoding) }
    return bytes
  }

  /// An unsigned number, big-endian, in as few bytes as it takes (RFC 7518, section 2).
  private func number(_ name: String) throws(Refusal) -> [UInt8] {
    let bytes = try value(name)
    guard let first = bytes.first, first != 0 else { throw Refusal(.encoding) }
    return bytes
  }

  /// The algorithm of the key's type; nil for a type or a curve that isn't known here.
  private var algorithm: JWTAlgorithm? {
    if says("kty", "oct") { return .hs256 }
    if says("kty", "RSA") { return .rs256 }
    if says("kty", "EC") { return says("crv", "P-256") ? .es256 : nil }
    return says("kty", "OKP") && says("crv", "Ed25519") ? .edDSA : nil
  }

  /// The key; nil if it is for something else.
  func key() throws(Refusal) -> VerificationKey? {
    guard !isMisshapen, self["kty"] != nil else { throw Refusal(.member) }
    guard let algorithm else { return nil }
    if self["alg"] != nil, !says("alg", algorithm.rawValue) { return nil }
    if self["use"] != nil, !says("use", "sig") { return nil }
    if let operations, !operations.contains(where: { $0.elementsEqual("verify".utf8) }) { return nil }
    let id = self["kid"]
    if let id, id.isEmpty || id.count > CredentialLimits.keyIDBytesMax { throw Refusal(.keyID) }
    guard algorithm == .hs256 || self["d"] == nil else { throw Refusal(.privateKey) }
    guard let key = try made(algorithm, id) else { throw Refusal(.key) }
    return key
  }

  private func made(_ algorithm: JWTAlgorithm, _ id: [UInt8]?) throws(Refusal) -> VerificationKey? {
    switch algorithm {
    case .hs256:
      let secret = try value("k")
      guard secret.count >= CredentialLimits.secretBytesMin, secret.count <= CredentialLimits.secretBytesMax
      else { throw Refusal(.secret) }
      return .secret(secret, id: id)
    case .rs256:
      let (modulus, exponent) = (try number("n"), try number("e"))
      // Before OpenSSL looks at it: the check of a very long modulus takes long.
      guard modulus.count * 8 <= CredentialLimits.rsaBits.upperBound else { throw Refusal(.modulus) }
      let value = exponent.count > 8 ? 0 : exponent.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      guard value >= 65537, value % 2 == 1 else { throw Refusal(.exponent) }
      guard let key = VerificationKey.rsa(modulus: modulus, exponent: exponent, id: id) else { return nil }
      guard CredentialLimits.rsaBits.contains(key.bits) else { throw Refusal(.modulus) }
      return key
    case .es256:
      return .p256(x: try value("x"), y: try value("y"), id: id)
    case .edDSA:
      return .ed25519(try value("x"), id: id)
    }
  }
}
