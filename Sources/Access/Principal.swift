/// Who found out who is asking.
public enum Provider: String, Sendable, CaseIterable {
  case token
  case jwt
  case mtls
  case ticket
}

/// Who is asking, as a provider found out from a credential. One object for all requests under that credential.
public final class Principal: Sendable {
  /// What the credential rests on, so that it can be asked for again when the files were read anew: see
  /// `Authenticator.renew`.
  enum Proof: Sendable {
    /// The digest of a token.
    case token(SHA256)
    /// The fingerprint of the key that signed, and what the claims were checked against.
    case key(SHA256, by: JWTSettings)
    case certificate(PeerCertificate)
    /// Nothing that could end.
    case none
  }

  /// The agent's id, as in work units.
  public let agent: [UInt8]
  /// Names of roles, each once.
  public let roles: [String]
  public let provider: Provider
  /// When the credential ends: seconds since 1970. Nil: never.
  public let expiresAt: UInt64?
  let proof: Proof

  public convenience init(
    agent: [UInt8], roles: [String], provider: Provider, expiresAt: UInt64? = nil
  ) {
    self.init(agent: agent, roles: roles, provider: provider, expiresAt: expiresAt, proof: .none)
  }

  init(agent: [UInt8], roles: [String], provider: Provider, expiresAt: UInt64?, proof: Proof) {
    self.agent = agent
    self.roles = roles
    self.provider = provider
    self.expiresAt = expiresAt
    self.proof = proof
  }

  /// Whether the credential has ended at `now`, in seconds since 1970.
  public func isExpired(now: UInt64) -> Bool { expiresAt.map { now >= $0 } ?? false }
}
