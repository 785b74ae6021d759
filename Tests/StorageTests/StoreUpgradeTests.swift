import CRocksDB
import EngramTesting
import Glibc
import Model
import Testing

@testable import Storage

/// A store as the program before this one left it is made one of this format where it lies.
@Suite(.serialized) struct StoreUpgradeTests {
  /// More than strips wait for, so that `filters` is behind the others.
  static func history() -> HistoryMaker {
    var history = HistoryMaker()
    for index in 0..<400 {
      if index % 40 == 0 { history.context(bytes("c"), revision: UInt64(index)) }
      history.unit(bytes("c"))
    }
    return history
  }

  /// Makes a store of format 2: seven families and no `locks`.
  static func makeFormer(_ path: String) throws {
    let records = history().records
    let store = try openRocks(path)
    // A crash between flushes: the families' marks differ.
    try store.apply(Array(records[..<300]))
    try store.flush(wait: true)
    try store.apply(Array(records[300...]))
    for family in StoreFamily.allCases where family != .filters && family != .ids {
      try store.database.flush(family, wait: true)
    }
    store.close()
    let database = try RocksDatabase.open(path + "/db", .small)
    defer { database.close() }
    try put(database, .meta, StoreKey.format, [2, 0, 0, 0])
    try rocks { rocksdb_drop_column_family(database.db, database.handle(.locks), $0) }
    try database.flush(.meta, wait: true)
  }

  static func families(_ path: String) throws -> Set<String> {
    let options: OpaquePointer = rocksdb_options_create()
    defer { rocksdb_options_destroy(options) }
    var count = 0
    let names = try rocks { rocksdb_list_column_families(options, path + "/db", &count, $0) }
    defer { rocksdb_list_column_families_destroy(names, count) }
    return Set((0..<count).compactMap { names?[$0].map { String(cString: $0) } })
  }

  private func checkUpgraded(_ path: String) throws {
    let history = Self.history()
    let store = try openRocks(path)
    let others = StoreFamily.allCases.filter { $0 != .locks }.map { store.marksAtOpen[$0] }
    #expect(store.marksAtOpen[.locks] == others.min())
    #expect(try store.allEvents(.all) == history.records)
    #expect(try store.heldLocks() == [] && store.lastRestart() == nil)
    // It goes on as one of this format.
    let end = history.position
    let next = [
      EventSamples.restart(position: end + 1),
      EventSamples.lock(.acquired, position: end + 2, path: bytes("a")),
    ]
    try store.apply(next)
    store.close()
    let again = try openRocks(path)
    #expect(again.marksAtOpen == StoreMarks(Position(end + 2)))
    #expect(try again.heldLocks() == [next[1]])
    again.close()
    let run = try StoreVerification(path: path + "/db", options: .small)
    defer { run.close() }
    run.run()
    #expect(run.findings == [])
  }

  @Test func `a store of format 2 is upgraded as it is opened`() throws {
    let directory = try TestDirectory()
    try Self.makeFormer(directory.path)
    #expect(try Self.families(directory.path) == Set(StoreFamily.allCases.map(\.name)).subtracting(["locks"]))
    try checkUpgraded(directory.path)
  }

  /// Opens the database, which makes the family, takes the first steps, and is killed.
  static func upgradeAndDie(_ path: String, steps: Int) throws {
    let database = try RocksDatabase.open(path + "/db", .small)
    for step in StoreUpgrade.Step.allCases.prefix(steps) { try StoreUpgrade.run(step, database) }
    kill(getpid(), SIGKILL)
  }

  @Test(arguments: [0, 1, 2])
  func `a process that is killed between the steps leaves a store to be upgraded`(_ steps: Int) async throws {
    let directory = try TestDirectory()
    let path = directory.path
    try Self.makeFormer(path)
    // Twice: it may be killed again while it does it again.
    for _ in 0..<2 {
      await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, steps = steps as Int] in
        try StoreUpgradeTests.upgradeAndDie(path, steps: steps)
      }
      let run = try StoreVerification(path: path + "/db", options: .small)
      run.run()
      #expect(run.findings == [])
      #expect(run.marks.lowest > .zero)
      run.close()
    }
    try checkUpgraded(path)
  }

  @Test func `a store of format 2 and of another log is left as it is`() throws {
    let directory = try TestDirectory()
    try Self.makeFormer(directory.path)
    #expect(throws: StoreError.self) {
      try RocksStore(path: directory.path + "/db", logUUID: [UInt8](repeating: 9, count: 16), options: .small)
    }
    let database = try RocksDatabase.open(directory.path + "/db", .small)
    let format = try database.get(.meta, StoreKey.format, .disk, for: "test") { value throws(StoreError) in
      value.number(at: 0, as: UInt32.self)
    }
    #expect(format == .found(2))
    database.close()
    try checkUpgraded(directory.path)
  }

  /// `engram verify` reads it without upgrading it.
  @Test func `a store of format 2 is verified as it is`() throws {
    let directory = try TestDirectory()
    try Self.makeFormer(directory.path)
    let run = try StoreVerificationTests.verify(directory, log: Self.history().records)
    #expect(run.findings == [])
    #expect(run.families.map(\.family) == StoreFamily.allCases.filter { $0 != .locks })
    #expect(run.marks.lowest == run.marks[.filters])
    #expect(try !Self.families(directory.path).contains("locks"))
  }

  @Test func `a store of this format without the family is damaged`() throws {
    let directory = try TestDirectory()
    try Self.makeFormer(directory.path)
    do {
      let database = try RocksDatabase.open(directory.path + "/db", .small)
      defer { database.close() }
      try put(database, .meta, StoreKey.format, [3, 0, 0, 0])
      try rocks { rocksdb_drop_column_family(database.db, database.handle(.locks), $0) }
      try database.flush(.meta, wait: true)
    }
    let run = try StoreVerificationTests.verify(directory, log: Self.history().records)
    #expect(run.findings == ["locks: the family is missing"])
  }
}
