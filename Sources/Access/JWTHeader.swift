internal import Bytes

/// The header of a JWS (RFC 7515, section 4), as far as it decides anything here.
struct JWTHeader {
  /// Members that would change where the key comes from or what is signed, or that mean another token inside: a
  /// token with one of them is refused. `crit` (section 4.1.11) would ask for extensions, and none is known.
  private static let refused: [StaticString] = [
    "crit", "b64", "cty", "jku", "jwk", "x5u", "x5c", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s",
    "p2c",
  ]
  /// `typ` in lower case, without `application/`: anything else was signed to be another kind of thing (RFC 8725,
  /// section 3.11).
  private static let types = ["jwt", "at+jwt"]

  var algorithm: JWTAlgorithm
  /// `kid`.
  var keyID: [UInt8]?

  init(_ text: UnsafeRawBufferPointer) throws(AuthenticationFailure) {
    var name: [UInt8]?
    var keyID: [UInt8]?
    var failure: AuthenticationFailure?
    var reader = ObjectReader(text)
    do throws(JSONError) {
      try reader.document { (reader, member) throws(JSONError) in
        if reader.scanner.matches(member, "alg") {
          name = try reader.text()
          return true
        }
        if reader.scanner.matches(member, "kid") {
          keyID = try reader.text()
          return true
        }
        if reader.scanner.matches(member, "typ") {
          if !Self.isType(try reader.text()) { failure = .header }
          return true
        }
        if Self.refused.contains(where: { reader.scanner.matches(member, $0) }) { failure = .header }
        return false
      }
    } catch {
      throw .malformedToken
    }
    if let failure { throw failure }
    guard let name, let algorithm = JWTAlgorithm(name: name) else { throw .algorithm }
    if let keyID, keyID.isEmpty || keyID.count > CredentialLimits.keyIDBytesMax { throw .unknownKey }
    self.algorithm = algorithm
    self.keyID = keyID
  }

  private static func isType(_ text: [UInt8]) -> Bool {
    var lower = text.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
    let prefix = Array("application/".utf8)
    if lower.starts(with: prefix) { lower.removeFirst(prefix.count) }
    return types.contains { $0.utf8.elementsEqual(lower) }
  }
}
