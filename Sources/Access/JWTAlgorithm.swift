/// The algorithms of signatures that are taken (RFC 7518, section 3.1; RFC 8037, section 3.1). Each belongs to one
/// type of key, so that none can be mistaken for another's.
public enum JWTAlgorithm: String, Sendable, CaseIterable {
  case hs256 = "HS256"
  case rs256 = "RS256"
  case es256 = "ES256"
  case edDSA = "EdDSA"

  /// By its name, byte for byte: names differ by case.
  init?(name: [UInt8]) {
    guard let found = Self.allCases.first(where: { $0.rawValue.utf8.elementsEqual(name) }) else { return nil }
    self = found
  }
}
