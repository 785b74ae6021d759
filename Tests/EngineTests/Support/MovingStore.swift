import EngramTesting
import Model
import Storage
import Synchronization

/// A simulated store that lets the test act in the middle of a read that may wait for the disk: while a task of the
/// loop is suspended, the world moves on.
final class MovingStore: EventStore, @unchecked Sendable {
  let inner: SimulatedStore
  /// Called on the reading thread, just before (true) and just after (false) the store is asked.
  var whenReading: ((Bool) -> Void)?

  init(_ inner: SimulatedStore) { self.inner = inner }

  private func moving<Value>(
    _ tier: ReadTier, _ body: () throws(StoreError) -> Value
  ) throws(StoreError) -> Value {
    if tier == .disk { whenReading?(true) }
    defer { if tier == .disk { whenReading?(false) } }
    return try body()
  }

  var marksAtOpen: StoreMarks { inner.marksAtOpen }
  func appliedPosition() -> Position { inner.appliedPosition() }
  func apply(_ records: [EventView], upTo: Position) throws(StoreError) {
    try inner.apply(records, upTo: upTo)
  }
  func persistedPosition() throws(StoreError) -> Position { try inner.persistedPosition() }
  func flush(wait: Bool) throws(StoreError) { try inner.flush(wait: wait) }
  func health() -> StoreHealth { inner.health() }
  func close() { inner.close() }

  func unit(id: UnitID, tier: ReadTier, _ body: (EventView) -> Void) throws(StoreError) -> Presence {
    try moving(tier) { () throws(StoreError) in try inner.unit(id: id, tier: tier, body) }
  }
  func unit(context: [UInt8], sequence: Sequence, tier: ReadTier, _ body: (EventView) -> Void)
    throws(StoreError) -> Presence
  {
    try inner.unit(context: context, sequence: sequence, tier: tier, body)
  }
  func location(of id: UnitID, tier: ReadTier) throws(StoreError) -> Lookup<UnitLocation> {
    try inner.location(of: id, tier: tier)
  }
  func units(
    in context: [UInt8], from: Sequence, through: Sequence, reverse: Bool, limit: Int, bytesMax: Int,
    tier: ReadTier, _ body: (EventView) -> Bool
  ) throws(StoreError) -> ScanEnd {
    try inner.units(
      in: context, from: from, through: through, reverse: reverse, limit: limit, bytesMax: bytesMax,
      tier: tier, body)
  }
  func units(_ query: UnitQuery, tier: ReadTier, _ body: (EventView) -> Bool) throws(StoreError) -> UnitScan {
    try moving(tier) { () throws(StoreError) in try inner.units(query, tier: tier, body) }
  }
  func keptAnswer(_ name: [UInt8], tier: ReadTier) throws(StoreError) -> Lookup<KeptAnswer> {
    try inner.keptAnswer(name, tier: tier)
  }

  func contextHead(_ context: [UInt8], tier: ReadTier) throws(StoreError) -> Lookup<StoredContext> {
    try moving(tier) { () throws(StoreError) in try inner.contextHead(context, tier: tier) }
  }
  func contexts(
    after: [UInt8]?, prefix: [UInt8], limit: Int, _ body: (EventView, Sequence) -> Bool
  ) throws(StoreError) -> ScanEnd {
    try moving(.disk) { () throws(StoreError) in
      try inner.contexts(after: after, prefix: prefix, limit: limit, body)
    }
  }
  func contexts(
    of agent: [UInt8], prefix: [UInt8], after: [UInt8]?, limit: Int
  ) throws(StoreError) -> [[UInt8]] {
    try moving(.disk) { () throws(StoreError) in
      try inner.contexts(of: agent, prefix: prefix, after: after, limit: limit)
    }
  }
  func events(
    after: Position, through: Position, filter: EventFilter, bytesMax: Int, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position {
    try inner.events(after: after, through: through, filter: filter, bytesMax: bytesMax, body)
  }
  func event(at position: Position, _ body: (EventView) -> Void) throws(StoreError) -> Presence {
    try inner.event(at: position, body)
  }
  func context(
    ofUnitAt position: Position, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(StoreError) -> Presence {
    try inner.context(ofUnitAt: position, body)
  }
  func position(atOrAfter time: LogTime) throws(StoreError) -> Position {
    try moving(.disk) { () throws(StoreError) in try inner.position(atOrAfter: time) }
  }
  func relations(
    of units: [UnitID], _ directions: RelationDirections, after: Relation?, _ body: (Relation) -> Bool
  ) throws(StoreError) -> ScanEnd {
    try moving(.disk) { () throws(StoreError) in
      try inner.relations(of: units, directions, after: after, body)
    }
  }
  func locations(of ids: [UnitID]) throws(StoreError) -> [UnitLocation?] {
    try moving(.disk) { () throws(StoreError) in try inner.locations(of: ids) }
  }
  func units(at places: [UnitLocation], _ body: (Int, EventView) -> Bool) throws(StoreError) {
    try moving(.disk) { () throws(StoreError) in try inner.units(at: places, body) }
  }
  func locks(_ body: (EventView) -> Bool) throws(StoreError) -> ScanEnd { try inner.locks(body) }
  func lastRestart() throws(StoreError) -> StoredRestart? { try inner.lastRestart() }
  func lowestPosition() throws(StoreError) -> Position? { try inner.lowestPosition() }
}
