internal import CIOUring
internal import Glibc
internal import Synchronization

extension EventLoop {
  /// Starts the loop's thread, "engram-loop-N". Once.
  public func start() {
    let argument = Unmanaged.passRetained(self).toOpaque()
    life.withLock { life in
      precondition(life == .made, "a loop is started once")
      var thread = pthread_t()
      let result = pthread_create(&thread, nil, EventLoop.threadMain, argument)
      guard result == 0 else { fatalError("pthread_create: \(String(cString: strerror(result)))") }
      life = .running(UInt(thread))
    }
  }

  /// Asks the loop to end: it aborts its sockets and listeners, lets disk writes finish, runs the jobs that
  /// come of it, and its thread ends when the last completion is in. Any thread; returns at once.
  public func stop() {
    stopRequested.store(true, ordering: .sequentiallyConsistent)
    wakeIfAsleep()
  }

  /// Waits until the thread, if there is one, has ended, and drops what was posted since: it may hold the loop.
  /// Any thread but the loop's.
  public func join() {
    precondition(!isOnLoop, "a loop can't wait for itself")
    life.withLock { life in
      guard case .running(let thread) = life else { return }
      pthread_join(pthread_t(thread), nil)
      life = .joined
    }
    // Let go of outside the lock: the last to hold something may post.
    _ = inbox.withLock { inbox in
      defer { inbox = Inbox() }
      return inbox.work
    }
  }

  private static let threadMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
    guard let argument = $0 else { return nil }
    Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue().run()
    return nil
  }

  private func run() {
    engram_name_thread("engram-loop-\(index)")
    engram_set_current_loop(Unmanaged.passUnretained(self).toOpaque())
    do {
      try ring.enable()
    } catch {
      fatalError("\(error)")
    }
    armWake()
    while !isFinished { turn() }
    ring.close()
    peers = []
    engram_set_current_loop(nil)
  }

  private func turn() {
    counters.turns.add()
    enter()
    now = engram_monotonic_ns()
    forgiveStop()
    desk?.beginTurn()
    let notified =
      sleep.exchange(SleepState.running, ordering: .sequentiallyConsistent) == SleepState.notified
    let reaped = ring.reap { completion in dispatch(completion) }
    counters.completions.add(UInt64(reaped))
    lastReaped = reaped
    fireTimers()
    if notified {
      drainInbox()
      if stopRequested.load(ordering: .relaxed) { beginStop() }
    }
    delegate?.turnDidReap(self)
    runJobs()
    if let desk { takeUpWaiting(desk) }
    rearmStarved()
    flushDirty()
    delegate?.turnWillSubmit(self)
    flushDirty()
    flushPatient()
  }

  /// Submits and waits. The sends of this turn complete at once, as a rule: waiting for one completion more than
  /// they bring spares a turn that would find nothing else. Under load a few more are gathered, but not while a
  /// durable write is under way, whose end somebody waits for. Both only for as long as `gatherMicroseconds`.
  private func enter() {
    let timeout = waitTime()
    var wanted = 1
    var gather: UInt32 = 0
    if canGather, timeout > 0 {
      wanted += preparedSends
      if lastReaped >= options.gatherAfter, diskWritesInFlight == 0 { wanted += lastReaped / 4 }
      wanted = min(wanted, options.completionEntries / 2)
      if wanted > 1 { gather = options.gatherMicroseconds }
    }
    preparedSends = 0
    ring.enter(timeout: timeout, wanted: wanted, gather: gather)
  }

  /// How long the coming enter may wait, in ns: not at all when there is work, else until the next timer.
  private func waitTime() -> UInt64 {
    if !jobs.isEmpty || !patient.isEmpty { return 0 }
    if !starved.isEmpty, ring.buffers.available > 0 { return 0 }
    if desk?.hasWork == true { return 0 }
    var timeout = UInt64.max
    if let next = wheel.next {
      let due = origin &+ next &* options.timerTick
      let present = engram_monotonic_ns()
      guard due > present else { return 0 }
      timeout = due - present
    }
    let (asleep, _) = sleep.compareExchange(
      expected: SleepState.running, desired: SleepState.sleeping, ordering: .sequentiallyConsistent)
    return asleep ? timeout : 0
  }

  /// Later for its next timer than `latenessMax`, the thread was not let run: stopped (SIGSTOP), suspended with its
  /// machine, or starved. Peers are not to blame for that, so its clock takes this time as not passed: or else
  /// every time-out would fire at once, before what the peers sent meanwhile is read.
  private func forgiveStop() {
    guard let next = wheel.next else { return }
    let due = origin &+ next &* options.timerTick
    guard now > due, now - due > options.latenessMax else { return }
    engram_lose_time(now - due)
    counters.lostNanoseconds.add(now - due)
    now = due
  }

  private func fireTimers() {
    wheel.advance(to: (now - origin) / options.timerTick)
    while let (target, tag) = wheel.popDue() { target.timerFired(tag: tag) }
  }

  private func dispatch(_ completion: engram_completion) {
    let tag = Tag(raw: completion.tag)
    switch tag.kind {
    case .ignored, .wakeMessage: return
    case .wakeRead:
      wakeIsArmed = false
      if !stopAnnounced { armWake() }
    case .wakeFailed:
      let peer = Int(tag.slot)
      if peer < peers.count { peers[peer].writeWake() }
    case .receive, .send, .socketCancel, .socketClose, .accept, .listenerCancel, .diskWrite, .diskSync:
      if completion.flags & UInt32(IORING_CQE_F_MORE) == 0 { outstanding -= 1 }
      if let resident = slots.resident(tag.slot, tag.generation) {
        resident.completed(tag.kind, completion.result, completion.flags)
      } else if completion.flags & UInt32(IORING_CQE_F_BUFFER) != 0 {
        // The socket is gone, the buffer is not: back to the kernel with it.
        let id = UInt16(truncatingIfNeeded: completion.flags >> UInt32(IORING_CQE_BUFFER_SHIFT))
        if ring.buffers.take(id) != nil { ring.buffers.give(id) }
      }
    }
  }

  private func rearmStarved() {
    var room = min(ring.buffers.available, starved.count)
    while room > 0, let raw = starved.popFirst() {
      room -= 1
      let tag = Tag(raw: raw)
      slots.resident(tag.slot, tag.generation)?.buffersReturned()
    }
  }

  /// Handshakes that found no time when their bytes came, and connections that found no buffer.
  private func takeUpWaiting(_ desk: TLSDesk) {
    while desk.hasTime, let raw = desk.waiting.popFirst() {
      let tag = Tag(raw: raw)
      slots.resident(tag.slot, tag.generation)?.takeUpWaiting()
    }
    var room = min(desk.plaintext.available, desk.starved.count)
    while room > 0, let raw = desk.starved.popFirst() {
      room -= 1
      let tag = Tag(raw: raw)
      slots.resident(tag.slot, tag.generation)?.takeUpWaiting()
    }
  }

  private func flushDirty() {
    while let raw = dirty.popFirst() {
      let tag = Tag(raw: raw)
      slots.resident(tag.slot, tag.generation)?.flush()
    }
  }

  /// A send costs the kernel several microseconds: a thousand of them in one enter would keep the next durable write,
  /// and everybody's answers, waiting.
  private func flushPatient() {
    var left = options.patientSendsPerTurnMax
    while left > 0, let raw = patient.popFirst() {
      left -= 1
      let tag = Tag(raw: raw)
      slots.resident(tag.slot, tag.generation)?.flush()
    }
  }

  // MARK: - Stopping

  private func beginStop() {
    guard !isStopping else { return }
    isStopping = true
    for resident in slots.all() { resident.loopIsStopping() }
  }

  /// Everything has ended; the wake read is the last to be cancelled, because all the rest may need waking.
  private var isFinished: Bool {
    guard isStopping, outstanding == 0, slots.count == 0, jobs.isEmpty,
      inbox.withLock({ $0.isEmpty })
    else { return false }
    if wakeIsArmed, !stopAnnounced {
      stopAnnounced = true
      engram_prep_cancel(ring.submission(), Tag(.wakeRead).raw, true, Tag(.ignored).raw)
    }
    return !wakeIsArmed
  }

  /// Takes a submission for an operation whose last completion the loop waits for before it ends.
  func countedSubmission() -> Ring.Submission {
    outstanding += 1
    return ring.submission()
  }
}
