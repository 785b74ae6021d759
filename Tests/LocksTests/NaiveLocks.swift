import Model

@testable import Locks

/// The rules of locks, said once more as plainly as possible: lists that are searched from end to end.
struct NaiveLocks {
  struct Held {
    var lock: LockState
    var deadline: UInt64
  }

  struct Waiting {
    var ticket: LockTicket
    var request: LockAcquisition
    var deadline: UInt64
    var arrival: Int
  }

  var agentLocksMax: Int
  var pathsMax: Int
  var waitersMax: Int
  var held: [Held] = []
  /// In order of arrival.
  var waiting: [Waiting] = []
  private var arrivals = 0
  /// Who has lost which path during the command.
  private var lost: [(agent: [UInt8], path: [UInt8])] = []

  /// Of the command under way.
  var moment = LockMoment(monotonic: 0, logTime: LogTime(microseconds: 0), position: Position(1))
  var events: [LockEvent] = []
  var replies: [LockReply] = []

  init(agentLocksMax: Int, pathsMax: Int, waitersMax: Int) {
    self.agentLocksMax = agentLocksMax
    self.pathsMax = pathsMax
    self.waitersMax = waitersMax
  }

  mutating func begin(_ moment: LockMoment) {
    self.moment = moment
    events = []
    replies = []
    lost = []
  }

  func holder(_ path: [UInt8]) -> [UInt8]? { held.first { $0.lock.path == path }?.lock.holder }

  /// Paths of a request that its agent doesn't hold.
  func missing(_ request: LockAcquisition) -> [[UInt8]] {
    request.paths.filter { holder($0) != request.agent }
  }

  /// Whether every path is free and asked for by nobody who came before, or held by who asks.
  func canBeGranted(_ request: LockAcquisition, arrival: Int) -> Bool {
    missing(request).allSatisfy { path in
      holder(path) == nil && !waiting.contains { $0.arrival < arrival && $0.request.paths.contains(path) }
    }
  }

  /// The agents for which a request waits.
  func blockers(_ request: LockAcquisition, arrival: Int) -> Set<[UInt8]> {
    var found: Set<[UInt8]> = []
    for path in missing(request) {
      if let holder = holder(path) { found.insert(holder) }
      for other in waiting where other.arrival < arrival && other.request.paths.contains(path) {
        found.insert(other.request.agent)
      }
    }
    found.remove(request.agent)
    return found
  }

  /// The agents for which an agent waits.
  func blockers(of agent: [UInt8]) -> Set<[UInt8]> {
    waiting.filter { $0.request.agent == agent }
      .reduce(into: []) { $0.formUnion(blockers($1.request, arrival: $1.arrival)) }
  }

  /// Whether one of these agents waits, over others, for `agent`.
  func leads(from agents: Set<[UInt8]>, to agent: [UInt8]) -> Bool {
    var seen = agents
    var rest = Array(agents)
    while let next = rest.popLast() {
      if next == agent { return true }
      for other in blockers(of: next) where seen.insert(other).inserted { rest.append(other) }
    }
    return false
  }

  var hasCycle: Bool {
    Set(waiting.map(\.request.agent)).contains { leads(from: blockers(of: $0), to: $0) }
  }

  var nextDeadline: UInt64? { (held.map(\.deadline) + waiting.map(\.deadline)).min() }

  // MARK: Commands

  mutating func expire() {
    while true {
      let lock = held.min { ($0.deadline, $0.lock.token) < ($1.deadline, $1.lock.token) }
      let wait = waiting.min { ($0.deadline, $0.arrival) < ($1.deadline, $1.arrival) }
      let lockDue = lock?.deadline ?? .max
      let waitDue = wait?.deadline ?? .max
      guard min(lockDue, waitDue) <= moment.monotonic else { return }
      if let lock, lockDue <= waitDue {
        lose(lock.lock.path, .expired)
      } else if let wait {
        let obstacle = obstacle(wait.request, arrival: wait.arrival)
        waiting.removeAll { $0.ticket == wait.ticket }
        answer(wait.ticket, .held(obstacle), from: events.count)
      }
      settle()
    }
  }

  mutating func acquire(_ request: LockAcquisition, _ ticket: LockTicket) {
    let first = events.count
    let isFree = canBeGranted(request, arrival: .max)
    let missing = missing(request)
    let known = Set(held.map(\.lock.path) + waiting.flatMap(\.request.paths))
    let mine = waiting.filter { $0.request.agent == request.agent }
    let count =
      held.count { $0.lock.holder == request.agent } + missing.count
      + mine.reduce(0) { $0 + self.missing($1.request).count }
    if !isFree, request.waitNanoseconds == 0 {
      answer(ticket, .held(obstacle(request, arrival: .max)), from: first)
    } else if !missing.isEmpty, count > agentLocksMax {
      answer(ticket, .tooMany, from: first)
    } else if !missing.isEmpty, known.union(request.paths).count > pathsMax {
      answer(ticket, .full, from: first)
    } else if isFree {
      grant(request, ticket)
    } else if waiting.count >= waitersMax {
      answer(ticket, .full, from: first)
    } else if leads(from: blockers(request, arrival: .max), to: request.agent) {
      answer(ticket, .deadlock([]), from: first)
    } else {
      arrivals += 1
      waiting.append(
        Waiting(
          ticket: ticket, request: request, deadline: moment.monotonic + request.waitNanoseconds,
          arrival: arrivals))
    }
  }

  mutating func renew(_ path: [UInt8], ttlMicroseconds: UInt64) {
    guard let index = held.firstIndex(where: { $0.lock.path == path }) else { return }
    held[index].deadline = moment.monotonic + ttlMicroseconds * 1000
    held[index].lock.ttlMicroseconds = ttlMicroseconds
    held[index].lock.expiresAt = LogTime(microseconds: moment.logTime.microseconds + ttlMicroseconds)
    events.append(LockEvent(action: .renewed, lock: held[index].lock))
  }

  mutating func release(_ path: [UInt8]) {
    lose(path, .released)
    settle()
  }

  mutating func forget(_ ticket: LockTicket) {
    waiting.removeAll { $0.ticket == ticket }
    settle()
  }

  mutating func cancelWaiters() {
    for waiter in waiting { answer(waiter.ticket, .cancelled, from: events.count) }
    waiting = []
  }

  mutating func restart() {
    for index in held.indices {
      let ttl = held[index].lock.ttlMicroseconds
      held[index].deadline = moment.monotonic + ttl * 1000
      held[index].lock.expiresAt = LogTime(microseconds: moment.logTime.microseconds + ttl)
    }
  }

  // MARK: Steps

  private mutating func lose(_ path: [UInt8], _ action: LockAction) {
    guard let index = held.firstIndex(where: { $0.lock.path == path }) else { return }
    let lock = held.remove(at: index).lock
    lost.append((lock.holder, path))
    events.append(LockEvent(action: action, lock: lock))
  }

  private mutating func settle() {
    while true {
      if let next = waiting.first(where: { canBeGranted($0.request, arrival: $0.arrival) }) {
        waiting.removeAll { $0.ticket == next.ticket }
        grant(next.request, next.ticket)
        continue
      }
      let caught = waiting.first { waiter in
        lost.contains { $0.agent == waiter.request.agent && waiter.request.paths.contains($0.path) }
          && leads(from: blockers(waiter.request, arrival: waiter.arrival), to: waiter.request.agent)
      }
      guard let caught else { return }
      waiting.removeAll { $0.ticket == caught.ticket }
      answer(caught.ticket, .deadlock([]), from: events.count)
    }
  }

  private mutating func grant(_ request: LockAcquisition, _ ticket: LockTicket) {
    let first = events.count
    let fresh = missing(request)
    let deadline = moment.monotonic + request.ttlMicroseconds * 1000
    let expiry = LogTime(microseconds: moment.logTime.microseconds + request.ttlMicroseconds)
    for path in request.paths.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      if let index = held.firstIndex(where: { $0.lock.path == path }) {
        guard held[index].deadline < deadline else { continue }
        held[index].deadline = deadline
        held[index].lock.ttlMicroseconds = request.ttlMicroseconds
        held[index].lock.expiresAt = max(expiry, held[index].lock.expiresAt)
        events.append(LockEvent(action: .renewed, lock: held[index].lock))
      } else {
        let lock = LockState(
          path: path, holder: request.agent, id: UnitID(high: 0, low: 0),
          token: Position(moment.position.rawValue + UInt64(events.count)),
          ttlMicroseconds: request.ttlMicroseconds, acquiredAt: moment.logTime, expiresAt: expiry,
          metadata: request.metadata)
        held.append(Held(lock: lock, deadline: deadline))
        events.append(LockEvent(action: .acquired, lock: lock))
      }
    }
    let locks = request.paths.compactMap { path in held.first { $0.lock.path == path }?.lock }
    answer(ticket, .granted(locks, fresh: locks.filter { fresh.contains($0.path) }), from: first)
  }

  private mutating func answer(_ ticket: LockTicket, _ answer: LockAnswer, from first: Int) {
    replies.append(
      LockReply(ticket: ticket, answer: answer, firstEvent: first, eventCount: events.count - first))
  }

  private func lock(_ path: [UInt8]) -> LockState? { held.first { $0.lock.path == path }?.lock }

  private func obstacle(_ request: LockAcquisition, arrival: Int) -> LockObstacle {
    let missing = missing(request)
    if let path = missing.first(where: { holder($0) != nil }) {
      return LockObstacle(path: path, lock: lock(path), waiter: nil)
    }
    for path in missing {
      let ahead = waiting.first { $0.arrival < arrival && $0.request.paths.contains(path) }
      guard let ahead else { continue }
      let behind = obstacle(ahead.request, arrival: ahead.arrival)
      return LockObstacle(path: path, lock: behind.lock, waiter: ahead.request.agent)
    }
    return LockObstacle(path: [], lock: nil, waiter: nil)
  }
}
