internal import Bytes
internal import Model

extension LockTable {
  /// Searches, breadth first, from the requests that a request depends on: does one of them wait for its agent?
  ///
  /// Every queue is walked along once at most, and only by agents that the request depends on.
  /// - Parameters:
  ///   - numbers: the paths of the request.
  ///   - arrival: those who came before that number are before it in each queue.
  /// - Returns: the agents of a shortest cycle: first who asks, then whom it waits for, and so on.
  mutating func cycle(of start: Int, waitingFor numbers: [Int], since arrival: UInt64) -> [[UInt8]]? {
    guard isWaitedFor(start) else { return nil }
    searches += 1
    var reached: [Int] = []
    // Not marked as seen: `start` passes over its own requests here, which others wait for.
    for number in numbers where paths[number].holder != start {
      visit(paths[number].holder, from: start, &reached)
      var link = paths[number].first
      while link >= 0, links[link].arrival < arrival {
        let agent = waiters[links[link].waiter]?.agent ?? start
        if agent != start { visit(agent, from: start, &reached) }
        link = links[link].next
      }
    }
    var next = 0
    while next < reached.count {
      let agent = reached[next]
      next += 1
      if expand(agent, until: start, &reached) { return names(from: agent, to: start) }
    }
    return nil
  }

  /// Whether anybody else waits behind this agent at all. Else it can be in no cycle.
  private func isWaitedFor(_ agent: Int) -> Bool {
    agents[agent].held.contains { paths[$0].first >= 0 }
      || agents[agent].waiters.contains { waiter in
        waiters[waiter]?.links.contains { isFollowed($0, byOthersThan: agent) } == true
      }
  }

  /// Where the next in the queue is the agent's own, that one is looked at in its turn.
  private func isFollowed(_ link: Int, byOthersThan agent: Int) -> Bool {
    let next = links[link].next
    return next >= 0 && waiters[links[next].waiter]?.agent != agent
  }

  /// Reaches all agents that this one waits for. True if `start` is one of them.
  private mutating func expand(_ agent: Int, until start: Int, _ reached: inout [Int]) -> Bool {
    for index in agents[agent].waiters.indices {
      guard let waiter = waiters[agents[agent].waiters[index]] else { continue }
      for link in waiter.links {
        let path = links[link].path
        let holder = paths[path].holder
        guard holder != agent else { continue }
        if holder == start { return true }
        visit(holder, from: agent, &reached)
        if paths[path].search != searches {
          paths[path].search = searches
          paths[path].unseen = paths[path].first
        }
        var other = paths[path].unseen
        while other >= 0, links[other].arrival < waiter.arrival {
          let earlier = waiters[links[other].waiter]?.agent ?? agent
          if earlier == start { return true }
          visit(earlier, from: agent, &reached)
          other = links[other].next
        }
        paths[path].unseen = other
      }
    }
    return false
  }

  /// Notes that an agent is waited for; -1 is nobody.
  private mutating func visit(_ agent: Int, from: Int, _ reached: inout [Int]) {
    guard agent >= 0, agents[agent].search != searches else { return }
    agents[agent].search = searches
    agents[agent].reachedFrom = from
    reached.append(agent)
  }

  private func names(from last: Int, to start: Int) -> [[UInt8]] {
    var cycle: [[UInt8]] = []
    var agent = last
    while agent != start {
      cycle.append(agentNumbers.key(agent))
      agent = agents[agent].reachedFrom
    }
    cycle.append(agentNumbers.key(start))
    return cycle.reversed()
  }
}
