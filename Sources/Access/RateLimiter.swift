internal import Bytes
internal import Synchronization

/// The buckets of all agents and addresses, for all loops together. Any thread; a call takes one of several locks for
/// about 0.1 µs, and allocates nothing for a name that is known.
public final class RateLimiter: Sendable {
  public enum Scope: Int, Sendable, CaseIterable {
    case agent, address
  }

  /// Names of each scope, all parts together: 12 MiB.
  static let namesMax = 65_536
  private static let parts = 16

  /// A lock on a cache line of its own is not worth its memory here: the parts are chosen by hash.
  private final class Part: Sendable {
    let table: Mutex<RateTable>

    init(_ rates: RateSet) {
      table = Mutex(RateTable(rates, capacity: RateLimiter.namesMax / RateLimiter.parts))
    }
  }

  public let settings: RateSettings
  private let agents: [Part]
  private let addresses: [Part]
  /// Agents' names are hashed with it: whoever chooses names doesn't choose who shares a bucket.
  private let seed = UInt64.random(in: .min ... .max)
  private let policies: [[String]]

  /// Nil if nothing is limited: then nobody has to ask.
  public init?(_ settings: RateSettings) {
    guard settings.isLimited else { return nil }
    self.settings = settings
    agents = settings.agent.isLimited ? (0..<RateLimiter.parts).map { _ in Part(settings.agent) } : []
    addresses = settings.address.isLimited ? (0..<RateLimiter.parts).map { _ in Part(settings.address) } : []
    limitsAgents = settings.agent.limitsRequests
    limitsAddresses = settings.address.limitsRequests
    policies = Scope.allCases.map { scope in
      RateKind.allCases.map {
        RateFields.policy(scope, $0, scope == .agent ? settings.agent[$0] : settings.address[$0])
      }
    }
  }

  /// Whether each request, and not only a failed authentication, counts.
  public let limitsAgents: Bool
  public let limitsAddresses: Bool

  /// Takes what a request costs its agent; nothing if any bucket hasn't enough.
  public func admit(agent: UnsafeRawBufferPointer, _ costs: RateCosts, now: UInt64) -> RateVerdict {
    guard limitsAgents else { return RateVerdict() }
    let key = key(agent)
    return agents[part(key)].table.withLock { $0.admit(key, costs, now: now) }
  }

  /// The same for an address.
  public func admit(_ address: ClientAddress, _ costs: RateCosts, now: UInt64) -> RateVerdict {
    guard limitsAddresses else { return RateVerdict() }
    let key = key(address)
    return addresses[part(key)].table.withLock { $0.admit(key, costs, now: now) }
  }

  /// Takes what can't be refused any more.
  public func charge(agent: UnsafeRawBufferPointer, _ costs: RateCosts, now: UInt64) {
    guard limitsAgents else { return }
    let key = key(agent)
    agents[part(key)].table.withLock { $0.charge(key, costs, now: now) }
  }

  public func charge(_ address: ClientAddress, _ costs: RateCosts, now: UInt64) {
    guard settings.address.isLimited else { return }
    let key = key(address)
    addresses[part(key)].table.withLock { $0.charge(key, costs, now: now) }
  }

  /// A credential from this address was none. However many were: once it may fail again, it may.
  public func countFailure(of address: ClientAddress, now: UInt64) {
    guard settings.address.failures.isLimited else { return }
    let key = key(address)
    addresses[part(key)].table.withLock { _ = $0.admit(key, RateLimiter.oneFailure, now: now) }
  }

  /// Whether an address may try to authenticate: it hasn't failed too often.
  public func mayAuthenticate(_ address: ClientAddress, now: UInt64) -> RateVerdict {
    guard settings.address.failures.isLimited else { return RateVerdict() }
    let key = key(address)
    return addresses[part(key)].table.withLock { $0.look(key, RateLimiter.oneFailure, now: now) }
  }

  /// Whether an agent, and an address, may append anything at all: for a batch, whose units are counted once it is read.
  public func mayPublish(agent: UnsafeRawBufferPointer, now: UInt64) -> RateVerdict {
    guard limitsAgents, settings.agent.publishes.isLimited else { return RateVerdict() }
    let key = key(agent)
    return agents[part(key)].table.withLock { $0.look(key, RateLimiter.onePublish, now: now) }
  }

  public func mayPublish(_ address: ClientAddress, now: UInt64) -> RateVerdict {
    guard limitsAddresses, settings.address.publishes.isLimited else { return RateVerdict() }
    let key = key(address)
    return addresses[part(key)].table.withLock { $0.look(key, RateLimiter.onePublish, now: now) }
  }

  private static let onePublish: RateCosts = {
    var costs = RateCosts()
    costs.publishes = 1
    return costs
  }()

  private static let oneFailure: RateCosts = {
    var costs = RateCosts()
    costs.failures = 1
    return costs
  }()

  /// What stands in `RateLimit-Policy` for a bucket.
  func policy(_ scope: Scope, _ kind: RateKind) -> String { policies[scope.rawValue][kind.rawValue] }

  private func key(_ agent: UnsafeRawBufferPointer) -> RateTable.Key {
    let print = Fingerprint.of(agent, seed: seed)
    return RateTable.Key(high: print.high, low: print.low)
  }

  private func key(_ address: ClientAddress) -> RateTable.Key {
    let network = address.network
    return RateTable.Key(high: network.high, low: network.low)
  }

  /// Folded and multiplied by an odd number: neighbouring addresses are far apart in the upper bits.
  private func part(_ key: RateTable.Key) -> Int {
    Int(truncatingIfNeeded: ((key.high ^ key.low ^ seed) &* 0x9e37_79b9_7f4a_7c15) >> 60)
  }
}
