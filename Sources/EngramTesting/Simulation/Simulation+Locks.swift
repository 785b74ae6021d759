internal import Engine
internal import Locks
internal import Model

/// A connection whose agent works with locks: one request at a time, as a server's handler makes them.
struct LockClient {
  /// Limits of what is drawn.
  static let paths = 4
  static let agents = 5

  let loop: Int
  let agent: [UInt8]
  var request: LockRequest?
  /// In what order requests came.
  var arrival: UInt64 = 0
  /// Outcome at the home; the connection's loop may not know yet.
  var isDecided = false
  /// The connection is gone; what it is granted is released.
  var isDropped = false
  /// Locks that it was granted, also those that it has lost since.
  var known: [LockState] = []
  /// What a connection that is gone was granted.
  var owed: [LockState] = []
  /// Held in durable history when the request was submitted.
  var held: [[UInt8]: Position] = [:]
}

/// What clients do with locks, and what they may be told.
extension Simulation {
  static func path(_ number: Int) -> [UInt8] { [UInt8]("repo/\(number)".utf8) }

  func useLocks(_ process: SimulatedProcess) {
    let index = draw.below(lockClients.count)
    if let request = lockClients[index].request {
      guard case .acquire = request.command, draw.oneIn(4), !lockClients[index].isDropped else { return }
      lockClients[index].isDropped = true
      trace.note(.dropped, UInt64(index))
      counts.dropped += 1
      return process.home.abandon(request)
    }
    guard lockClients[index].owed.isEmpty else { return giveBack(index, to: process) }
    submit(drawCommand(index), by: index, to: process)
  }

  /// Releases what a connection was granted that is gone, as a server's handler does.
  func giveBack(_ index: Int, to process: SimulatedProcess) {
    guard let lock = lockClients[index].owed.popLast() else { return }
    submit(
      .release(path: lock.path, id: lock.id, agent: lock.holder, isForced: false), by: index, to: process)
  }

  private func drawCommand(_ index: Int) -> LockRequest.Command {
    let client = lockClients[index]
    let path = Self.path(draw.below(LockClient.paths))
    switch draw.below(20) {
    case 0..<10: return .acquire(acquisition(client.agent, path))
    case 10..<13:
      guard let lock = drawKnown(client) else { return .find(path: path) }
      return .renew(
        path: lock.path, id: lock.id, agent: draw.oneIn(2) ? client.agent : nil,
        ttlMicroseconds: draw.oneIn(4) ? nil : 1_000 + UInt64(draw.below(40_000)))
    case 13..<16:
      guard let lock = drawKnown(client) else { return .find(path: path) }
      return .release(
        path: lock.path, id: draw.oneIn(2) ? lock.id : nil, agent: client.agent, isForced: false)
    case 16:
      return .release(path: path, id: nil, agent: draw.oneIn(2) ? client.agent : nil, isForced: true)
    case 17: return .release(path: path, id: nil, agent: client.agent, isForced: false)
    case 18: return .find(path: path)
    default: return .list(prefix: [], agent: draw.oneIn(2) ? client.agent : nil, after: nil, limit: 100)
    }
  }

  private func drawKnown(_ client: LockClient) -> LockState? {
    guard !client.known.isEmpty else { return nil }
    // Mostly the newest, which may well be held.
    return draw.oneIn(4) ? client.known[draw.below(client.known.count)] : client.known.last
  }

  private func acquisition(_ agent: [UInt8], _ first: [UInt8]) -> LockAcquisition {
    var paths = [first]
    for _ in 0..<(draw.oneIn(2) ? 1 + draw.below(3) : 0) {
      let other = Self.path(draw.below(LockClient.paths))
      if !paths.contains(other) { paths.append(other) }
    }
    // Now and then large, so that events find no room.
    let padding = draw.oneIn(12) ? draw.below(12_000) : draw.below(40)
    return LockAcquisition(
      paths: paths, agent: agent, ttlMicroseconds: 1_000 + UInt64(draw.below(40_000)),
      waitNanoseconds: draw.oneIn(5) ? 0 : UInt64(draw.below(30_000_000)),
      metadata: [UInt8]("{\"k\":\"\(String(repeating: "m", count: padding))\"}".utf8), random: 0)
  }

  private func submit(_ command: LockRequest.Command, by index: Int, to process: SimulatedProcess) {
    let request = LockRequest(command, loop: lockClients[index].loop)
    arrivals += 1
    lockClients[index].request = request
    lockClients[index].arrival = arrivals
    lockClients[index].isDecided = false
    lockClients[index].isDropped = false
    lockClients[index].held = model.locks.held.mapValues(\.recorded.token)
    trace.note(.lock, UInt64(index), process.home.tail.rawValue)
    process.home.submit(request)
    if broken == .grantsBeforeSync { grantEarly(request, index, process) }
  }

  /// Breaks the rule: tells of a grant as soon as it is decided.
  private func grantEarly(_ request: LockRequest, _ index: Int, _ process: SimulatedProcess) {
    guard case .acquire(let wanted) = request.command, request.outcome == nil else { return }
    let locks = wanted.paths.compactMap { path in
      path.withUnsafeBytes { process.home.sequencer.locks.lock($0) }
    }
    guard locks.count == wanted.paths.count, locks.allSatisfy({ $0.holder == wanted.agent }) else { return }
    checkGrant(locks, wanted)
  }

  // MARK: Answers

  /// The home has decided and made durable; the connection's loop learns of it later.
  func decided(_ request: LockRequest) {
    guard let index = lockClients.firstIndex(where: { $0.request === request }) else {
      return violate("a request for locks is answered twice, or by a process that is dead")
    }
    lockClients[index].isDecided = true
    if case .granted(_, let fresh) = request.outcome {
      for lock in fresh { granted.append((lock.path, lockClients[index].arrival)) }
    }
  }

  /// Nobody who came later was granted a path for which an earlier one still waits. At the end of a step.
  func checkTurns() {
    for (path, arrival) in granted {
      for client in lockClients where !client.isDecided && client.arrival < arrival {
        guard case .acquire(let wanted)? = client.request?.command, !client.isDropped else { continue }
        if wanted.paths.contains(path) {
          violate(
            "request \(arrival) is granted \(String(decoding: path, as: UTF8.self)) before \(client.arrival)")
        }
      }
    }
    granted.removeAll(keepingCapacity: true)
  }

  func answered(_ request: LockRequest) {
    guard let index = lockClients.firstIndex(where: { $0.request === request }) else {
      return violate("a request for locks is answered twice, or by a process that is dead")
    }
    lockClients[index].request = nil
    switch (request.outcome, request.command) {
    case (.granted(let locks, let fresh), .acquire(let wanted)):
      counts.grants += 1
      trace.note(.granted, UInt64(index), locks.first?.token.rawValue ?? 0)
      checkGrant(locks, wanted)
      if !fresh.allSatisfy({ locks.contains($0) }) { violate("what is fresh isn't granted") }
      if Set(fresh.map { requestEnd($0.token) }).count > 1 {
        violate("a crash could take back some of what is granted")
      }
      if lockClients[index].isDropped {
        lockClients[index].owed += fresh
      } else {
        lockClients[index].known = lockClients[index].known.suffix(6) + locks
      }
    case (.renewed(let lock), .renew(let path, let id, _, let ttl)):
      trace.note(.renewed, UInt64(index), lock.token.rawValue)
      check(lock)
      if lock.path != path || lock.id != id || lock.ttlMicroseconds != ttl ?? lock.ttlMicroseconds {
        violate("another lock is renewed")
      }
    case (.released(let lock), .release(let path, _, _, _)):
      trace.note(.released, UInt64(index), lock.token.rawValue)
      check(lock)
      if lock.path != path || !model.locks.ended.contains(lock.token) {
        violate("told that token \(lock.token.rawValue) is released, which is not so in durable history")
      }
    case (.found(let lock), .find(let path)):
      check(lock)
      if lock.path != path { violate("another lock is found") }
    case (.listed(let page), .list):
      for lock in page.locks { check(lock) }
    case (.refused(let problem), _):
      trace.note(.refused, UInt64(index), UInt64(problem.status))
      refused(problem, lockClients[index], request)
    default: violate("a request for locks has another request's outcome")
    }
  }

  /// Where the events end that stand together with the one at `position`.
  private func requestEnd(_ position: Position) -> UInt64 {
    let remainder = model.record(position)?.withUnsafeBytes { EventView($0)?.requestRemainder } ?? 0
    return position.rawValue + UInt64(remainder)
  }

  private func check(_ lock: LockState) {
    if !model.knows(lock) { violate("token \(lock.token.rawValue) is told before it is durable") }
  }

  private func checkGrant(_ locks: [LockState], _ wanted: LockAcquisition) {
    for lock in locks { check(lock) }
    if locks.map(\.path) != wanted.paths || !locks.allSatisfy({ $0.holder == wanted.agent }) {
      violate("other locks are granted than were asked for")
    }
  }

  private func refused(_ problem: Problem, _ client: LockClient, _ request: LockRequest) {
    switch problem.code {
    case .lockHeld, .lockNotHeld:
      counts.lockRefusals += 1
      if problem.members.isEmpty { checkNotHeld(client, request) } else { checkMembers(problem) }
    case .notFound: checkNotHeld(client, request)
    case .deadlock:
      counts.deadlocks += 1
      guard case .texts(let cycle)? = problem.members.first?.value,
        cycle.contains(String(decoding: client.agent, as: UTF8.self))
      else { return violate("told of a cycle that the agent isn't in") }
    case .unavailable, .storageFull: break
    default: violate("locks are refused with \(problem.code.name): \(problem.detail)")
    }
  }

  /// Told that nobody holds the lock: who did when the request came doesn't any more.
  private func checkNotHeld(_ client: LockClient, _ request: LockRequest) {
    guard let path = Self.subject(request.command), let token = client.held[path] else { return }
    if !model.locks.ended.contains(token) { violate("a lock is lost that is held in durable history") }
  }

  private static func subject(_ command: LockRequest.Command) -> [UInt8]? {
    switch command {
    case .find(let path), .renew(let path, _, _, _), .release(let path, _, _, _): path
    case .acquire, .list: nil
    }
  }

  /// Who is told to hold a lock until when does so by a durable event.
  private func checkMembers(_ problem: Problem) {
    guard !problem.members.isEmpty else { return }
    let told = problem.members.map(\.value)
    let isDurable = model.locks.promises.contains { promise in
      told == [.text(String(decoding: promise.holder, as: UTF8.self)), .text("\(promise.expiresAt)")]
    }
    if !isDurable { violate("told of a holder that isn't durable: \(told)") }
  }

  // MARK: Lives

  /// What a start has recovered is what history holds.
  func checkRecoveredLocks() {
    guard let process else { return }
    func timeless(_ locks: [LockState]) -> [LockState] {
      locks.map { lock in
        var lock = lock
        lock.expiresAt = LogTime(microseconds: 0)
        return lock
      }
    }
    let found = process.home.sequencer.locks.list(limit: 1_000).locks
    if timeless(found) != timeless(model.locks.all) {
      violate("a start finds \(found.count) locks, history has \(model.locks.all.count), or others")
    }
  }

  /// Told by the home that its start owes nothing any more.
  func begun() {
    if model.locks.owesRestart { violate("ready before the restart is durable") }
  }
}
