/// How long a connection may take for what: a value, asked with the moment and what has moved since, that says what is
/// to be done. Times in nanoseconds of the loop's clock.
struct ConnectionClock {
  /// What the peer is to do next.
  enum Phase: Equatable {
    /// Say something at all: nothing was received since it connected.
    case silent
    /// Ask again.
    case idle
    /// End the head that it has begun.
    case head
    /// Send a body.
    case body
    /// Nothing: it is waited upon.
    case handling
    /// Take its last answer.
    case over
  }

  /// Why a connection is ended by the clock.
  enum Lapse: Int, CaseIterable {
    case silence, idleness, head, body, bodyPace, stall, answerPace

    var name: String {
      switch self {
      case .silence: "silence"
      case .idleness: "idle"
      case .head: "head"
      case .body: "body"
      case .bodyPace: "body_pace"
      case .stall: "stall"
      case .answerPace: "answer_pace"
      }
    }
  }

  enum Verdict: Equatable {
    /// Look again at that time.
    case waits(until: UInt64)
    /// Close: nobody waits for an answer.
    case closes(Lapse)
    /// Answer 408, then close.
    case refuses(Lapse)
    /// Cut: the peer doesn't take what it is told.
    case cuts(Lapse)
  }

  /// What has moved.
  struct State {
    var phase: Phase
    /// When the phase began.
    var began: UInt64
    /// When bytes last arrived.
    var received: UInt64
    /// Bytes of the body that have.
    var bodyBytes: UInt64 = 0
    /// Bytes that wait to be sent.
    var queuedBytes = 0
    /// When the kernel last took some.
    var sent: UInt64 = 0
    /// How many it has taken in all.
    var sentBytes: UInt64 = 0
    /// The peers of all connections together have much to read, and this one more than its share: then it has to read
    /// faster.
    var isStrained = false
  }

  private var pace = AnswerPace()

  /// Nothing waits to be sent any more.
  mutating func drained() { pace = AnswerPace() }

  mutating func look(_ state: State, now: UInt64, _ limits: ConnectionLimits) -> Verdict {
    var next: (due: UInt64, verdict: Verdict)
    var look = now &+ limits.lookNanoseconds
    switch state.phase {
    case .silent: next = (state.began &+ limits.firstRequestNanoseconds, .closes(.silence))
    case .idle: next = (state.began &+ limits.idleNanoseconds, .closes(.idleness))
    case .head: next = (state.began &+ limits.headNanoseconds, .refuses(.head))
    case .body: next = bodyDue(state, limits)
    case .handling, .over:
      next = (look, .waits(until: look))
    }
    if state.queuedBytes > 0 {
      let stalled = state.sent &+ limits.stallNanoseconds
      if stalled <= now { return .cuts(.stall) }
      if pace.isTooSlow(state, now: now, limits) { return .cuts(.answerPace) }
      if stalled < next.due { next = (stalled, .cuts(.stall)) }
      if let due = pace.due(state, limits) { look = min(look, due) }
    } else {
      drained()
      if state.phase == .over { return .cuts(.stall) }
    }
    if next.due <= now { return next.verdict }
    return .waits(until: min(next.due, look))
  }

  /// A body has to come at all, in time, and after a while at a pace: a byte every now and then isn't one.
  private func bodyDue(_ state: State, _ limits: ConnectionLimits) -> (UInt64, Verdict) {
    let stalled = max(state.began, state.received) &+ limits.bodyNanoseconds
    let whole = state.began &+ limits.bodyTotalNanoseconds
    guard limits.bodyBytesPerSecondMin > 0 else { return (min(stalled, whole), .refuses(.body)) }
    let paced = state.bodyBytes.multipliedReportingOverflow(by: 1_000_000_000)
    let allowed = paced.overflow ? .max : paced.partialValue / limits.bodyBytesPerSecondMin
    let (due, isLate) = (state.began &+ limits.bodyNanoseconds).addingReportingOverflow(allowed)
    if !isLate, due < min(stalled, whole) { return (due, .refuses(.bodyPace)) }
    return (min(stalled, whole), .refuses(.body))
  }
}

/// Whether a peer takes its answers at a pace: a byte a second of 16 MiB would hold them for half a year. Measured over
/// windows, since a receiver's window opens in steps. A value.
struct AnswerPace {
  private var began: UInt64?
  private var sentBytes: UInt64 = 0

  mutating func isTooSlow(_ state: ConnectionClock.State, now: UInt64, _ limits: ConnectionLimits) -> Bool {
    guard limits.answerBytesPerSecondMin > 0 else { return false }
    guard let began else {
      self.began = now
      sentBytes = state.sentBytes
      return false
    }
    // Under strain the pace is that of somebody who does read.
    let pace =
      state.isStrained
      ? max(limits.answerBytesPerSecondMin, limits.strainedBytesPerSecondMin) : limits.answerBytesPerSecondMin
    let elapsed = now &- began
    guard elapsed >= AnswerPace.window(state, limits) else { return false }
    let (needed, overflow) = (elapsed / 1_000_000).multipliedReportingOverflow(by: pace)
    if overflow || state.sentBytes &- sentBytes < needed / 1000 { return true }
    self.began = now
    sentBytes = state.sentBytes
    return false
  }

  /// When the window that has begun ends.
  func due(_ state: ConnectionClock.State, _ limits: ConnectionLimits) -> UInt64? {
    began.map { $0 &+ AnswerPace.window(state, limits) }
  }

  /// Shorter under strain.
  private static func window(_ state: ConnectionClock.State, _ limits: ConnectionLimits) -> UInt64 {
    state.isStrained ? limits.stallNanoseconds / 3 : limits.stallNanoseconds
  }
}
