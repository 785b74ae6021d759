package import Bytes
internal import Locks
public import Model
package import Storage
internal import Telemetry
public import WAL

/// What the home of the log needs from the world around it: real in the server, simulated in the tests.
/// Every call is made, and every completion delivered, on the home thread.
public protocol HomeSurroundings: AnyObject {
  /// Microseconds since 1970.
  var wallClock: UInt64 { get }
  /// Nanoseconds since some time ago, never set.
  var monotonicClock: UInt64 { get }
  func randomBits() -> UInt64
  /// Runs a read of the store that may touch the disk, elsewhere, and `done` here. False: too many wait.
  func read<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found, _ done: @escaping (Found) -> Void
  ) -> Bool
  /// A batch is durable: every loop and the store are to learn of it before any reply leaves.
  func publish(_ batch: Batch)
  /// A command has its outcome, and its batch was published before.
  func completed(_ request: HomeRequest)
  /// The oldest batch left the home's window; the others may let it go.
  func evicted(through position: Position)
  /// `alarmRang` is to be called at this time of the monotonic clock, or earlier.
  func setAlarm(at nanoseconds: UInt64)
  /// What a start owes is durable: the server may be ready.
  func begun()
  /// The log can't be written any more: nothing is acknowledged from here on, and the process must end.
  func logFailed(_ reason: String)
}

/// The home of the log: admission, sequencing and commit, on one thread and without a lock.
///
/// An append is admitted (what it names is brought into memory, or it is refused), sequenced (it becomes
/// events in the open batch), committed (the batch is written and synced as a whole) and published. One batch
/// is in flight at a time; the next one grows meanwhile.
public final class Home {
  enum State { case running, draining, failed }

  let log: any CommitLog
  let store: any EventStore
  public let limits: EngineLimits
  /// Set before the first append; it outlives the home.
  public weak var surroundings: (any HomeSurroundings)?
  let metrics: EngineMetrics
  public let window: WindowIndex
  var state = State.running
  package internal(set) var sequencer: Sequencer
  let builder: BatchBuilder
  var inFlight: Batch?
  var openRequests: [HomeRequest] = []
  var inFlightRequests: [HomeRequest] = []
  var backlog = Ring<HomeRequest>()
  var contextLoads: [[UInt8]: [HomeRequest]] = [:]
  var keys = IdempotencyTable()
  /// Requests whose key another one has let go of: they go on at the end of the turn.
  var released = Ring<HomeRequest>()
  /// Lanes whose next request may go on, at the end of the turn.
  var openLanes = Ring<RequestLane>()
  /// Requests behind others of their lane.
  var laneWaiting = 0
  /// Requests that wait for the store, which is behind, and the second in which each came.
  var paced = Ring<(request: HomeRequest, second: Int)>()
  var second = 0
  /// The command in hand: its memory is used again.
  var command = Sequencer.Append()
  /// Locks on their way into the log, and who waits for one.
  var locks = LockJournal()
  var loadsWaiting = 0
  /// Bytes in the window that the store has not applied.
  public internal(set) var unappliedBytes = 0
  public internal(set) var applied: Position
  var unapplied = Ring<(through: Position, bytes: Int)>(capacity: 64)
  /// Whether the last commit was followed by a batch that names it durable. After a start that isn't known:
  /// what was recovered is shown to readers, and the log knows whether it needs a witness.
  package internal(set) var isWitnessed = false
  /// The batch in flight found the storage full, and is appended again once there is room.
  var isWaitingForRoom = false
  /// Room was found while the log had not yet said that the storage is full.
  var isRoomFound = false
  /// Free space is below the limit: reads go on, writes are refused.
  public var isSpaceShort = false

  /// The home of `log`, whose tail is where `sequencer` stands.
  package init(
    log: any CommitLog, store: any EventStore, sequencer: Sequencer, window: WindowIndex, applied: Position,
    limits: EngineLimits, metrics: EngineMetrics, pool: SlabPool
  ) {
    self.log = log
    self.store = store
    self.sequencer = sequencer
    self.window = window
    self.applied = applied
    self.limits = limits
    self.metrics = metrics
    builder = BatchBuilder(
      pool: pool, batchBytesMax: limits.slabBytes, batchBytesLimit: log.batchBytesLimit)
    self.sequencer.locks.agentLocksMax = limits.agentLocksMax
    log.onRoom = { [weak self] in self?.retry() }
  }

  /// Paths that one agent may hold and wait for. Who has more when it is lowered keeps them.
  public var agentLocksMax: Int {
    get { sequencer.locks.agentLocksMax }
    set { sequencer.locks.agentLocksMax = newValue }
  }

  public var isIdle: Bool {
    inFlight == nil && builder.isEmpty && backlog.isEmpty && loadsWaiting == 0 && released.isEmpty
      && keys.waitingCount == 0 && paced.isEmpty && laneWaiting == 0 && locks.isIdle
  }
  public var tail: Position { sequencer.tail }
  public var isOverloaded: Bool { state == .running && overload() != nil }
  public var waitingCount: Int {
    backlog.count + loadsWaiting + keys.waitingCount + released.count + paced.count + laneWaiting
  }
  public var residentContexts: Int { sequencer.contexts.count }

  // MARK: Commit

  var canCommit: Bool { state != .failed && inFlight == nil && log.isIdle }

  /// Ends a turn of the loop: what was sequenced in it goes to the disk, unless a batch is on its way.
  public func endOfTurn() {
    // After the end nothing is sequenced any more, so that nobody would be answered.
    while let request = released.popFirst() {
      if state == .failed { refuse(request, Home.stopped) } else { admit(request) }
    }
    resumePaced()
    resumeLanes()
    setAlarm()
    if !builder.isEmpty, canCommit { commitOpenBatch() }
  }

  func commitOpenBatch() {
    guard let batch = builder.seal() else { return }
    swap(&openRequests, &inFlightRequests)
    inFlight = batch
    isWitnessed = false
    isRoomFound = false
    metrics.batches.add()
    metrics.batchUnits.record(UInt64(batch.count))
    metrics.batchBytes.record(UInt64(batch.paddedBytes))
    log.append(batch, number: log.tail.number + 1, term: log.tail.term, completion: self)
  }

  /// Appends the batch that found no room once more.
  func retry() {
    guard isWaitingForRoom, let inFlight, log.isIdle else {
      isRoomFound = true
      return
    }
    isWaitingForRoom = false
    isRoomFound = false
    log.append(inFlight, number: log.tail.number + 1, term: log.tail.term, completion: self)
  }

  /// Writes an empty batch if the last commit has no witness yet. To be called after a time without commits.
  public func bearWitness() {
    guard canCommit, builder.isEmpty, !isWitnessed else { return }
    isWitnessed = true
    log.appendWitness(completion: self)
  }

  // MARK: After the store

  /// The store has applied everything up to `position`: the window may shrink.
  public func applied(through position: Position) {
    guard position > applied else { return }
    applied = position
    while let first = unapplied.first, first.through <= position {
      unappliedBytes -= first.bytes
      _ = unapplied.popFirst()
    }
    keys.applied(through: position)
    shrinkWindow()
  }

  func shrinkWindow() {
    var evicted = false
    while let oldest = window.oldest, oldest.lastPosition <= applied, window.bytes > limits.windowBytesMax {
      window.evictOldest()
      evicted = true
    }
    if evicted { surroundings?.evicted(through: Position(window.lowest.rawValue - 1)) }
  }

  /// Takes in a batch that the log already held at the start, and that the window has.
  func adopt(_ batch: Batch) {
    unapplied.append((batch.lastPosition, batch.paddedBytes))
    unappliedBytes += batch.paddedBytes
  }

  /// Takes no more appends; those under way are answered. `isIdle` says when that is done.
  public func drain() {
    if state == .running { state = .draining }
  }

  // MARK: Outcomes

  static var stopped: Problem { Problem(.unavailable, "the server is stopping") }
  static var storageFull: Problem {
    Problem(.storageFull, "too little free space for the log; reads go on")
  }
  static var storeBehind: Problem { Problem(.unavailable, "the store is behind the log; try again") }
  static var storeUnsure: Problem { Problem(.unavailable, "the store can't tell; try again") }
  static var readsFull: Problem { Problem(.unavailable, "too many reads wait; try again") }
  static var walksFull: Problem { Problem(.unavailable, "too many graph queries wait; try again") }

  /// What the request depends on is durable: it is told. Its memory is the connection's again.
  func finish(_ request: HomeRequest, in batch: Batch? = nil) {
    if let refusal = request.refusal { return refuse(request, refusal) }
    request.settle(in: batch)
    complete(request)
  }

  func refuse(_ request: HomeRequest, _ problem: Problem) {
    metrics.refusals.add()
    request.refuse(problem)
    complete(request)
  }

  private func complete(_ request: HomeRequest) {
    leaveLane(request)
    request.leave(self)
    surroundings?.completed(request)
  }
}
