internal import Bytes
internal import Engine
internal import Model
internal import Storage
internal import Telemetry
internal import WAL

/// What a simulated process tells the world that it lives in.
protocol ProcessWitness: AnyObject {
  var clock: UInt64 { get }
  func random() -> UInt64
  /// A batch becomes visible.
  func published(_ batch: Batch)
  /// A client's connection is told.
  func answered(_ request: AppendRequest)
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

  init(
    log: LocalLog, batches: [Batch], store: SimulatedStore, limits: EngineLimits, readsMax: Int,
    repliesBeforeSync: Bool, witness: any ProcessWitness
  ) throws(StoreError) {
    self.log = log
    self.store = store
    self.witness = witness
    self.readsMax = readsMax
    watched = WatchedLog(log)
    watched.repliesBeforeSync = repliesBeforeSync
    home = try Home(
      recovered: watched, batches: batches, store: store, limits: limits, metrics: EngineMetrics(Registry()),
      pool: SlabPool(slabBytes: limits.slabBytes, keptMax: 4))
    otherWindow = home.window.duplicate()
    unapplied = batches
    applied = store.appliedPosition()
    home.surroundings = self
    home.begin()
  }

  // MARK: HomeSurroundings

  var wallClock: UInt64 { witness.clock }
  var monotonicClock: UInt64 { witness.clock * 1000 }
  func setAlarm(at nanoseconds: UInt64) { alarm = min(alarm, nanoseconds) }
  func begun() {}
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
  }

  func completed(_ request: HomeRequest) {
    if failure != nil, !isRefused(request) {
      witness.violate("an append is acknowledged after the log failed")
    }
    if request.loop == 0 { tell(request) } else { mail.append(.completed(request)) }
  }

  private func tell(_ request: HomeRequest) {
    if let request = request as? AppendRequest { witness.answered(request) }
  }

  private func isRefused(_ request: HomeRequest) -> Bool {
    if case .refused = (request as? AppendRequest)?.outcome { true } else { false }
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
      case .published(let batch): otherWindow.append(batch)
      case .completed(let request): tell(request)
      case .evicted(let position):
        while let oldest = otherWindow.oldest, oldest.lastPosition <= position { otherWindow.evictOldest() }
      }
    }
  }
}
