/// What a request takes out of the buckets; 0: that bucket isn't asked.
public struct RateCosts: Sendable, Equatable {
  public var requests: UInt64 = 0
  public var bytes: UInt64 = 0
  public var publishes: UInt64 = 0
  public var searches: UInt64 = 0
  public var failures: UInt64 = 0

  public init() {}

  public subscript(kind: RateKind) -> UInt64 {
    switch kind {
    case .requests: requests
    case .bytes: bytes
    case .publishes: publishes
    case .searches: searches
    case .failures: failures
    }
  }
}

/// What the buckets say to a request, and what its answer tells of them.
public struct RateVerdict: Sendable, Equatable {
  /// The bucket that is too empty.
  public var refusal: RateKind?
  /// Seconds after which it isn't any more, from 1.
  public var retrySeconds: UInt64 = 0
  /// The buckets that were asked: what is left, and the seconds until each is full. By `RateKind`.
  public var asked: [5 of (isAsked: Bool, remaining: UInt64, seconds: UInt64)] = .init(
    repeating: (false, 0, 0))

  public init() {}

  public static func == (a: RateVerdict, b: RateVerdict) -> Bool {
    a.refusal == b.refusal && a.retrySeconds == b.retrySeconds
      && a.asked.indices.allSatisfy { a.asked[$0] == b.asked[$0] }
  }
}

/// Buckets by name: a value, bounded, without a clock. A name that is not in it has full buckets.
///
/// When it is full, room is made for a new name by forgetting one of a few that come up in turn: that whose buckets
/// are the least empty, so that a flood of new names pushes out itself, and not one that is at its limit.
struct RateTable {
  struct Key: Hashable, Sendable {
    var high: UInt64
    var low: UInt64
  }

  private struct Entry {
    var key: Key
    var buckets: [5 of TokenBucket]
  }

  /// Entries that are looked at for one to forget.
  private static let candidates = 8

  private let rates: RateSet
  private let capacity: Int
  private var entries: ContiguousArray<Entry> = []
  private var places: [Key: Int] = [:]
  private var hand = 0

  init(_ rates: RateSet, capacity: Int) {
    precondition(capacity > 0)
    self.rates = rates
    self.capacity = capacity
  }

  var count: Int { entries.count }

  /// Takes the costs out of the buckets of `key` if all of them have enough, else nothing.
  mutating func admit(_ key: Key, _ costs: RateCosts, now: UInt64, takes: Bool = true) -> RateVerdict {
    var verdict = RateVerdict()
    let place = place(of: key, now: now)
    for kind in RateKind.allCases where costs[kind] > 0 && rates[kind].isLimited {
      let rate = rates[kind]
      entries[place].buckets[kind.rawValue].refill(rate, now: now)
      guard !entries[place].buckets[kind.rawValue].admits(costs[kind], rate) else { continue }
      let seconds = entries[place].buckets[kind.rawValue].seconds(until: costs[kind], rate)
      if verdict.refusal == nil || seconds > verdict.retrySeconds {
        verdict.refusal = kind
        verdict.retrySeconds = max(seconds, 1)
      }
    }
    for kind in RateKind.allCases where costs[kind] > 0 && rates[kind].isLimited {
      if takes, verdict.refusal == nil { entries[place].buckets[kind.rawValue].take(costs[kind]) }
      let bucket = entries[place].buckets[kind.rawValue]
      verdict.asked[kind.rawValue] = (true, bucket.remaining, bucket.secondsToFull(rates[kind]))
    }
    return verdict
  }

  /// What `admit` would say; takes nothing, and remembers nobody.
  mutating func look(_ key: Key, _ costs: RateCosts, now: UInt64) -> RateVerdict {
    places[key] == nil ? RateVerdict() : admit(key, costs, now: now, takes: false)
  }

  /// Takes costs that can't be refused any more: what was received already.
  mutating func charge(_ key: Key, _ costs: RateCosts, now: UInt64) {
    let place = place(of: key, now: now)
    for kind in RateKind.allCases where costs[kind] > 0 && rates[kind].isLimited {
      entries[place].buckets[kind.rawValue].refill(rates[kind], now: now)
      entries[place].buckets[kind.rawValue].take(costs[kind])
    }
  }

  private mutating func place(of key: Key, now: UInt64) -> Int {
    if let place = places[key] { return place }
    let buckets = [5 of TokenBucket] { TokenBucket(rates[RateKind.allCases[$0]], now: now) }
    let entry = Entry(key: key, buckets: buckets)
    guard entries.count >= capacity else {
      entries.append(entry)
      places[key] = entries.count - 1
      return entries.count - 1
    }
    let place = leastEmpty(now: now)
    places[entries[place].key] = nil
    entries[place] = entry
    places[key] = place
    return place
  }

  private mutating func leastEmpty(now: UInt64) -> Int {
    var best = hand
    var least = UInt64.max
    for _ in 0..<min(RateTable.candidates, entries.count) {
      let place = hand
      hand = hand + 1 == entries.count ? 0 : hand + 1
      var deficit: UInt64 = 0
      for kind in RateKind.allCases where rates[kind].isLimited {
        entries[place].buckets[kind.rawValue].refill(rates[kind], now: now)
        deficit = max(deficit, entries[place].buckets[kind.rawValue].deficit(rates[kind]))
      }
      if deficit < least {
        least = deficit
        best = place
      }
      if deficit == 0 { break }
    }
    return best
  }

  /// For tests: names and places agree.
  func checkInvariants() -> Bool {
    entries.count <= capacity && places.count == entries.count
      && places.allSatisfy { entries[$0.value].key == $0.key }
  }
}
