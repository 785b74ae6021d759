internal import Bytes
public import EventLoop
internal import Glibc
public import Model
public import Storage
internal import Synchronization
internal import Telemetry
public import WAL

/// The engine in the server: the home of the log on the first loop, an engine for each loop, the threads that
/// apply and read, and the timers that keep house.
///
/// Made on the main thread before the loops start; then each part belongs to the thread that its type names.
public final class LiveEngine: HomeSurroundings, @unchecked Sendable {
  public let homeLoop: EventLoop
  public let home: Home
  public private(set) var engines: [LoopEngine] = []
  public let store: any EventStore
  /// Called on the home loop, once: the process must end with this message, without acknowledging anything more.
  public var onFatal: (@Sendable (String) -> Void)?
  let log: LocalLog
  let disk: RingDisk
  let applier: Applier
  /// Nil: without search.
  let search: SearchService?
  let metrics: EngineMetrics
  private let readPool: ReadPool
  /// For walks along relationships: they take long, and no other read is to wait for them.
  private let walkPool: ReadPool
  private let housekeeping: Housekeeping
  private let alarm = LockAlarm()
  /// Called on the home loop, once: what the start owes is durable.
  private var onBegun: (@Sendable () -> Void)?
  /// Random words in stock: one system call for 32 of them, as many as getentropy(3) gives.
  private var randomWords: [UInt64] = []
  private let condition = Mutex(Condition())
  private let ready = Atomic<Bool>(true)

  /// What readiness looks at. Any thread.
  public struct Condition: Sendable {
    public var logFailure: String?
    public var isSpaceShort = false
    public var isStoreHealthy = true
    public var storeDetail = "healthy"
    public var isOverloaded = false
    public var isDraining = false

    public init() {}
    public var isReady: Bool {
      logFailure == nil && !isSpaceShort && isStoreHealthy && !isOverloaded && !isDraining
    }
  }

  init(
    _ parts: RecoveredParts, loops: [EventLoop], metrics: EngineMetrics, applier: Applier, readPool: ReadPool,
    walkPool: ReadPool, search: SearchService?
  ) {
    homeLoop = loops[0]
    store = parts.store
    log = parts.log
    disk = parts.disk
    self.metrics = metrics
    self.applier = applier
    self.readPool = readPool
    self.walkPool = walkPool
    self.search = search
    home = parts.home
    housekeeping = Housekeeping()
    home.surroundings = self
    for loop in loops {
      let isHome = loop === homeLoop
      let window = isHome ? home.window : home.window.duplicate()
      let engine = LoopEngine(loop: loop, window: window, engine: self, store: parts.store, isHome: isHome)
      loop.delegate = engine
      engines.append(engine)
    }
    for batch in parts.batches where batch.lastPosition > home.applied { applier.enqueue(batch) }
    log.onWrite = { metrics.syncs.record($0.nanoseconds) }
    log.clock = { EventLoop.monotonicNanoseconds() }
    let store = metrics.store
    applier.onApply = { nanoseconds, isApplied in
      if isApplied { store.applies.record(nanoseconds) } else { store.applyFailures.add() }
    }
    housekeeping.engine = self
  }

  /// Begins to keep house and to apply, then calls `begun` on the home loop once what the start owes is durable: that
  /// locks have their full time again. Before the loops start.
  public func start(_ begun: @escaping @Sendable () -> Void = {}) {
    applier.start()
    search?.indexer.start()
    search?.start()
    onBegun = begun
    alarm.home = home
    let housekeeping = housekeeping
    let alarm = alarm
    homeLoop.perform {
      housekeeping.start()
      alarm.home?.begin()
    }
  }

  /// Nil: without search. Any thread.
  public var indexer: Indexer? { search?.indexer }
  public var state: Condition { condition.withLock { $0 } }
  /// Whether everything that readiness looks at is as it should be. Any thread; one load.
  public var isReady: Bool { ready.load(ordering: .relaxed) }

  func change(_ body: (inout Condition) -> Void) {
    condition.withLock {
      body(&$0)
      ready.store($0.isReady, ordering: .relaxed)
    }
  }

  // MARK: HomeSurroundings

  public var wallClock: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(max(0, time.tv_sec)) &* 1_000_000 &+ UInt64(time.tv_nsec / 1000)
  }

  public var monotonicClock: UInt64 { homeLoop.now }

  public func setAlarm(at nanoseconds: UInt64) { alarm.set(homeLoop, at: nanoseconds) }

  public func begun() { onBegun?() }

  public func randomBits() -> UInt64 {
    if let word = randomWords.popLast() { return word }
    var words = [UInt64](repeating: 0, count: 32)
    let isFilled = words.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) == 0 }
    // A signal may come between: the library's generator asks again.
    if !isFilled { for place in words.indices { words[place] = .random(in: .min ... .max) } }
    randomWords = words
    return randomWords.removeLast()
  }

  public func read<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found, _ done: @escaping (Found) -> Void
  ) -> Bool {
    read(work, resuming: homeLoop, done)
  }

  /// Runs `work` on a thread that may wait for the disk, then `done` on `loop`, whose thread calls this.
  func read<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found, resuming loop: EventLoop, _ done: @escaping (Found) -> Void
  ) -> Bool {
    submit(work, to: readPool, resuming: loop, done)
  }

  /// Runs `work`, a walk, on a thread that may wait for the disk, then `done` on `loop`, whose thread calls this.
  func walk<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found, resuming loop: EventLoop, _ done: @escaping (Found) -> Void
  ) -> Bool {
    submit(work, to: walkPool, resuming: loop, done)
  }

  private func submit<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found, to pool: ReadPool, resuming loop: EventLoop,
    _ done: @escaping (Found) -> Void
  ) -> Bool {
    // `done` stays with its loop: the pool's thread only carries it back.
    nonisolated(unsafe) let done = done
    let metrics = metrics.store
    let asked = EventLoop.monotonicNanoseconds()
    metrics.readsQueued.add()
    let taken = pool.submit {
      let begun = EventLoop.monotonicNanoseconds()
      metrics.readsQueued.subtract()
      metrics.readWaits.record(begun &- asked)
      let found = work()
      metrics.reads.record(EventLoop.monotonicNanoseconds() &- begun)
      loop.perform { done(found) }
    }
    if !taken {
      metrics.readsQueued.subtract()
      metrics.readsRefused.add()
    }
    return taken
  }

  public func publish(_ batch: Batch) {
    for engine in engines where engine.loop !== homeLoop { engine.post(.published(batch)) }
    applier.enqueue(batch)
    search?.indexer.enqueue(batch)
    engines[0].observer?.published(batch)
    housekeeping.lastCommit = homeLoop.now
  }

  public func completed(_ request: HomeRequest) {
    if request.loop == homeLoop.index {
      request.resume()
    } else {
      engines[request.loop].post(.completed(request))
    }
  }

  public func evicted(through position: Position) {
    for engine in engines where engine.loop !== homeLoop { engine.post(.evicted(through: position)) }
  }

  public func logFailed(_ reason: String) {
    change { $0.logFailure = reason }
    onFatal?("the log failed: \(reason)")
  }

  // MARK: The home's turn

  /// Drains what the other loops want appended. After completions, before jobs.
  func homeDidReap() {
    // By index: without the optimizer an iterator is allocated, and this is every turn.
    for index in engines.indices {
      let engine = engines[index]
      engine.toHome?.drain { call in
        switch call {
        case .request(let request): home.submit(request)
        case .abandoned(let request): home.abandon(request)
        case .endWait(let request): home.endWait(request)
        }
      }
    }
  }

  /// The end of the home's turn: what was sequenced goes to the disk, and loops that were written to are woken.
  func homeWillSubmit() {
    home.applied(through: applier.appliedPosition)
    home.endOfTurn()
    for index in engines.indices where engines[index].isPosted { engines[index].flushPosted() }
  }

  // MARK: The end

  /// Takes no more appends, then calls `done` on the home loop once all that were under way are durable and the
  /// log bears witness to it. Home loop.
  public func drain(_ done: @escaping @Sendable () -> Void) {
    beginEnding()
    home.drain()
    housekeeping.drained = done
  }

  /// The end is near: appends that wait for room on a full disk are refused instead, so that their connections end
  /// too. Everything else goes on. Home loop.
  public func beginEnding() {
    change { $0.isDraining = true }
    home.endWaits()
    housekeeping.isEnding = true
  }

  /// Ends the work that comes back to the loops. Before they end; not on one of them.
  public func quiesce() {
    disk.shutDown()
    search?.close()
    walkPool.close()
    readPool.close()
  }

  /// Ends applier and indexer, and closes log and store. After the loops have ended.
  public func close() {
    applier.stop()
    search?.indexer.stop()
    log.close()
    store.close()
  }
}

/// Wakes the home when a lock or a wait for one is due. Home loop.
private final class LockAlarm: TimerTarget, @unchecked Sendable {
  weak var home: Home?
  private var timer = TimerID.none

  func set(_ loop: EventLoop, at nanoseconds: UInt64) {
    loop.cancel(timer)
    timer = loop.setTimer(after: nanoseconds > loop.now ? nanoseconds - loop.now : 0, self, tag: 0)
  }

  func timerFired(tag: UInt64) {
    timer = .none
    home?.alarmRang()
  }
}
