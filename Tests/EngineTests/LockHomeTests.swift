import EngramTesting
import Engine
import Locks
import Model
import Storage
import Testing
import WAL

/// Locks through the log: durable, then told; what is due before what comes.
struct LockHomeTests {
  private static let second: UInt64 = 1_000_000

  // MARK: Durable, then told

  @Test func `a grant is told once its event is durable`() throws {
    let bench = try ManualHome()
    let request = bench.acquire("p")
    bench.home.endOfTurn()
    #expect(bench.story.isEmpty && bench.told(request) == nil && !bench.home.isIdle)
    bench.log.step()
    #expect(bench.story == ["published 1...1", "told granted([1], fresh: [1])"])
    #expect(bench.home.isIdle)
  }

  @Test func `renewals and releases too, and what comes after them is decided against them`() throws {
    let bench = try ManualHome()
    let first = bench.acquire("p")
    bench.commit()
    let renewal = bench.renew(bench.lock(first), ttl: 90)
    let release = bench.release("p")
    let again = bench.release("p")
    bench.home.endOfTurn()
    #expect([renewal, release, again].allSatisfy { bench.told($0) == nil })
    bench.commit()
    #expect(bench.told(renewal) == .renewed && bench.told(release) == .released("a"))
    #expect(bench.told(again) == .refused(.notFound))
    #expect(bench.history == ["1 acquired p a", "2 renewed p a", "3 released p a"])
  }

  @Test func `a lock that a crash could take back is not told, neither by refusals nor to readers`() throws {
    let bench = try ManualHome()
    bench.acquire("p")
    let early = [
      bench.acquire("p", by: "b"), bench.release("p", by: "b"), bench.find("p"), bench.find("q"),
      bench.list(),
    ]
    let fenced = bench.post(fence: ("q", 1))
    bench.home.endOfTurn()
    #expect(early.allSatisfy { bench.told($0) == nil } && bench.told(fenced) == nil)
    bench.commit()
    #expect(
      early.map { bench.told($0) } == [
        .refused(.lockHeld), .refused(.lockNotHeld), .found(1), .refused(.notFound), .listed(["p"]),
      ])
    #expect(bench.told(fenced) == .refused(.fenceRejected))
    // What is durable is told at once.
    #expect(bench.told(bench.acquire("p", by: "b")) == .refused(.lockHeld))
  }

  @Test(arguments: [SimulatedLog.Failure.kept, .lost])
  func `when the log fails nobody is answered`(failure: SimulatedLog.Failure) throws {
    let bench = try ManualHome()
    bench.log.failNextWrite = failure
    let requests = [bench.acquire("p"), bench.acquire("p", by: "b", wait: 5), bench.find("p")]
    bench.commit()
    bench.pass(microseconds: 10 * Self.second)
    bench.ring()
    bench.commit()
    #expect(bench.failure != nil && bench.story.isEmpty)
    #expect(requests.allSatisfy { bench.told($0) == nil })
    #expect(bench.told(bench.acquire("q")) == .refused(.unavailable))
  }

  @Test func `a full disk refuses every change of locks, and reads go on`() throws {
    let bench = try ManualHome()
    let held = bench.acquire("p")
    bench.commit()
    bench.log.room = 0
    for request in [bench.acquire("q"), bench.release("p"), bench.renew(bench.lock(held))] {
      #expect(bench.told(request) == .refused(.storageFull))
    }
    #expect(bench.told(bench.find("p")) == .found(1) && bench.told(bench.list()) == .listed(["p"]))
    // What falls due meanwhile is told when it is durable.
    bench.pass(microseconds: 61 * Self.second)
    bench.ring()
    let late = bench.find("p")
    bench.commit()
    #expect(bench.told(late) == nil)
    bench.log.room = 5
    bench.commit()
    #expect(bench.told(late) == .refused(.notFound))
    #expect(bench.history == ["1 acquired p a", "2 expired p a"])
  }

  // MARK: Time

  @Test func `what is due stands in the log before the command that finds it so`() throws {
    let bench = try ManualHome()
    bench.acquire("p", ttl: 1)
    bench.commit()
    bench.pass(microseconds: Self.second - 1)
    let inTime = bench.post("c", fence: ("p", 1))
    bench.pass(microseconds: 1)
    let late = bench.post("c", fence: ("p", 1))
    let other = bench.post("c")
    #expect(bench.told(late) == nil, "the expiry isn't durable")
    bench.commit()
    #expect(bench.told(inTime) == .appended(1) && bench.told(late) == .refused(.fenceRejected))
    #expect(bench.told(other) == .appended(2))
    #expect(bench.history == ["1 acquired p a", "2 context c", "3 unit c", "4 expired p a", "5 unit c"])
  }

  @Test func `an expiry needs no traffic`() throws {
    let bench = try ManualHome()
    bench.acquire("p", ttl: 2)
    bench.acquire("q", ttl: 1)
    let waiter = bench.acquire("q", by: "b", ttl: 3, wait: 5)
    bench.commit()
    let start = bench.elapsed
    #expect(bench.alarm == start + Self.second)
    bench.pass(microseconds: Self.second - 1)
    #expect(!bench.ring())
    bench.pass(microseconds: 1)
    #expect(bench.ring())
    bench.commit()
    #expect(bench.told(waiter) == .granted([4], fresh: [4]))
    #expect(bench.alarm == start + 2 * Self.second)
    bench.pass(microseconds: 3 * Self.second)
    bench.ring()
    bench.commit()
    #expect(
      bench.history == [
        "1 acquired p a", "2 acquired q a", "3 expired q a", "4 acquired q b", "5 expired p a",
        "6 expired q b",
      ])
    #expect(bench.alarm == nil || bench.home.sequencer.locks.nextDeadline == nil)
  }

  @Test func `a lock's time doesn't heed a wall clock that is set`() throws {
    let bench = try ManualHome()
    bench.acquire("p", ttl: 5)
    bench.commit()
    bench.clock += 3600 * Self.second
    #expect(bench.told(bench.find("p")) == .found(1))
    bench.clock -= 7200 * Self.second
    bench.pass(microseconds: 5 * Self.second)
    bench.ring()
    bench.commit()
    #expect(bench.told(bench.find("p")) == .refused(.notFound))
  }

  @Test func `a wait that ends is told who holds the lock`() throws {
    let bench = try ManualHome()
    bench.acquire("p")
    let waiter = bench.acquire("p", by: "b", wait: 1)
    bench.commit()
    #expect(bench.told(waiter) == nil)
    bench.pass(microseconds: Self.second)
    bench.ring()
    bench.commit()
    #expect(bench.told(waiter) == .refused(.lockHeld) && bench.published.count == 1)
  }

  // MARK: Waiters

  @Test func `the next in turn is granted in the batch of the release`() throws {
    let bench = try ManualHome()
    bench.acquire("p")
    let waiters = ["b", "c"].map { bench.acquire("p", by: $0, wait: 10) }
    bench.commit()
    let release = bench.release("p")
    bench.home.endOfTurn()
    #expect(bench.told(release) == nil && bench.told(waiters[0]) == nil)
    bench.log.step()
    #expect(bench.told(release) == .released("a") && bench.told(waiters[0]) == .granted([3], fresh: [3]))
    #expect(bench.told(waiters[1]) == nil && bench.published.map(\.count) == [1, 2])
  }

  @Test func `who is gone waits no more, and those behind are served`() throws {
    let bench = try ManualHome()
    bench.acquire("p")
    let gone = bench.acquire("p", "q", by: "b", wait: 10)
    let behind = bench.acquire("q", by: "c", wait: 10)
    bench.commit()
    #expect(bench.told(behind) == nil)
    bench.home.abandon(gone)
    bench.commit()
    #expect(bench.told(gone) == .refused(.unavailable) && bench.told(behind) == .granted([2], fresh: [2]))
    bench.release("p")
    bench.commit()
    #expect(bench.history == ["1 acquired p a", "2 acquired q c", "3 released p a"])
  }

  @Test func `who is gone before it was decided never begins to wait`() throws {
    let bench = try ManualHome()
    bench.acquire("p")
    bench.commit()
    let payload = String(repeating: "p", count: 12_000)
    for _ in 0..<3 { bench.post(payload: payload) }
    let gone = bench.acquire("p", by: "b", wait: 300)
    #expect(bench.home.waitingCount > 0)
    bench.home.abandon(gone)
    bench.commit()
    #expect(bench.told(gone) == .refused(.unavailable) && bench.home.isIdle)
    bench.release("p")
    bench.commit()
    #expect(bench.told(bench.find("p")) == .refused(.notFound))
  }

  @Test func `whose end can't be seen has what is free, and waits no more`() throws {
    let bench = try ManualHome()
    bench.acquire("p")
    let waiting = bench.acquire("p", "q", by: "b", wait: 300)
    let behind = bench.acquire("q", by: "c", wait: 300)
    bench.commit()
    bench.home.endWait(waiting)
    bench.commit()
    #expect(bench.told(waiting) == .refused(.unavailable) && bench.told(behind) == .granted([2], fresh: [2]))
    // Told before it was decided: it may have what it needn't wait for.
    let payload = String(repeating: "p", count: 12_000)
    for _ in 0..<3 { bench.post(payload: payload) }
    let requests = [bench.acquire("p", by: "b", wait: 300), bench.acquire("r", by: "b", wait: 300)]
    #expect(bench.home.waitingCount > 0)
    for request in requests { bench.home.endWait(request) }
    bench.commit()
    #expect(bench.told(requests[0]) == .refused(.lockHeld))
    #expect(bench.lock(requests[1]) != nil && bench.home.isIdle)
  }

  @Test func `what the server owes to release is released though writes are refused`() throws {
    let bench = try ManualHome()
    bench.acquire("p")
    bench.commit()
    bench.home.isSpaceShort = true
    #expect(bench.told(bench.release("p")) == .refused(.storageFull))
    let owed = LockRequest(
      .release(path: Array("p".utf8), id: nil, agent: Array("a".utf8), isForced: false), loop: 0,
      isOwed: true)
    bench.home.submit(owed)
    bench.commit()
    #expect(bench.told(owed) == .released("a"))
    #expect(bench.history == ["1 acquired p a", "2 released p a"])
  }

  @Test func `what is due when a waiter goes is not prolonged for the next one`() throws {
    let bench = try ManualHome()
    bench.acquire("p", by: "a", ttl: 1)
    bench.acquire("r", by: "d")
    let gone = bench.acquire("q", "r", by: "b", wait: 100)
    let next = bench.acquire("p", "q", by: "a", wait: 100)
    bench.commit()
    bench.pass(microseconds: 2 * Self.second)
    bench.home.abandon(gone)
    bench.commit()
    #expect(bench.told(next) == .granted([4, 5], fresh: [4, 5]))
    #expect(Array(bench.history.suffix(3)) == ["3 expired p a", "4 acquired p a", "5 acquired q a"])
  }

  @Test func `a grant that was decided stands, though its connection went before it was durable`() throws {
    let bench = try ManualHome()
    let request = bench.acquire("p")
    bench.home.endOfTurn()
    bench.home.abandon(request)
    bench.commit()
    #expect(bench.told(request) == .granted([1], fresh: [1]))
  }

  @Test func `at the end waiters are told so, and nobody waits any more`() throws {
    let bench = try ManualHome()
    bench.acquire("p")
    let waiters = ["b", "c"].map { bench.acquire("p", by: $0, wait: 10) }
    bench.commit()
    bench.home.endWaits()
    #expect(waiters.allSatisfy { bench.told($0) == .refused(.unavailable) } && bench.home.isIdle)
    #expect(bench.told(bench.acquire("p", by: "d", wait: 10)) == .refused(.lockHeld))
    bench.home.drain()
    #expect(bench.told(bench.acquire("q")) == .refused(.unavailable))
    #expect(bench.told(bench.find("p")) == .found(1))
  }

  @Test func `an end on a full disk answers all that locks keep waiting`() throws {
    let bench = try ManualHome { $0.slabBytes = 8 << 10 }
    bench.log.room = 1
    bench.acquire("p", metadataBytes: 6_000)
    bench.home.endOfTurn()
    let requests = ["q", "r"].map { bench.acquire($0, metadataBytes: 6_000) }
    let waiter = bench.acquire("p", by: "b", wait: 100)
    bench.commit()
    #expect(requests.allSatisfy { bench.told($0) == nil })
    #expect(bench.home.giveUpWaiting())
    #expect((requests + [waiter]).allSatisfy { bench.told($0) == .refused(.storageFull) })
    #expect(bench.home.isIdle || bench.home.waitingCount == 0)
  }

  // MARK: Room

  @Test func `a lock's event that finds no room waits, and nothing is sequenced before it`() throws {
    let bench = try ManualHome()
    let payload = String(repeating: "p", count: 12_000)
    bench.post(payload: payload)
    bench.home.endOfTurn()
    bench.post(payload: payload)
    let lock = bench.acquire("p", metadataBytes: 5_000)
    let small = bench.post("d")
    let tiny = bench.acquire("q")
    #expect(bench.home.waitingCount > 0)
    bench.commit()
    #expect(bench.told(lock) == .granted([4], fresh: [4]) && bench.told(small) == .appended(1))
    #expect(bench.told(tiny) == .granted([7], fresh: [7]))
    #expect(
      Array(bench.history.dropFirst(3)) == ["4 acquired p a", "5 context d", "6 unit d", "7 acquired q a"])
  }

  @Test func `locks that are granted together lie in one batch`() throws {
    let bench = try ManualHome()
    bench.post(payload: String(repeating: "p", count: 4_000))
    bench.home.endOfTurn()
    bench.post(payload: String(repeating: "p", count: 10_000))
    let locks = bench.acquire("r", "p", "q", metadataBytes: 2_500)
    bench.commit()
    #expect(bench.told(locks) == .granted([6, 4, 5], fresh: [6, 4, 5]))
    let last = try #require(bench.published.last)
    #expect((0..<last.count).map { last.record($0).requestRemainder } == [2, 1, 0])
  }

  // MARK: Fences

  @Test func `a fence is good while its lock is held under its token`() throws {
    let bench = try ManualHome()
    bench.acquire("repo/a")
    let sameBatch = bench.post("c", fence: ("repo/a", 1))
    let slashed = bench.post("c", fence: ("/repo/a", 1))
    let wrong = [bench.post("c", fence: ("repo/a", 2)), bench.post("c", fence: ("repo", 1))]
    bench.commit()
    #expect(bench.told(sameBatch) == .appended(1) && bench.told(slashed) == .appended(2))
    #expect(wrong.allSatisfy { bench.told($0) == .refused(.fenceRejected) })
    bench.release("repo/a")
    bench.acquire("repo/a", by: "b")
    let stale = bench.post("c", fence: ("repo/a", 1))
    let fresh = bench.post("c", fence: ("repo/a", 6))
    bench.commit()
    #expect(bench.told(stale) == .refused(.fenceRejected) && bench.told(fresh) == .appended(3))
  }

  @Test func `one stale fence refuses a batch as a whole`() throws {
    let bench = try ManualHome()
    bench.acquire("p")
    let good = bench.submit((0..<2).map { _ in ManualHome.unit(fence: ("p", 1)) })
    let bad = bench.submit([ManualHome.unit(fence: ("p", 1)), ManualHome.unit(fence: ("p", 7))])
    bench.commit()
    #expect(bench.told(good) == .appended(1) && bench.told(bad) == .refused(.fenceRejected))
    #expect(bench.home.tail == Position(4))
  }

  // MARK: Starting

  @Test func `a start gives every lock its full time again, once, first, and before it is ready`() throws {
    let first = try ManualHome()
    first.acquire("p", ttl: 10)
    first.acquire("q", ttl: 20)
    first.commit()
    first.pass(microseconds: 9 * Self.second)
    let second = try first.successor()
    // A command that comes before anything else finds the event before it.
    let early = second.acquire("r", ttl: 1)
    second.home.begin()
    second.home.endOfTurn()
    #expect(!second.hasBegun && second.told(early) == nil)
    second.commit()
    #expect(second.hasBegun && second.history == ["3 restart", "4 acquired r a"])
    second.pass(microseconds: 10 * Self.second - 1)
    second.ring()
    second.commit()
    #expect(second.told(second.find("p")) == .found(1))
    second.pass(microseconds: 1)
    second.ring()
    second.commit()
    #expect(Array(second.history.dropFirst(2)) == ["5 expired r a", "6 expired p a"])
    #expect(second.told(second.find("q")) == .found(2))
  }

  @Test func `a start without live locks owes nothing`() throws {
    let first = try ManualHome()
    first.acquire("p")
    first.release("p")
    first.commit()
    let second = try first.successor()
    second.home.begin()
    #expect(second.hasBegun)
    second.commit()
    #expect(second.published.isEmpty)
  }

  @Test func `what was granted is held after a start, and its fence is good`() throws {
    let first = try ManualHome()
    let lock = first.acquire("p")
    first.acquire("q", by: "b")
    first.release("q", by: "b")
    first.commit()
    let second = try first.successor()
    second.home.begin()
    let fresh = second.post("c", fence: ("p", 1))
    let stale = second.post("c", fence: ("q", 2))
    let renewal = second.renew(first.lock(lock))
    second.commit()
    #expect(second.told(fresh) == .appended(1) && second.told(stale) == .refused(.fenceRejected))
    #expect(second.told(renewal) == .renewed)
  }

  @Test func `locks come back from store and log, wherever each family of the store was left`() throws {
    for seed in UInt64(1)...150 {
      let first = try ManualHome(store: SimulatedStore(seed: seed))
      var random = SeededRandom(seed: seed)
      for _ in 0..<24 {
        let path = ["p", "q", "r"][random.below(3)]
        let agent = ["a", "b"][random.below(2)]
        switch random.below(6) {
        case 0...2: first.acquire(path, by: agent, ttl: UInt64(1 + random.below(20)))
        case 3: first.release(path, by: agent)
        case 4: first.acquire("p", "q", by: agent, ttl: 5)
        default:
          first.pass(microseconds: UInt64(random.below(4)) * Self.second)
          first.ring()
        }
        if random.oneIn(2) { first.commit() }
        if random.oneIn(6) { try first.apply() }
      }
      first.commit()
      let held = first.home.sequencer.locks.list(limit: 100).locks
      let second = try first.successor()
      #expect(second.home.sequencer.locks.list(limit: 100).locks == held, "seed \(seed)")
    }
  }
}
