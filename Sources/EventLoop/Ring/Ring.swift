internal import CIOUring
internal import Glibc

/// One io_uring: set up disabled on any thread, enabled on the thread that then is its only issuer.
final class Ring {
  typealias Submission = UnsafeMutablePointer<io_uring_sqe>

  static let batchMax = 256
  /// A submission queue that the kernel doesn't empty after so many attempts means that it is out of memory.
  private static let submitAttemptsMax = 10_000

  let features: RingFeatures
  let buffers: BufferRing
  private let raw: UnsafeMutablePointer<io_uring>
  private let batch: UnsafeMutablePointer<engram_completion>
  private let counters: LoopCounters
  private var isOpen = true
  private var registeredSlots = 0
  private var registeredUsed = 0

  init(_ options: LoopOptions, counters: LoopCounters) throws(RingError) {
    self.counters = counters
    let raw = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
    do throws(RingError) {
      features = try Ring.open(raw, options)
    } catch {
      raw.deallocate()
      throw error
    }
    self.raw = raw
    do throws(RingError) {
      buffers = try BufferRing(raw, count: options.receiveBufferCount, bytes: options.receiveBufferBytes)
    } catch {
      io_uring_queue_exit(raw)
      raw.deallocate()
      throw error
    }
    batch = .allocate(capacity: Ring.batchMax)
    // Nothing on the hot path needs helper threads, and what does (fsync) must not spawn a herd of them.
    _ = engram_ring_limit_workers(raw, 2, 2)
  }

  deinit {
    close()
    raw.deallocate()
    batch.deallocate()
  }

  var descriptor: Int32 { raw.pointee.ring_fd }

  /// Makes the calling thread the issuer.
  func enable() throws(RingError) {
    let result = engram_ring_enable(raw)
    guard result >= 0 else { throw RingError(result, "io_uring_register(ENABLE_RINGS)") }
    _ = io_uring_register_ring_fd(raw)  // only spares a look-up of the descriptor per enter
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    io_uring_queue_exit(raw)
  }

  /// A submission to fill. It is sent by the next `enter`, or at once with all before it when the queue is
  /// full.
  func submission() -> Submission {
    if let s = io_uring_get_sqe(raw) { return s }
    counters.sqFull.add()
    for attempt in 0..<Ring.submitAttemptsMax {
      let result = engram_ring_submit(raw)
      if let s = io_uring_get_sqe(raw) { return s }
      if result == -EBUSY || result == -EAGAIN, attempt > 100 { sched_yield() }
    }
    fatalError("io_uring takes no more submissions: the kernel is out of memory")
  }

  /// Sends what is prepared, without waiting. What the kernel doesn't take now goes with the next `enter`.
  func submit() { _ = engram_ring_submit(raw) }

  /// Submits, runs deferred completions and waits at most `timeout` ns (0: not at all; `.max`: until one
  /// comes).
  func enter(timeout: UInt64, wanted: Int, gather: UInt32) {
    counters.enters.add()
    let result = engram_ring_enter(raw, timeout, UInt32(wanted), gather)
    switch -result {
    case ..<1, ETIME, EINTR, EAGAIN, EBUSY: return
    default: fatalError("io_uring_enter: \(String(cString: strerror(-result)))")
    }
  }

  /// Copies completions out, frees their places, then hands them to `body`: nothing that `body` does can meet
  /// a completion queue in motion. Returns how many.
  func reap(_ body: (engram_completion) -> Void) -> Int {
    if io_uring_cq_has_overflow(raw) { counters.cqOverflow.add() }
    var total = 0
    while true {
      let count = Int(engram_ring_reap(raw, batch, UInt32(Ring.batchMax)))
      for n in 0..<count { body(batch[n]) }
      total += count
      if count < Ring.batchMax { return total }
    }
  }

  /// Puts memory into the table of registered buffers (sparse, `slots` long, made on first use).
  /// Returns its index, or -errno.
  func register(_ base: UnsafeMutableRawPointer, bytes: Int, slots: Int) -> Int32 {
    if registeredSlots == 0 {
      let result = io_uring_register_buffers_sparse(raw, UInt32(slots))
      guard result >= 0 else { return result }
      registeredSlots = slots
    }
    guard registeredUsed < registeredSlots else { return -ENOSPC }
    let result = engram_ring_register_buffer(raw, UInt32(registeredUsed), base, bytes)
    guard result >= 0 else { return result }
    registeredUsed += 1
    return Int32(registeredUsed - 1)
  }

  // MARK: - Setting up

  private static let required: [(io_uring_op, String)] = [
    (IORING_OP_READ, "READ"), (IORING_OP_WRITE, "WRITE"), (IORING_OP_WRITE_FIXED, "WRITE_FIXED"),
    (IORING_OP_FSYNC, "FSYNC"), (IORING_OP_ACCEPT, "ACCEPT"), (IORING_OP_RECV, "RECV"),
    (IORING_OP_SEND, "SEND"), (IORING_OP_SENDMSG, "SENDMSG"), (IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"),
    (IORING_OP_CLOSE, "CLOSE"),
    // Came with multishot receive (6.0), which has no probe of its own.
    (IORING_OP_SEND_ZC, "multishot RECV"),
  ]

  private static func open(
    _ raw: UnsafeMutablePointer<io_uring>, _ options: LoopOptions
  ) throws(RingError) -> RingFeatures {
    let always = UInt32(IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP)
    let wishes: [(flags: UInt32, lacking: [String])] = [
      (
        UInt32(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN)
          | UInt32(IORING_SETUP_SUBMIT_ALL), []
      ),
      (
        UInt32(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL),
        ["IORING_SETUP_SINGLE_ISSUER", "IORING_SETUP_DEFER_TASKRUN"]
      ),
    ]
    var result: Int32 = 0
    for wish in wishes {
      var parameters = io_uring_params()
      parameters.flags = always | wish.flags
      parameters.cq_entries = UInt32(max(options.completionEntries, options.submissionEntries * 4))
      result = engram_ring_init(raw, UInt32(options.submissionEntries), &parameters)
      if result == -EINVAL { continue }
      guard result >= 0 else { throw RingError(result, "io_uring_setup") }
      do throws(RingError) {
        return try probe(raw, flags: parameters.flags, bits: parameters.features, lacking: wish.lacking)
      } catch {
        io_uring_queue_exit(raw)
        throw error
      }
    }
    throw RingError(result, "io_uring_setup")
  }

  private static func probe(
    _ raw: UnsafeMutablePointer<io_uring>, flags: UInt32, bits: UInt32, lacking: [String]
  ) throws(RingError) -> RingFeatures {
    var supported = [UInt8](repeating: 0, count: 256)
    let result = engram_ring_probe(raw, &supported)
    guard result >= 0 else { throw RingError(result, "io_uring_register(PROBE)") }
    for (operation, name) in required where supported[Int(operation.rawValue)] == 0 {
      throw RingError(
        code: ENOSYS, operation: "io_uring_register(PROBE)",
        hint: "the kernel's io_uring lacks \(name): Linux 6.1 or newer is needed")
    }
    let needed: [(UInt32, String)] = [
      (UInt32(IORING_FEAT_NODROP), "NODROP"), (UInt32(IORING_FEAT_EXT_ARG), "EXT_ARG"),
      (UInt32(IORING_FEAT_CQE_SKIP), "CQE_SKIP"), (UInt32(IORING_FEAT_SUBMIT_STABLE), "SUBMIT_STABLE"),
    ]
    for (bit, name) in needed where bits & bit == 0 {
      throw RingError(
        code: ENOSYS, operation: "io_uring_setup",
        hint: "the kernel's io_uring lacks IORING_FEAT_\(name): Linux 6.1 or newer is needed")
    }
    var missing = lacking
    if supported[Int(IORING_OP_MSG_RING.rawValue)] == 0 { missing.append("IORING_OP_MSG_RING") }
    return RingFeatures(
      setupFlags: flags, featureBits: bits, operations: supported.map { $0 != 0 }, missing: missing)
  }
}
