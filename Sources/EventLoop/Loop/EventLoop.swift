internal import CIOUring
internal import Glibc
internal import Synchronization

/// Called at two points of each turn. Loop thread.
public protocol TurnDelegate: AnyObject {
  /// Completions were reaped and their callbacks have run; jobs have not. Mailboxes are drained here.
  func turnDidReap(_ loop: EventLoop)
  /// The job queue is empty (or `jobsPerTurnMax` were run), sends are prepared, and the one io_uring_enter
  /// comes next. The open batch is sealed here.
  func turnWillSubmit(_ loop: EventLoop)
}

/// One thread, one io_uring, and all that is confined to them: sockets, timers, disk writes and tasks.
///
/// A *turn* is: enter (submit what the last turn prepared, and wait unless there is work) → reap completions
/// and run their callbacks → timers and what other threads posted → `turnDidReap` → jobs of tasks → sends of
/// written sockets → `turnWillSubmit`. The loop is the `SerialExecutor` of its domain and the `TaskExecutor`
/// of tasks made by `spawn`: one dual object, because any mismatch between the two costs a re-enqueue at
/// every await.
public final class EventLoop: TaskExecutor, SerialExecutor, @unchecked Sendable {
  public let index: Int
  public let options: LoopOptions
  /// What is isolated to this actor runs on this loop.
  public let domain: LoopDomain
  public let counters = LoopCounters()
  /// Set before `start`.
  public weak var delegate: (any TurnDelegate)?
  /// CLOCK_MONOTONIC in ns, as read when this turn began, less the time for which the thread was not let run
  /// (`LoopOptions.latenessMax`). Loop thread.
  public internal(set) var now: UInt64

  let ring: Ring
  let origin: UInt64
  var slots = SlotTable()
  var waits = WaitTable()
  var wheel = TimerWheel()
  var jobs = Fifo<UnownedJob>(capacity: 1024)
  /// Tags of sockets with something to send, and of those that wait for receive buffers.
  var dirty = Fifo<UInt64>(capacity: 256)
  /// Those of sockets that let others go first.
  var patient = Fifo<UInt64>(capacity: 256)
  var starved = Fifo<UInt64>(capacity: 64)
  let outputs: OutputPool
  /// Made with the first connection that speaks TLS.
  var desk: TLSDesk?
  /// Operations whose last completion has not come, the wake read not counted.
  var outstanding = 0
  /// Loops that this one has sent messages to, by the slot of the message's tag.
  var peers: [EventLoop] = []
  var isStopping = false
  var stopAnnounced = false

  let sleep = Atomic<UInt32>(SleepState.running)
  let inbox = Mutex(Inbox())
  var inboxSpare = Inbox()
  let wakeDescriptor: Int32
  let wakeValue: UnsafeMutablePointer<UInt64>
  var wakeIsArmed = false
  let stopRequested = Atomic<Bool>(false)
  let life = Mutex(Life.made)
  /// Sends submitted with the coming enter.
  var preparedSends = 0
  /// Completions that the last turn found.
  var lastReaped = 0
  var diskWritesInFlight = 0
  /// The kernel can wait for several completions for a while, then for one (6.12).
  let canGather: Bool

  /// The loop whose thread this is.
  public static var current: EventLoop? {
    guard let loop = engram_current_loop() else { return nil }
    return Unmanaged<EventLoop>.fromOpaque(loop).takeUnretainedValue()
  }

  /// Sets ring and buffers up, on any thread; the ring stays disabled until `start`. Blocking calls of that
  /// thread may be interrupted (EINTR) when the kernel takes the ring down again.
  ///
  /// - Throws: `RingError` within milliseconds when io_uring is blocked, missing or too old.
  public init(index: Int, options: LoopOptions = .init()) throws(RingError) {
    self.index = index
    self.options = options
    ring = try Ring(options, counters: counters)
    canGather = ring.features.featureBits & UInt32(IORING_FEAT_MIN_TIMEOUT) != 0
    wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC))
    guard wakeDescriptor >= 0 else { throw RingError(errno, "eventfd") }
    wakeValue = .allocate(capacity: 1)
    wakeValue.initialize(to: 0)
    origin = engram_monotonic_ns()
    now = origin
    outputs = OutputPool(chunksKept: options.outputChunksKept)
    domain = LoopDomain()
    domain.attach(self)
  }

  deinit {
    ring.close()
    close(wakeDescriptor)
    wakeValue.deallocate()
  }

  /// CLOCK_MONOTONIC as it is, ns, on a loop's thread less the time for which that was not let run: for measuring
  /// within a turn. Any thread; about 25 ns.
  public static func monotonicNanoseconds() -> UInt64 { engram_monotonic_ns() }

  /// Seconds since 1970. Any thread.
  /// Of the clock itself: time(2) is behind it by up to a tick of the kernel's, in which what has ended would live on.
  public static func unixSeconds() -> Int64 { Int64(clamping: unixNanoseconds() / 1_000_000_000) }

  /// Nanoseconds since 1970. Any thread.
  public static func unixNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
  }

  /// Names the calling thread; 15 characters are kept.
  public static func nameThread(_ name: String) { engram_name_thread(name) }

  /// What the kernel offers, and the names of what it lacks.
  public var features: RingFeatures { ring.features }

  public var isOnLoop: Bool { engram_current_loop() == Unmanaged.passUnretained(self).toOpaque() }

  /// The home-thread check of everything that is confined to a loop: debug builds only.
  func assertOnLoop(_ function: StaticString = #function) {
    assert(isOnLoop || life.withLock { $0 == .made }, "\(function) is for the loop's thread")
  }

  // MARK: - Timers

  /// Calls `target` with `tag` after `ns`, rounded up to the next tick; at the earliest in the next turn. The
  /// wheel holds `target` until then. Loop thread, or before `start`.
  @discardableResult
  public func setTimer(after ns: UInt64, _ target: any TimerTarget, tag: UInt64) -> TimerID {
    assertOnLoop()
    let (end, overflow) = (now - origin).addingReportingOverflow(ns)
    let ticks = overflow ? UInt64.max >> 8 : end / options.timerTick + 1
    return wheel.insert(deadline: ticks, target, tag: tag)
  }

  /// Forgets a timer; one that has fired or was cancelled is no matter.
  public func cancel(_ id: TimerID) {
    assertOnLoop()
    wheel.cancel(id)
  }

  /// Whether more than half of the receive buffers are kept: then a delegate is to copy what it needs for long. Loop
  /// thread.
  public var isShortOfReceiveBuffers: Bool { ring.buffers.isScarce || desk?.plaintext.isScarce == true }

  /// Gives a receive buffer back that a delegate kept. Loop thread; each buffer once.
  public func recycle(_ buffer: ReceiveBufferID) {
    assertOnLoop()
    if buffer.index < PlaintextPool.firstID {
      ring.buffers.give(buffer.index)
    } else {
      desk?.plaintext.give(buffer.index)
    }
  }

  /// What TLS sessions of this loop share; nil without memory. Loop thread.
  func tlsDesk() -> TLSDesk? {
    if desk == nil { desk = TLSDesk(options) }
    return desk
  }
}

/// Where the loop's thread is, for those who might have to wake it.
enum SleepState {
  static let running: UInt32 = 0
  /// Something was posted since this turn began: it will not sleep before it has looked.
  static let notified: UInt32 = 1
  static let sleeping: UInt32 = 2
}

/// Stages of a loop's thread.
enum Life: Equatable {
  case made
  case running(UInt)
  case joined
}
