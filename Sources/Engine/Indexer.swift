internal import Bytes
internal import EventLoop
internal import Glibc
public import Model
internal import Storage
internal import Synchronization
internal import Telemetry
internal import WAL

/// Carries what the store has applied into the search index, on a thread of its own that lets everybody go first.
/// Nobody waits for it but those who search for what they have just written.
///
/// *Near* the end of the log it takes batches from memory: `enqueue` keeps them in a queue that is bounded in bytes.
/// When that is full it is dropped, and the indexer is *behind*: it reads the store, which costs no memory, until it is
/// near again. Only what the store has applied is indexed, so that every hit can be read there. What is indexed stands
/// in the index itself, in the transaction of the units: a crash at any moment loses nothing and repeats nothing.
public final class Indexer: @unchecked Sendable {
  public struct Limits: Sendable {
    /// Bytes of batches that wait for the indexer. They hold the log's slabs: with more, writes would do without
    /// registered memory.
    public var queuedBytesMax = 32 << 20
    /// Bytes that are taken out of the queue, or read from the store, at a time.
    public var shareBytes = 1 << 20
    /// When to commit, at the latest: each commit is a piece of the index that is merged with others later.
    public var units = 4000
    public var bytes = 16 << 20
    /// The same while behind, where nobody sees what is newest before everything is indexed: fewer and larger
    /// pieces, fewer merges.
    public var unitsBehind = 16_000
    public var bytesBehind = 64 << 20
    public var nanoseconds: UInt64 = 200_000_000
    /// How long `start` waits for the index to be opened; an index that takes longer is opened while the server serves.
    public var openNanoseconds: UInt64 = 2_000_000_000
    /// How long a failure is rested upon.
    public var restNanoseconds: UInt64 = 1_000_000_000
    /// How long the end may take to index what is there.
    public var endNanoseconds: UInt64 = 1_000_000_000

    public init() {}
  }

  struct Queue {
    var batches = Ring<Batch>()
    var bytes = 0
    var units = 0
    /// Whether batches are kept. If not, the store has what is behind the queue's last.
    var isOpen = false
    /// What was in the queue when it was full, for the index thread to let go of.
    var dropped = Ring<Batch>()
    /// The newest position that is durable.
    var head: Position
    var isStopping = false
    /// The index thread has nothing to do, or waits for more: it is woken by the next batch, or by a full share.
    var isAsleep = false
    var isGathering = false
    /// What a reader found, and in which opening of the index.
    var damage: String?
    var waiters = PositionWaiters()
  }

  let store: any EventStore
  let applier: Applier
  let files: any UnitIndexFiles
  let limits: Limits
  let metrics: SearchMetrics
  /// On the index thread; set before `start`.
  public var onNotice: (@Sendable (IndexNotice) -> Void)?
  let queue: Mutex<Queue>
  let wake: UnsafeMutablePointer<sem_t>
  /// Posted once, when the first opening is over.
  let first: UnsafeMutablePointer<sem_t>
  let tailAtStart: Position
  let committed = Atomic<UInt64>(0)
  /// Counts the times that the index was opened; 0 while it isn't open.
  let openings = Atomic<UInt64>(0)
  /// The file system has less room than is kept for what matters more than the index.
  let spaceShort = Atomic<Bool>(false)
  let rebuilding = Atomic<Bool>(false)
  let failing = Atomic<Bool>(false)
  private var thread = pthread_t()
  private var isStarted = false
  /// What belongs to the index thread.
  var course = IndexCourse()

  /// - Parameter head: the newest durable position.
  init(
    store: any EventStore, applier: Applier, files: any UnitIndexFiles, head: Position,
    limits: Limits = Limits(), metrics: SearchMetrics
  ) {
    self.store = store
    self.applier = applier
    self.files = files
    self.limits = limits
    self.metrics = metrics
    queue = Mutex(Queue(head: head))
    wake = .allocate(capacity: 1)
    sem_init(wake, 0, 0)
    first = .allocate(capacity: 1)
    sem_init(first, 0, 0)
    tailAtStart = head
  }

  deinit {
    sem_destroy(wake)
    wake.deallocate()
    sem_destroy(first)
    first.deallocate()
  }

  /// All units up to here can be found. Any thread.
  public var indexedPosition: Position { Position(committed.load(ordering: .acquiring)) }
  /// Of the index that is open; 0 while none is. Readers open their own connection again when it has changed. Any
  /// thread.
  var generation: UInt64 { openings.load(ordering: .acquiring) }
  /// The index is made anew: older units are missing from it. Any thread.
  public var isRebuilding: Bool { rebuilding.load(ordering: .acquiring) }
  /// The last attempt to index something failed. Any thread.
  public var isFailing: Bool { failing.load(ordering: .relaxed) }
  /// Says whether the file system has room for the index: without it nothing is indexed. Any thread.
  func setSpaceShort(_ isShort: Bool) { spaceShort.store(isShort, ordering: .relaxed) }

  /// The newest durable position. Any thread.
  public var head: Position { queue.withLock { $0.head } }

  /// Hands over the next durable batch. Home thread; never blocks for long.
  func enqueue(_ batch: Batch) {
    guard batch.count > 0 else { return }
    let isDue = queue.withLock { queue in
      queue.head = batch.lastPosition
      if queue.isOpen { keep(batch, in: &queue) }
      guard queue.isAsleep || queue.isGathering else { return false }
      let isDue =
        queue.isAsleep || queue.units >= limits.units || queue.waiters.newest(through: queue.head) != nil
      if isDue {
        queue.isAsleep = false
        queue.isGathering = false
      }
      return isDue
    }
    if isDue { sem_post(wake) }
  }

  private func keep(_ batch: Batch, in queue: inout Queue) {
    guard queue.bytes + batch.paddedBytes > limits.queuedBytesMax else {
      queue.batches.append(batch)
      queue.bytes += batch.paddedBytes
      queue.units += batch.count
      return
    }
    // Letting go of thousands of batches takes time: that is for the index thread.
    queue.dropped = queue.batches
    queue.batches = Ring()
    queue.bytes = 0
    queue.units = 0
    queue.isOpen = false
    metrics.overflows.add()
  }

  /// Calls `body`, once, when everything up to `position` can be found, on the index thread; the indexer makes haste if
  /// the position exists. Any thread.
  /// - Returns: what cancels the wait; nil, and `body` is not called, if it can be found already or the end has come.
  func whenIndexed(
    _ position: Position, _ body: @escaping @Sendable () -> Void
  ) -> PositionWaiters.Ticket? {
    let (ticket, isDue) = queue.withLock { queue -> (PositionWaiters.Ticket?, Bool) in
      // Looked at inside: the index thread releases waiters behind its store of the position.
      guard indexedPosition < position, !queue.isStopping else { return (nil, false) }
      return (queue.waiters.add(position, body), position <= queue.head)
    }
    if isDue { sem_post(wake) }
    return ticket
  }

  /// Ends a wait. False: its body was or will be called.
  func cancel(_ ticket: PositionWaiters.Ticket) -> Bool { queue.withLock { $0.waiters.remove(ticket) } }

  /// A reader found that the index of this generation is damaged: it is made anew. Any thread.
  func reportDamage(_ reason: String, generation: UInt64) {
    let isNews = queue.withLock { queue in
      guard generation != 0, generation == self.generation, queue.damage == nil else { return false }
      queue.damage = reason
      return true
    }
    if isNews { sem_post(wake) }
  }

  /// Begins to index, and waits for a while until the index is open: who asks as soon as the server is ready is not to
  /// be told to come again.
  public func start() {
    let keep = Unmanaged.passRetained(self)
    let failed = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let indexer = Unmanaged<Indexer>.fromOpaque(argument).takeRetainedValue()
        EventLoop.nameThread("engram-index")
        // Of this thread only (nice(2), NPTL): loops, the applier and the kernel's flush workers go first.
        _ = nice(10)
        indexer.run()
        return nil
      }, keep.toOpaque())
    precondition(failed == 0, "no thread for the indexer")
    isStarted = true
    MonotonicWait.wait(first, nanoseconds: limits.openNanoseconds)
  }

  /// Indexes for a second at most what is left, and ends the thread. Behind `Applier.stop`, before the store is closed.
  public func stop() {
    guard isStarted else { return }
    queue.withLock { $0.isStopping = true }
    sem_post(wake)
    pthread_join(thread, nil)
    isStarted = false
    for body in queue.withLock({ $0.waiters.release(through: Position(.max)) }) { body() }
  }

  func wait(nanoseconds: UInt64) { MonotonicWait.wait(wake, nanoseconds: nanoseconds) }
}
