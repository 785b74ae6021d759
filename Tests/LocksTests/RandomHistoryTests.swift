import Bytes
import EngramTesting
import Glibc
import Model
import Testing

@testable import Locks

/// Random histories against `NaiveLocks`. `ENGRAM_SEEDS` says how many seeds are run (2,000), `ENGRAM_SEED` runs a
/// single one again.
@Suite struct RandomHistoryTests {
  @Test(arguments: Self.parts) func histories(_ seeds: Range<Int>) {
    var total = Counts()
    for seed in seeds {
      var history = History(seed: UInt64(seed))
      if let fault = history.run(steps: 60) {
        Issue.record("seed \(seed), step \(history.step): \(fault)")
        return
      }
      total.add(history.counts)
    }
    // What never came to be was not tested.
    guard seeds.count >= 200 else { return }
    for (name, count) in total.all { #expect(count > seeds.count / 20, "\(name): \(count) times") }
    #expect(total.caught > 0, "nobody was caught in a cycle later")
  }

  static var parts: [Range<Int>] {
    if let seed = number("ENGRAM_SEED") { return [seed..<seed + 1] }
    let count = number("ENGRAM_SEEDS") ?? 2_000
    return stride(from: 0, to: count, by: 500).map { $0..<min($0 + 500, count) }
  }

  private static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }
}

private struct Counts {
  var granted = 0
  var afterWaiting = 0
  var held = 0
  var kept = 0
  var deadlocks = 0
  var tooMany = 0
  var full = 0
  var expired = 0
  var renewed = 0
  /// Requests that were refused as deadlocks after they had been let wait.
  var caught = 0

  var all: [(String, Int)] {
    [
      ("granted", granted), ("granted after waiting", afterWaiting), ("held", held),
      ("kept for another", kept), ("deadlocks", deadlocks), ("too many", tooMany), ("full", full),
      ("expired", expired), ("renewed", renewed),
    ]
  }

  mutating func add(_ other: Counts) {
    granted += other.granted
    afterWaiting += other.afterWaiting
    held += other.held
    kept += other.kept
    deadlocks += other.deadlocks
    tooMany += other.tooMany
    full += other.full
    expired += other.expired
    renewed += other.renewed
    caught += other.caught
  }
}

/// One history: the same commands go to the table and to the naive model.
private struct History {
  private var random: SeededRandom
  private var table: LockTable
  private var naive: NaiveLocks
  /// What replay makes of the table's events.
  private var replayed = LockTable()
  private var monotonic: UInt64 = 0
  private var logTime: UInt64 = 1_000_000
  private var position: UInt64 = 1
  private var lastToken: UInt64 = 0
  private var tickets: UInt64 = 0
  /// By token: ids are the table's own affair, but one each.
  private var ids: [UInt64: UnitID] = [:]
  private let paths: [[UInt8]]
  private let agents: [[UInt8]]
  /// Few agents that hold and wait for long, within wide limits: so that some lose what they counted on.
  private let isDense: Bool
  var counts = Counts()
  var step = 0

  init(seed: UInt64) {
    random = SeededRandom(seed: seed)
    isDense = random.oneIn(2)
    var bounds = LockTable.Bounds()
    bounds.agentLocks = isDense ? 20 : 3 + random.below(4)
    bounds.paths = isDense ? 8 : 4 + random.below(4)
    bounds.waiters = isDense ? 20 : 3 + random.below(8)
    table = LockTable(bounds)
    naive = NaiveLocks(
      agentLocksMax: bounds.agentLocks, pathsMax: bounds.paths, waitersMax: bounds.waiters)
    paths = ["b", "a", "a/b", "a/c", "c", "d", "a!"].prefix(3 + random.below(5)).map { Array($0.utf8) }
    agents = ["anna", "bob", "carl", "dora", "emil"].prefix(isDense ? 3 : 2 + random.below(4)).map {
      Array($0.utf8)
    }
  }

  /// Nil, or what differs.
  mutating func run(steps: Int) -> String? {
    for step in 0..<steps {
      self.step = step
      // Often none, so that deadlines coincide.
      let pause = UInt64([0, 0, 1, 1, 2, 5, 20][random.below(7)]) * 1_000_000
      monotonic += pause
      if !random.oneIn(4) { logTime += pause / 1000 }
      if let fault = perform(
        { table, moment, effects in table.expire(moment, &effects) }, { naive in naive.expire() })
      {
        return "expire: \(fault)"
      }
      if let fault = command() { return fault }
    }
    return nil
  }

  private mutating func command() -> String? {
    switch random.below(20) {
    case 0..<11: return acquire()
    case 11..<15: return release()
    case 15..<17: return renew()
    case 17..<18: return forget()
    case 18 where random.oneIn(8):
      return perform({ table, _, effects in table.cancelWaiters(&effects) }, { $0.cancelWaiters() })
    case 19 where random.oneIn(8): return restart()
    default: return nil
    }
  }

  private mutating func acquire() -> String? {
    var some = paths.shuffled(using: &random)
    some.removeLast(max(0, some.count - [1, 1, 1, 2, 2, 3, 4][random.below(7)]))
    tickets += 1
    let (ticket, agent) = (LockTicket(tickets), agents[random.below(agents.count)])
    let request = LockAcquisition(
      paths: some, agent: agent, ttlMicroseconds: UInt64(1 + random.below(isDense ? 200 : 30)) * 1000,
      waitNanoseconds: random.oneIn(3) ? 0 : UInt64(1 + random.below(isDense ? 400 : 40)) * 1_000_000,
      metadata: Array("{}".utf8), random: random.next())
    return perform(
      { table, moment, effects in table.acquire(request, ticket, moment, &effects) },
      { naive in naive.acquire(request, ticket) }
    ).map { "acquire: \($0)" }
  }

  private mutating func release() -> String? {
    let path = paths[random.below(paths.count)]
    let known = path.withUnsafeBytes { table.lock($0) }
    let agent = random.oneIn(3) ? agents[random.below(agents.count)] : known?.holder ?? agents[0]
    let isForced = random.oneIn(3)
    let id = random.oneIn(3) ? known?.id : nil
    var change = LockChange.none
    let fault = perform(
      { table, moment, effects in
        change = path.withUnsafeBytes {
          table.release($0, agent: agent, lockID: id, isForced: isForced, moment, &effects)
        }
      },
      { naive in if isForced || naive.holder(path) == agent { naive.release(path) } })
    if let fault { return "release: \(fault)" }
    guard let known else { return change == .none ? nil : "release of nothing: \(change)" }
    let expected: LockChange = isForced || agent == known.holder ? .done(known) : .notHeld(known)
    return change == expected ? nil : "release: \(change) instead of \(expected)"
  }

  private mutating func renew() -> String? {
    let path = paths[random.below(paths.count)]
    guard let known = path.withUnsafeBytes({ table.lock($0) }) else { return nil }
    let ttl = UInt64(1 + random.below(30)) * 1000
    let isOther = random.oneIn(4)
    let id = isOther ? UnitID(high: known.id.high, low: known.id.low ^ 1) : known.id
    return perform(
      { table, moment, effects in
        _ = path.withUnsafeBytes {
          table.renew($0, lockID: id, agent: nil, ttlMicroseconds: ttl, moment, &effects)
        }
      },
      { naive in if !isOther { naive.renew(path, ttlMicroseconds: ttl) } }
    ).map { "renew: \($0)" }
  }

  private mutating func forget() -> String? {
    guard !naive.waiting.isEmpty else { return nil }
    let ticket = naive.waiting[random.below(naive.waiting.count)].ticket
    return perform(
      { table, moment, effects in table.forget(ticket, moment, &effects) }, { $0.forget(ticket) }
    ).map { "forget: \($0)" }
  }

  private mutating func restart() -> String? {
    if let fault = perform({ table, _, effects in table.cancelWaiters(&effects) }, { $0.cancelWaiters() }) {
      return fault
    }
    // The clocks of the new process.
    monotonic = random.oneIn(2) ? 5_000_000 : monotonic
    // Log time that stood still makes promises that outlast a time to live: here they are over.
    for held in naive.held {
      logTime = max(logTime, held.lock.expiresAt.microseconds - held.lock.ttlMicroseconds)
    }
    replayed.restart(moment)
    return perform({ table, moment, _ in table.restart(moment) }, { $0.restart() }).map { "restart: \($0)" }
  }

  private var moment: LockMoment {
    LockMoment(
      monotonic: monotonic, logTime: LogTime(microseconds: logTime), position: Position(position))
  }

  // MARK: Checks

  private mutating func perform(
    _ command: (inout LockTable, LockMoment, inout LockEffects) -> Void,
    _ naiveCommand: (inout NaiveLocks) -> Void
  ) -> String? {
    let moment = moment
    var effects = LockEffects()
    command(&table, moment, &effects)
    let waited = Set(naive.waiting.map(\.ticket))
    let graph = naive
    naive.begin(moment)
    naiveCommand(&naive)
    position += UInt64(effects.events.count)
    return compareEvents(effects) ?? compareReplies(effects, waited: waited, before: graph) ?? checkState()
  }

  private mutating func compareEvents(_ effects: LockEffects) -> String? {
    guard effects.events.count == naive.events.count else {
      return "events \(effects.events) instead of \(naive.events)"
    }
    for (event, expected) in zip(effects.events, naive.events) {
      let token = event.lock.token.rawValue
      if event.action == .acquired {
        guard token > lastToken else { return "token \(token) after \(lastToken)" }
        lastToken = token
        guard !ids.values.contains(event.lock.id) else { return "an id was given twice" }
        ids[token] = event.lock.id
      }
      var same = expected
      same.lock.id = ids[token] ?? same.lock.id
      guard event == same else { return "event \(event) instead of \(expected)" }
      replayed.restore(event.action, event.lock)
      if event.action == .expired { counts.expired += 1 }
      if event.action == .renewed { counts.renewed += 1 }
    }
    return nil
  }

  private mutating func compareReplies(
    _ effects: LockEffects, waited: Set<LockTicket>, before: NaiveLocks
  ) -> String? {
    guard effects.replies.count == naive.replies.count else {
      return "replies \(effects.replies) instead of \(naive.replies)"
    }
    for (reply, expected) in zip(effects.replies, naive.replies) {
      count(reply, didWait: waited.contains(reply.ticket))
      var found = reply
      switch (reply.answer, expected.answer) {
      case (.deadlock(let agents), .deadlock):
        if let fault = checkCycle(agents, before) { return fault }
        found.answer = .deadlock([])
      case (.granted(let locks, let fresh), .granted):
        found.answer = .granted(locks.map(withoutID), fresh: fresh.map(withoutID))
      case (.held(var obstacle), .held):
        obstacle.lock = obstacle.lock.map(withoutID)
        found.answer = .held(obstacle)
      default: break
      }
      guard found == expected else { return "reply \(found) instead of \(expected)" }
    }
    return nil
  }

  private func withoutID(_ lock: LockState) -> LockState {
    var lock = lock
    lock.id = UnitID(high: 0, low: 0)
    return lock
  }

  /// Each agent but the first, whose request is refused, waits for the next one, and the last for the first.
  private func checkCycle(_ agents: [[UInt8]], _ before: NaiveLocks) -> String? {
    guard agents.count >= 2, Set(agents).count == agents.count else { return "a cycle of \(agents)" }
    for (n, agent) in agents.enumerated().dropFirst() {
      let next = agents[(n + 1) % agents.count]
      // A grant of the same command may have made a holder of a waiter: the edge is the same.
      guard naive.blockers(of: agent).contains(next) || before.blockers(of: agent).contains(next) else {
        return "no wait between \(n) and the next in \(agents)"
      }
    }
    return nil
  }

  private mutating func count(_ reply: LockReply, didWait: Bool) {
    switch reply.answer {
    case .granted:
      counts.granted += 1
      if didWait { counts.afterWaiting += 1 }
    case .held(let obstacle):
      counts.held += 1
      if obstacle.waiter != nil { counts.kept += 1 }
    case .deadlock:
      counts.deadlocks += 1
      if didWait { counts.caught += 1 }
    case .tooMany: counts.tooMany += 1
    case .full: counts.full += 1
    case .cancelled: break
    }
  }

  private func checkState() -> String? {
    let expected = naive.held.map { held in
      var lock = held.lock
      lock.id = ids[lock.token.rawValue] ?? lock.id
      return lock
    }.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    let locks = table.list(limit: 1000).locks
    guard locks == expected else { return "holds \(locks) instead of \(expected)" }
    guard Set(locks.map(\.path)).count == locks.count, table.heldCount == locks.count else { return "count" }
    guard replayed.list(limit: 1000).locks == locks else { return "a replay holds other locks" }
    let waiting = table.waiters.compactMap { $0 }.sorted { $0.arrival < $1.arrival }.map(\.ticket)
    guard waiting == naive.waiting.map(\.ticket), table.waiterCount == waiting.count else {
      return "other requests wait"
    }
    guard table.nextDeadline == naive.nextDeadline else { return "another deadline" }
    if naive.waiting.contains(where: { naive.canBeGranted($0.request, arrival: $0.arrival) }) {
      return "somebody waits who could be granted"
    }
    if naive.hasCycle { return "a cycle waits" }
    return checkMemory() ?? checkCaps()
  }

  private func checkCaps() -> String? {
    for agent in agents {
      let count = naive.held.count { $0.lock.holder == agent }
      if count > table.bounds.agentLocks { return "an agent holds \(count)" }
    }
    return table.heldCount > table.bounds.paths ? "too many locks" : nil
  }

  private func checkMemory() -> String? {
    let known = Set(naive.held.map(\.lock.path) + naive.waiting.flatMap(\.request.paths))
    let names = Set(naive.held.map(\.lock.holder) + naive.waiting.map(\.request.agent))
    guard table.pathNumbers.count == known.count, table.agentNumbers.count == names.count else {
      return "paths or agents are kept that nobody needs"
    }
    guard table.deadlines.isSound, table.deadlines.count == table.heldCount + table.waiterCount else {
      return "deadlines are out of order"
    }
    guard table.order.isSound, table.candidates.isEmpty, table.suspects.isEmpty else { return "lists" }
    let linksUsed = naive.waiting.reduce(0) { $0 + $1.request.paths.count }
    guard table.links.count - table.freeLinks.count == linksUsed else { return "links are lost" }
    let bytes =
      naive.held.reduce(0) { $0 + LockTable.bytes(of: $1.lock.path, $1.lock.holder, $1.lock.metadata) }
      + naive.waiting.reduce(0) { $0 + LockTable.bytes(of: $1.request) }
    return table.bytes == bytes ? nil : "bytes are miscounted"
  }
}
