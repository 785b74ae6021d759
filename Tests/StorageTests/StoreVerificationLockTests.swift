import EngramTesting
import Model
import Testing

@testable import Storage

/// What `engram verify` says of `locks`: each kind of damage, and what a crash may leave.
struct StoreVerificationLockTests {
  /// At the end `a` is held by position 7, `b` by 5, `c` is free; the last restart is at 8.
  private static func history() -> HistoryMaker {
    var history = HistoryMaker()
    history.restart()
    history.lock(.acquired, "a")
    history.unit(bytes("ctx"))
    history.lock(.acquired, "c")
    history.lock(.acquired, "b")
    history.lock(.released, "c")
    history.lock(.renewed, "a")
    history.restart()
    history.context(bytes("ctx"))
    return history
  }

  private static func findings(_ change: (inout [[[UInt8]]]) -> Void) throws -> [String] {
    try StoreVerificationTests.findings(
      { store, _ in try StoreVerificationTests.edit(store, .locks, change) }, of: history())
  }

  /// Replaces a value, or adds it.
  private static func set(_ entries: inout [[[UInt8]]], _ key: [UInt8], _ value: [UInt8]) {
    entries.removeAll { $0[0] == key }
    entries.append([key, value])
  }

  @Test func `a sound store, with and without its log`() throws {
    for withLog in [true, false] {
      #expect(
        try StoreVerificationTests.findings({ _, _ in }, withLog: withLog, of: Self.history()) == [])
    }
  }

  /// What a crash leaves: the log's records stand in for what one of the two families lacks.
  @Test(arguments: StoreFamily.allCases, [1, 2, 4, 6, 7, 8])
  func `a family that lags behind, or is ahead`(_ other: StoreFamily, _ split: Int) throws {
    for lags in [true, false] {
      let directory = try TestDirectory()
      let history = Self.history()
      let store = try openRocks(directory.path)
      try store.apply(Array(history.records[..<split]))
      let before = try StoreFamily.allCases.map { try dump(store.database, $0) }
      try store.apply(Array(history.records[split...]))
      for family in StoreFamily.allCases where (family == other) == lags {
        try restore(store, family, before[family.rawValue])
      }
      store.close()
      let run = try StoreVerificationTests.verify(directory, log: history.records)
      #expect(run.findings == [], "\(other) \(lags ? "lags" : "is ahead") from \(split)")
    }
  }

  @Test func `a lock that is gone`() throws {
    let found = try Self.findings { $0.removeAll { $0[0] == StoreKey.lock(bytes("a")) } }
    #expect(found == ["locks: \"a\" is missing, though position 7 holds it"])
  }

  @Test func `a lock that should be gone, or is an earlier one`() throws {
    let records = Self.history().records
    let free = try Self.findings { Self.set(&$0, StoreKey.lock(bytes("c")), records[3]) }
    #expect(free == ["locks: \"c\" is held by position 4, but isn't held"])
    let earlier = try Self.findings { Self.set(&$0, StoreKey.lock(bytes("a")), records[1]) }
    #expect(earlier == ["locks: \"a\" is held by position 2, but its latest event is at 7"])
  }

  @Test func `a lock's event that is broken, or stands elsewhere`() throws {
    let records = Self.history().records
    var broken = records[4]
    broken[60] ^= 1
    let found = try Self.findings { Self.set(&$0, StoreKey.lock(bytes("b")), broken) }
    #expect(found.first == "locks: what is held isn't an intact event of a lock" && found.count == 2)
    let elsewhere = try Self.findings { Self.set(&$0, StoreKey.lock(bytes("z")), records[4]) }
    #expect(elsewhere.contains("locks: the event of \"b\" stands under another path"))
  }

  @Test func `places that are gone, wrong or too many`() throws {
    let gone = try Self.findings { $0.removeAll { $0[0] == StoreKey.lock(at: Position(6)) } }
    #expect(gone == ["locks: the event at position 6 isn't listed"])
    let restart = try Self.findings { $0.removeAll { $0[0] == StoreKey.lock(at: Position(1)) } }
    #expect(restart == ["locks: the event at position 1 isn't listed"])
    let wrong = try Self.findings { Self.set(&$0, StoreKey.lock(at: Position(5)), bytes("a")) }
    #expect(wrong == ["locks: the event at position 5 is listed under another path"])
    let unit = try Self.findings { Self.set(&$0, StoreKey.lock(at: Position(3)), bytes("a")) }
    #expect(unit == ["locks: position 3 is listed, but isn't an event of a lock"])
    let beyond = try Self.findings { Self.set(&$0, StoreKey.lock(at: Position(99)), bytes("a")) }
    #expect(beyond.contains("locks: position 99 is above the family's mark"))
  }

  @Test func `the last restart`() throws {
    let key = StoreKey.locks(StoreKey.lockRestart)
    let gone = try Self.findings { $0.removeAll { $0[0] == key } }
    #expect(gone == ["locks: the restart at position 8 is missing"])
    let earlier = try Self.findings { entries in
      guard let index = entries.firstIndex(where: { $0[0] == key }) else { return }
      entries[index][1][0] = 1
    }
    #expect(earlier == ["locks: the latest restart is said to be at position 1, but is at 8"])
    let otherTime = try Self.findings { entries in
      guard let index = entries.firstIndex(where: { $0[0] == key }) else { return }
      entries[index][1][8] ^= 1
    }
    #expect(otherTime.count == 1)
  }

  @Test func `what doesn't belong there`() throws {
    for key in [[0, 0, 7], [0, 0, 2, 1], [0, 0, 1, 5], [0, 0]] as [[UInt8]] {
      #expect(try Self.findings { $0.append([key, [1]]) }.count == 1, "\(key)")
    }
  }

  /// The event is gone from the log, so nothing says that its lock is held.
  @Test func `an event that the log lacks`() throws {
    let found = try StoreVerificationTests.findings(
      { store, _ in
        try StoreVerificationTests.edit(store, .log) { $0.removeAll { $0[0] == StoreKey.log(Position(5)) } }
      }, of: Self.history())
    #expect(found.contains("log: position 6 follows 4"))
    #expect(found.contains("locks: \"b\" is held by position 5, but isn't held"))
    #expect(found.contains("locks: position 5 is listed, but isn't an event of a lock"))
  }
}
