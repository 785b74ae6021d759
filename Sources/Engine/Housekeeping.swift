internal import EventLoop
internal import Model
internal import Storage
internal import Telemetry
internal import WAL

/// What has to be done from time to time at the home of the log: bear witness after a quiet while, let the log
/// go that the store has persisted, look at free space and at the store's health. Home loop.
final class Housekeeping: TimerTarget, @unchecked Sendable {
  /// Nanoseconds between two looks.
  private static let tick: UInt64 = 50_000_000
  /// Ticks between two rounds of everything that isn't urgent.
  private static let ticksPerRound = 20
  private static let flushAfterBytes: UInt64 = 512 << 20
  private static let flushAfterRounds = 60

  weak var engine: LiveEngine?
  var lastCommit: UInt64 = 0
  /// Called once, when nothing is under way any more.
  var drained: (@Sendable () -> Void)?
  /// The server ends: no append is taken any more, and none waits for room on a full disk.
  var isEnding = false
  private var hasGivenUp = false
  private var doubt = StoreDoubt()
  private var ticks = 0
  private var roundsSinceFlush = 0
  private var isLooking = false

  func start() {
    guard let engine else { return }
    _ = engine.homeLoop.setTimer(after: Housekeeping.tick, self, tag: 0)
  }

  func timerFired(tag: UInt64) {
    guard let engine else { return }
    ticks += 1
    let isQuiet = engine.homeLoop.now &- lastCommit >= engine.home.limits.witnessAfterNanoseconds
    if isQuiet || drained != nil { engine.home.bearWitness() }
    if ticks % Housekeeping.ticksPerRound == 0 { round(engine) }
    finishDraining(engine)
    start()
  }

  private func finishDraining(_ engine: LiveEngine) {
    guard isEnding else { return }
    if engine.home.giveUpWaiting() { hasGivenUp = true }
    guard let drained, engine.log.isIdle, hasGivenUp || (engine.home.isIdle && engine.home.isWitnessed) else {
      return
    }
    self.drained = nil
    drained()
  }

  private func round(_ engine: LiveEngine) {
    let persisted = engine.applier.persistedPosition
    engine.log.trim(through: persisted)
    engine.log.tick()
    roundsSinceFlush += 1
    if engine.log.logBytes > Housekeeping.flushAfterBytes || roundsSinceFlush >= Housekeeping.flushAfterRounds
    {
      roundsSinceFlush = 0
      if persisted < engine.home.tail { engine.applier.requestFlush() }
    }
    engine.home.secondPassed()
    engine.change { $0.isOverloaded = engine.home.isOverloaded }
    gauge(engine, persisted)
    look(engine)
  }

  private func gauge(_ engine: LiveEngine, _ persisted: Position) {
    let metrics = engine.metrics
    engine.search?.indexer.gauge()
    metrics.position.set(Int64(clamping: engine.home.tail.rawValue))
    metrics.applied.set(Int64(clamping: engine.applier.appliedPosition.rawValue))
    metrics.persisted.set(Int64(clamping: persisted.rawValue))
    metrics.windowBytes.set(Int64(engine.home.window.bytes))
    metrics.unappliedBytes.set(Int64(engine.home.unappliedBytes))
    metrics.logBytes.set(Int64(clamping: engine.log.logBytes))
    metrics.logSegments.set(Int64(engine.log.segmentCount))
    metrics.logSpares.set(Int64(engine.log.spareCount))
    metrics.waiting.set(Int64(engine.home.waitingCount))
    metrics.contexts.set(Int64(engine.home.residentContexts))
    metrics.durable.set(Int64(clamping: engine.home.window.head.rawValue))
    metrics.mailboxes.set(Int64(engine.engines.reduce(0) { $0 + $1.mailboxCount }))
  }

  /// What may wait for the disk is looked at on another thread.
  private func look(_ engine: LiveEngine) {
    guard !isLooking else { return }
    isLooking = true
    let store = engine.store
    let path = engine.disk.path
    let least = engine.home.limits.freeBytesMin
    let process = engine.metrics.process
    let taken = engine.read({
      process.sample()
      let free = FreeSpace.bytes(at: path)
      if let free { Ballast(besides: path).makeUp(free: free, keeping: least) }
      return (free: free, health: store.health())
    }) { [weak self] found in
      self?.isLooking = false
      self?.saw(found.free, found.health)
    }
    if !taken { isLooking = false }
  }

  private func saw(_ free: UInt64?, _ health: StoreHealth) {
    guard let engine else { return }
    if let free {
      engine.home.isSpaceShort = free < engine.home.limits.freeBytesMin
      engine.search?.indexer.setSpaceShort(engine.home.isSpaceShort)
      engine.metrics.freeBytes.set(Int64(clamping: free))
    }
    engine.metrics.storeBytes.set(Int64(clamping: health.tableFileBytes + health.blobFileBytes))
    engine.metrics.storeMemoryBytes.set(Int64(clamping: health.memtableBytes))
    engine.metrics.storePendingBytes.set(Int64(clamping: health.pendingCompactionBytes))
    engine.metrics.store.show(health)
    let failures = engine.applier.failureCount
    doubt.look(
      errors: health.backgroundErrors, applied: engine.applier.appliedPosition,
      persisted: engine.applier.persistedPosition, isWriting: failures == 0,
      isSpaceShort: engine.home.isSpaceShort)
    if doubt.wantsFlush { engine.applier.requestFlush() }
    engine.change {
      $0.isSpaceShort = engine.home.isSpaceShort
      $0.isStoreHealthy = !doubt.isOpen && !health.isWriteStopped && failures == 0
      $0.storeDetail =
        $0.isStoreHealthy
        ? "healthy"
        : "\(health.backgroundErrors) background errors, \(failures) failed writes"
          + (health.isWriteStopped ? ", writes stopped" : "")
    }
    if doubt.isHopeless {
      engine.onFatal?(
        "the store has written nothing to disk since \(health.backgroundErrors) background errors")
    }
  }
}
