internal import Bytes
public import Model

/// Who holds and who waits for which path. A value without clock, chance or I/O: the caller brings moment and random
/// bits, and writes the events to the log.
///
/// Rules. A path has one holder. A request gets all of its paths or none. Who comes first is served first: nobody is
/// granted a path for which a request that came before waits; what an agent holds already it needn't be granted, so
/// there nobody is overtaken. A wait that would close a cycle is refused.
///
/// The graph of waits has agents as nodes. For each path of its waiting requests that it doesn't hold, an agent waits
/// for the holder, and for the agents of the requests for it that came before. When can a cycle come to be?
/// - A new wait: searched for before it is let wait.
/// - A grant to agent B: whoever waits for that path came later (else B would not be served), so it waited for B before.
/// - A release, an expiry, an end of a wait: these take edges away, but for one case. If the agent that loses a lock has
///   a request waiting that names this path among others, then it must get the path anew and now waits for those who
///   came before, one of whom may wait for it elsewhere. Such requests are searched again, and refused if they close a
///   cycle (`suspects`).
///
/// Cost: constant but for one step in a heap and one in a sorted list per lock; a search for cycles walks along all
/// requests that the new one depends on, and only if somebody waits for its agent.
///
/// Before each command the caller calls `expire` with the same moment, then moves `LockMoment.position` behind the
/// events that this emitted.
public struct LockTable {
  /// A path that is held or waited for.
  struct Path {
    var isKnown = false
    var lock: LockState?
    /// The holder's number, or -1.
    var holder = -1
    /// Links of the first and the last request that waits for it, or -1.
    var first = -1
    var last = -1
    /// Of the last search: its number, and the first link that it has not seen.
    var search: UInt64 = 0
    var unseen = -1
  }

  /// An agent that holds or waits.
  struct Agent {
    var held: [Int] = []
    var waiters: [Int] = []
    /// Of the last search that came here: its number, and the agent that it came from.
    var search: UInt64 = 0
    var reachedFrom = -1
  }

  /// A request that waits.
  struct Waiter {
    var ticket: LockTicket
    var request: LockAcquisition
    var agent: Int
    /// Requests wait in the order of this number.
    var arrival: UInt64
    /// One per path, in the order of the request.
    var links: [Int]
    var bytes: Int
  }

  /// A waiter's place in a path's queue.
  struct Link {
    var waiter: Int
    var arrival: UInt64
    var path: Int
    var previous = -1
    var next = -1
  }

  /// One call: its moment, and where its events begin.
  struct Turn {
    var moment: LockMoment
    var firstEvent: Int

    init(_ moment: LockMoment, _ effects: LockEffects) {
      self.moment = moment
      firstEvent = effects.events.count
    }

    /// Of the next event.
    func position(_ effects: LockEffects) -> Position {
      Position(moment.position.rawValue + UInt64(effects.events.count - firstEvent))
    }
  }

  /// The table's limits; tests choose smaller ones.
  struct Bounds {
    var agentLocks = Limits.agentLocksMax
    var paths = Limits.locksMax
    var waiters = Limits.lockWaitersMax
    var bytes = Limits.lockBytesMax
  }

  private(set) var bounds: Bounds
  /// Paths that one agent may hold and wait for. Who has more when it is lowered keeps them.
  public var agentLocksMax: Int {
    get { bounds.agentLocks }
    set { bounds.agentLocks = newValue }
  }
  var pathNumbers = ByteTable()
  var paths: ContiguousArray<Path> = []
  var agentNumbers = ByteTable()
  var agents: ContiguousArray<Agent> = []
  var waiters: ContiguousArray<Waiter?> = []
  var freeWaiters: [Int] = []
  var links: ContiguousArray<Link> = []
  var freeLinks: [Int] = []
  var waiterNumbers: [LockTicket: Int] = [:]
  /// Items: twice a path's number, or twice a waiter's and one.
  var deadlines = DeadlineHeap()
  /// Paths that are held.
  var order = PathOrder()
  var arrivals: UInt64 = 0
  var searches: UInt64 = 0
  /// Requests that may be granted now; those that may close a cycle now.
  var candidates: [Int] = []
  var suspects: [Int] = []
  /// What locks and waiting requests take in memory, about.
  var bytes = 0

  /// Locks that are held.
  public internal(set) var heldCount = 0
  /// Requests that wait.
  public internal(set) var waiterCount = 0

  public init() { self.init(Bounds()) }

  init(_ bounds: Bounds) { self.bounds = bounds }

  /// When `expire` has something to do next, in nanoseconds of the monotonic clock.
  public var nextDeadline: UInt64? { deadlines.first.flatMap { $0.deadline == .max ? nil : $0.deadline } }

  // MARK: Commands

  /// Does what is due, in the order in which it fell due: locks expire (at their deadline, not behind it), waits end
  /// (answered `held`), and those who can be are granted what became free.
  public mutating func expire(_ moment: LockMoment, _ effects: inout LockEffects) {
    let turn = Turn(moment, effects)
    while let due = deadlines.first, due.deadline <= moment.monotonic {
      if due.item & 1 == 0 {
        guard let lock = drop(due.item / 2) else { return }
        effects.events.append(LockEvent(action: .expired, lock: lock))
      } else {
        guard let waiter = waiters[due.item / 2] else { return }
        let obstacle = obstacle(to: waiter.request.paths, numbers(waiter), waiter.agent, waiter.arrival)
        remove(due.item / 2)
        reply(waiter.ticket, .held(obstacle), from: effects.events.count, &effects)
      }
      settle(turn, &effects)
    }
  }

  /// Grants all of the request's paths, refuses it, or lets it wait: then its answer is among the effects of a later
  /// call. Requires a ticket under which nothing waits, and distinct paths.
  public mutating func acquire(
    _ request: LockAcquisition, _ ticket: LockTicket, _ moment: LockMoment, _ effects: inout LockEffects
  ) {
    let numbers = request.paths.map { number(of: $0) }
    let agent = agentNumber(of: request.agent)
    let turn = Turn(moment, effects)
    let firstEvent = effects.events.count
    if let answer = refusal(of: request, numbers, agent) {
      for number in numbers { forgetIfIdle(path: number) }
      forgetIfIdle(agent: agent)
      reply(ticket, answer, from: firstEvent, &effects)
    } else if isBlocked(numbers, agent) {
      wait(request, ticket, numbers, agent, until: Self.sum(moment.monotonic, request.waitNanoseconds))
    } else {
      let answer = grant(request, numbers, agent, turn, &effects)
      forgetIfIdle(agent: agent)
      reply(ticket, answer, from: firstEvent, &effects)
    }
  }

  /// Gives a lock this time to live from now on, be it more or less than it had.
  /// - Parameters:
  ///   - agent: who must hold it; nil: whoever has its id.
  ///   - ttlMicroseconds: nil: what it was given last.
  public mutating func renew(
    _ path: UnsafeRawBufferPointer, lockID: UnitID, agent: [UInt8]?, ttlMicroseconds: UInt64?,
    _ moment: LockMoment, _ effects: inout LockEffects
  ) -> LockChange {
    guard let number = pathNumbers.find(path), let lock = paths[number].lock else { return .none }
    guard lock.id == lockID, agent == nil || agent == lock.holder else { return .notHeld(lock) }
    let ttl = ttlMicroseconds ?? lock.ttlMicroseconds
    let renewed = Self.renewed(lock, ttl, moment)
    set(number, renewed, until: Self.deadline(moment.monotonic, ttl))
    effects.events.append(LockEvent(action: .renewed, lock: renewed))
    return .done(renewed)
  }

  /// Releases a lock, and grants what becomes free.
  /// - Parameters:
  ///   - agent: who must hold it, unless `isForced`.
  ///   - lockID: which lock it must be, even if `isForced`; nil: any. One of both must be given, unless `isForced`.
  public mutating func release(
    _ path: UnsafeRawBufferPointer, agent: [UInt8]?, lockID: UnitID?, isForced: Bool, _ moment: LockMoment,
    _ effects: inout LockEffects
  ) -> LockChange {
    guard let number = pathNumbers.find(path), let lock = paths[number].lock else { return .none }
    let isNamed = lockID.map { $0 == lock.id } ?? (isForced || agent != nil)
    guard isNamed, isForced || agent == nil || agent == lock.holder, let lock = drop(number) else {
      return .notHeld(lock)
    }
    let turn = Turn(moment, effects)
    effects.events.append(LockEvent(action: .released, lock: lock))
    settle(turn, &effects)
    return .done(lock)
  }

  /// Forgets a request that waits, without an answer; those behind it may be granted. Nothing, if none waits.
  public mutating func forget(_ ticket: LockTicket, _ moment: LockMoment, _ effects: inout LockEffects) {
    guard let number = waiterNumbers[ticket] else { return }
    remove(number)
    settle(Turn(moment, effects), &effects)
  }

  /// Answers all who wait with `cancelled`, in the order in which they came.
  public mutating func cancelWaiters(_ effects: inout LockEffects) {
    let all = waiters.compactMap(\.self).sorted { $0.arrival < $1.arrival }
    for waiter in all {
      guard let number = waiterNumbers[waiter.ticket] else { continue }
      remove(number)
      reply(waiter.ticket, .cancelled, from: effects.events.count, &effects)
    }
    candidates.removeAll()
  }

  // MARK: Deciding

  /// Why a request is neither granted nor let wait.
  private mutating func refusal(
    of request: LockAcquisition, _ numbers: [Int], _ agent: Int
  ) -> LockAnswer? {
    let isBlocked = isBlocked(numbers, agent)
    if isBlocked, request.waitNanoseconds == 0 {
      return .held(obstacle(to: request.paths, numbers, agent, .max))
    }
    let wanted = numbers.count { paths[$0].holder != agent }
    guard wanted > 0 else { return nil }
    if agents[agent].held.count + agents[agent].waiters.reduce(wanted, { $0 + missing($1) })
      > bounds.agentLocks
    {
      return .tooMany
    }
    if pathNumbers.count > bounds.paths || bytes + Self.bytes(of: request) > bounds.bytes { return .full }
    guard isBlocked else { return nil }
    if waiterCount >= bounds.waiters { return .full }
    return cycle(of: agent, waitingFor: numbers, since: .max).map { .deadlock($0) }
  }

  /// Paths of a waiting request that its agent doesn't hold.
  private func missing(_ waiter: Int) -> Int {
    guard let waiter = waiters[waiter] else { return 0 }
    return waiter.links.count { paths[links[$0].path].holder != waiter.agent }
  }

  /// Whether a request that comes now can't be granted.
  private func isBlocked(_ numbers: [Int], _ agent: Int) -> Bool {
    numbers.contains { paths[$0].holder != agent && (paths[$0].holder >= 0 || paths[$0].first >= 0) }
  }

  /// Grants the request, in the order of its paths' bytes; answers in the order given.
  mutating func grant(
    _ request: LockAcquisition, _ numbers: [Int], _ agent: Int, _ turn: Turn, _ effects: inout LockEffects
  ) -> LockAnswer {
    var inOrder = Array(numbers.indices)
    if inOrder.count > 1 {
      inOrder.sort { PathOrder.precedes(request.paths[$0], request.paths[$1]) }
    }
    var isFresh = [Bool](repeating: false, count: numbers.count)
    for index in inOrder {
      let number = numbers[index]
      if paths[number].holder == agent {
        extend(number, request.ttlMicroseconds, turn, &effects)
      } else {
        hold(number, agent, request, turn, &effects)
        isFresh[index] = true
      }
    }
    let locks = numbers.compactMap { paths[$0].lock }
    let fresh = isFresh.allSatisfy(\.self) ? locks : zip(locks, isFresh).filter(\.1).map(\.0)
    return .granted(locks, fresh: fresh)
  }

  private mutating func hold(
    _ number: Int, _ agent: Int, _ request: LockAcquisition, _ turn: Turn, _ effects: inout LockEffects
  ) {
    let token = turn.position(effects)
    let time = turn.moment.logTime
    let lock = LockState(
      path: pathNumbers.key(number), holder: agentNumbers.key(agent),
      id: UnitID.make(logTime: time, random: Self.mixed(request.random, token)), token: token,
      ttlMicroseconds: request.ttlMicroseconds, acquiredAt: time,
      expiresAt: LogTime(microseconds: Self.sum(time.microseconds, request.ttlMicroseconds)),
      metadata: request.metadata)
    effects.events.append(LockEvent(action: .acquired, lock: lock))
    hold(number, agent, lock, until: Self.deadline(turn.moment.monotonic, request.ttlMicroseconds))
  }

  /// What an agent acquires again lasts until the later of old and new expiry.
  private mutating func extend(
    _ number: Int, _ ttlMicroseconds: UInt64, _ turn: Turn, _ effects: inout LockEffects
  ) {
    let deadline = Self.deadline(turn.moment.monotonic, ttlMicroseconds)
    guard let old = deadlines.deadline(of: 2 * number), let lock = paths[number].lock, deadline > old else {
      return
    }
    var renewed = Self.renewed(lock, ttlMicroseconds, turn.moment)
    // Log time can stand still while the monotonic clock runs on: nothing that was promised is taken back.
    renewed.expiresAt = max(renewed.expiresAt, lock.expiresAt)
    set(number, renewed, until: deadline)
    effects.events.append(LockEvent(action: .renewed, lock: renewed))
  }

  private static func renewed(
    _ lock: LockState, _ ttlMicroseconds: UInt64, _ moment: LockMoment
  ) -> LockState {
    var lock = lock
    lock.ttlMicroseconds = ttlMicroseconds
    lock.expiresAt = LogTime(microseconds: sum(moment.logTime.microseconds, ttlMicroseconds))
    return lock
  }

  func reply(_ ticket: LockTicket, _ answer: LockAnswer, from first: Int, _ effects: inout LockEffects) {
    effects.replies.append(
      LockReply(ticket: ticket, answer: answer, firstEvent: first, eventCount: effects.events.count - first))
  }
}
