internal import Bytes
internal import Locks
internal import Model
internal import Telemetry
internal import WAL

/// Decisions on locks on their way into the log, and who waits for one. Home thread.
struct LockJournal {
  /// What is decided together, and stands in one batch: events, and requests that are answered once they are durable.
  struct Entry {
    var events: ArraySlice<LockEvent>
    /// Of the first event; without any, of the event that the answers depend on.
    var position: Position
    var logTime: LogTime
    var requests: [LockRequest] = []
  }

  /// What a start owes to the holders of locks: an event that gives them their full time again.
  enum Debt { case none, due, written(Position) }

  var owed = Debt.none
  var isBegun = false
  var entries = Ring<Entry>()
  var waiting: [LockTicket: LockRequest] = [:]
  var lastTicket: UInt64 = 0
  /// Used again from command to command.
  var effects = LockEffects()
  /// When `alarmRang` comes.
  var alarm = UInt64.max
  /// The server ends: nobody waits any more.
  var endsWaits = false

  var isIdle: Bool { entries.isEmpty && waiting.isEmpty }

  mutating func removeAll() {
    entries.removeAll()
    waiting.removeAll()
  }

  /// Empties the journal.
  /// - Returns: the requests in it, and those that wait, in the order in which they came.
  mutating func takeRequests() -> [LockRequest] {
    var taken: [LockRequest] = []
    while let entry = entries.popFirst() { taken += entry.requests }
    taken += waiting.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
    waiting.removeAll()
    return taken
  }
}

extension Home {
  // MARK: Commands

  func place(lock request: LockRequest) -> Bool {
    if request.isAbandoned {
      refuse(request, Home.connectionGone)
      return true
    }
    switch request.command {
    case .acquire(let acquisition): acquire(acquisition, request)
    case .renew(let path, let id, let agent, let ttl):
      let change = decideLocks { table, moment, effects in
        path.withUnsafeBytes {
          table.renew($0, lockID: id, agent: agent, ttlMicroseconds: ttl, moment, &effects)
        }
      }
      answer(request, change, orNone: Problem(.lockNotHeld, "nobody holds the lock")) { .renewed($0) }
    case .release(let path, let id, let agent, let isForced):
      let change = decideLocks { table, moment, effects in
        path.withUnsafeBytes {
          table.release($0, agent: agent, lockID: id, isForced: isForced, moment, &effects)
        }
      }
      answer(request, change, orNone: Home.noLock) { .released($0) }
    case .find(let path):
      if let lock = path.withUnsafeBytes({ sequencer.locks.lock($0) }), request.sees(path) {
        request.awaited = .found(lock)
      } else {
        request.refusal = Home.noLock
      }
      answer(request, after: sequencer.lastLockPosition)
    case .list(let prefix, let agent, let after, let limit):
      request.awaited = .listed(
        sequencer.locks.list(
          prefix: prefix, agent: agent, after: after, limit: limit, sees: request.visibility))
      answer(request, after: sequencer.lastLockPosition)
    }
    // What is decided needs no second placing: what finds no room waits in the journal.
    _ = writeLocks()
    leaveLane(request)
    return true
  }

  private func acquire(_ acquisition: LockAcquisition, _ request: LockRequest) {
    var acquisition = acquisition
    acquisition.random = surroundings?.randomBits() ?? 0
    if locks.endsWaits || request.endsWait { acquisition.waitNanoseconds = 0 }
    locks.lastTicket += 1
    let ticket = LockTicket(locks.lastTicket)
    request.ticket = ticket
    locks.waiting[ticket] = request
    decideLocks { table, moment, effects in table.acquire(acquisition, ticket, moment, &effects) }
  }

  /// Answers a change of one lock once it is durable, or says why there is none.
  private func answer(
    _ request: LockRequest, _ change: LockChange, orNone problem: Problem,
    _ outcome: (LockState) -> LockOutcome
  ) {
    switch change {
    case .done(let lock): request.awaited = outcome(lock)
    case .notHeld(let lock):
      request.refusal = Problem(
        .lockNotHeld, "the lock is not held as the request says",
        members: request.sees(lock.path) ? Home.members(of: lock) : [])
    case .none: request.refusal = problem
    }
    answer(request, after: sequencer.lastLockPosition)
  }

  private func answer(_ request: LockRequest, after position: Position) {
    locks.entries.append(
      LockJournal.Entry(events: [], position: position, logTime: sequencer.logTime, requests: [request]))
  }

  /// The connection is gone: the request waits no more. What it was granted is for its loop to release.
  public func abandon(_ request: LockRequest) {
    guard let ticket = request.ticket else {
      // What is on its way changes nobody's turn yet.
      if case .acquire = request.command { request.isAbandoned = true }
      return
    }
    forget(request, ticket, Home.connectionGone)
  }

  /// The end of its connection would not be seen, so that it must not wait: it gets what it can have at once, and if it
  /// waits already, it does so no more.
  public func endWait(_ request: LockRequest) {
    guard let ticket = request.ticket else {
      request.endsWait = true
      return
    }
    forget(
      request, ticket,
      Problem(.unavailable, "too much was sent behind a request that waits for a lock: it waits no more"))
  }

  private func forget(_ request: LockRequest, _ ticket: LockTicket, _ problem: Problem) {
    // What is due comes first: it may be the grant, and a lock that is due must not be prolonged by the next waiter's.
    _ = settleLocks()
    guard locks.waiting[ticket] === request else { return }
    decideLocks { table, moment, effects in table.forget(ticket, moment, &effects) }
    locks.waiting[ticket] = nil
    refuse(request, problem)
    _ = writeLocks()
  }

  /// The server is about to end: who waits for a lock is told so, and nobody waits from here on.
  package func endWaits() {
    locks.endsWaits = true
    decideLocks { table, _, effects in table.cancelWaiters(&effects) }
    _ = writeLocks()
  }

  // MARK: Time

  /// A lock or a wait for one is due.
  public func alarmRang() {
    locks.alarm = .max
    _ = settleLocks()
  }

  /// Has the world wake this home when the next lock is due. An alarm that comes too early does no harm.
  func setAlarm() {
    guard let due = sequencer.locks.nextDeadline, due < locks.alarm, state != .failed else { return }
    locks.alarm = due
    surroundings?.setAlarm(at: due)
  }

  /// Emits what is due, and writes what is decided. False: there is no room for that until a batch is sealed.
  func settleLocks() -> Bool {
    if case .due = locks.owed { return restart() && settleLocks() }
    if let due = sequencer.locks.nextDeadline, let now = surroundings?.monotonicClock, due <= now {
      decideLocks { table, moment, effects in table.expire(moment, &effects) }
    }
    return locks.entries.isEmpty || writeLocks()
  }

  // MARK: A start

  /// The loop runs: what the start owes is written. `begun` says when that is durable.
  public func begin() {
    _ = settleLocks()
    if case .none = locks.owed { sayBegun() }
  }

  /// A recovered log: locks that were held are held for their full time from now on, once an event says so.
  func oweRestart() {
    if sequencer.locks.heldCount > 0 { locks.owed = .due }
  }

  /// Breaks a rule, so that tests can show that it would be noticed: locks have their full time again, and no event
  /// says so. Before `begin`.
  package func forgoRestart() {
    guard case .due = locks.owed, let surroundings else { return }
    sequencer.locks.restart(
      LockMoment(
        monotonic: surroundings.monotonicClock, logTime: sequencer.logTime, position: sequencer.tail.next))
    locks.owed = .none
  }

  private func restart() -> Bool {
    guard let memory = reserve(LockEncoder.restartBytes) else { return false }
    let (position, logTime) = sequencer.restartLocks(
      wallClock: surroundings?.wallClock ?? 0, monotonic: surroundings?.monotonicClock ?? 0)
    builder.commit(LockEncoder.encodeRestart(position: position, logTime: logTime, into: memory))
    locks.owed = .written(position)
    return true
  }

  /// Everything up to `head` is durable.
  func payDebt(_ head: Position) {
    guard case .written(let position) = locks.owed, position <= head else { return }
    locks.owed = .none
    sayBegun()
  }

  private func sayBegun() {
    guard !locks.isBegun else { return }
    locks.isBegun = true
    surroundings?.begun()
  }

  // MARK: Into the log

  /// Decides a command on locks, after what is due; what follows from it stands in the journal.
  @discardableResult
  private func decideLocks<Result>(
    _ body: (inout LockTable, LockMoment, inout LockEffects) -> Result
  ) -> Result {
    locks.effects.removeAll()
    let first = sequencer.tail.next
    let result = sequencer.changeLocks(
      wallClock: surroundings?.wallClock ?? 0, monotonic: surroundings?.monotonicClock ?? 0, &locks.effects,
      body)
    record(locks.effects, from: first)
    return result
  }

  /// Enters events and answers into the journal: those of one answer together.
  private func record(_ effects: LockEffects, from first: Position) {
    var next = 0
    func enter(_ end: Int, _ requests: [LockRequest] = []) {
      let position = next < end ? Position(first.rawValue + UInt64(next)) : sequencer.lastLockPosition
      locks.entries.append(
        LockJournal.Entry(
          events: effects.events[next..<end], position: position, logTime: sequencer.logTime,
          requests: requests))
      next = end
    }
    for reply in effects.replies {
      while next < reply.firstEvent { enter(next + 1) }
      let request = locks.waiting.removeValue(forKey: reply.ticket)
      if let request { settle(request, reply.answer) }
      enter(reply.firstEvent + reply.eventCount, request.map { [$0] } ?? [])
    }
    while next < effects.events.count { enter(next + 1) }
  }

  private func settle(_ request: LockRequest, _ answer: LockAnswer) {
    switch answer {
    case .granted(let locks, let fresh): request.awaited = .granted(locks, fresh: fresh)
    case .held(let obstacle):
      let path = String(decoding: obstacle.path, as: UTF8.self)
      // The path is the request's own; the lock may be another one, for which somebody else waits.
      request.refusal = Problem(
        .lockHeld,
        obstacle.waiter == nil || !request.sees(obstacle.path)
          ? "the lock \(path) is held by another agent" : "others wait for the lock \(path), and come first",
        members: obstacle.lock.map { request.sees($0.path) ? Home.members(of: $0) : [] } ?? [])
    case .deadlock where request.visibility != nil:
      // The circle may lead over locks of which the caller is to know nothing.
      request.refusal = Problem(.deadlock, "the wait would never end")
    case .deadlock(let cycle):
      let agents = cycle.map { String(decoding: $0, as: UTF8.self) }
      request.refusal = Problem(
        .deadlock, "the wait would never end: \(agents.joined(separator: " waits for "))",
        members: [.init("cycle", .texts(agents))])
    case .tooMany:
      request.refusal = Problem(
        .rateLimited, "the agent holds or waits for \(agentLocksMax) locks already")
    case .full: request.refusal = Problem(.unavailable, "too many locks are held or waited for; try again")
    case .cancelled: request.refusal = Home.stopped
    }
  }

  /// Encodes what stands in the journal into the open batch. False: some of it finds no room until that is sealed.
  private func writeLocks() -> Bool {
    while let entry = locks.entries.first {
      if entry.events.isEmpty {
        for request in entry.requests { wait(request, for: entry.position) }
        _ = locks.entries.popFirst()
        continue
      }
      let bytes = entry.events.reduce(0) { $0 + LockEncoder.bytesMax($1.lock) + 8 }
      guard let memory = reserve(bytes) else { return false }
      var cursor = memory
      var position = entry.position
      var left = UInt32(entry.events.count)
      for event in entry.events {
        left -= 1
        cursor = builder.commit(
          LockEncoder.encode(
            event.action, event.lock, position: position, logTime: entry.logTime, requestRemainder: left,
            into: cursor, capacity: memory + bytes - cursor))
        position = position.next
      }
      metrics.lockEvents.add(UInt64(entry.events.count))
      openRequests.append(contentsOf: entry.requests)
      _ = locks.entries.popFirst()
    }
    return true
  }

  // MARK: Answers

  private static var connectionGone: Problem { Problem(.unavailable, "the connection is gone") }
  private static var noLock: Problem { Problem(.notFound, "there is no such lock") }

  private static func members(of lock: LockState) -> [Problem.Member] {
    [
      .init("holder_agent", .text(String(decoding: lock.holder, as: UTF8.self))),
      .init("expires_at", .text("\(lock.expiresAt)")),
    ]
  }
}
