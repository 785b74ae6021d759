import Bytes
import Model
import Testing

@testable import Locks

/// Turns, ends of waits, and what a lost connection leaves.
@Suite struct WaitingTests {
  @Test func whoWaitsIsGrantedAtTheReleaseBehindItsEvent() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    #expect(desk.ask("bob", "a", wait: 1_000) == nil)
    #expect(desk.release("a", by: "anna") == "done, of anna")
    #expect(desk.answers == ["bob: granted a(3)"])
    #expect(desk.log == ["acquired a by anna (1)", "released a by anna (1)", "acquired a by bob (3)"])
    #expect(desk.table.waiterCount == 0 && desk.end("a") == 60_000)
  }

  @Test func theTimeToLiveBeginsAtTheGrant() {
    var desk = Desk()
    _ = desk.ask("anna", "a", ttl: 700)
    _ = desk.ask("bob", "a", ttl: 500, wait: 1_000)
    desk.pass(700)
    #expect(desk.answers == ["bob: granted a(3)"] && desk.end("a") == 1_200)
    #expect(desk.log == ["acquired a by anna (1)", "expired a by anna (1)", "acquired a by bob (3)"])
  }

  @Test func sixAreServedInOrder() {
    var desk = Desk()
    let agents = ["b", "f", "c", "a", "e", "d"]
    _ = desk.ask("first", "x")
    for agent in agents { #expect(desk.ask(agent, "x", wait: 60_000) == nil) }
    #expect(desk.table.waiterCount == 6)
    for agent in ["first"] + agents { #expect(desk.release("x", by: agent).hasPrefix("done")) }
    #expect(desk.answers == agents.enumerated().map { "\($1): granted x(\(3 + 2 * $0))" })
  }

  @Test func aWaitEndsWithWhoHoldsIt() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "a", wait: 1_000)
    desk.pass(999)
    #expect(desk.answers == [])
    desk.pass(1)
    #expect(desk.answers == ["bob: held: a of anna"] && desk.table.waiterCount == 0)
    _ = desk.release("a", by: "anna")
    #expect(desk.holder("a") == nil)
  }

  @Test func whatFallsDueIsDoneInTheOrderInWhichItFellDue() {
    // Asked late, after everything is due.
    var desk = Desk()
    _ = desk.ask("anna", "a", ttl: 500)
    _ = desk.ask("bob", "a", wait: 499)
    _ = desk.ask("carl", "a", wait: 500)
    _ = desk.ask("dora", "a", wait: 501)
    desk.pass(2_000, isLate: true)
    #expect(
      desk.answers == ["bob: held: a of anna", "carl: granted a(3)", "dora: held: a of carl"],
      "a lock that expires at the very end of a wait is granted")
  }

  @Test func aRequestThatDoesNotWaitOvertakesNobody() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "a", "b", wait: 60_000)
    #expect(desk.ask("carl", "b") == "held: b is kept for bob, behind a of anna")
    #expect(desk.ask("carl", "c", "b", wait: 60_000) == nil)
    #expect(desk.ask("dora", "c") == "held: c is kept for carl, behind a of anna")
    #expect(desk.ask("anna", "a") == "granted a(1), 0 of them now", "what one holds overtakes nobody")
    #expect(desk.ask("anna", "d", "a") == "granted d(2) a(1), 1 of them now")
    _ = desk.release("a", by: "anna")
    #expect(desk.answers == ["bob: granted a(4) b(5)"] && desk.holder("c") == nil)
    _ = desk.release("b", by: "bob")
    #expect(desk.answers.last == "carl: granted c(8) b(7)")
  }

  @Test func anAgentDoesNotOvertakeItself() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "a", "b", wait: 60_000)
    #expect(desk.ask("bob", "b") == "held: b is kept for bob, behind a of anna")
    #expect(desk.ask("bob", "b", wait: 60_000) == nil, "and behind oneself is no cycle")
    _ = desk.release("a", by: "anna")
    #expect(desk.answers == ["bob: granted a(3) b(4)", "bob: granted b(4), 0 of them now"])
  }

  @Test func whoWaitsForNothingElseThanWhatItsAgentHasGotGoesOn() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "a", wait: 60_000)
    _ = desk.ask("bob", "a", ttl: 90_000, wait: 60_000)
    _ = desk.ask("carl", "a", wait: 60_000)
    #expect(
      desk.ask("bob", "a", wait: 60_000) == "deadlock: bob > carl", "he waits for bob, who would for him")
    _ = desk.release("a", by: "anna")
    #expect(desk.answers == ["bob: granted a(3)", "bob: granted a(3), 0 of them now"])
    #expect(desk.log.last == "renewed a by bob (3)" && desk.end("a") == 90_000)
  }

  @Test func severalPathsAreWaitedForTogether() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "b")
    _ = desk.ask("carl", "b", "c", "a", wait: 60_000)
    _ = desk.release("b", by: "bob")
    #expect(desk.answers == [] && desk.holder("b") == nil && desk.holder("c") == nil)
    #expect(desk.ask("bob", "b") == "held: b is kept for carl, behind a of anna")
    _ = desk.release("a", by: "anna")
    #expect(desk.answers == ["carl: granted b(6) c(7) a(5)"])
  }

  @Test func whoIsGoneIsForgottenAndLetsThoseBehindPass() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "a", "b", wait: 60_000)
    _ = desk.ask("carl", "b", wait: 60_000)
    desk.hangUp("bob")
    #expect(desk.answers == ["carl: granted b(2)"] && desk.table.waiterCount == 0)
    desk.hangUp("bob")
    _ = desk.release("a", by: "anna")
    #expect(desk.holder("a") == nil)
  }

  @Test func theEndOfAWaitLetsThoseBehindPass() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    _ = desk.ask("bob", "a", "b", wait: 100)
    _ = desk.ask("carl", "b", wait: 60_000)
    desk.pass(100)
    #expect(desk.answers == ["bob: held: a of anna", "carl: granted b(2)"])
  }

  @Test func aStopAnswersAllWhoWait() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    for agent in ["d", "b", "c"] { _ = desk.ask(agent, "a", wait: 60_000) }
    desk.stop()
    #expect(desk.answers == ["d: cancelled", "b: cancelled", "c: cancelled"])
    #expect(desk.holder("a") == "anna" && desk.table.waiterCount == 0)
    _ = desk.release("a", by: "anna")
    #expect(desk.log.count == 2)
  }

  // MARK: Limits

  @Test func anAgentHoldsAndWaitsForAHundredPathsAtMost() {
    var desk = Desk()
    _ = desk.ask("bob", "x", "y")
    for n in 0..<98 { #expect(desk.ask("anna", "p\(n)")?.hasPrefix("granted") == true) }
    #expect(desk.ask("anna", "x", wait: 60_000) == nil)
    #expect(desk.ask("anna", "p98", "p99") == "too many")
    #expect(desk.ask("anna", "x", "y", wait: 60_000) == "too many")
    #expect(desk.ask("anna", "p98")?.hasPrefix("granted") == true)
    #expect(desk.ask("anna", "p99") == "too many" && desk.ask("anna", "y", wait: 1) == "too many")
    #expect(desk.ask("anna", "y") == "held: y of bob", "asking costs nothing")
    #expect(desk.ask("anna", "p0") == "granted p0(3), 0 of them now")
    #expect(desk.ask("carl", "p99")?.hasPrefix("granted") == true)
    _ = desk.release("x", by: "bob")
    #expect(desk.holder("x") == "anna" && desk.ask("anna", "p100") == "too many")
    _ = desk.release("x", by: "anna")
    #expect(desk.ask("anna", "p100")?.hasPrefix("granted") == true)
  }

  @Test func theServerHasItsLimits() {
    var bounds = LockTable.Bounds()
    bounds.paths = 3
    bounds.waiters = 1
    var desk = Desk(LockTable(bounds))
    _ = desk.ask("anna", "a", "b")
    #expect(desk.ask("bob", "c", "d") == "full")
    #expect(desk.ask("bob", "c", "a", wait: 1_000) == nil, "three paths are held or waited for")
    #expect(desk.ask("carl", "d") == "full" && desk.ask("carl", "a", wait: 1_000) == "full")
    #expect(
      desk.ask("carl", "a") == "held: a of anna" && desk.ask("anna", "a") == "granted a(1), 0 of them now")
    desk.pass(1_000)
    #expect(desk.ask("carl", "d")?.hasPrefix("granted") == true)
  }

  @Test func metadataOfAllLocksHasALimit() {
    var bounds = LockTable.Bounds()
    bounds.bytes = 10_000
    var desk = Desk(LockTable(bounds))
    let large = #"{"k":"\#(String(repeating: "x", count: 4_000))"}"#
    #expect(desk.ask("anna", "a", metadata: large)?.hasPrefix("granted") == true)
    #expect(desk.ask("bob", "a", wait: 1_000, metadata: large) == nil)
    #expect(desk.ask("carl", "a", wait: 1_000, metadata: large) == "full")
    #expect(desk.ask("carl", "c", metadata: large) == "full")
    #expect(desk.ask("carl", "c")?.hasPrefix("granted") == true)
  }

  // MARK: Cost

  @Test func tenThousandWhoWaitForOnePathAreServedOneByOne() {
    var desk = Desk()
    _ = desk.ask("first", "x")
    let count = Limits.lockWaitersMax
    for n in 0..<count { #expect(desk.ask("agent \(n)", "x", wait: 300_000) == nil) }
    #expect(desk.ask("late", "x", wait: 300_000) == "full")
    _ = desk.release("x", by: "first")
    for n in 0..<count {
      guard desk.holder("x") == "agent \(n)" else {
        Issue.record("turn \(n) went to \(desk.holder("x") ?? "nobody")")
        return
      }
      _ = desk.release("x", by: "agent \(n)")
    }
    #expect(desk.answers.count == count && desk.table.waiterCount == 0 && desk.table.heldCount == 0)
  }
}
