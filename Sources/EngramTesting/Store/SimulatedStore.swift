internal import Bytes
public import Model
public import Storage
internal import Synchronization

/// A store of dictionaries that behaves like `RocksStore` between crashes and, with a seed, at them: each family is
/// flushed at moments of its own, and `crash` takes each back to its own last flush. Deterministic.
public final class SimulatedStore: EventStore, Sendable {
  /// What goes wrong, and how often.
  public struct Faults: Sendable {
    /// Chance, of 256, that a family is flushed by itself after an `apply`.
    public var flushChance: UInt8 = 64
    /// Chance, of 256, that a cache-only read says incomplete.
    public var incompleteChance: UInt8 = 0
    /// The call, counting from 1 over all throwing calls since this was set, that fails; 0: none.
    public var failingCall = 0
    public var failure = StoreError(operation: "simulated", message: "injected", severity: .operational)
    public init() {}
  }

  /// Every family is a function of the events up to its mark: so one list of events, and a mark per family.
  struct State {
    var records: [[UInt8]] = []
    var positions: [UInt64] = []
    var indexOfID: [UnitID: Int] = [:]
    /// Per context, indices of its units and of its other events, ascending.
    var units: [[UInt8]: [Int]] = [:]
    var others: [[UInt8]: [Int]] = [:]
    /// Per idempotency key, indices of the units that carry it, ascending.
    var keys: [[UInt8]: [Int]] = [:]
    /// Indices of events of locks and restarts, ascending.
    var lockEvents: [Int] = []
    /// Per unit that others name, what names it, in log order.
    var naming: [UnitID: [NamedBy]] = [:]
    var marks = StoreMarks()
    var persisted = StoreMarks()
    var marksAtOpen = StoreMarks()
    var random: UInt64
    var faults = Faults()
    var calls = 0
    var isClosed = false

    init(seed: UInt64) { random = seed }
  }

  private let state: Mutex<State>

  public init(seed: UInt64 = 1) { state = Mutex(State(seed: seed)) }

  public var marksAtOpen: StoreMarks { state.withLock { $0.marksAtOpen } }
  public func appliedPosition() -> Position { state.withLock { $0.marks.lowest } }
  /// What each family would come back with after `crash`.
  public func persistedMarks() -> StoreMarks { state.withLock { $0.persisted } }

  public func setFaults(_ faults: Faults) {
    state.withLock {
      $0.faults = faults
      $0.calls = 0
    }
  }

  /// Throwing calls since `setFaults`.
  public var calls: Int { state.withLock { $0.calls } }

  /// Kills the process and opens the store again: what was not flushed is gone, family by family.
  public func crash() {
    state.withLock { state in
      state.marks = state.persisted
      state.reopen()
    }
  }

  /// Closes cleanly, which flushes, and opens again.
  public func reopen() {
    state.withLock { state in
      state.persisted = state.marks
      state.reopen()
    }
  }

  public func close() {
    state.withLock { state in
      state.persisted = state.marks
      state.isClosed = true
    }
  }

  public func health() -> StoreHealth {
    state.withLock { state in
      var health = StoreHealth()
      health.memtableBytes = state.records.reduce(0) { $0 + UInt64($1.count) }
      return health
    }
  }

  // MARK: - Writing

  public func apply(_ records: [EventView], upTo: Position) throws(StoreError) {
    try call("apply") { state throws(StoreError) in
      var previous = Position.zero
      for record in records {
        guard record.position > previous, record.position <= upTo, SimulatedStore.isWellFormed(record) else {
          throw StoreError(
            operation: "apply", message: "the event at position \(record.position.rawValue) is malformed",
            severity: .integrity)
        }
        previous = record.position
      }
      for record in records { state.keep(record) }
      for family in StoreFamily.allCases {
        state.marks[family] = max(state.marks[family], upTo)
        if state.chance(state.faults.flushChance) { state.persisted[family] = state.marks[family] }
      }
    }
  }

  private static func isWellFormed(_ record: EventView) -> Bool {
    switch record.kind {
    case .unit: (record.unit?.sequence ?? .zero) > .zero && !(record.contextID?.isEmpty ?? true)
    case .context: record.context != nil && !(record.contextID?.isEmpty ?? true)
    case .lock: record.lock != nil && record.resourcePath?.isEmpty == false
    case .restart: true
    case nil: record.flags & EventRecord.flagRequired == 0
    }
  }

  public func persistedPosition() throws(StoreError) -> Position {
    try call("read the persisted position") { $0.persisted.lowest }
  }

  public func flush(wait: Bool) throws(StoreError) {
    try call("flush") { state in
      for family in StoreFamily.allCases where wait || state.chance(128) {
        state.persisted[family] = state.marks[family]
      }
    }
  }

  // MARK: - Reading

  public func unit(id: UnitID, tier: ReadTier, _ body: (EventView) -> Void) throws(StoreError) -> Presence {
    let record: Lookup<[UInt8]> = try read("read a unit", tier) { state in
      guard let index = state.indexOfID[id], state.holds(.ids, index), state.holds(.units, index) else {
        return nil
      }
      return state.records[index]
    }
    return hand(record, to: body)
  }

  public func unit(context: [UInt8], sequence: Sequence, tier: ReadTier, _ body: (EventView) -> Void)
    throws(StoreError) -> Presence
  {
    let record: Lookup<[UInt8]> = try read("read a unit", tier) { state in
      state.units[context]?.first { state.holds(.units, $0) && state.sequence($0) == sequence }
        .map { state.records[$0] }
    }
    return hand(record, to: body)
  }

  public func location(of id: UnitID, tier: ReadTier) throws(StoreError) -> Lookup<UnitLocation> {
    try read("look up an id", tier) { state in
      guard let index = state.indexOfID[id], state.holds(.ids, index) else { return nil }
      return state.view(index) { view in
        guard let unit = view.unit, let context = view.contextID else { return nil }
        return UnitLocation(context: Array(context), sequence: unit.sequence, hash: unit.hash)
      }
    }
  }

  public func units(
    in context: [UInt8], from: Sequence, through: Sequence, reverse: Bool, limit: Int, bytesMax: Int,
    tier: ReadTier, _ body: (EventView) -> Bool
  ) throws(StoreError) -> ScanEnd {
    let found: Lookup<[[UInt8]]> = try read("scan a context", tier) { state in
      (state.units[context] ?? []).filter { index in
        let sequence = state.sequence(index)
        return state.holds(.units, index) && sequence >= from && sequence <= through
      }.map { state.records[$0] }
    }
    guard case .found(let records) = found else { return .incomplete }
    if limit <= 0 && from <= through { return .stopped }
    return scan(reverse ? records.reversed() : records, limit: limit, bytesMax: bytesMax, body).end
  }

  public func units(
    _ query: UnitQuery, tier: ReadTier, _ body: (EventView) -> Bool
  ) throws(StoreError) -> UnitScan {
    let found: Lookup<[[UInt8]]> = try read("list units", tier) { state in
      (state.units[query.context] ?? []).filter { index in
        let sequence = state.sequence(index)
        return state.holds(.units, index) && sequence >= query.from && sequence <= query.through
      }.map { state.records[$0] }
    }
    guard case .found(let records) = found else { return UnitScan(.incomplete) }
    var sink = UnitSink(query)
    for record in query.reverse ? records.reversed() : records {
      let goesOn = record.withUnsafeBytes { memory in
        guard let view = EventView(memory), let unit = view.unit else { return false }
        return sink.offer(view, unit.sequence.rawValue, body)
      }
      if !goesOn { break }
    }
    return sink.stop ?? UnitScan(.exhausted)
  }

  public func contextHead(_ context: [UInt8], tier: ReadTier) throws(StoreError) -> Lookup<StoredContext> {
    try read("look up a context", tier) { state in
      let unit = state.units[context]?.last { state.holds(.contexts, $0) }
      let event = state.lastContextEvent(context)
      guard unit != nil || event != nil else { return nil }
      let head = unit.map { index in
        state.view(index) { view in
          StoredContext.Head(
            lastSequence: view.unit?.sequence ?? .zero, logTime: view.logTime, position: view.position)
        }
      }
      return StoredContext(head: head ?? .none, record: event.map { state.records[$0] } ?? [])
    }
  }

  public func contexts(
    after: [UInt8]?, prefix: [UInt8], limit: Int, _ body: (EventView, Sequence) -> Bool
  ) throws(StoreError) -> ScanEnd {
    let (records, lasts) = try call("list contexts") { state -> ([[UInt8]], [Sequence]) in
      let ids = state.others.keys.filter { id in
        id.starts(with: prefix) && (after.map { $0.lexicographicallyPrecedes(id) } ?? true)
          && state.lastContextEvent(id) != nil
      }.sorted { $0.lexicographicallyPrecedes($1) }
      return (
        ids.compactMap { id in state.lastContextEvent(id).map { state.records[$0] } },
        ids.map { id in
          state.units[id]?.last { state.holds(.contexts, $0) }.map { state.sequence($0) } ?? .zero
        }
      )
    }
    if limit <= 0 { return .stopped }
    var place = 0
    return scan(records, limit: limit, bytesMax: .max) { view in
      place += 1
      return body(view, lasts[place - 1])
    }.end
  }

  public func contexts(
    of agent: [UInt8], prefix: [UInt8], after: [UInt8]?, limit: Int
  ) throws(StoreError) -> [[UInt8]] {
    try call("list an agent's contexts") { state in
      let member = state.others.filter { entry in
        entry.value.contains { index in
          state.holds(.agents, index)
            && state.view(index) { event in
              var isNamed = false
              event.forEachAgent { if $0.elementsEqual(agent) { isNamed = true } }
              return event.kind == .context && isNamed
            }
        }
      }
      let ids = member.keys.filter { id in
        id.starts(with: prefix) && (after.map { $0.lexicographicallyPrecedes(id) } ?? true)
      }
      return Array(ids.sorted { $0.lexicographicallyPrecedes($1) }.prefix(max(limit, 0)))
    }
  }

  public func keptAnswer(_ name: [UInt8], tier: ReadTier) throws(StoreError) -> Lookup<KeptAnswer> {
    try read("look up an idempotency key", tier) { state in
      state.keys[name]?.last { state.holds(.idempotency, $0) }.flatMap { index in
        state.view(index) { event in
          event.idempotency.map { KeptAnswer(requestHash: $0.requestHash, firstUnit: event) }
        }
      }
    }
  }

  public func events(
    after: Position, through: Position, filter: EventFilter, bytesMax: Int, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position {
    let (records, end) = try call("scan the log") { state -> ([[UInt8]], Position) in
      let end = min(through, state.marks.lowest)
      return (
        state.records.indices.filter { index in
          state.positions[index] > after.rawValue && state.positions[index] <= end.rawValue
            && state.view(index) { filter.admits($0) }
        }.map { state.records[$0] }, end
      )
    }
    guard after < end else { return after }
    let scanned = scan(records, limit: .max, bytesMax: bytesMax, body)
    return scanned.end == .exhausted ? end : scanned.last
  }

  public func event(at position: Position, _ body: (EventView) -> Void) throws(StoreError) -> Presence {
    let record: Lookup<[UInt8]> = try read("read an event", .disk) { state in
      guard let index = state.positions.firstIndex(of: position.rawValue), state.holds(.log, index),
        state.view(index, { $0.kind != .unit }) || state.holds(.units, index)
      else { return nil }
      return state.records[index]
    }
    return hand(record, to: body)
  }

  public func position(atOrAfter time: LogTime) throws(StoreError) -> Position {
    try call("find a time") { state in
      let applied = state.marks.lowest
      let found = state.records.indices.first { index in
        state.positions[index] <= applied.rawValue && state.view(index) { $0.logTime >= time }
      }
      return found.map { Position(state.positions[$0]) } ?? applied.next
    }
  }

  public func locks(_ body: (EventView) -> Bool) throws(StoreError) -> ScanEnd {
    let records = try call("list locks") { $0.heldLocks() }
    return scan(records, limit: .max, bytesMax: .max, body).end
  }

  public func lastRestart() throws(StoreError) -> StoredRestart? {
    try call("read the last restart") { state in
      state.lockEvents.last { index in
        state.holds(.locks, index) && state.view(index) { $0.kind == .restart }
      }.map { index in
        state.view(index) { StoredRestart(position: $0.position, logTime: $0.logTime) }
      }
    }
  }

  public func lowestPosition() throws(StoreError) -> Position? {
    try call("find the lowest position") { state in
      state.positions.first.map { Position($0) }.flatMap { $0 <= state.marks[.log] ? $0 : nil }
    }
  }

  // MARK: - How calls go

  /// Counts the call, and fails it if its turn has come.
  func call<Value>(_ operation: StaticString, _ body: (inout State) throws(StoreError) -> Value)
    throws(StoreError) -> Value
  {
    let result: Result<Value, StoreError> = state.withLock { state in
      state.calls += 1
      if state.isClosed {
        return .failure(
          StoreError(operation: "\(operation)", message: "the store is closed", severity: .operational))
      }
      if state.calls == state.faults.failingCall { return .failure(state.faults.failure) }
      do throws(StoreError) { return .success(try body(&state)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private func read<Value: Sendable>(
    _ operation: StaticString, _ tier: ReadTier, _ body: (inout State) -> Value?
  ) throws(StoreError) -> Lookup<Value> {
    try call(operation) { state in
      if tier == .cacheOnly, state.chance(state.faults.incompleteChance) { return .incomplete }
      return body(&state).map { .found($0) } ?? .notFound
    }
  }

  private func hand(_ record: Lookup<[UInt8]>, to body: (EventView) -> Void) -> Presence {
    switch record {
    case .found(let bytes):
      bytes.withUnsafeBytes { memory in if let view = EventView(memory) { body(view) } }
      return .found
    case .notFound: return .notFound
    case .incomplete: return .incomplete
    }
  }

  private func scan(_ records: [[UInt8]], limit: Int, bytesMax: Int, _ body: (EventView) -> Bool)
    -> (end: ScanEnd, last: Position)
  {
    var bytes = 0
    var last = Position.zero
    for (count, record) in records.enumerated() {
      let goesOn = record.withUnsafeBytes { memory in
        guard let view = EventView(memory) else { return false }
        last = view.position
        return body(view)
      }
      bytes += record.count
      if !goesOn || count + 1 >= limit || bytes >= bytesMax { return (.stopped, last) }
    }
    return (.exhausted, last)
  }
}
