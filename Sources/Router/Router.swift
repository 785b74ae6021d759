internal import Bytes
public import Model

/// Which subscribers of one loop want which published events: matched without looking at those that don't care.
/// Subscribers are named by small numbers that the caller gives out. A value, no I/O.
///
/// Subscribers lie in buckets. A unit's event is looked up by its context, its agent and its type, each as itself or as
/// "any": at most eight buckets, fewer where nobody asks so. A context's event is looked up by its context or "any"; a
/// lock's by each length of prefix that somebody asks for. A subscriber is in one bucket for each combination of what
/// it names, so that an event finds it once. Where that would be too many buckets, some of what it names is left to a
/// look at the event.
public struct Router: ~Copyable {
  /// Buckets that one subscriber's units may take. Bounds memory and the work of subscribing.
  public static let bucketsMax = 512

  /// A subscriber in a bucket, and where in the subscriber's own list that stands.
  private struct Member {
    var subscriber: UInt32
    var place: UInt32
    var isFiltered: Bool
  }

  /// The other direction.
  private struct Membership {
    var bucket: UInt32
    var index: UInt32
  }

  private struct Bucket {
    var key: Key
    var members: ContiguousArray<Member> = []
  }

  private enum Key {
    case none
    case names(NameKey)
    /// Slot of the prefix.
    case lock(Int)
  }

  /// What a bucket of units or contexts is found by; nil: any.
  private struct NameKey {
    var kind: EventKind
    var context: Int?
    var agent: Int?
    var type: UInt8?

    var high: UInt64 {
      UInt64(context.map { $0 + 1 } ?? 0) << 32 | UInt64(agent.map { $0 + 1 } ?? 0)
    }
    var low: UInt64 { UInt64(kind.rawValue) << 16 | UInt64(type.map { UInt64($0) + 1 } ?? 0) }
    /// One bit for each part that isn't "any".
    var shape: Int { (context == nil ? 0 : 1) | (agent == nil ? 0 : 2) | (type == nil ? 0 : 4) }
  }

  /// Names that buckets go by, with a small number each for as long as one does.
  private struct Names {
    var table = ByteTable()
    private var uses: [UInt32] = []

    mutating func retain(_ name: [UInt8]) -> Int {
      let (slot, _) = table.insert(name)
      while uses.count <= slot { uses.append(0) }
      uses[slot] += 1
      return slot
    }

    mutating func release(_ slot: Int?) {
      guard let slot else { return }
      uses[slot] -= 1
      if uses[slot] == 0 { table.remove(slot) }
    }
  }

  private struct Subscriber {
    var memberships: ContiguousArray<Membership> = []
    /// What is looked at in the event, if buckets don't say it all.
    var filter: Subscription?
  }

  private var subscribers: ContiguousArray<Subscriber> = []
  private var buckets: ContiguousArray<Bucket> = []
  private var freeBuckets: [UInt32] = []
  /// Buckets of units and contexts: their places, and one.
  private var places = IDTable()
  /// How many buckets of units there are of each shape.
  private var shapes = [Int](repeating: 0, count: 8)
  private var contexts = Names()
  private var agents = Names()
  private var prefixes = ByteTable()
  /// By slot of the prefix.
  private var prefixBuckets: [UInt32] = []
  /// The lengths of prefixes that are asked for, ascending, and how many of each.
  private var lengths: [(length: Int, count: Int)] = []
  private var membershipCount = 0

  public init() {}

  /// Whether nobody wants anything.
  public var isEmpty: Bool { membershipCount == 0 }

  // MARK: Subscribing

  /// From now on the subscriber wants this, and nothing else. Costs the combinations of what it names, at most
  /// `bucketsMax` and the contexts again; whoever else is subscribed doesn't matter.
  public mutating func subscribe(_ subscriber: UInt32, to wanted: Subscription) {
    unsubscribe(subscriber)
    while subscribers.count <= Int(subscriber) { subscribers.append(Subscriber()) }
    let named: [[UInt8]?] = wanted.contexts.map { Router.distinct($0).map { .some($0) } } ?? [nil]
    if wanted.kinds.contains(.units) { subscribeToUnits(subscriber, wanted, named) }
    if wanted.kinds.contains(.contexts) {
      for context in named { join(subscriber, .context, context, nil, nil, isFiltered: false) }
    }
    if wanted.kinds.contains(.locks) { joinLocks(subscriber, wanted.lockPrefix) }
  }

  private mutating func subscribeToUnits(
    _ subscriber: UInt32, _ wanted: Subscription, _ named: [[UInt8]?]
  ) {
    var contexts = named
    var agents: [[UInt8]?] = wanted.agents.isEmpty ? [nil] : Router.distinct(wanted.agents).map { .some($0) }
    var types: [UInt8?] = wanted.types.isEmpty ? [nil] : wanted.types.sorted().map { .some($0) }
    // What tells least of an event goes first.
    var isFiltered = false
    if contexts.count * agents.count * types.count > Router.bucketsMax {
      types = [nil]
      isFiltered = true
    }
    if contexts.count * agents.count > Router.bucketsMax { agents = [nil] }
    if contexts.count > Router.bucketsMax { contexts = [nil] }
    if isFiltered { subscribers[Int(subscriber)].filter = wanted }
    for context in contexts {
      for agent in agents {
        for type in types { join(subscriber, .unit, context, agent, type, isFiltered: isFiltered) }
      }
    }
  }

  private static func distinct(_ names: [[UInt8]]) -> [[UInt8]] {
    guard names.count > 1 else { return names }
    var seen: Set<[UInt8]> = []
    return names.filter { seen.insert($0).inserted }
  }

  /// Removes a subscriber, whatever it wants; one that isn't there is no matter. Costs the buckets that it is in.
  public mutating func unsubscribe(_ subscriber: UInt32) {
    guard Int(subscriber) < subscribers.count else { return }
    let memberships = subscribers[Int(subscriber)].memberships
    subscribers[Int(subscriber)] = Subscriber()
    for membership in memberships { leave(membership) }
  }

  // MARK: Matching

  /// Calls `body` once for each subscriber that wants the event. `body` must not subscribe.
  public func match(_ event: EventView, _ body: (UInt32) -> Void) {
    guard membershipCount > 0 else { return }
    switch event.kind {
    case .unit: matchUnit(event, body)
    case .context:
      guard let context = event.contextID else { return }
      call(NameKey(kind: .context), event, body)
      if let slot = contexts.table.find(context) {
        call(NameKey(kind: .context, context: slot), event, body)
      }
    case .lock: matchLock(event, body)
    case .restart, nil: break
    }
  }

  private func matchUnit(_ event: EventView, _ body: (UInt32) -> Void) {
    var context: Int?
    var agent: Int?
    var type: UInt8?
    if shapes[1] + shapes[3] + shapes[5] + shapes[7] > 0 {
      context = event.contextID.flatMap { contexts.table.find($0) }
    }
    if shapes[2] + shapes[3] + shapes[6] + shapes[7] > 0 {
      agent = event.agentID.flatMap { agents.table.find($0) }
    }
    if shapes[4] + shapes[5] + shapes[6] + shapes[7] > 0 { type = event.unit?.type }
    for shape in 0..<8 where shapes[shape] > 0 {
      if shape & 1 != 0, context == nil { continue }
      if shape & 2 != 0, agent == nil { continue }
      if shape & 4 != 0, type == nil { continue }
      let key = NameKey(
        kind: .unit, context: shape & 1 != 0 ? context : nil, agent: shape & 2 != 0 ? agent : nil,
        type: shape & 4 != 0 ? type : nil)
      call(key, event, body)
    }
  }

  private func matchLock(_ event: EventView, _ body: (UInt32) -> Void) {
    guard let path = event.resourcePath else { return }
    for (length, _) in lengths {
      guard length <= path.count else { return }
      guard let slot = prefixes.find(UnsafeRawBufferPointer(rebasing: path[..<length])) else { continue }
      call(Int(prefixBuckets[slot]), event, body)
    }
  }

  private func call(_ key: NameKey, _ event: EventView, _ body: (UInt32) -> Void) {
    guard let place = places.find(high: key.high, low: key.low) else { return }
    call(Int(place) - 1, event, body)
  }

  private func call(_ bucket: Int, _ event: EventView, _ body: (UInt32) -> Void) {
    for member in buckets[bucket].members {
      if member.isFiltered, subscribers[Int(member.subscriber)].filter?.admits(event) == false { continue }
      body(member.subscriber)
    }
  }

  // MARK: Buckets

  private mutating func join(
    _ subscriber: UInt32, _ kind: EventKind, _ context: [UInt8]?, _ agent: [UInt8]?, _ type: UInt8?,
    isFiltered: Bool
  ) {
    let key = NameKey(
      kind: kind, context: context.map { contexts.retain($0) }, agent: agent.map { agents.retain($0) },
      type: type)
    if let place = places.find(high: key.high, low: key.low) {
      // The bucket has the names already.
      release(key)
      return add(subscriber, to: Int(place) - 1, isFiltered)
    }
    let bucket = makeBucket(.names(key))
    places.set(high: key.high, low: key.low, value: UInt64(bucket) + 1)
    if kind == .unit { shapes[key.shape] += 1 }
    add(subscriber, to: bucket, isFiltered)
  }

  private mutating func release(_ key: NameKey) {
    contexts.release(key.context)
    agents.release(key.agent)
  }

  private mutating func joinLocks(_ subscriber: UInt32, _ prefix: [UInt8]) {
    let (slot, isNew) = prefixes.insert(prefix)
    if isNew {
      while prefixBuckets.count <= slot { prefixBuckets.append(0) }
      prefixBuckets[slot] = UInt32(makeBucket(.lock(slot)))
      let place = lengths.firstIndex { $0.length >= prefix.count } ?? lengths.count
      if place < lengths.count, lengths[place].length == prefix.count {
        lengths[place].count += 1
      } else {
        lengths.insert((prefix.count, 1), at: place)
      }
    }
    add(subscriber, to: Int(prefixBuckets[slot]), false)
  }

  private mutating func makeBucket(_ key: Key) -> Int {
    if let reused = freeBuckets.popLast() {
      buckets[Int(reused)] = Bucket(key: key)
      return Int(reused)
    }
    buckets.append(Bucket(key: key))
    return buckets.count - 1
  }

  private mutating func add(_ subscriber: UInt32, to bucket: Int, _ isFiltered: Bool) {
    let place = subscribers[Int(subscriber)].memberships.count
    subscribers[Int(subscriber)].memberships.append(
      Membership(bucket: UInt32(bucket), index: UInt32(buckets[bucket].members.count)))
    buckets[bucket].members.append(
      Member(subscriber: subscriber, place: UInt32(place), isFiltered: isFiltered))
    membershipCount += 1
  }

  /// The bucket's last member takes the place of the one that leaves.
  private mutating func leave(_ membership: Membership) {
    let bucket = Int(membership.bucket)
    let index = Int(membership.index)
    membershipCount -= 1
    let last = buckets[bucket].members.removeLast()
    if index < buckets[bucket].members.count {
      buckets[bucket].members[index] = last
      subscribers[Int(last.subscriber)].memberships[Int(last.place)].index = UInt32(index)
    }
    if buckets[bucket].members.isEmpty { drop(bucket) }
  }

  private mutating func drop(_ bucket: Int) {
    switch buckets[bucket].key {
    case .none: break
    case .names(let key):
      places.remove(high: key.high, low: key.low, value: UInt64(bucket) + 1)
      if key.kind == .unit { shapes[key.shape] -= 1 }
      release(key)
    case .lock(let slot):
      let length = prefixes.key(slot).count
      prefixes.remove(slot)
      if let place = lengths.firstIndex(where: { $0.length == length }) {
        lengths[place].count -= 1
        if lengths[place].count == 0 { lengths.remove(at: place) }
      }
    }
    buckets[bucket] = Bucket(key: .none)
    freeBuckets.append(UInt32(bucket))
  }
}
