internal import Synchronization

/// All rules of a configuration. What none of them allows is denied. Immutable, any thread.
public final class Policy: Sendable {
  /// Who is asked about: what rules look at.
  private struct Key: Hashable {
    var agent: [UInt8]
    /// As bytes: strings of equal look are equal in Swift, and roles aren't.
    var roles: [[UInt8]]
  }

  public let rules: [PolicyRule]
  private let known = Mutex<[Key: Permissions]>([:])

  /// - Parameter rules: at most `PolicyLimits.rulesMax`.
  public init(_ rules: [PolicyRule]) { self.rules = rules }

  /// What a caller may do. The same object for the same agent and roles, while it is remembered.
  /// Cost: without it, a look at every rule.
  public func permissions(of principal: Principal) -> Permissions {
    let key = Key(agent: principal.agent, roles: principal.roles.map { Array($0.utf8) })
    if let found = known.withLock({ $0[key] }) { return found }
    let roles = Set(key.roles)
    let made = Permissions(
      rules.filter { rule in
        rule.isForAll || rule.agents.contains(principal.agent)
          || rule.roles.contains { roles.contains(Array($0.utf8)) }
      }, agent: principal.agent)
    return known.withLock { known in
      if known.count >= PolicyLimits.permissionsKept { known.removeAll() }
      known[key] = known[key] ?? made
      return known[key] ?? made
    }
  }
}
