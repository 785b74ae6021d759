internal import Bytes
internal import Synchronization

/// What one agent or one address has open. A value.
struct Usage: Sendable, Equatable {
  var connections = 0
  var subscriptions = 0
  var bodyBytes = 0
  var answerBytes = 0

  var isNothing: Bool { self == Usage() }

  subscript(resource: UsageTable.Resource) -> Int {
    get {
      switch resource {
      case .connections: connections
      case .subscriptions: subscriptions
      case .bodyBytes: bodyBytes
      case .answerBytes: answerBytes
      }
    }
    set {
      switch resource {
      case .connections: connections = newValue
      case .subscriptions: subscriptions = newValue
      case .bodyBytes: bodyBytes = newValue
      case .answerBytes: answerBytes = newValue
      }
    }
  }
}

/// What all agents or all addresses have open, on all loops together, against the same caps for each. A name is
/// remembered only as long as it has something open, so that the table is no larger than that. Any thread; a call takes
/// one of several locks.
public final class UsageTable: Sendable {
  public enum Resource: Sendable {
    case connections, subscriptions, bodyBytes
    /// Counted only: nothing caps them for a name alone.
    case answerBytes
  }

  /// Most of each that one name may have; 0: as much as it likes.
  public struct Caps: Sendable, Equatable {
    public var connections: Int
    public var subscriptions: Int
    public var bodyBytes: Int

    public init(connections: Int = 0, subscriptions: Int = 0, bodyBytes: Int = 0) {
      self.connections = connections
      self.subscriptions = subscriptions
      self.bodyBytes = bodyBytes
    }
  }

  /// A name, hashed.
  public struct Key: Hashable, Sendable {
    let high: UInt64
    let low: UInt64
  }

  private static let parts = 16
  private final class Part: Sendable {
    let usages = Mutex<[Key: Usage]>([:])
  }

  private let connectionsMax: Atomic<Int>
  private let subscriptionsMax: Atomic<Int>
  private let bodyBytesMax: Atomic<Int>
  private let parts = (0..<UsageTable.parts).map { _ in Part() }
  /// Agents' names are hashed with it: whoever chooses names doesn't choose who shares a count.
  private let seed = UInt64.random(in: .min ... .max)

  public init(_ caps: Caps = Caps()) {
    connectionsMax = Atomic(caps.connections)
    subscriptionsMax = Atomic(caps.subscriptions)
    bodyBytesMax = Atomic(caps.bodyBytes)
  }

  /// Holds from now on: who has more keeps it.
  public func setCaps(_ caps: Caps) {
    connectionsMax.store(caps.connections, ordering: .relaxed)
    subscriptionsMax.store(caps.subscriptions, ordering: .relaxed)
    bodyBytesMax.store(caps.bodyBytes, ordering: .relaxed)
  }

  private func cap(_ resource: Resource) -> Int {
    switch resource {
    case .connections: connectionsMax.load(ordering: .relaxed)
    case .subscriptions: subscriptionsMax.load(ordering: .relaxed)
    case .bodyBytes: bodyBytesMax.load(ordering: .relaxed)
    case .answerBytes: 0
    }
  }

  public func key(agent: UnsafeRawBufferPointer) -> Key {
    let print = Fingerprint.of(agent, seed: seed)
    return Key(high: print.high, low: print.low)
  }

  public func key(_ address: ClientAddress) -> Key {
    let network = address.network
    return Key(high: network.high, low: network.low)
  }

  /// Takes `count` more if the name may have them.
  /// - Returns: whether it has got them; then `release` has to give them back.
  public func claim(_ key: Key, _ resource: Resource, _ count: Int = 1) -> Bool {
    let most = cap(resource)
    return part(key).usages.withLock { usages in
      var usage = usages[key] ?? Usage()
      guard most == 0 || count <= most - usage[resource] else { return false }
      usage[resource] += count
      usages[key] = usage
      return true
    }
  }

  /// Gives back what was claimed.
  public func release(_ key: Key, _ resource: Resource, _ count: Int = 1) {
    part(key).usages.withLock { usages in
      guard var usage = usages[key] else { return }
      usage[resource] -= count
      assert(usage[resource] >= 0, "more was given back than was claimed")
      usages[key] = usage.isNothing ? nil : usage
    }
  }

  /// What the name has.
  public func held(_ key: Key, _ resource: Resource) -> Int {
    part(key).usages.withLock { $0[key]?[resource] ?? 0 }
  }

  /// Names that have something open.
  public var count: Int { parts.reduce(0) { $0 + $1.usages.withLock(\.count) } }

  private func part(_ key: Key) -> Part {
    parts[Int(truncatingIfNeeded: ((key.high ^ key.low ^ seed) &* 0x9e37_79b9_7f4a_7c15) >> 60)]
  }
}
