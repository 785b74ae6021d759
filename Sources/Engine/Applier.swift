internal import EventLoop
internal import Glibc
public import Model
public import Storage
internal import Synchronization
public import WAL

/// Carries what is durable into the store, on a thread of its own. It lets batches gather, because a
/// `WriteBatch` of a thousand units costs the store half the CPU per unit of one: nobody waits for it, since
/// the window answers for what isn't applied yet.
public final class Applier: @unchecked Sendable {
  /// When to stop gathering.
  public struct Limits: Sendable {
    public var bytes = 1 << 20
    public var units = 1000
    public var nanoseconds: UInt64 = 50_000_000
    /// How long a failing store is tried again, once a second, before the process gives up.
    public var patienceSeconds = 10
    /// While a start's backlog is applied, the store writes it to disk each time so many bytes have come together:
    /// or else a server that is killed again and again would replay ever more.
    public var replayedBytesMax = 32 << 20

    public init() {}
  }

  private struct Queue {
    var batches: [Batch] = []
    var bytes = 0
    var units = 0
    var isStopping = false
    var wantsFlush = false
    /// Who waits for what is durable to be applied: while there is somebody, batches don't gather.
    var waiters = PositionWaiters()
  }

  private let store: any EventStore
  private let limits: Limits
  private let onFailure: @Sendable (String) -> Void
  /// Told of each write into the store: nanoseconds, and whether it succeeded. Apply thread; set before `start`.
  var onApply: (@Sendable (UInt64, Bool) -> Void)?
  /// The end of what the start found in the log; apply thread, as is the next.
  private let replayThrough: Position
  private var replayedBytes = 0
  private let queue = Mutex(Queue())
  /// Posted once when work arrives at an empty queue, when a full share has gathered, and at the end.
  private let wake: UnsafeMutablePointer<sem_t>
  private let applied: Atomic<UInt64>
  private let persisted: Atomic<UInt64>
  private let failures = Atomic<Int>(0)
  private var thread = pthread_t()
  private var isStarted = false

  /// - Parameter onFailure: called on the applier's thread, once, when the store has failed for good.
  public init(
    store: any EventStore, limits: Limits = Limits(), replayThrough: Position = .zero,
    onFailure: @escaping @Sendable (String) -> Void
  ) throws(StoreError) {
    self.store = store
    self.limits = limits
    self.onFailure = onFailure
    self.replayThrough = replayThrough
    applied = Atomic(store.appliedPosition().rawValue)
    persisted = Atomic(try store.persistedPosition().rawValue)
    wake = .allocate(capacity: 1)
    sem_init(wake, 0, 0)
  }

  deinit {
    sem_destroy(wake)
    wake.deallocate()
  }

  /// The newest position that the store answers for. Any thread.
  public var appliedPosition: Position { Position(applied.load(ordering: .acquiring)) }
  /// The newest position that the store has on disk in every family. Any thread.
  public var persistedPosition: Position { Position(persisted.load(ordering: .acquiring)) }
  /// Attempts that failed since the last success. Any thread.
  public var failureCount: Int { failures.load(ordering: .relaxed) }

  /// Hands over the next durable batch. Home thread.
  public func enqueue(_ batch: Batch) {
    guard batch.count > 0 else { return }
    let isDue = queue.withLock { queue in
      let before = isFull(queue)
      let wasEmpty = queue.batches.isEmpty
      queue.batches.append(batch)
      queue.bytes += batch.paddedBytes
      queue.units += batch.count
      return wasEmpty || (!before && isFull(queue))
    }
    if isDue { sem_post(wake) }
  }

  /// Calls `body`, once, when everything up to `position`, which is durable, is applied: on the apply thread. Batches
  /// don't gather meanwhile. Any thread.
  /// - Returns: what cancels the wait; nil, and `body` is not called, if it is applied already or the end has come.
  func whenApplied(
    _ position: Position, _ body: @escaping @Sendable () -> Void
  ) -> PositionWaiters.Ticket? {
    let ticket: PositionWaiters.Ticket? = queue.withLock { queue in
      // Looked at inside: the apply thread releases waiters behind its store of the position.
      guard appliedPosition < position, !queue.isStopping else { return nil }
      return queue.waiters.add(position, body)
    }
    if ticket != nil { sem_post(wake) }
    return ticket
  }

  /// Ends a wait. False: its body was or will be called. Any thread.
  func cancel(_ ticket: PositionWaiters.Ticket) -> Bool { queue.withLock { $0.waiters.remove(ticket) } }

  private func releaseWaiters(through position: Position) {
    for body in queue.withLock({ $0.waiters.release(through: position) }) { body() }
  }

  /// Asks for everything that is applied to be written to disk, without waiting for it. Any thread.
  public func requestFlush() {
    queue.withLock { $0.wantsFlush = true }
    sem_post(wake)
  }

  private func isFull(_ queue: borrowing Queue) -> Bool {
    queue.bytes >= limits.bytes || queue.units >= limits.units
  }

  public func start() {
    let keep = Unmanaged.passRetained(self)
    let failed = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let applier = Unmanaged<Applier>.fromOpaque(argument).takeRetainedValue()
        EventLoop.nameThread("engram-apply")
        // Of this thread only (nice(2), NPTL): loops and the kernel's flush workers go first.
        _ = nice(5)
        applier.run()
        return nil
      }, keep.toOpaque())
    precondition(failed == 0, "no thread for the applier")
    isStarted = true
  }

  /// Applies what was handed over, makes the store write it to disk, and ends the thread.
  public func stop() {
    guard isStarted else { return }
    queue.withLock { $0.isStopping = true }
    sem_post(wake)
    pthread_join(thread, nil)
    isStarted = false
    // Who waits for what couldn't be applied is told by the store, which is asked next.
    releaseWaiters(through: Position(.max))
  }

  private func run() {
    while true {
      waitForWork()
      let (batches, isStopping, wantsFlush) = queue.withLock { queue in
        let taken = queue.batches
        let wantsFlush = queue.wantsFlush
        queue.wantsFlush = false
        queue.batches = []
        queue.bytes = 0
        queue.units = 0
        return (taken, queue.isStopping, wantsFlush)
      }
      var share = batches[...]
      while !share.isEmpty {
        var bytes = 0
        var units = 0
        let part = share.prefix { batch in
          defer {
            bytes += batch.paddedBytes
            units += batch.count
          }
          return bytes < limits.bytes && units < limits.units
        }
        guard apply(part) else { return }
        persistReplayed(part)
        share = share.dropFirst(part.count)
      }
      if batches.isEmpty, isStopping { return }
      if wantsFlush { try? store.flush(wait: false) }
      refreshPersisted()
    }
  }

  private func persistReplayed(_ part: ArraySlice<Batch>) {
    guard let first = part.first, first.firstPosition <= replayThrough else { return }
    replayedBytes += part.reduce(0) { $0 + $1.paddedBytes }
    guard replayedBytes > limits.replayedBytesMax else { return }
    replayedBytes = 0
    // Should it fail, the store's health says so, and the next round asks again.
    try? store.flush(wait: false)
    refreshPersisted()
  }

  /// Waits for the first batch, then a little longer for a full share.
  private func waitForWork() {
    let hasWork = queue.withLock { !$0.batches.isEmpty || $0.isStopping || $0.wantsFlush }
    if !hasWork { wait(nanoseconds: Applier.second) }
    let gathers = queue.withLock {
      !$0.batches.isEmpty && !isFull($0) && !$0.isStopping && $0.waiters.isEmpty
    }
    if gathers { wait(nanoseconds: limits.nanoseconds) }
  }

  private static let second: UInt64 = 1_000_000_000

  private func wait(nanoseconds: UInt64) { MonotonicWait.wait(wake, nanoseconds: nanoseconds) }

  /// Waits for a second, but no longer than until `stop`. True: stopping.
  private func restsUntilStop() -> Bool {
    let end = EventLoop.monotonicNanoseconds() + Applier.second
    while true {
      if queue.withLock({ $0.isStopping }) { return true }
      let now = EventLoop.monotonicNanoseconds()
      guard now < end else { return false }
      wait(nanoseconds: end - now)
    }
  }

  /// False: the store has failed for good.
  private func apply(_ batches: ArraySlice<Batch>) -> Bool {
    guard let last = batches.last else { return true }
    var records: [EventView] = []
    records.reserveCapacity(batches.reduce(0) { $0 + $1.count })
    for batch in batches {
      for offset in 0..<batch.count { records.append(batch.record(offset)) }
    }
    var seconds = 0
    while true {
      let begun = EventLoop.monotonicNanoseconds()
      do {
        try store.apply(records, upTo: last.lastPosition)
        onApply?(EventLoop.monotonicNanoseconds() &- begun, true)
        failures.store(0, ordering: .relaxed)
        applied.store(last.lastPosition.rawValue, ordering: .releasing)
        releaseWaiters(through: last.lastPosition)
        return true
      } catch {
        failures.add(1, ordering: .relaxed)
        onApply?(EventLoop.monotonicNanoseconds() &- begun, false)
        // A full file system is waited for: writes are refused meanwhile, and what is durable stays in the log.
        // Anything else may be over after a restart, which replays.
        if !error.isStorageFull { seconds += 1 }
        if error.severity == .integrity || seconds > limits.patienceSeconds {
          onFailure("the store has refused writes for \(seconds) seconds: \(error)")
          return false
        }
        // What isn't applied is in the log, and the next start applies it.
        if restsUntilStop() { return false }
      }
    }
  }

  private func refreshPersisted() {
    if let position = try? store.persistedPosition() {
      persisted.store(position.rawValue, ordering: .releasing)
    }
  }
}
