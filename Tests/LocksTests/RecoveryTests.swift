import Bytes
import Model
import Testing

@testable import Locks

/// Replay of the log, and the restart behind it.
@Suite struct RecoveryTests {
  private func state(_ path: String, _ holder: String, token: UInt64, ttl: UInt64 = 10_000_000) -> LockState {
    LockState(
      path: bytes(path), holder: bytes(holder), id: UnitID(high: token, low: 1), token: Position(token),
      ttlMicroseconds: ttl, acquiredAt: LogTime(microseconds: 500),
      expiresAt: LogTime(microseconds: 500 + ttl),
      metadata: bytes("{}"))
  }

  private let start = LockMoment(
    monotonic: 3_000_000_000, logTime: LogTime(microseconds: 7_000_000), position: Position(100))

  @Test func aRestartGivesEveryLockItsFullTimeAgain() {
    var table = LockTable()
    table.restore(.acquired, state("a", "anna", token: 1))
    table.restore(.acquired, state("b", "bob", token: 2, ttl: 1_000_000))
    #expect(table.nextDeadline == nil, "nothing expires before the restart")
    table.restart(start)
    var desk = Desk(table)
    #expect(desk.lock("a")?.expiresAt == LogTime(microseconds: 17_000_000))
    #expect(desk.lock("b")?.expiresAt == LogTime(microseconds: 8_000_000))
    #expect(desk.fence("a", 1) && table.nextDeadline == 4_000_000_000 && table.heldCount == 2)
    desk.now = 3_999
    desk.pass(0)
    #expect(desk.holder("b") == "bob")
    desk.pass(1)
    #expect(desk.holder("b") == nil && desk.holder("a") == "anna")
    desk.pass(9_000)
    #expect(desk.holder("a") == nil)
  }

  @Test func aRestartGivesNoLessThanWasPromised() {
    var table = LockTable()
    var lock = state("a", "anna", token: 1, ttl: 1_000_000)
    lock.expiresAt = LogTime(microseconds: 9_000_000)
    table.restore(.renewed, lock)
    table.restart(start)
    #expect(table.nextDeadline == 5_000_000_000)
    #expect(Desk(table).lock("a")?.expiresAt == LogTime(microseconds: 9_000_000))
  }

  @Test func eventsTellTheWholeState() {
    var table = LockTable()
    table.restore(.acquired, state("a", "anna", token: 1))
    var renewed = state("a", "anna", token: 1, ttl: 20_000_000)
    renewed.metadata = bytes(#"{"k":"v"}"#)
    table.restore(.renewed, renewed)
    #expect(Desk(table).lock("a") == renewed && table.heldCount == 1)
    table.restore(.released, renewed)
    table.restore(.acquired, state("a", "bob", token: 4))
    #expect(Desk(table).holder("a") == "bob" && table.agentNumbers.count == 1)
    table.restore(.expired, state("a", "bob", token: 4))
    #expect(table.heldCount == 0 && table.bytes == 0 && table.pathNumbers.count == 0)
  }

  @Test func eventsThatComeAgainOrLateChangeNothing() {
    // The store knows the state after the last of these; the log tells all of them once more.
    let events: [(LockAction, LockState)] = [
      (.acquired, state("a", "anna", token: 1)), (.released, state("a", "anna", token: 1)),
      (.acquired, state("a", "bob", token: 3)), (.renewed, state("a", "bob", token: 3, ttl: 5)),
      (.acquired, state("b", "bob", token: 5)), (.expired, state("b", "bob", token: 5)),
    ]
    var table = LockTable()
    table.restore(.renewed, events[3].1)
    for round in 1...2 {
      for (action, lock) in events { table.restore(action, lock) }
      #expect(table.list(limit: 9).locks == [events[3].1], "round \(round)")
    }
    // An acquisition without the release before it: the lock of the higher token is the one that is held.
    table.restore(.acquired, state("a", "carl", token: 9))
    table.restore(.released, state("a", "bob", token: 3))
    #expect(Desk(table).holder("a") == "carl" && table.heldCount == 1)
  }

  @Test func tokensGrowOnBehindTheRestart() {
    var table = LockTable()
    table.restore(.acquired, state("a", "anna", token: 41))
    table.restart(start)
    var effects = LockEffects()
    let change = bytes("a").withUnsafeBytes {
      table.release($0, agent: bytes("anna"), lockID: nil, isForced: false, start, &effects)
    }
    #expect(change == .done(table.lockBefore(effects)))
    var desk = Desk(table)
    desk.position = 101
    #expect(desk.ask("anna", "a") == "granted a(101)")
  }
}

extension LockTable {
  fileprivate func lockBefore(_ effects: LockEffects) -> LockState { effects.events[0].lock }
}
