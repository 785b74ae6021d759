internal import Bytes
internal import Model

/// One line of the token file: `agent:role,role:sha256-of-token[:expiry]`. In agents and roles, `%XX` stands for a
/// byte; colon, comma, percent sign and white space have no other spelling, nor has a number sign in front.
public struct TokenLine: Sendable {
  /// What is wrong with a line. Never shows the line: there may be a token in it that belongs nowhere.
  public enum Fault: String, Error, Sendable, CaseIterable {
    case fields = "is not agent:role,role:sha256[:expiry]"
    case agent = "has no agent of 1 to 256 bytes of UTF-8 without control characters"
    case roles = "has an empty role, one of more than 128 bytes, or more than 32 roles"
    case encoding = "has a % that is not followed by two hexadecimal digits"
    case digest = "has no SHA-256 of 64 hexadecimal digits: the token itself does not belong into this file"
    case expiry = "has an expiry that is neither a time of RFC 3339 nor seconds since 1970"
    case duplicate = "has the digest of an earlier line"
    case tooMany = "is one token more than a file may have"
    case tooLong = "would make the file longer than it may be"
    case library = "can't be kept: OpenSSL has no memory left"
  }

  public var agent: [UInt8]
  public var roles: [String]
  public var digest: SHA256
  /// Seconds since 1970; nil: never.
  public var expiresAt: UInt64?

  /// - Parameter token: the token itself; only its digest is kept.
  public init(agent: [UInt8], roles: [String], token: String, expiresAt: UInt64?) throws(Fault) {
    guard Credential.isAgent(agent) else { throw .agent }
    var distinct: [String] = []
    for role in roles {
      guard Credential.add(Array(role.utf8), to: &distinct) else { throw .roles }
    }
    var token = token
    guard let digest = token.withUTF8({ SHA256(of: UnsafeRawBufferPointer($0)) }) else { throw .library }
    if let expiresAt, expiresAt > CredentialLimits.timeMax { throw .expiry }
    self.agent = agent
    self.roles = distinct
    self.digest = digest
    self.expiresAt = expiresAt
  }

  /// Reads a line without its end and without white space around it.
  public init(parsing line: UnsafeRawBufferPointer) throws(Fault) {
    // A time has colons of its own: it is all that is left.
    let fields = line.split(
      separator: UInt8(ascii: ":"), maxSplits: 3, omittingEmptySubsequences: false)
    guard fields.count >= 3 else { throw .fields }
    agent = try Self.decode(fields[0])
    guard Credential.isAgent(agent) else { throw .agent }
    roles = []
    if !fields[1].isEmpty {
      for name in fields[1].split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
        guard Credential.add(try Self.decode(name), to: &roles) else { throw .roles }
      }
    }
    guard let digest = SHA256(hexadecimal: UnsafeRawBufferPointer(rebasing: fields[2])) else { throw .digest }
    self.digest = digest
    expiresAt = nil
    if fields.count == 4 {
      guard let moment = Self.time(UnsafeRawBufferPointer(rebasing: fields[3])) else { throw .expiry }
      expiresAt = moment
    }
  }

  /// The line, without its end.
  public var text: String {
    let names = roles.map { Self.encode(Array($0.utf8)) }.joined(separator: ",")
    let line = "\(Self.encode(agent)):\(names):\(digest.hexadecimal)"
    return expiresAt.map { "\(line):\(LogTime(microseconds: $0 * 1_000_000))" } ?? line
  }

  /// A moment, in seconds since 1970: given so, or as a time of RFC 3339, of which a fraction is cut off.
  public static func time(_ text: UnsafeRawBufferPointer) -> UInt64? {
    if !text.isEmpty, text.count <= 12, text.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) {
      let seconds = text.reduce(UInt64(0)) { $0 * 10 + UInt64($1 - 0x30) }
      return seconds <= CredentialLimits.timeMax ? seconds : nil
    }
    guard text.count <= Limits.timeBytesMax else { return nil }
    return LogTime(text).map { $0.microseconds / 1_000_000 }
  }

  private static func decode(_ text: Slice<UnsafeRawBufferPointer>) throws(Fault) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = text
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let first = rest.popFirst(), let second = rest.popFirst(), let high = Hexadecimal.value(first),
        let low = Hexadecimal.value(second)
      else { throw .encoding }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  /// Everything but letters, digits and a few signs is spelled by its bytes, so that a line is plain ASCII.
  private static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"), UInt8(ascii: "/"), UInt8(ascii: "@"), UInt8(ascii: "+"):
        text.append(byte)
      default:
        text += [UInt8(ascii: "%"), Hexadecimal.digit(byte >> 4), Hexadecimal.digit(byte & 15)]
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
