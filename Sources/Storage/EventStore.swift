public import Model

/// The store behind the log: applied events, readable by unit, context and position.
///
/// Threads: `apply`, `flush` and `persistedPosition` belong to the apply thread; reads, `appliedPosition` and
/// `health` to any. `close` requires that no other call is running or comes after (later calls say closed).
/// Views handed to a closure are valid only during that call, and the closure must not call the store.
public protocol EventStore: AnyObject, Sendable {
  /// Each family's mark when the store was opened. The caller compares `highest` with the log's end.
  var marksAtOpen: StoreMarks { get }

  /// All events up to here are in every family, and reads see them. After opening: `marksAtOpen.lowest`.
  func appliedPosition() -> Position

  /// Applies intact records, in order of position, as one `WriteBatch`; on return they are visible, not
  /// durable. A family whose mark at open covers a record skips it, so replaying is harmless.
  /// - Parameters:
  ///   - records: positions strictly ascending and at most `upTo`. Copied before the call returns.
  ///   - upTo: what `appliedPosition` says afterwards.
  /// - Throws: `integrity` for a record that is malformed or of an unknown required kind (nothing is
  ///   applied), `operational` when RocksDB can't write.
  func apply(_ records: [EventView], upTo: Position) throws(StoreError)

  /// What a crash, now, would leave in every family. May read the disk.
  func persistedPosition() throws(StoreError) -> Position

  /// Writes every family's memory to disk.
  /// - Parameter wait: false only starts it, though it may wait for one flush that is already running.
  func flush(wait: Bool) throws(StoreError)

  func health() -> StoreHealth

  /// Hands the unit to `body`.
  func unit(id: UnitID, tier: ReadTier, _ body: (EventView) -> Void) throws(StoreError) -> Presence

  /// Hands the unit to `body`.
  func unit(context: [UInt8], sequence: Sequence, tier: ReadTier, _ body: (EventView) -> Void)
    throws(StoreError) -> Presence

  /// Where a unit stands. That an id is unknown is nearly always answered from filters in memory.
  func location(of id: UnitID, tier: ReadTier) throws(StoreError) -> Lookup<UnitLocation>

  /// The units of a context from `from` through `through` inclusive, ascending or (`reverse`) descending,
  /// until `body` says false or a limit is reached. A unit that takes the sum of record bytes past `bytesMax` is
  /// still handed over, as the last one.
  func units(
    in context: [UInt8], from: Sequence, through: Sequence, reverse: Bool, limit: Int, bytesMax: Int,
    tier: ReadTier, _ body: (EventView) -> Bool
  ) throws(StoreError) -> ScanEnd

  /// The units of a context that match a filter, in the query's direction. Costs what it looks at, which the query's
  /// budget bounds: a span of time is found by bisection, type, agent and metadata by the index.
  func units(_ query: UnitQuery, tier: ReadTier, _ body: (EventView) -> Bool) throws(StoreError) -> UnitScan

  /// What is known of a context; found as soon as it has a unit or a context event.
  func contextHead(_ context: [UInt8], tier: ReadTier) throws(StoreError) -> Lookup<StoredContext>

  /// Context events (the latest of each context) in order of id, of ids that start with `prefix` and come
  /// after `after`, each with the sequence of the context's last unit. May read the disk.
  func contexts(after: [UInt8]?, prefix: [UInt8], limit: Int, _ body: (EventView, Sequence) -> Bool)
    throws(StoreError) -> ScanEnd

  /// Ids of the contexts that an agent has caused context events in, of ids that start with `prefix` and come after
  /// `after`, in order of id. May read the disk.
  func contexts(
    of agent: [UInt8], prefix: [UInt8], after: [UInt8]?, limit: Int
  ) throws(StoreError) -> [[UInt8]]

  /// The answer that is kept under an idempotency key, as `IdempotencyName` spells it. Old ones may be found or
  /// not: the caller looks at the time.
  func keptAnswer(_ name: [UInt8], tier: ReadTier) throws(StoreError) -> Lookup<KeptAnswer>

  /// Events above `after` up to `through` that the filter wants, in log order, until `body` says false or `bytesMax`
  /// is passed (by the event handed over last). Costs what it looks at, which is bounded: few contexts and locks
  /// are found by indexes, records of units that aren't wanted are never read. May read the disk.
  /// - Returns: the position up to which every matching event has been handed over. Below `through` when the
  ///   scan ended early or when `through` is not applied yet: call again from there.
  func events(
    after: Position, through: Position, filter: EventFilter, bytesMax: Int, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position

  /// Hands the event at a position to `body`, whatever its kind: for recovery. May read the disk.
  func event(at position: Position, _ body: (EventView) -> Void) throws(StoreError) -> Presence

  /// Hands the id of the context of the unit at a position to `body`: cheaper than its record, which is not read. Nothing
  /// is found where another event stands. May read the disk.
  func context(ofUnitAt position: Position, _ body: (UnsafeRawBufferPointer) -> Void) throws(StoreError)
    -> Presence

  /// The lowest position of an event that is at or after `time`, among those that are applied to every family;
  /// `appliedPosition().next` if there is none. Log time never falls along positions, so this is a bisection: log2(n)
  /// events are looked at. May read the disk.
  func position(atOrAfter time: LogTime) throws(StoreError) -> Position

  /// Whom these units name and who names them, unit by unit in this order: of each first what it names, as its list has
  /// it, then who names it, oldest first; until `body` returns false. All as of one moment. Nothing is asked of the units
  /// themselves: neither need they exist, nor those that they name. May read the disk.
  /// - Parameter after: where an earlier call stopped: a relationship of the same units that it handed over.
  func relations(
    of units: [UnitID], _ directions: RelationDirections, after: Relation?, _ body: (Relation) -> Bool
  ) throws(StoreError) -> ScanEnd

  /// Where units stand, for each id: nil where no unit has it. Looked up together. May read the disk.
  func locations(of ids: [UnitID]) throws(StoreError) -> [UnitLocation?]

  /// Hands over units by their places, which `locations` gave, each with its index, until `body` returns false. Read
  /// together, as far as records are small. May read the disk.
  func units(at places: [UnitLocation], _ body: (Int, EventView) -> Bool) throws(StoreError)

  /// The locks that are held, each as the latest event of its path (acquired or renewed), in order of path, until `body`
  /// says false: for recovery. As of what is applied to the family `locks`; before the first `apply` that is
  /// `marksAtOpen[.locks]`. May read the disk.
  func locks(_ body: (EventView) -> Bool) throws(StoreError) -> ScanEnd

  /// The latest restart that is applied to the family `locks`. May read the disk.
  func lastRestart() throws(StoreError) -> StoredRestart?

  /// The first position that the store holds; nil when it is empty.
  func lowestPosition() throws(StoreError) -> Position?

  /// Flushes and closes. Idempotent.
  func close()
}

/// How far a read may go.
public enum ReadTier: Hashable, Sendable {
  /// Memory only: RocksDB's memtables and block cache. Fit for a loop thread.
  case cacheOnly
  /// The disk, if need be: for the read pool.
  case disk
}

public enum Presence: Hashable, Sendable {
  case found
  case notFound
  /// Memory alone can't tell: ask again with `.disk`, on another thread.
  case incomplete
}

public enum Lookup<Value: Sendable>: Sendable {
  case found(Value)
  case notFound
  /// Memory alone can't tell: ask again with `.disk`, on another thread.
  case incomplete
}

extension Lookup: Equatable where Value: Equatable {}

/// Why a scan ended.
public enum ScanEnd: Hashable, Sendable {
  /// Nothing more is in the range.
  case exhausted
  /// `body` said false, or a limit was reached.
  case stopped
  /// The next entry is not in memory. What was handed over stands.
  case incomplete
}

/// Where a unit stands, and what a retry is compared with.
public struct UnitLocation: Hashable, Sendable {
  public var context: [UInt8]
  public var sequence: Sequence
  public var hash: ContentHash

  public init(context: [UInt8], sequence: Sequence, hash: ContentHash) {
    self.context = context
    self.sequence = sequence
    self.hash = hash
  }
}

/// A relationship as it is seen from one of its ends.
public struct Relation: Hashable, Sendable {
  /// Which of the units that were asked for sees it.
  public var unit: Int
  /// The unit at its other end.
  public var other: UnitID
  /// `RelationshipType`, of which a newer program may know more.
  public var type: UInt8
  /// The other one names the unit that was asked for.
  public var isIncoming: Bool
  /// Its place in the list of the unit that names the other.
  public var index: UInt16
  /// Of an incoming one: the position of the other unit. Else zero.
  public var source: Position

  public init(
    unit: Int, other: UnitID, type: UInt8, isIncoming: Bool, index: UInt16, source: Position = .zero
  ) {
    self.unit = unit
    self.other = other
    self.type = type
    self.isIncoming = isIncoming
    self.index = index
    self.source = source
  }
}

/// What a request under an idempotency key came to: its events, in order, without a gap.
public struct KeptAnswer: Hashable, Sendable {
  /// Of all that makes two requests the same.
  public var requestHash: ContentHash
  /// Of the request's first unit.
  public var first: Position
  /// Of the request's last event.
  public var last: Position
  /// When it was appended.
  public var logTime: LogTime

  public init(requestHash: ContentHash, first: Position, last: Position, logTime: LogTime) {
    self.requestHash = requestHash
    self.first = first
    self.last = last
    self.logTime = logTime
  }

  /// What the event of a request's first unit says.
  public init(requestHash: ContentHash, firstUnit event: EventView) {
    self.init(
      requestHash: requestHash, first: event.position,
      last: Position(event.position.rawValue &+ UInt64(event.requestRemainder)), logTime: event.logTime)
  }
}

/// An event of the kind `restart`.
public struct StoredRestart: Hashable, Sendable {
  public var position: Position
  public var logTime: LogTime

  public init(position: Position, logTime: LogTime) {
    self.position = position
    self.logTime = logTime
  }
}

/// A context as the store knows it.
public struct StoredContext: Hashable, Sendable {
  /// The newest unit. All zero for a context without units.
  public struct Head: Hashable, Sendable {
    public var lastSequence: Sequence
    public var logTime: LogTime
    public var position: Position

    public init(lastSequence: Sequence, logTime: LogTime, position: Position) {
      self.lastSequence = lastSequence
      self.logTime = logTime
      self.position = position
    }
    public static let none = Head(lastSequence: .zero, logTime: LogTime(microseconds: 0), position: .zero)
  }

  public var head: Head
  /// The latest context event, whole; empty if there was none.
  public var record: [UInt8]

  public init(head: Head, record: [UInt8]) {
    self.head = head
    self.record = record
  }
}

/// What `/readyz` and `/metrics` want to know. Zero where a store has nothing to say.
public struct StoreHealth: Hashable, Sendable {
  /// Flushes and compactions that have failed since the store was opened. More than zero is not ready.
  public var backgroundErrors: UInt64 = 0
  /// Writes wait for compaction to catch up.
  public var isWriteStopped = false
  /// Bytes per second to which RocksDB slows writes now; 0 is not slowed.
  public var delayedWriteBytesPerSecond: UInt64 = 0
  public var memtableBytes: UInt64 = 0
  public var immutableMemtables: UInt64 = 0
  public var tableFileBytes: UInt64 = 0
  public var blobFileBytes: UInt64 = 0
  public var pendingCompactionBytes: UInt64 = 0
  public var runningFlushes: UInt64 = 0
  public var runningCompactions: UInt64 = 0
  public var blockCacheBytes: UInt64 = 0
  /// Indexes and filters, which are held outside the block cache.
  public var tableReaderBytes: UInt64 = 0
  /// Bytes on disk of each family, by `StoreFamily.rawValue`; approximate.
  public var familyBytes: [UInt64] = []

  public init() {}
  public var isHealthy: Bool { backgroundErrors == 0 && !isWriteStopped }
}
