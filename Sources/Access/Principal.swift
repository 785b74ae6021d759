/// Who found out who is asking.
public enum Provider: String, Sendable, CaseIterable {
  case token
  case jwt
  case mtls
  case ticket
}

/// Who is asking, as a provider found out from a credential. One object for all requests under that credential.
public final class Principal: Sendable {
  /// The agent's id, as in work units.
  public let agent: [UInt8]
  /// Names of roles, each once.
  public let roles: [String]
  public let provider: Provider
  /// When the credential ends: seconds since 1970. Nil: never.
  public let expiresAt: UInt64?

  public init(agent: [UInt8], roles: [String], provider: Provider, expiresAt: UInt64? = nil) {
    self.agent = agent
    self.roles = roles
    self.provider = provider
    self.expiresAt = expiresAt
  }

  /// Whether the credential has ended at `now`, in seconds since 1970.
  public func isExpired(now: UInt64) -> Bool { expiresAt.map { now >= $0 } ?? false }
}
