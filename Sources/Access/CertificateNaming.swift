internal import Bytes
internal import Model

/// Which name of a certificate is the agent's. The names are those of the configuration file.
public enum CertificateName: String, Sendable, CaseIterable {
  case uri = "san_uri"
  case dns = "san_dns"
  case email = "san_email"
  case commonName = "cn"
}

/// `[auth.mtls]` of the configuration.
public struct MutualTLSSettings: Sendable, Hashable {
  public var agentFrom = CertificateName.uri
  /// Roles of everybody who comes with a certificate.
  public var roles: [String] = []

  public init() {}
}

/// Finds the agent in a client's certificate.
public struct CertificateNaming: Sendable {
  private let settings: MutualTLSSettings

  public init(_ settings: MutualTLSSettings) { self.settings = settings }

  /// The principal of a certificate that the handshake has checked. The agent is the one name of the kind that is
  /// asked for: with several it would be the client's choice who it is.
  public func verify(
    _ certificate: PeerCertificate, now: UInt64
  ) throws(AuthenticationFailure) -> Principal {
    let names =
      switch settings.agentFrom {
      case .uri: certificate.uris
      case .dns: certificate.dnsNames
      case .email: certificate.emails
      case .commonName: certificate.commonNames
      }
    guard let agent = names.first, names.count == 1 else { throw .certificateName }
    guard Credential.isAgent(agent) else { throw .agent }
    let principal = Principal(
      agent: agent, roles: settings.roles, provider: .mtls, expiresAt: certificate.notAfter,
      proof: .certificate(certificate))
    guard !principal.isExpired(now: now) else { throw .expired }
    return principal
  }
}

/// What agents and roles may be called.
enum Credential {
  /// 1 to 256 bytes of UTF-8 without control characters, U+0000 among them: the rule of the wire.
  static func isAgent(_ bytes: [UInt8]) -> Bool { isName(bytes, max: Limits.identifierBytesMax) }

  static func isRole(_ bytes: [UInt8]) -> Bool { isName(bytes, max: CredentialLimits.roleBytesMax) }

  private static func isName(_ bytes: [UInt8], max: Int) -> Bool {
    guard !bytes.isEmpty, bytes.count <= max else { return false }
    return bytes.withUnsafeBytes { JSONText.isUTF8($0) && !JSONText.hasControl($0) }
  }

  /// Adds a role once. False for what is no role's name, and beyond the limit.
  static func add(_ role: [UInt8], to roles: inout [String]) -> Bool {
    guard isRole(role), roles.count < CredentialLimits.rolesMax else { return false }
    let name = String(decoding: role, as: UTF8.self)
    // Compared byte by byte: Swift's own comparison takes different spellings of a letter for one.
    if !roles.contains(where: { $0.utf8.elementsEqual(name.utf8) }) { roles.append(name) }
    return true
  }
}
