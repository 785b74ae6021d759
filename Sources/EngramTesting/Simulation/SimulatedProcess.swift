internal import Bytes
internal import Engine
internal import Model
internal import Storage
internal import Telemetry
internal import WAL

/// What a simulated process tells the world that it lives in.
protocol ProcessWitness: AnyObject {
  var clock: UInt64 { get }
  /// Microseconds of the monotonic clock.
  var elapsed: UInt64 { get }
  func random() -> UInt64
  /// A batch becomes visible.
  func published(_ batch: Batch)
  /// A client's connection is told.
  func answered(_ request: AppendRequest)
  func answered(_ request: LockRequest)
  func answered(_ request: ContextRequest)
  /// The home is done with it; its connection may be told later.
  func decided(_ request: LockRequest)
  /// A loop has learned of a batch, and its followers are to be offered it.
  func offered(_ batch: Batch, loop: Int)
  /// What the start owed is durable.
  func begun()
  func note(_ event: Trace.Event, _ a: UInt64, _ b: UInt64)
  func violate(_ text: String)
}

/// One life of the server: a real home over a real log, and everything around it as events that are due.
/// Nothing happens by itself; the simulation picks what happens next.
final class SimulatedProcess: HomeSurroundings {
  let home: Home
  let log: LocalLog
  let watched: WatchedLog
  private(set) var failure: String?
  /// The window of another loop, which learns of everything through a mailbox.
  let otherWindow: WindowIndex

  private enum Mail {
    case published(Batch)
    case completed(HomeRequest)
    case evicted(Position)
  }

  private final class Read {
    var work: (() -> Void)?
    var done: () -> Void
    init(work: @escaping () -> Void, done: @escaping () -> Void) {
      self.work = work
      self.done = done
    }
  }

  private let store: SimulatedStore
  private unowned let witness: any ProcessWitness
  private var mail = Ring<Mail>()
  private var reads: [Read] = []
  /// Reads that may wait at a time.
  private let readsMax: Int
  /// Durable, and not applied to the store.
  private var unapplied: [Batch]
  private var alarm = UInt64.max
  /// What the store has applied; the home learns of it later.
  private var applied: Position
  private let broken: BrokenRule?
  /// The time that a server knows which overlooks what is due.
  private var staleTime: UInt64

  init(
    log: LocalLog, batches: [Batch], store: SimulatedStore, limits: EngineLimits, readsMax: Int,
    broken: BrokenRule?, witness: any ProcessWitness
  ) throws(StoreError) {
    self.log = log
    self.store = store
    self.witness = witness
    self.readsMax = readsMax
    watched = WatchedLog(log)
    watched.repliesBeforeSync = broken == .repliesBeforeSync
    self.broken = broken
    staleTime = witness.elapsed
    home = try Home(
      recovered: watched, batches: batches, store: store, limits: limits, metrics: EngineMetrics(Registry()),
      pool: SlabPool(slabBytes: limits.slabBytes, keptMax: 4))
    otherWindow = home.window.duplicate()
    unapplied = batches
    applied = store.appliedPosition()
    home.surroundings = self
    if broken == .skipsRestart { home.forgoRestart() }
  }

  // MARK: HomeSurroundings

  var wallClock: UInt64 { witness.clock }
  var monotonicClock: UInt64 { (broken == .overlooksDue ? staleTime : witness.elapsed) * 1000 }
  func setAlarm(at nanoseconds: UInt64) { alarm = min(alarm, nanoseconds) }
  func begun() { witness.begun() }
  func randomBits() -> UInt64 { witness.random() }

  func read<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found, _ done: @escaping (Found) -> Void
  ) -> Bool {
    guard reads.count < readsMax else { return false }
    var found: Found?
    reads.append(Read(work: { found = work() }, done: { if let found { done(found) } }))
    return true
  }

  func publish(_ batch: Batch) {
    witness.published(batch)
    unapplied.append(batch)
    mail.append(.published(batch))
    witness.offered(batch, loop: 0)
  }

  func completed(_ request: HomeRequest) {
    if failure != nil, !isRefused(request) {
      witness.violate("a write is acknowledged after the log failed")
    }
    if let request = request as? LockRequest { witness.decided(request) }
    if request.loop == 0 { tell(request) } else { mail.append(.completed(request)) }
  }

  private func tell(_ request: HomeRequest) {
    switch request {
    case let request as AppendRequest: witness.answered(request)
    case let request as LockRequest: witness.answered(request)
    case let request as ContextRequest: witness.answered(request)
    default: witness.violate("an unknown request is completed")
    }
  }

  private func isRefused(_ request: HomeRequest) -> Bool {
    switch request {
    case let request as AppendRequest: if case .refused = request.outcome { return true }
    case let request as LockRequest:
      switch request.outcome {
      // Reads tell of what was durable before.
      case .refused, .found, .listed: return true
      case .granted, .renewed, .released, nil: return false
      }
    case let request as ContextRequest: if case .refused = request.outcome { return true }
    default: break
    }
    return false
  }

  func evicted(through position: Position) {
    witness.note(.evicted, position.rawValue, 0)
    mail.append(.evicted(position))
  }

  func logFailed(_ reason: String) { failure = reason }

  // MARK: Events

  var hasReads: Bool { !reads.isEmpty }
  var isApplied: Bool { unapplied.isEmpty }

  /// The end of a turn of the home loop, which may have learnt how far the store is.
  func endTurn(learnsApplied: Bool) {
    if learnsApplied { home.applied(through: applied) }
    if monotonicClock >= alarm {
      alarm = .max
      home.alarmRang()
    }
    home.endOfTurn()
    staleTime = witness.elapsed
  }

  /// Runs the read at `index` against the store, or brings back what it found.
  func stepRead(_ drawn: Int) {
    guard !reads.isEmpty else { return }
    let index = drawn % reads.count
    let read = reads[index]
    if let work = read.work {
      read.work = nil
      work()
    } else {
      reads.remove(at: index)
      read.done()
    }
  }

  /// Applies up to `count` batches as one.
  func apply(_ count: Int) {
    let share = unapplied.prefix(count)
    guard let last = share.last else { return }
    let records = share.flatMap { batch in (0..<batch.count).map { batch.record($0) } }
    do throws(StoreError) {
      try store.apply(records, upTo: last.lastPosition)
      applied = max(applied, last.lastPosition)
      unapplied.removeFirst(share.count)
      witness.note(.applied, last.lastPosition.rawValue, UInt64(share.count))
    } catch {
      witness.note(.applyFailed, last.lastPosition.rawValue, 0)
    }
  }

  /// Lets the log go that the store has on disk.
  func trim() {
    guard let persisted = try? store.persistedPosition() else { return }
    let before = log.segmentCount
    watched.trim(through: persisted)
    witness.note(.trimmed, persisted.rawValue, UInt64(before - log.segmentCount))
  }

  /// The other loop's turn.
  func drainMail() {
    while let next = mail.popFirst() {
      switch next {
      case .published(let batch):
        otherWindow.append(batch)
        witness.offered(batch, loop: 1)
      case .completed(let request): tell(request)
      case .evicted(let position):
        while let oldest = otherWindow.oldest, oldest.lastPosition <= position { otherWindow.evictOldest() }
      }
    }
  }
}
