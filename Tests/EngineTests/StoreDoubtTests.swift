import Model
import Testing

@testable import Engine

/// When a store that has failed is believed again, and when it is given up.
struct StoreDoubtTests {
  private struct Round {
    var errors: UInt64
    var applied: UInt64 = 100
    var persisted: UInt64 = 0
    var isWriting = true
    var isSpaceShort = false
  }

  private static func look(_ doubt: inout StoreDoubt, _ round: Round, times: Int = 1) {
    for _ in 0..<times {
      doubt.look(
        errors: round.errors, applied: Position(round.applied), persisted: Position(round.persisted),
        isWriting: round.isWriting, isSpaceShort: round.isSpaceShort)
    }
  }

  @Test func `without an error there is no doubt`() {
    var doubt = StoreDoubt()
    Self.look(&doubt, Round(errors: 0), times: 1000)
    #expect(!doubt.isOpen && !doubt.wantsFlush && !doubt.isHopeless)
  }

  @Test func `it is over when what was applied is on disk, and no earlier`() {
    var doubt = StoreDoubt()
    Self.look(&doubt, Round(errors: 1), times: StoreDoubt.quietRoundsMin + 5)
    #expect(doubt.isOpen)
    Self.look(&doubt, Round(errors: 1, persisted: 99))
    #expect(doubt.isOpen)
    Self.look(&doubt, Round(errors: 1, persisted: 100, isWriting: false))
    #expect(doubt.isOpen)
    Self.look(&doubt, Round(errors: 1, applied: 200, persisted: 100))
    #expect(!doubt.isOpen)
    Self.look(&doubt, Round(errors: 1, applied: 300, persisted: 100), times: 100)
    #expect(!doubt.isOpen, "the same error isn't held against it again")
  }

  @Test func `where nothing waits for the disk, quiet rounds end it`() {
    var doubt = StoreDoubt()
    Self.look(&doubt, Round(errors: 1, persisted: 100), times: StoreDoubt.quietRoundsMin - 1)
    #expect(doubt.isOpen)
    Self.look(&doubt, Round(errors: 2, persisted: 100), times: StoreDoubt.quietRoundsMin - 1)
    #expect(doubt.isOpen, "another error begins the wait anew")
    Self.look(&doubt, Round(errors: 2, persisted: 100))
    #expect(!doubt.isOpen)
  }

  @Test func `it asks for flushes, and gives up once`() {
    var doubt = StoreDoubt()
    var flushes = 0
    var ends = 0
    for _ in 0..<2 * StoreDoubt.roundsMax {
      Self.look(&doubt, Round(errors: 1))
      if doubt.wantsFlush { flushes += 1 }
      if doubt.isHopeless { ends += 1 }
    }
    #expect(flushes == 2 * StoreDoubt.roundsMax / StoreDoubt.roundsPerFlush)
    #expect(ends == 1)
  }

  @Test func `a full file system is no reason to give up`() {
    var doubt = StoreDoubt()
    for _ in 0..<10 * StoreDoubt.roundsMax {
      Self.look(&doubt, Round(errors: 1, isSpaceShort: true))
      #expect(!doubt.isHopeless)
    }
  }
}
