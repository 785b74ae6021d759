import Bytes
import EngramTesting
import Model
import Testing

@testable import Locks

/// Lists, and the structures that order paths and deadlines.
@Suite struct ListingTests {
  private func desk(_ paths: [String]) -> Desk {
    var desk = Desk()
    for (n, path) in paths.enumerated() { _ = desk.ask("agent \(n % 3)", path) }
    return desk
  }

  private func names(_ page: LockPage) -> [String] { page.locks.map { text($0.path) } }

  @Test func locksAreListedInOrderOfBytes() {
    let desk = desk(["b", "a/b", "a", "é", "a!", "B", "a/b/c"])
    #expect(names(desk.table.list(limit: 100)) == ["B", "a", "a!", "a/b", "a/b/c", "b", "é"])
    #expect(names(desk.table.list(prefix: bytes("a/"), limit: 100)) == ["a/b", "a/b/c"])
    #expect(names(desk.table.list(prefix: bytes("c"), limit: 100)) == [])
    #expect(desk.table.list(limit: 100).next == nil)
  }

  @Test func pagesFollowOneAnother() {
    let desk = desk((0..<10).map { "p/\($0)" } + ["o", "q"])
    for limit in 1...11 {
      var found: [String] = []
      var after: [UInt8]?
      repeat {
        let page = desk.table.list(prefix: bytes("p/"), after: after, limit: limit)
        #expect(page.locks.count <= limit && (page.next == nil || page.locks.count == limit))
        found += names(page)
        after = page.next
      } while after != nil
      #expect(found == (0..<10).map { "p/\($0)" })
    }
    // A place that is gone meanwhile, before the prefix, or behind it.
    #expect(names(desk.table.list(prefix: bytes("p/"), after: bytes("p/85"), limit: 9)) == ["p/9"])
    #expect(names(desk.table.list(prefix: bytes("p/"), after: bytes("a"), limit: 1)) == ["p/0"])
    #expect(names(desk.table.list(prefix: bytes("p/"), after: bytes("z"), limit: 1)) == [])
  }

  /// Sees paths that begin so.
  private final class Some: Visibility {
    let seesAllContexts = false
    let seesAllLocks = false
    let start: [UInt8]
    init(_ start: String) { self.start = bytes(start) }
    func sees(context: UnsafeRawBufferPointer) -> Bool { false }
    func sees(lock: UnsafeRawBufferPointer) -> Bool { lock.starts(with: start) }
  }

  @Test func whatTheReaderMayNotSeeIsPassedOverBeforePagesAreCut() {
    let desk = desk((0..<10).flatMap { ["a/\($0)", "b/\($0)", "c/\($0)"] })
    for limit in 1...11 {
      var found: [String] = []
      var after: [UInt8]?
      repeat {
        let page = desk.table.list(after: after, limit: limit, sees: Some("b/"))
        // No cursor names what is hidden, and none is given where only hidden ones follow.
        #expect(page.next.map { $0.starts(with: bytes("b/")) } ?? true)
        #expect(page.next == nil || page.locks.count == limit)
        found += names(page)
        after = page.next
      } while after != nil
      #expect(found == (0..<10).map { "b/\($0)" })
    }
    #expect(desk.table.list(limit: 9, sees: Some("d")) == LockPage(locks: [], next: nil))
    #expect(names(desk.table.list(agent: bytes("agent 1"), limit: 9, sees: Some("b/7"))) == ["b/7"])
    #expect(desk.table.list(agent: bytes("agent 1"), limit: 9, sees: Some("d")).locks.isEmpty)
  }

  @Test func oneWhoSeesLittleDoesNotLookAtEverythingAtOnce() {
    let hidden = LockTable.passedOverMax + 10
    let desk = Desk()
    var table = desk.table
    for n in 0..<hidden {
      table.restore(.acquired, lock("a/\(n)", holder: "agent \(n / 50)", token: UInt64(n + 1)))
    }
    table.restore(.acquired, lock("b", holder: "b", token: UInt64(hidden + 1)))
    let first = table.list(limit: 9, sees: Some("b"))
    #expect(first.locks.isEmpty && first.next != nil)
    let second = table.list(after: first.next, limit: 9, sees: Some("b"))
    #expect(names(second) == ["b"] && second.next == nil)
  }

  private func lock(_ path: String, holder: String, token: UInt64) -> LockState {
    LockState(
      path: bytes(path), holder: bytes(holder), id: UnitID(high: token, low: token), token: Position(token),
      ttlMicroseconds: 1_000_000, acquiredAt: LogTime(microseconds: 0), expiresAt: LogTime(microseconds: 1),
      metadata: bytes("{}"))
  }

  @Test func anAgentsLocksAreListedWithoutLookingAtOthers() {
    let desk = desk((0..<9).map { "p/\($0)" })
    let one = bytes("agent 1")
    #expect(names(desk.table.list(agent: one, limit: 9)) == ["p/1", "p/4", "p/7"])
    let page = desk.table.list(prefix: bytes("p/"), agent: one, after: bytes("p/1"), limit: 1)
    #expect(names(page) == ["p/4"] && page.next == bytes("p/4"))
    #expect(names(desk.table.list(prefix: bytes("x"), agent: one, limit: 9)) == [])
    #expect(names(desk.table.list(agent: bytes("nobody"), limit: 9)) == [])
  }

  @Test func aPageEndsBeforeItIsTooLarge() {
    var desk = Desk()
    let large = #"{"k":"\#(String(repeating: "x", count: 1_000))"}"#
    for n in 0..<5 { _ = desk.ask("anna", "p\(n)", metadata: large) }
    let page = desk.table.list(limit: 100, bytesMax: 3_000)
    #expect(names(page) == ["p0", "p1"] && page.next == bytes("p1"))
    #expect(names(desk.table.list(after: page.next, limit: 100, bytesMax: 1)) == ["p2"])
  }

  @Test func whoOnlyWaitsIsNotListed() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "a", "b", wait: 1_000)
    #expect(names(desk.table.list(limit: 9)) == ["a"])
  }

  @Test func pathsAreOrderedHoweverTheyComeAndGo() {
    var random = SeededRandom(seed: 3)
    var order = PathOrder()
    var expected: Set<[UInt8]> = []
    for round in 0..<6_000 {
      let path = bytes("\(random.below(2_000))")
      // It grows, then shrinks.
      if random.below(3) < (round < 3_000 ? 2 : 1) {
        if expected.insert(path).inserted { order.insert(path) }
      } else {
        expected.remove(path)
        order.remove(path)
      }
      guard round % 500 == 0 else { continue }
      #expect(order.isSound && order.count == expected.count)
      var place = order.start(at: bytes("1"), isBehind: true)
      var found: [[UInt8]] = []
      while let next = order.next(&place) { found.append(next) }
      let all = expected.filter { PathOrder.precedes(bytes("1"), $0) }
      #expect(found == all.sorted { $0.lexicographicallyPrecedes($1) })
    }
  }

  @Test func theEarliestDeadlineComesFirst() {
    var random = SeededRandom(seed: 4)
    var heap = DeadlineHeap()
    var expected: [Int: (UInt64, UInt64)] = [:]
    for round in 0..<3_000 {
      let (item, deadline, rank) = (random.below(40), UInt64(random.below(50)), UInt64(round))
      if let known = expected[item] {
        if random.oneIn(2) {
          heap.move(item, to: deadline)
          expected[item] = (deadline, known.1)
        } else {
          heap.remove(item)
          expected[item] = nil
        }
      } else {
        heap.move(item, to: 0)
        heap.remove(item)
        heap.insert(item, deadline: deadline, rank: rank)
        expected[item] = (deadline, rank)
      }
      let first = expected.min { $0.value < $1.value }
      guard heap.isSound, heap.count == expected.count, heap.first?.item == first?.key,
        heap.deadline(of: item) == expected[item]?.0
      else {
        Issue.record("round \(round)")
        return
      }
    }
  }
}
