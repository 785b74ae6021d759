import EngramTesting
import Glibc
import Model
import Testing

@testable import Storage

/// What `engram verify` says of a store: nothing of a sound one, and of each kind of damage what and where it is.
struct StoreVerificationTests {
  /// Two contexts, interleaved, of two agents.
  static func history() -> HistoryMaker {
    var history = HistoryMaker()
    history.context(bytes("a"), agent: "ann")
    for turn in 0..<20 {
      history.unit(bytes("a"))
      if turn % 2 == 0 { history.unit(bytes("b\u{0}b")) }
      if turn == 10 { history.context(bytes("a"), agent: "bob", revision: 2) }
    }
    return history
  }

  static func verify(
    _ directory: TestDirectory, log records: [[UInt8]] = []
  ) throws -> StoreVerification {
    let run = try StoreVerification(path: directory.path + "/db", options: .small)
    defer { run.close() }
    EventSamples.withViews(of: records) { views in
      for view in views { run.logRecord(view) }
    }
    run.run()
    return run
  }

  /// Makes a store, lets `damage` change it, and verifies it.
  static func findings(
    _ damage: (RocksStore, HistoryMaker) throws -> Void, withLog: Bool = false,
    of history: HistoryMaker = history()
  ) throws -> [String] {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    try store.apply(history.records)
    try damage(store, history)
    try store.flush(wait: true)
    store.close()
    return try verify(directory, log: withLog ? history.records : []).findings
  }

  static func edit(
    _ store: RocksStore, _ family: StoreFamily, _ change: (inout [[[UInt8]]]) -> Void
  ) throws {
    var entries = try dump(store.database, family)
    change(&entries)
    try restore(store, family, entries)
  }

  @Test func `a sound store, with and without its log`() throws {
    #expect(try Self.findings({ _, _ in }) == [])
    #expect(try Self.findings({ _, _ in }, withLog: true) == [])
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    let history = Self.history()
    try store.apply(history.records)
    try store.flush(wait: true)
    store.close()
    let run = try Self.verify(directory, log: history.records)
    #expect(run.comparedRecords == history.records.count)
    #expect(run.families.map(\.family) == StoreFamily.allCases && run.families.allSatisfy(\.isWhole))
    #expect(run.families.first { $0.family == .ids }?.entries == 30)
    #expect(StoreFamily.allCases.allSatisfy { run.marks[$0] == history.end })
  }

  /// What a crash leaves: each family on disk is a prefix of its own; the log holds the rest.
  @Test(arguments: StoreFamily.allCases) func `a family that lags behind, or is ahead`(_ other: StoreFamily)
    throws
  {
    for lags in [true, false] {
      let directory = try TestDirectory()
      let history = Self.history()
      let store = try openRocks(directory.path)
      try store.apply(Array(history.records[..<17]))
      var before: [StoreFamily: [[[UInt8]]]] = [:]
      for family in StoreFamily.allCases { before[family] = try dumpWithMark(store, family) }
      try store.apply(Array(history.records[17...]))
      for family in StoreFamily.allCases where (family == other) == lags {
        try restore(store, family, before[family] ?? [])
      }
      try store.flush(wait: true)
      store.close()
      let run = try Self.verify(directory, log: history.records)
      #expect(run.findings == [], "\(other) \(lags ? "lags" : "is ahead")")
      #expect((run.marks[other] == Position(17)) == lags)
    }
  }

  /// `dump` doesn't stop before the store's own keys.
  private func dumpWithMark(_ store: RocksStore, _ family: StoreFamily) throws -> [[[UInt8]]] {
    try dump(store.database, family)
  }

  @Test func `a unit that is gone`() throws {
    let found = try Self.findings({ store, _ in
      try Self.edit(store, .units) { entries in
        entries.removeAll { $0[0] == StoreKey.units(bytes("a"), tag: 0, number: 5) }
      }
    })
    #expect(found.contains { $0.contains("context \"a\", sequence 6 follows 4") })
    #expect(found.contains { $0.contains("ids: an id of context \"a\", sequence 5, that no unit has") })
    #expect(found.contains { $0.contains("log: position") && $0.contains("names a unit that isn't there") })
  }

  @Test func `the last unit that is gone shows in the head and in the log`() throws {
    let found = try Self.findings(
      { store, _ in
        try Self.edit(store, .units) { entries in
          entries.removeAll { $0[0] == StoreKey.units(bytes("a"), tag: 0, number: 20) }
        }
      }, withLog: true)
    #expect(found.contains { $0.contains("is in the log, but not here") })
    #expect(found.contains { $0.contains("contexts: the head of \"a\" isn't its last unit, sequence 19") })
  }

  @Test func `a byte of a unit that differs`() throws {
    let change: (RocksStore, HistoryMaker) throws -> Void = { store, _ in
      try Self.edit(store, .units) { entries in
        guard
          let index = entries.firstIndex(where: { $0[0] == StoreKey.units(bytes("a"), tag: 0, number: 7) })
        else { return }
        entries[index][1][entries[index][1].count - 10] ^= 1
      }
    }
    #expect(
      try Self.findings(change).contains {
        $0.contains("sequence 7: the record's checksum or length is wrong")
      })
    #expect(
      try Self.findings(change, withLog: true).contains { $0.contains("isn't what the log holds there") })
  }

  @Test func `units that changed places`() throws {
    let found = try Self.findings({ store, _ in
      try Self.edit(store, .units) { entries in
        let places = [3, 4].compactMap { number in
          entries.firstIndex { $0[0] == StoreKey.units(bytes("a"), tag: 0, number: number) }
        }
        guard places.count == 2 else { return }
        (entries[places[0]][1], entries[places[1]][1]) = (entries[places[1]][1], entries[places[0]][1])
      }
    })
    #expect(found.count { $0.contains("the record is that of another unit") } == 2)
  }

  @Test func `an id that is gone, or leads elsewhere`() throws {
    let gone = try Self.findings({ store, _ in try Self.edit(store, .ids) { _ = $0.removeFirst() } })
    #expect(
      gone.count == 1 && gone[0].hasPrefix("ids: the unit at position") && gone[0].hasSuffix("is missing"))
    let elsewhere = try Self.findings({ store, _ in try Self.edit(store, .ids) { $0[0][1][0] ^= 7 } })
    #expect(elsewhere.contains { $0.contains("stands here otherwise than in units") })
  }

  @Test func `a position that is gone`() throws {
    let found = try Self.findings({ store, _ in
      try Self.edit(store, .log) { entries in entries.removeAll { $0[0] == StoreKey.log(Position(9)) } }
    })
    #expect(found.contains("log: position 10 follows 8"))
    #expect(found.contains("log: position 9 is missing, though a unit has it"))
  }

  @Test func `a context event that is gone`() throws {
    let found = try Self.findings({ store, _ in
      try Self.edit(store, .log) { entries in entries.removeAll { $0[0] == StoreKey.log(Position(1)) } }
    })
    #expect(found.contains { $0.hasPrefix("units: holds 2 marks of events") })
    #expect(found.contains { $0.hasPrefix("agents: an entry names position 1") })
  }

  @Test func `heads and records of contexts`() throws {
    let head = StoreKey.context(bytes("b\u{0}b"), part: StoreKey.contextHead)
    let wrong = try Self.findings({ store, _ in
      try Self.edit(store, .contexts) { entries in
        guard let index = entries.firstIndex(where: { $0[0] == head }) else { return }
        entries[index][1][0] += 1
      }
    })
    #expect(wrong.count == 1 && wrong[0].hasSuffix("isn't its last unit, sequence 10"))
    let gone = try Self.findings({ store, _ in
      try Self.edit(store, .contexts) { entries in entries.removeAll { $0[0] == head } }
    })
    #expect(gone.count == 1 && gone[0].hasPrefix("contexts: ") && gone[0].hasSuffix("is missing"))
    let broken = try Self.findings({ store, _ in
      try Self.edit(store, .contexts) { entries in
        guard let index = entries.firstIndex(where: { $0[0].last == StoreKey.contextRecord }) else { return }
        entries[index][1][20] ^= 1
      }
    })
    #expect(broken == ["contexts: an entry is neither a head nor an intact event"])
  }

  @Test func `an agent that isn't listed`() throws {
    let found = try Self.findings({ store, _ in try Self.edit(store, .agents) { _ = $0.removeFirst() } })
    #expect(found == ["agents: who caused position 1 isn't listed"])
  }

  @Test func `what doesn't belong into meta`() throws {
    let found = try Self.findings({ store, _ in try put(store, .meta, [0, 0, 1], [1]) })
    #expect(found == ["default: an entry that doesn't belong here"])
  }

  @Test func `a format that isn't known`() throws {
    let found = try Self.findings({ store, _ in try put(store, .meta, StoreKey.format, [9, 0, 0, 0]) })
    #expect(found == ["default: format version 9, of which this program knows only 4"])
  }

  /// RocksDB's own checksums; the families that can be read are read all the same.
  @Test func `a byte of a table file that differs`() throws {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    try store.apply(Self.history().records)
    try store.flush(wait: true)
    store.close()
    for name in TestDirectory.names(in: directory.path + "/db") where name.hasSuffix(".sst") {
      let path = "\(directory.path)/db/\(name)"
      try flip(path, at: 20)
      let run = try Self.verify(directory)
      #expect(
        run.findings.contains { $0.contains("Corruption") && $0.contains(name) }, "\(name): \(run.findings)")
      #expect(run.families.count { !$0.isWhole } <= 1)
      try flip(path, at: 20)
    }
    #expect(try Self.verify(directory).findings == [])
  }
}
