import Bytes
import Model
import Testing

@testable import Locks

/// Waits that would never end.
@Suite struct CycleTests {
  @Test func twoWhoWaitForEachOther() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "b")
    #expect(desk.ask("anna", "b", wait: 1_000) == nil)
    #expect(desk.ask("bob", "a", wait: 1_000) == "deadlock: bob > anna")
    #expect(desk.ask("bob", "a") == "held: a of anna", "who doesn't wait closes no cycle")
    #expect(desk.table.waiterCount == 1)
    _ = desk.release("b", by: "bob")
    #expect(desk.answers == ["anna: granted b(4)"])
  }

  @Test func whoWaitsBehindOnlyItselfIsNotSearchedFor() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    for _ in 0..<3 { #expect(desk.ask("bob", "a", wait: 1_000) == nil) }
    #expect(desk.table.searches == 0)
    // Somebody else behind one of them may be waited for in turn.
    #expect(desk.ask("carl", "a", wait: 1_000) == nil)
    #expect(desk.ask("bob", "a", wait: 1_000) == "deadlock: bob > carl")
    #expect(desk.table.searches == 1)
  }

  @Test func aRingOfFiveIsNamedInOrder() {
    var desk = Desk()
    let agents = ["a", "b", "c", "d", "e"]
    for agent in agents { _ = desk.ask(agent, "of \(agent)") }
    for (agent, next) in zip(agents, agents.dropFirst()) {
      #expect(desk.ask(agent, "of \(next)", wait: 1_000) == nil)
    }
    #expect(desk.ask("e", "of a", wait: 1_000) == "deadlock: e > a > b > c > d")
    #expect(desk.ask("e", "of c", wait: 1_000) == "deadlock: e > c > d")
  }

  @Test func aCycleThroughAQueue() {
    // carl waits behind bob's request, though the path that both want is free; bob waits for carl.
    var desk = Desk()
    _ = desk.ask("carl", "c")
    #expect(desk.ask("bob", "c", "x", wait: 1_000) == nil)
    #expect(desk.ask("carl", "x", wait: 1_000) == "deadlock: carl > bob")
    // And of three: dora behind carl's request, carl behind bob's, bob behind what dora holds.
    desk = Desk()
    _ = desk.ask("dora", "d")
    _ = desk.ask("bob", "d", "x", wait: 1_000)
    _ = desk.ask("carl", "x", "y", wait: 1_000)
    #expect(desk.ask("dora", "y", wait: 1_000) == "deadlock: dora > carl > bob")
  }

  @Test func severalPathsCloseACycleByAnyOfThem() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "b")
    _ = desk.ask("carl", "c")
    _ = desk.ask("bob", "a", wait: 1_000)
    #expect(desk.ask("anna", "c", "d", "b", wait: 1_000) == "deadlock: anna > bob")
    #expect(desk.ask("anna", "c", "d", wait: 1_000) == nil)
  }

  @Test func manyWhoWaitForOneAreNoCycle() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    for n in 0..<20 { #expect(desk.ask("agent \(n)", "a", "p\(n)", wait: 1_000) == nil) }
    #expect(desk.ask("agent 3", "p4", wait: 1_000) == "deadlock: agent 3 > agent 4")
    #expect(desk.ask("agent 4", "p3", wait: 1_000) == nil)
  }

  @Test func whatOneHoldsIsNotWaitedFor() {
    // bob waits for p, which anna holds and names again beside q: she waits for carl alone.
    var desk = Desk()
    _ = desk.ask("anna", "p")
    _ = desk.ask("carl", "q")
    _ = desk.ask("bob", "p", wait: 10_000)
    #expect(desk.ask("anna", "p", "q", wait: 10_000) == nil)
    _ = desk.release("q", by: "carl")
    #expect(desk.answers == ["anna: granted p(1) q(4), 1 of them now"])
  }

  @Test func whoLosesALockThatItCountedOnMayBeCaughtInACycle() {
    // anna holds p and r, and waits for p and q. bob waits for p and, by another request, for r.
    var desk = Desk()
    _ = desk.ask("anna", "p")
    _ = desk.ask("anna", "r")
    _ = desk.ask("carl", "q")
    _ = desk.ask("bob", "p", wait: 10_000)
    _ = desk.ask("bob", "r", wait: 10_000)
    #expect(desk.ask("anna", "q", "p", wait: 10_000) == nil)
    // She loses p to bob: now she waits for him, and he for her.
    #expect(desk.release("p", by: "x", force: true) == "done, of anna")
    #expect(desk.answers == ["bob: granted p(5)", "anna: deadlock: anna > bob"])
    // Without bob's other request she waits on.
    desk = Desk()
    _ = desk.ask("anna", "p", ttl: 500)
    _ = desk.ask("carl", "q")
    _ = desk.ask("bob", "p", wait: 10_000)
    _ = desk.ask("anna", "q", "p", wait: 10_000)
    desk.pass(500)
    #expect(desk.answers == ["bob: granted p(4)"] && desk.table.waiterCount == 1)
    _ = desk.release("p", by: "bob")
    _ = desk.release("q", by: "carl")
    #expect(desk.answers.last == "anna: granted q(8) p(7)")
  }

  @Test func aRefusalFreesThoseBehind() {
    // As above, and dora waits behind anna's request for a path that is free.
    var desk = Desk()
    _ = desk.ask("anna", "p")
    _ = desk.ask("anna", "r")
    _ = desk.ask("carl", "q")
    _ = desk.ask("bob", "p", wait: 10_000)
    _ = desk.ask("bob", "r", wait: 10_000)
    _ = desk.ask("anna", "q", "p", "s", wait: 10_000)
    _ = desk.ask("dora", "s", wait: 10_000)
    _ = desk.release("p", by: "anna")
    #expect(
      desk.answers == ["bob: granted p(5)", "anna: deadlock: anna > bob", "dora: granted s(6)"])
  }

  @Test func aLongChainIsSearchedToItsEnd() {
    var desk = Desk()
    for n in 0..<2_000 { _ = desk.ask("agent \(n)", "p\(n)") }
    for n in 0..<1_999 { #expect(desk.ask("agent \(n)", "p\(n + 1)", wait: 10_000) == nil) }
    let answer = desk.ask("agent 1999", "p0", wait: 10_000)
    #expect(answer?.split(separator: ">").count == 2_000)
    #expect(answer?.hasPrefix("deadlock: agent 1999 > agent 0 > agent 1 > ") == true)
  }

  @Test func aLongQueueOfRequestsIsToldToADepth() {
    var desk = Desk()
    _ = desk.ask("first", "p0")
    for n in 0..<50 { #expect(desk.ask("agent \(n)", "p\(n)", "p\(n + 1)", wait: 10_000) == nil) }
    #expect(desk.ask("x", "p50") == "held: p50 is kept for agent 49, behind p0 of first")
    for n in 50..<200 { #expect(desk.ask("agent \(n)", "p\(n)", "p\(n + 1)", wait: 10_000) == nil) }
    #expect(desk.ask("x", "p200") == "held: p200 is kept for agent 199, behind ?")
  }
}
