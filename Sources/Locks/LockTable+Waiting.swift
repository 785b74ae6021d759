internal import Bytes
internal import Model

// Queues of paths: who waits, whose turn it is, and what stands in the way.
extension LockTable {
  /// Requests that were waited for one after the other are told to this depth, so that one refusal costs little.
  private static let chainMax = 100

  // MARK: Queues

  mutating func wait(
    _ request: LockAcquisition, _ ticket: LockTicket, _ numbers: [Int], _ agent: Int, until deadline: UInt64
  ) {
    precondition(waiterNumbers[ticket] == nil, "a request waits under this ticket")
    let waiter = freeWaiters.popLast() ?? waiters.count
    if waiter == waiters.count { waiters.append(nil) }
    arrivals += 1
    let bytes = Self.bytes(of: request)
    waiters[waiter] = Waiter(
      ticket: ticket, request: request, agent: agent, arrival: arrivals,
      links: numbers.map { append(waiter, to: $0) }, bytes: bytes)
    self.bytes += bytes
    waiterCount += 1
    waiterNumbers[ticket] = waiter
    agents[agent].waiters.append(waiter)
    deadlines.insert(2 * waiter + 1, deadline: deadline, rank: 1 << 63 | arrivals)
  }

  private mutating func append(_ waiter: Int, to path: Int) -> Int {
    let link = freeLinks.popLast() ?? links.count
    let new = Link(waiter: waiter, arrival: arrivals, path: path, previous: paths[path].last)
    if link == links.count { links.append(new) } else { links[link] = new }
    if new.previous >= 0 { links[new.previous].next = link } else { paths[path].first = link }
    paths[path].last = link
    return link
  }

  /// Takes a waiter out of all queues. Those who are first now are candidates.
  @discardableResult
  mutating func remove(_ number: Int, isGranted: Bool = false) -> Waiter? {
    guard let waiter = waiters[number] else { return nil }
    waiters[number] = nil
    freeWaiters.append(number)
    waiterNumbers[waiter.ticket] = nil
    waiterCount -= 1
    bytes -= waiter.bytes
    deadlines.remove(2 * number + 1)
    agents[waiter.agent].waiters.removeAll { $0 == number }
    for link in waiter.links {
      let old = links[link]
      freeLinks.append(link)
      if old.next >= 0 {
        links[old.next].previous = old.previous
      } else {
        paths[old.path].last = old.previous
      }
      if old.previous >= 0 {
        links[old.previous].next = old.next
      } else {
        paths[old.path].first = old.next
        if old.next >= 0 { candidates.append(links[old.next].waiter) }
      }
      if !isGranted { forgetIfIdle(path: old.path) }
    }
    if !isGranted { forgetIfIdle(agent: waiter.agent) }
    return waiter
  }

  /// The paths' numbers of a waiter, in the order of its request.
  func numbers(_ waiter: Waiter) -> [Int] { waiter.links.map { links[$0].path } }

  // MARK: Turns

  /// Grants whoever can be, in the order in which they came, and refuses whom the changes have caught in a cycle, until
  /// nobody is left whom the command concerns.
  mutating func settle(_ turn: Turn, _ effects: inout LockEffects) {
    while !candidates.isEmpty || !suspects.isEmpty {
      if !candidates.isEmpty {
        let number = candidates.remove(at: earliest(candidates))
        if let waiter = waiters[number], isNext(waiter) { grant(number, turn, &effects) }
        continue
      }
      let number = suspects.remove(at: earliest(suspects))
      guard let waiter = waiters[number],
        let cycle = cycle(of: waiter.agent, waitingFor: numbers(waiter), since: waiter.arrival)
      else { continue }
      remove(number)
      reply(waiter.ticket, .deadlock(cycle), from: effects.events.count, &effects)
    }
  }

  /// Where in a list of waiters, not empty, that one stands that came first. (One that is gone may come before.)
  private func earliest(_ list: [Int]) -> Int {
    var found = 0
    for n in list.indices where arrival(list[n]) < arrival(list[found]) { found = n }
    return found
  }

  private func arrival(_ waiter: Int) -> UInt64 { waiters[waiter]?.arrival ?? 0 }

  /// Whether each of a waiter's paths is its agent's, or free and the waiter the first in its queue.
  private func isNext(_ waiter: Waiter) -> Bool {
    waiter.links.allSatisfy { link in
      let path = paths[links[link].path]
      return path.holder == waiter.agent || (path.holder < 0 && path.first == link)
    }
  }

  private mutating func grant(_ number: Int, _ turn: Turn, _ effects: inout LockEffects) {
    guard let waiter = waiters[number] else { return }
    let numbers = numbers(waiter)
    remove(number, isGranted: true)
    let first = effects.events.count
    let answer = grant(waiter.request, numbers, waiter.agent, turn, &effects)
    reply(waiter.ticket, answer, from: first, &effects)
    // Other requests of the agent may have waited for no more than what it holds now.
    candidates += waitersOfAgent(waiter.agent) { numbers.contains($0) }
  }

  /// Waiters of an agent that name a path of which `test` holds.
  private func waitersOfAgent(_ agent: Int, naming test: (Int) -> Bool) -> [Int] {
    agents[agent].waiters.filter { waiters[$0]?.links.contains { test(links[$0].path) } == true }
  }

  // MARK: Holding

  mutating func hold(_ number: Int, _ agent: Int, _ lock: LockState, until deadline: UInt64) {
    paths[number].lock = lock
    paths[number].holder = agent
    agents[agent].held.append(number)
    deadlines.insert(2 * number, deadline: deadline, rank: lock.token.rawValue & (1 << 63 - 1))
    order.insert(lock.path)
    heldCount += 1
    bytes += Self.bytes(of: lock.path, lock.holder, lock.metadata)
  }

  mutating func set(_ number: Int, _ lock: LockState, until deadline: UInt64) {
    paths[number].lock = lock
    deadlines.move(2 * number, to: deadline)
  }

  /// Takes a lock from its holder. The first in the path's queue is a candidate; requests of the holder that name the
  /// path beside others, and counted on it, are suspects.
  mutating func drop(_ number: Int) -> LockState? {
    guard let lock = paths[number].lock else { return nil }
    let holder = paths[number].holder
    paths[number].lock = nil
    paths[number].holder = -1
    if let place = agents[holder].held.lastIndex(of: number) { agents[holder].held.remove(at: place) }
    deadlines.remove(2 * number)
    order.remove(lock.path)
    heldCount -= 1
    bytes -= Self.bytes(of: lock.path, lock.holder, lock.metadata)
    if paths[number].first >= 0 {
      candidates.append(links[paths[number].first].waiter)
      suspects += waitersOfAgent(holder) { $0 == number }
    }
    forgetIfIdle(path: number)
    forgetIfIdle(agent: holder)
    return lock
  }

  // MARK: Obstacles

  /// What stands in the way of a request that comes, or came, as number `arrival`: a lock, or else a request that came
  /// before.
  func obstacle(to names: [[UInt8]], _ numbers: [Int], _ agent: Int, _ arrival: UInt64) -> LockObstacle {
    if let index = numbers.firstIndex(where: { paths[$0].holder >= 0 && paths[$0].holder != agent }) {
      return LockObstacle(path: names[index], lock: paths[numbers[index]].lock, waiter: nil)
    }
    for (index, number) in numbers.enumerated() {
      guard let earlier = waiterAhead(number, agent, arrival) else { continue }
      return LockObstacle(
        path: names[index], lock: lock(before: earlier), waiter: earlier.request.agent)
    }
    return LockObstacle(path: names.first ?? [], lock: nil, waiter: nil)
  }

  /// Who is first in the queue of a path that the agent doesn't hold, if it came before `arrival`.
  private func waiterAhead(_ path: Int, _ agent: Int, _ arrival: UInt64) -> Waiter? {
    let first = paths[path].first
    guard paths[path].holder != agent, first >= 0, links[first].arrival < arrival else { return nil }
    return waiters[links[first].waiter]
  }

  /// The lock for which a waiter waits, or a waiter before it.
  private func lock(before waiter: Waiter) -> LockState? {
    var waiter = waiter
    for _ in 0..<Self.chainMax {
      let numbers = numbers(waiter)
      for number in numbers where paths[number].holder >= 0 && paths[number].holder != waiter.agent {
        return paths[number].lock
      }
      let ahead = numbers.lazy.compactMap { self.waiterAhead($0, waiter.agent, waiter.arrival) }.first
      guard let ahead else { return nil }
      waiter = ahead
    }
    return nil
  }

  // MARK: Numbers

  mutating func number(of path: [UInt8]) -> Int {
    let (number, isNew) = pathNumbers.insert(path)
    if isNew {
      if number == paths.count { paths.append(Path()) } else { paths[number] = Path() }
      paths[number].isKnown = true
    }
    return number
  }

  mutating func agentNumber(of agent: [UInt8]) -> Int {
    let (number, isNew) = agentNumbers.insert(agent)
    // Of an agent that was here before, the lists' memory stays.
    if isNew, number == agents.count { agents.append(Agent()) }
    return number
  }

  mutating func forgetIfIdle(path number: Int) {
    guard paths[number].isKnown, paths[number].holder < 0, paths[number].first < 0 else { return }
    paths[number].isKnown = false
    pathNumbers.remove(number)
  }

  mutating func forgetIfIdle(agent number: Int) {
    guard agents[number].held.isEmpty, agents[number].waiters.isEmpty else { return }
    agentNumbers.remove(number)
  }

  // MARK: Arithmetic

  /// Times come from clients and from disk: a sum that is too large is the latest time.
  static func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }

  static func deadline(_ monotonic: UInt64, _ ttlMicroseconds: UInt64) -> UInt64 {
    let (nanoseconds, overflow) = ttlMicroseconds.multipliedReportingOverflow(by: 1000)
    return overflow ? .max : sum(monotonic, nanoseconds)
  }

  /// Other bits for each lock of a request (the last steps of SplitMix64).
  static func mixed(_ random: UInt64, _ token: Position) -> UInt64 {
    var word = random &+ token.rawValue &* 0x9e37_79b9_7f4a_7c15
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
  }

  static func bytes(of path: [UInt8], _ holder: [UInt8], _ metadata: [UInt8]) -> Int {
    path.count + holder.count + metadata.count + MemoryLayout<Path>.stride
  }

  /// What all locks of a request will take.
  static func bytes(of request: LockAcquisition) -> Int {
    request.paths.reduce(0) { $0 + bytes(of: $1, request.agent, request.metadata) }
  }
}
