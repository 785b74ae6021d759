import EngramTesting
import Engine
import Model
import Testing
import WAL

/// One connection's many commands keep their order, whatever the first of them waits for.
struct LaneTests {
  private static func slow(_ bench: ManualHome, _ isSlow: Bool) {
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = isSlow ? 255 : 0
    bench.store.setFaults(faults)
  }

  @Test func `who is behind one that waits for the store waits too, others overtake`() throws {
    let bench = try ManualHome()
    let lane = RequestLane()
    Self.slow(bench, true)
    let first = bench.post("c", lane: lane)
    Self.slow(bench, false)
    let second = bench.post("d", lane: lane)
    let third = bench.acquire("p", lane: lane)
    let other = bench.post("e", lane: RequestLane())
    let alone = bench.post("f")
    #expect(bench.home.waitingCount == 3 && !bench.home.isIdle)
    bench.commit()
    #expect(bench.told(other) == .appended(1) && bench.told(alone) == .appended(1))
    #expect(bench.told(first) == nil && bench.told(second) == nil && bench.told(third) == nil)
    bench.finishRead()
    bench.commit()
    #expect(
      bench.history.suffix(5) == ["5 context c", "6 unit c", "7 context d", "8 unit d", "9 acquired p a"])
    #expect(bench.home.isIdle && bench.home.waitingCount == 0)
  }

  @Test func `who comes while the next in turn has not gone on yet doesn't overtake it`() throws {
    let bench = try ManualHome()
    let lane = RequestLane()
    Self.slow(bench, true)
    bench.post("c", lane: lane)
    Self.slow(bench, false)
    bench.post("c", payload: "second", lane: lane)
    bench.finishRead()
    // The first is sequenced, the turn goes on.
    let third = bench.post("c", payload: "third", lane: lane)
    bench.commit()
    #expect(bench.told(third) == .appended(3))
  }

  @Test func `who is behind others of its lane waits no longer for the store than they`() throws {
    let bench = try ManualHome { $0.unappliedBytesPaced = 1 }
    bench.post()
    bench.commit()
    let lane = RequestLane()
    let posts = (0..<3).map { bench.post("d\($0)", lane: lane) }
    for _ in 0...bench.home.limits.pacedSecondsMax { bench.home.secondPassed() }
    bench.commit()
    #expect(posts.allSatisfy { bench.told($0) == .refused(.unavailable) })
  }

  @Test func `the pace of the store holds up a lane as a whole`() throws {
    let bench = try ManualHome { $0.unappliedBytesPaced = 1 }
    bench.post()
    bench.commit()
    let lane = RequestLane()
    let first = bench.post("d", lane: lane)
    let second = bench.acquire("p", lane: lane)
    let other = bench.acquire("q")
    bench.commit()
    #expect(bench.told(first) == nil && bench.told(second) == nil)
    #expect(bench.told(other) == .granted([3], fresh: [3]), "locks don't wait for the pace")
    try bench.apply()
    bench.commit()
    #expect(bench.told(first) == .appended(1) && bench.told(second) == .granted([6], fresh: [6]))
  }

  @Test func `a lane keeps its order through the backlog`() throws {
    let bench = try ManualHome()
    let payload = String(repeating: "p", count: 12_000)
    let lane = RequestLane()
    let large = (0..<3).map { _ in bench.post("c", payload: payload, lane: lane) }
    let small = (0..<3).map { _ in bench.post("c", lane: lane) }
    bench.commit()
    #expect(large.map { bench.told($0) } == (1...3).map { .appended($0) })
    #expect(small.map { bench.told($0) } == (4...6).map { .appended($0) })
  }

  @Test func `who is refused leaves the lane`() throws {
    let bench = try ManualHome()
    let lane = RequestLane()
    Self.slow(bench, true)
    let first = bench.post("c", expected: 7, lane: lane)
    Self.slow(bench, false)
    let second = bench.post("c", fence: ("p", 1), lane: lane)
    let third = try bench.patch("c", "{}", if: .exists, lane: lane)
    let fourth = bench.post("c", lane: lane)
    bench.finishRead()
    bench.commit()
    #expect(bench.told(first) == .refused(.preconditionFailed))
    #expect(bench.told(second) == .refused(.fenceRejected))
    #expect(bench.told(third) == .refused(.preconditionFailed))
    #expect(bench.told(fourth) == .appended(1) && bench.home.isIdle)
  }

  @Test func `what can't be taken is refused in its turn`() throws {
    let bench = try ManualHome()
    let lane = RequestLane()
    Self.slow(bench, true)
    let first = bench.post("c", lane: lane)
    Self.slow(bench, false)
    let second = bench.post("c", lane: lane)
    let read = bench.find("p", lane: lane)
    bench.home.drain()
    bench.finishRead()
    bench.commit()
    #expect(bench.told(first) == .appended(1) && bench.told(second) == .refused(.unavailable))
    #expect(bench.told(read) == .refused(.notFound) && bench.home.isIdle)
  }

  @Test func `a duplicate under a key waits in its lane for the first one`() throws {
    let bench = try ManualHome()
    let lane = RequestLane()
    let first = bench.submit([ManualHome.unit()], key: "k", lane: lane)
    let again = bench.submit([ManualHome.unit()], key: "k", lane: lane)
    let behind = bench.post(lane: lane)
    bench.commit()
    #expect(bench.told(first) == .appended(1) && bench.told(again) == .answered(2, 2))
    #expect(bench.told(behind) == .appended(2) && bench.home.isIdle)
  }
}
