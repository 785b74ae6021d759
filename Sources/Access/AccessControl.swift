/// Who may do what, as one configuration has it: replaced as a whole when that is read again. Immutable, any thread.
public final class AccessControl: Sendable {
  public let authenticator: Authenticator
  public let policy: Policy
  /// Grows with each one that a server is given: what was found out under another one is found out again.
  public let generation: UInt64

  public init(authenticator: Authenticator, policy: Policy, generation: UInt64) {
    self.authenticator = authenticator
    self.policy = policy
    self.generation = generation
  }
}

/// Who asks.
public enum Caller: Sendable {
  /// Authentication is off: everybody may do everything, under any name.
  case open
  /// Nobody who is known. Only what needs no credential is answered.
  case unknown
  case known(Principal, Permissions)

  /// The agent of the credential: valid as long as the caller is kept. Nil if there is none.
  public var agent: UnsafeRawBufferPointer? {
    if case .known(_, let permissions) = self { permissions.agent.bytes } else { nil }
  }

  /// Whether the credential decides who writes.
  public var isAuthenticated: Bool {
    if case .open = self { false } else { true }
  }

  public var principal: Principal? {
    if case .known(let principal, _) = self { principal } else { nil }
  }

  /// What the caller may do; nil: everything, as authentication is off.
  public var permissions: Permissions? {
    switch self {
    case .open: nil
    case .unknown: Permissions.nothing
    case .known(_, let permissions): permissions
    }
  }

  /// What the caller sees of locks; nil: all.
  public var lockVisibility: Permissions? { permissions.flatMap { $0.seesAllLocks ? nil : $0 } }

  /// What the caller sees of contexts; nil: all.
  public var contextVisibility: Permissions? { permissions.flatMap { $0.seesAllContexts ? nil : $0 } }
}
