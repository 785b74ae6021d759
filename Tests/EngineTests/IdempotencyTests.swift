import EngramTesting
import Model
import Storage
import Testing
import WAL

@testable import Engine

/// Idempotency keys: a request is appended once, and its answer is given again.
struct IdempotencyTests {
  private static let day = Limits.idempotencyMicroseconds

  private static func slowStore() -> SimulatedStore {
    let store = SimulatedStore()
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    store.setFaults(faults)
    return store
  }

  @Test func `a stored success is answered again`() throws {
    let bench = try ManualHome()
    let first = bench.submit([ManualHome.unit(), ManualHome.unit("d")], key: "k")
    bench.commit()
    #expect(bench.told(first) == .appended(1))
    let again = bench.submit([ManualHome.unit(), ManualHome.unit("d")], key: "k")
    // From its first unit to its last event, with the contexts' own in between.
    #expect(bench.told(again) == .answered(2, 4) && bench.home.tail == Position(4))
  }

  @Test func `another body under the key is a mismatch, another agent's key another key`() throws {
    let bench = try ManualHome()
    bench.submit([ManualHome.unit()], key: "k")
    bench.commit()
    #expect(
      bench.told(bench.submit([ManualHome.unit()], key: "k", print: 2)) == .refused(.idempotencyMismatch))
    let other = bench.submit([ManualHome.unit(agent: "b")], key: "k")
    bench.commit()
    #expect(bench.told(other) == .appended(2))
  }

  @Test func `a duplicate waits for the first, whatever comes of it`() throws {
    let bench = try ManualHome()
    let first = bench.submit([ManualHome.unit()], key: "k")
    let twin = bench.submit([ManualHome.unit()], key: "k")
    let other = bench.submit([ManualHome.unit(payload: "y")], key: "k", print: 2)
    bench.home.endOfTurn()
    #expect(bench.told(twin) == nil && bench.told(other) == nil && bench.home.waitingCount == 2)
    bench.commit()
    #expect(bench.told(first) == .appended(1) && bench.told(twin) == .answered(2, 2))
    #expect(bench.told(other) == .refused(.idempotencyMismatch))
    #expect(bench.home.isIdle && bench.home.tail == Position(2))
  }

  @Test func `if the first is refused, the next one is the first`() throws {
    let bench = try ManualHome(store: Self.slowStore())
    let first = bench.submit([ManualHome.unit(isFenced: true)], key: "k")
    let second = bench.submit([ManualHome.unit()], key: "k", print: 2)
    let third = bench.submit([ManualHome.unit()], key: "k", print: 2)
    for _ in 0..<6 {
      bench.finishRead()
      bench.commit()
    }
    #expect(bench.told(first) == .refused(.fenceRejected))
    #expect(bench.told(second) == .appended(1) && bench.told(third) == .answered(2, 2))
    #expect(bench.home.isIdle)
  }

  @Test func `who waits for a request that is refused at the end is refused too`() throws {
    let store = SimulatedStore()
    let bench = try ManualHome(store: store)
    bench.post()
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    store.setFaults(faults)
    let first = bench.submit([ManualHome.unit()], key: "k")
    store.setFaults(SimulatedStore.Faults())
    let twin = bench.submit([ManualHome.unit()], key: "k")
    bench.log.room = 0
    bench.commit()
    bench.home.drain()
    #expect(bench.home.giveUpWaiting() && bench.told(first) == nil)
    bench.finishRead()
    bench.home.endOfTurn()
    #expect(bench.told(first) == .refused(.unavailable) && bench.told(twin) == .refused(.unavailable))
  }

  @Test func `many that wait for one refused request don't pile up`() throws {
    let bench = try ManualHome()
    bench.submit([ManualHome.unit(expected: 1)], key: "k")
    let others = (0..<5_000).map { _ in bench.submit([ManualHome.unit(expected: 1)], key: "k", print: 2) }
    bench.commit()
    #expect(others.allSatisfy { bench.told($0) == .refused(.idempotencyMismatch) })
    let stale = try ManualHome()
    stale.submit([ManualHome.unit()])
    stale.commit()
    let slow = Self.slowStore()
    let lost = try ManualHome(log: stale.log, store: slow, batches: stale.published)
    let refused = (0..<5_000).map { _ in lost.submit([ManualHome.unit(expected: 1)], key: "k") }
    for _ in 0..<10_000 where !lost.reads.isEmpty {
      lost.finishRead()
      lost.home.endOfTurn()
    }
    #expect(refused.allSatisfy { lost.told($0) == .refused(.preconditionFailed) })
  }

  @Test func `memory hands over to the store without a gap`() throws {
    let bench = try ManualHome { $0.windowBytesMax = 0 }
    bench.submit([ManualHome.unit()], key: "k")
    bench.commit()
    #expect(bench.told(bench.submit([ManualHome.unit()], key: "k")) == .answered(2, 2))
    try bench.apply()
    #expect(bench.told(bench.submit([ManualHome.unit()], key: "k")) == .answered(2, 2))
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    bench.store.setFaults(faults)
    let slow = bench.submit([ManualHome.unit()], key: "k")
    let twin = bench.submit([ManualHome.unit()], key: "k")
    #expect(bench.told(slow) == nil && bench.reads.count == 1)
    bench.finishRead()
    #expect(bench.told(slow) == .answered(2, 2))
    bench.commit()
    bench.finishRead()
    #expect(bench.told(twin) == .answered(2, 2) && bench.home.isIdle)
  }

  @Test(arguments: [false, true])
  func `a key is found again after a crash`(isApplied: Bool) throws {
    let first = try ManualHome()
    first.submit([ManualHome.unit(), ManualHome.unit()], key: "k")
    first.commit()
    if isApplied { try first.apply() }
    let second = try ManualHome(
      log: first.log, store: first.store, batches: isApplied ? [] : first.published)
    #expect(second.told(second.submit([ManualHome.unit(), ManualHome.unit()], key: "k")) == .answered(2, 3))
    let other = second.submit([ManualHome.unit()], key: "k", print: 2)
    #expect(second.told(other) == .refused(.idempotencyMismatch))
  }

  @Test(arguments: [false, true])
  func `a key expires by log time`(isApplied: Bool) throws {
    let bench = try ManualHome()
    bench.submit([ManualHome.unit()], key: "k")
    bench.commit()
    if isApplied { try bench.apply() }
    let kept = bench.published[0].record(1).logTime.microseconds
    bench.clock = kept + Self.day - 1
    #expect(bench.told(bench.submit([ManualHome.unit()], key: "k")) == .answered(2, 2))
    bench.clock = kept + Self.day
    let next = bench.submit([ManualHome.unit()], key: "k", print: 2)
    bench.commit()
    #expect(bench.told(next) == .appended(2))
    // A clock that is set back doesn't bring the old one back.
    bench.clock = kept
    #expect(bench.told(bench.submit([ManualHome.unit()], key: "k", print: 2)) == .answered(3, 3))
    try bench.apply()
    #expect(bench.told(bench.submit([ManualHome.unit()], key: "k", print: 2)) == .answered(3, 3))
  }

  @Test func `the key comes before the id, the fence and the sequence`() throws {
    let bench = try ManualHome()
    let id = UnitID.make(logTime: LogTime(microseconds: 1_700_000_000_000_000), random: 3)
    bench.submit([ManualHome.unit(id: id, expected: 1)], key: "k")
    bench.commit()
    #expect(bench.told(bench.submit([ManualHome.unit(id: id, expected: 1)], key: "k")) == .answered(2, 2))
    // Without the key it is the id that answers.
    #expect(bench.told(bench.submit([ManualHome.unit(id: id, expected: 1)])) == .exists)
    let clash = bench.submit([ManualHome.unit(payload: "y", id: id)], key: "other")
    #expect(bench.told(clash) == .refused(.conflict))
    // What is refused leaves its key free.
    let free = bench.submit([ManualHome.unit()], key: "other", print: 9)
    bench.commit()
    #expect(bench.told(free) == .appended(2))
  }
}
