import Bytes
import Model
import Testing

@testable import Locks

/// Without waiting: who gets a lock, for how long, and how it ends.
@Suite struct HoldingTests {
  @Test func aFreePathIsGrantedAndItsTokenIsItsEventsPosition() throws {
    var desk = Desk()
    desk.position = 41
    #expect(desk.ask("anna", "repo/a", ttl: 5_000, metadata: #"{"k":"v"}"#) == "granted repo/a(41)")
    let lock = try #require(desk.lock("repo/a"))
    #expect(text(lock.holder) == "anna" && lock.token == Position(41) && lock.ttlMicroseconds == 5_000_000)
    #expect(lock.acquiredAt == LogTime(microseconds: 1_000_000_000) && desk.end("repo/a") == 5_000)
    #expect(text(lock.metadata) == #"{"k":"v"}"# && lock.id.isVersion7)
    #expect(desk.log == ["acquired repo/a by anna (41)"] && desk.table.heldCount == 1)
  }

  @Test func anotherAgentIsToldWhoHoldsIt() {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    #expect(desk.ask("bob", "a") == "held: a of anna")
    #expect(desk.ask("bob", "b") == "granted b(2)")
    #expect(desk.ask("carl", "c", "b", "a") == "held: b of bob")
    #expect(desk.lock("c") == nil && desk.table.heldCount == 2)
  }

  @Test func theSameAgentGetsTheSameLockAndTheLaterExpiry() throws {
    var desk = Desk()
    _ = desk.ask("anna", "a", ttl: 10_000, metadata: #"{"first":"1"}"#)
    let first = try #require(desk.lock("a"))
    desk.pass(1_000)
    #expect(desk.ask("anna", "a", ttl: 5_000) == "granted a(1), 0 of them now")
    #expect(desk.lock("a") == first, "the old expiry is later")
    #expect(desk.ask("anna", "a", ttl: 9_000) == "granted a(1), 0 of them now")
    #expect(desk.log == ["acquired a by anna (1)"], "and an equal one is no news")
    #expect(desk.ask("anna", "a", ttl: 20_000, metadata: "{}") == "granted a(1), 0 of them now")
    let second = try #require(desk.lock("a"))
    #expect(second.id == first.id && second.token == first.token && second.acquiredAt == first.acquiredAt)
    #expect(second.metadata == first.metadata && desk.end("a") == 21_000)
    #expect(second.ttlMicroseconds == 20_000_000)
    #expect(desk.log == ["acquired a by anna (1)", "renewed a by anna (1)"])
  }

  @Test func whereLogTimeStandsStillNoPromiseIsTakenBack() throws {
    var desk = Desk()
    _ = desk.ask("anna", "a", ttl: 10_000)
    var effects = LockEffects()
    // The monotonic clock is 8 s on, log time is where it was: the old expiry is the later one there.
    let moment = LockMoment(
      monotonic: 8_000_000_000, logTime: LogTime(microseconds: 1_000_000_000), position: Position(2))
    let again = LockAcquisition(
      paths: [bytes("a")], agent: bytes("anna"), ttlMicroseconds: 5_000_000, waitNanoseconds: 0,
      metadata: bytes("{}"), random: 1)
    desk.table.acquire(again, LockTicket(99), moment, &effects)
    #expect(effects.events.map(\.action) == [.renewed])
    #expect(desk.end("a") == 10_000 && desk.table.nextDeadline == 13_000_000_000)
  }

  @Test func severalPathsAreGrantedInOrderOfBytesAndAnsweredAsAsked() throws {
    var desk = Desk()
    #expect(desk.ask("anna", "b", "a/z", "a") == "granted b(3) a/z(2) a(1)")
    #expect(desk.log == ["acquired a by anna (1)", "acquired a/z by anna (2)", "acquired b by anna (3)"])
    #expect(Set(try ["a", "a/z", "b"].map { try #require(desk.lock($0)).id }).count == 3)
  }

  @Test func allOrNone() {
    var desk = Desk()
    _ = desk.ask("bob", "b")
    #expect(desk.ask("anna", "c", "b", "a") == "held: b of bob")
    #expect(
      desk.table.heldCount == 1 && desk.table.pathNumbers.count == 1 && desk.table.agentNumbers.count == 1)
  }

  @Test func ofPathsPartlyHeldTheRestIsNew() {
    var desk = Desk()
    _ = desk.ask("anna", "b", ttl: 1_000)
    #expect(desk.ask("anna", "c", "b", "a", ttl: 2_000) == "granted c(4) b(1) a(2), 2 of them now")
    #expect(
      desk.log.dropFirst() == ["acquired a by anna (2)", "renewed b by anna (1)", "acquired c by anna (4)"])
  }

  @Test func aLockExpiresAtItsDeadlineAndNotBefore() {
    var desk = Desk()
    _ = desk.ask("anna", "a", ttl: 1_000)
    #expect(desk.table.nextDeadline == 1_000_000_000)
    desk.pass(999)
    #expect(desk.holder("a") == "anna")
    desk.pass(1)
    #expect(desk.holder("a") == nil && desk.log.last == "expired a by anna (1)")
    #expect(desk.table.nextDeadline == nil && desk.table.heldCount == 0)
    #expect(desk.ask("bob", "a") == "granted a(3)", "tokens only grow")
  }

  @Test func aRenewalSetsTheTimeToLive() throws {
    var desk = Desk()
    _ = desk.ask("anna", "a", ttl: 10_000)
    let id = try #require(desk.lock("a")).id
    desk.pass(1_000)
    #expect(desk.renew("a", id: id, ttl: 60_000) == "done, of anna" && desk.end("a") == 61_000)
    #expect(desk.renew("a", id: id, by: "anna", ttl: 2_000) == "done, of anna" && desk.end("a") == 3_000)
    #expect(desk.renew("a", id: id, ttl: nil) == "done, of anna" && desk.end("a") == 3_000)
    #expect(desk.renew("a", id: id, by: "bob", ttl: 2_000) == "not held, but by anna")
    #expect(desk.renew("a", id: UnitID(high: 1, low: 1), ttl: 2_000) == "not held, but by anna")
    #expect(desk.renew("b", id: id, ttl: 2_000) == "none")
    #expect(
      desk.log == ["acquired a by anna (1)"] + Array(repeating: "renewed a by anna (1)", count: 3))
    desk.pass(2_000)
    #expect(desk.renew("a", id: id, ttl: 2_000) == "none", "it has expired")
  }

  @Test func onlyTheHolderReleasesUnlessForced() throws {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    let id = try #require(desk.lock("a")).id
    let wrong = UnitID(high: id.high, low: id.low ^ 1)
    for (agent, id, force) in [
      ("bob", nil, false), ("bob", id, false), ("anna", wrong, false), (nil, wrong, false), (nil, nil, false),
      ("anna", wrong, true),
    ] {
      #expect(desk.release("a", by: agent, id: id, force: force) == "not held, but by anna")
    }
    #expect(desk.holder("a") == "anna" && desk.log.count == 1)
    #expect(desk.release("b", by: "anna") == "none")
    #expect(desk.release("a", by: "anna", id: id) == "done, of anna")
    #expect(desk.release("a", by: "anna") == "none")
    _ = desk.ask("anna", "a")
    #expect(desk.release("a", by: "bob", force: true) == "done, of anna")
    #expect(desk.log.last == "released a by anna (3)")
  }

  @Test func aFenceHoldsWhileThatVeryLockIsHeld() {
    var desk = Desk()
    _ = desk.ask("anna", "a", ttl: 1_000)
    #expect(desk.fence("a", 1) && !desk.fence("a", 0) && !desk.fence("a", 2) && !desk.fence("b", 1))
    desk.pass(1_000)
    #expect(!desk.fence("a", 1))
    _ = desk.ask("anna", "a")
    #expect(!desk.fence("a", 1) && desk.fence("a", 3))
  }

  @Test func manyRenewalsLeaveOneDeadline() throws {
    var desk = Desk()
    _ = desk.ask("anna", "a")
    let id = try #require(desk.lock("a")).id
    for _ in 0..<1_000 { _ = desk.renew("a", id: id, ttl: 60_000) }
    #expect(desk.table.deadlines.count == 1)
    _ = desk.release("a", by: "anna")
    #expect(desk.table.deadlines.count == 0)
  }

  @Test func anythingThatIsGoneTakesNoMemory() {
    var desk = Desk()
    for round in 0..<200 {
      _ = desk.ask("agent \(round)", "path \(round)", "shared", ttl: 10)
      _ = desk.ask("other \(round)", "shared", ttl: 10, wait: 5)
      desk.pass(100)
    }
    let table = desk.table
    #expect(table.heldCount == 0 && table.waiterCount == 0 && table.bytes == 0 && table.order.count == 0)
    #expect(table.pathNumbers.count == 0 && table.agentNumbers.count == 0)
    #expect(
      table.paths.count <= 3 && table.agents.count <= 2 && table.waiters.count <= 1 && table.links.count <= 1)
  }

  @Test func timesBeyondAllTimeDontTrap() {
    var desk = Desk()
    desk.now = 1 << 40
    let request = LockAcquisition(
      paths: [bytes("a")], agent: bytes("anna"), ttlMicroseconds: .max, waitNanoseconds: .max,
      metadata: bytes("{}"), random: .max)
    var effects = LockEffects()
    desk.table.acquire(request, LockTicket(1), desk.moment, &effects)
    var other = request
    other.agent = bytes("bob")
    desk.table.acquire(other, LockTicket(2), desk.moment, &effects)
    desk.table.restart(desk.moment)
    #expect(desk.table.nextDeadline == nil && desk.table.waiterCount == 1)
  }
}
