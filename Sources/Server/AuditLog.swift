internal import Access
internal import Bytes
internal import EventLoop
internal import Glibc
internal import Logging
internal import Model
internal import Synchronization
internal import Telemetry

/// Writes audit lines by a thread of its own, so that no loop waits for a disk. What comes faster than it can be
/// written is lost and counted, and a line says how many; so is what a full disk takes no more. Any thread.
final class AuditLog: AuditSink {
  /// Events that wait to be written. A line is written in microseconds: this bridges a slow disk for a moment.
  private static let queuedMax = 4096
  /// Of these so many are kept for what operators do: peers can't fill them.
  private static let reserved = 64
  /// And so many for agents that are known: peers without a credential can't fill them.
  private static let reservedForAgents = 1024
  /// How often the thread looks for windows that have ended, while there are any.
  private static let tickNanoseconds: UInt64 = 1_000_000_000

  private struct Entry {
    var event: AuditEvent
    /// Microseconds since 1970.
    var time: UInt64
  }

  private struct State {
    var entries: [Entry] = []
    var sieve = AuditSieve()
    var dropped: UInt64 = 0
    var next: AuditFile?
    var isEnding = false
  }

  private let state = Mutex(State())
  private let pending: Semaphore
  private let ended = Countdown(1)
  private let logger: Logger
  private let events: [Counter]
  private let lost: Counter

  /// Takes the file and starts the thread.
  init(_ file: AuditFile, logger: Logger, registry: Registry) throws(ServerFailure) {
    self.logger = logger
    pending = Semaphore()
    events = AuditEvent.Kind.allCases.map { kind in
      registry.counter(
        "engram_audit_events_total", "What was to be written down for operators, by event.",
        [Label("event", kind.rawValue)])
    }
    lost = registry.counter(
      "engram_audit_lost_total", "Audit lines that were lost: too many at once, or they could not be written."
    )
    let body = ThreadBody(log: self, writer: AuditWriter(file.take(), logger: logger))
    var thread = pthread_t()
    let failed = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        EventLoop.nameThread("engram-audit")
        Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(body).toOpaque())
    guard failed == 0 else { throw ServerFailure(EX_OSERR, "no thread for the audit log") }
    pthread_detach(thread)
  }

  private final class ThreadBody: @unchecked Sendable {
    let log: AuditLog
    var writer: AuditWriter

    init(log: AuditLog, writer: consuming AuditWriter) {
      self.log = log
      self.writer = writer
    }

    func run() {
      log.run(&writer)
      writer.end()
      log.ended.countDown()
    }
  }

  // MARK: AuditSink

  func record(_ event: AuditEvent) {
    if let place = AuditEvent.Kind.allCases.firstIndex(of: event.kind) { events[place].add() }
    let now = EventLoop.monotonicNanoseconds()
    let (isFirst, isLost) = state.withLock { state in
      let agent = event.isAgentKnown ? event.agent : []
      if event.kind.isByPeer, !state.sieve.admit(event.address ?? .unknown, agent: agent, now: now) {
        return (false, false)
      }
      guard state.entries.count < AuditLog.room(for: event), !state.isEnding else {
        state.dropped += 1
        return (false, true)
      }
      state.entries.append(Entry(event: event, time: AuditLog.microseconds()))
      return (state.entries.count == 1, false)
    }
    if isFirst { pending.post() }
    if isLost { lost.add() }
  }

  /// How many may wait in front of an event, so that it is taken.
  static func room(for event: AuditEvent) -> Int {
    guard event.kind.isByPeer else { return queuedMax }
    return queuedMax - reserved - (event.isAgentKnown ? 0 : reservedForAgents)
  }

  /// Has lines go to a file that was opened anew, because somebody has moved it away, or to another one. Any thread;
  /// returns before they do.
  func adopt(_ file: AuditFile) {
    state.withLock { $0.next = file }
    pending.post()
  }

  /// Writes what waits, and ends the thread. Blocks.
  func end() {
    state.withLock { $0.isEnding = true }
    pending.post()
    // A disk that doesn't come back must not keep the process.
    _ = ended.wait(seconds: 5)
  }

  // MARK: The thread

  private func run(_ writer: inout AuditWriter) {
    var isEnding = false
    while !isEnding {
      let isIdle = state.withLock { $0.sieve.isIdle && $0.dropped == 0 }
      if isIdle { pending.wait() } else { pending.wait(nanoseconds: AuditLog.tickNanoseconds) }
      var taken: [Entry] = []
      var next: AuditFile?
      state.withLock { state in
        swap(&taken, &state.entries)
        taken += AuditLog.summaries(&state)
        next = state.next
        state.next = nil
        isEnding = state.isEnding
      }
      if let next { writer.adopt(next.take()) }
      for entry in taken where !writer.write(AuditLog.line(entry)) {
        // What a line counts that was lost itself is counted already.
        let count = entry.event.kind == .dropped ? entry.event.count : 1
        if entry.event.kind != .dropped { lost.add() }
        state.withLock { $0.dropped += count }
      }
    }
  }

  private static func summaries(_ state: inout State) -> [Entry] {
    let time = microseconds()
    var found = state.sieve.summaries(now: state.isEnding ? .max : EventLoop.monotonicNanoseconds()).map {
      var event = AuditEvent(.suppressed, .failure)
      event.agent = $0.agent
      event.address = $0.address
      event.count = $0.count
      event.reason = "repeated"
      return Entry(event: event, time: time)
    }
    if state.dropped > 0 {
      var event = AuditEvent(.dropped, .failure)
      event.count = state.dropped
      state.dropped = 0
      found.append(Entry(event: event, time: time))
    }
    return found
  }

  private static func line(_ entry: Entry) -> [UInt8] {
    let time = ByteWriter.bytes(capacity: LogTime.textBytes) {
      LogTime(microseconds: entry.time).write(to: &$0)
    }
    return AuditLine.json(entry.event, time: String(decoding: time, as: UTF8.self))
  }

  private static func microseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(max(0, time.tv_sec)) &* 1_000_000 &+ UInt64(max(0, time.tv_nsec) / 1000)
  }
}

/// Writes lines. Of the audit thread.
struct AuditWriter: ~Copyable {
  private let logger: Logger
  private var outlet: AuditOutlet
  /// A line was cut, by a write that failed or before this process began: the next begins on a line of its own.
  private var isCut: Bool
  private var isFailing = false

  /// Blocks on the file's disk.
  init(_ outlet: consuming AuditOutlet, logger: Logger) {
    isCut = outlet.endsInLine ?? false
    self.outlet = outlet
    self.logger = logger
  }

  /// From now on lines go there. Blocks on the file's disk.
  mutating func adopt(_ next: consuming AuditOutlet) {
    // Standard error doesn't say how it ends: it is as it was left.
    isCut = next.endsInLine ?? (isCut && next.descriptor == outlet.descriptor)
    outlet = next
  }

  /// Closes the file.
  mutating func end() { adopt(.log) }

  /// - Returns: whether all of it was written.
  mutating func write(_ line: [UInt8]) -> Bool {
    guard outlet.descriptor >= 0 else {
      logger.notice("audit \(String(decoding: line.dropLast(), as: UTF8.self))")
      return true
    }
    let descriptor = outlet.descriptor
    let whole = isCut ? [UInt8(ascii: "\n")] + line : line
    let written = whole.withUnsafeBytes { bytes in
      var at = 0
      while at < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + at }, bytes.count - at)
        if count > 0 { at += count } else if count < 0, errno == EINTR { continue } else { break }
      }
      return at
    }
    if written == whole.count {
      isCut = false
      if isFailing { logger.notice("audit lines can be written again") }
      isFailing = false
      return true
    }
    let cause = String(cString: strerror(errno))
    // A single byte may be the end that a line was given which was cut before.
    if written > 0 { isCut = !isCut || written > 1 }
    // Once, not for each line: what is lost is counted.
    if !isFailing { logger.error("audit lines can't be written: \(cause)") }
    isFailing = true
    return false
  }
}

/// A semaphore (sem_overview(7)) that is posted by any thread, and waited for by one.
final class Semaphore: @unchecked Sendable {
  private let semaphore: UnsafeMutablePointer<sem_t>

  init() {
    semaphore = .allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func post() { sem_post(semaphore) }

  func wait() { while sem_wait(semaphore) != 0, errno == EINTR {} }

  func wait(nanoseconds: UInt64) { MonotonicWait.wait(semaphore, nanoseconds: nanoseconds) }
}
