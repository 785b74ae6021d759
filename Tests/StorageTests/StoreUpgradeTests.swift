import CRocksDB
import EngramTesting
import Glibc
import Model
import Synchronization
import Testing

@testable import Storage

/// A store as the program before this one left it is made one of this format where it lies.
@Suite(.serialized) struct StoreUpgradeTests {
  /// More than strips wait for, so that `filters` is behind the others.
  static func history() -> HistoryMaker {
    var history = HistoryMaker()
    var random = SeededRandom(seed: 5)
    for index in 0..<500 {
      if index % 40 == 0 { history.context(bytes("c"), revision: UInt64(index)) }
      if index % 5 == 0 { history.relatedUnit(bytes("d"), &random) } else { history.unit(bytes("c")) }
    }
    return history
  }

  /// Makes a store of format 2, which has neither `locks` nor `relations`, or of format 3, which has no `relations`.
  static func makeFormer(_ path: String, _ version: UInt8) throws {
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
    try put(database, .meta, StoreKey.format, [version, 0, 0, 0])
    for family in StoreUpgrade.families(missingIn: UInt32(version)) {
      try rocks { rocksdb_drop_column_family(database.db, database.handle(family), $0) }
    }
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

  private func checkUpgraded(_ path: String, _ version: UInt8) throws {
    let history = Self.history()
    let store = try openRocks(path)
    let made = StoreUpgrade.families(missingIn: UInt32(version))
    let others = StoreFamily.allCases.filter { !made.contains($0) }.map { store.marksAtOpen[$0] }
    if version == 2 { #expect(store.marksAtOpen[.locks] == others.min()) }
    #expect(store.marksAtOpen[.relations] == store.marksAtOpen[.units])
    let related = try PlainRelations(history.records)
    for position in 1...history.position + 25 {
      let id = EventSamples.unitID(position)
      #expect(try store.relations(of: id) == related.of(id))
    }
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

  @Test(arguments: [2, 3] as [UInt8])
  func `a store of a former format is upgraded as it is opened`(_ version: UInt8) throws {
    let directory = try TestDirectory()
    try Self.makeFormer(directory.path, version)
    let lacking = version == 2 ? ["locks", "relations"] : ["relations"]
    #expect(try Self.families(directory.path) == Set(StoreFamily.allCases.map(\.name)).subtracting(lacking))
    try checkUpgraded(directory.path, version)
  }

  /// A family that replay must still fill is filled behind its mark.
  @Test func `replay goes on where the upgrade ended`() throws {
    let directory = try TestDirectory()
    let records = Self.history().records
    let store = try openRocks(directory.path)
    try store.apply(Array(records[..<200]))
    try store.flush(wait: true)
    store.close()
    let database = try RocksDatabase.open(directory.path + "/db", .small)
    try put(database, .meta, StoreKey.format, [3, 0, 0, 0])
    try rocks { rocksdb_drop_column_family(database.db, database.handle(.relations), $0) }
    try database.flush(.meta, wait: true)
    database.close()
    let upgraded = try openRocks(directory.path)
    defer { upgraded.close() }
    #expect(upgraded.marksAtOpen == StoreMarks(Position(200)))
    try upgraded.apply(Array(records[200...]))
    let related = try PlainRelations(records)
    for position in UInt64(1)...540 {
      let id = EventSamples.unitID(position)
      #expect(try upgraded.relations(of: id) == related.of(id))
    }
  }

  @Test func `the caller is told how far an upgrade is`() throws {
    let directory = try TestDirectory()
    try Self.makeFormer(directory.path, 3)
    let told = Mutex<[UInt64]>([])
    let database = try RocksDatabase.open(directory.path + "/db", .small)
    defer { database.close() }
    try StoreUpgrade.run(.fillRelations, database, every: 100) { units, related in
      told.withLock { $0.append(contentsOf: [units, related]) }
    }
    let (units, related) = try Self.history().records.reduce(into: (0, 0)) { counts, record in
      try view(record) { event in
        if event.kind == .unit { counts.0 += 1 }
        var names = false
        UnitRelationships.forEach(event) { _ in
          names = true
          return false
        }
        if names { counts.1 += 1 }
      }
    }
    let found = told.withLock { $0 }
    #expect(found.count == 12 && Array(found.suffix(2)) == [UInt64(units), UInt64(related)] && units == 500)
    #expect(stride(from: 0, to: 10, by: 2).map { found[$0] } == [100, 200, 300, 400, 500])
  }

  /// Opens the database, which makes the family, takes the first steps, and is killed.
  static func upgradeAndDie(_ path: String, steps: Int) throws {
    let database = try RocksDatabase.open(path + "/db", .small)
    for step in StoreUpgrade.Step.allCases.prefix(steps) { try StoreUpgrade.run(step, database) }
    kill(getpid(), SIGKILL)
  }

  /// Is killed when half of `relations` is there, and on the disk.
  static func fillAndDie(_ path: String) throws {
    let database = try RocksDatabase.open(path + "/db", .small)
    try StoreUpgrade.run(.fillRelations, database, every: 100) { units, _ in
      guard units == 300 else { return }
      try? database.flush(.relations, wait: true)
      kill(getpid(), SIGKILL)
    }
  }

  @Test(arguments: [2, 3] as [UInt8])
  func `a process that is killed while it fills the family begins again`(_ version: UInt8) async throws {
    let directory = try TestDirectory()
    let path = directory.path
    try Self.makeFormer(path, version)
    for _ in 0..<2 {
      await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
        try StoreUpgradeTests.fillAndDie(path)
      }
      let run = try StoreVerificationTests.verify(directory, log: Self.history().records)
      #expect(run.findings == [])
    }
    try checkUpgraded(path, version)
  }

  @Test(arguments: [0, 1, 2, 3])
  func `a process that is killed between the steps leaves a store to be upgraded`(_ steps: Int) async throws {
    let directory = try TestDirectory()
    let path = directory.path
    try Self.makeFormer(path, 2)
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
    try checkUpgraded(path, 2)
  }

  @Test func `a store of format 2 and of another log is left as it is`() throws {
    let directory = try TestDirectory()
    try Self.makeFormer(directory.path, 2)
    #expect(throws: StoreError.self) {
      try RocksStore(path: directory.path + "/db", logUUID: [UInt8](repeating: 9, count: 16), options: .small)
    }
    let database = try RocksDatabase.open(directory.path + "/db", .small)
    let format = try database.get(.meta, StoreKey.format, .disk, for: "test") { value throws(StoreError) in
      value.number(at: 0, as: UInt32.self)
    }
    #expect(format == .found(2))
    database.close()
    try checkUpgraded(directory.path, 2)
  }

  /// `engram verify` reads it without upgrading it.
  @Test(arguments: [2, 3] as [UInt8])
  func `a store of a former format is verified as it is`(_ version: UInt8) throws {
    let directory = try TestDirectory()
    try Self.makeFormer(directory.path, version)
    let run = try StoreVerificationTests.verify(directory, log: Self.history().records)
    #expect(run.findings == [])
    let lacking = StoreUpgrade.families(missingIn: UInt32(version))
    #expect(run.families.map(\.family) == StoreFamily.allCases.filter { !lacking.contains($0) })
    #expect(run.marks.lowest == run.marks[.filters])
    #expect(try !Self.families(directory.path).contains("relations"))
  }

  @Test(arguments: [StoreFamily.locks, .relations])
  func `a store of this format without the family is damaged`(_ family: StoreFamily) throws {
    let directory = try TestDirectory()
    try openRocks(directory.path).close()
    do {
      let database = try RocksDatabase.open(directory.path + "/db", .small)
      defer { database.close() }
      try rocks { rocksdb_drop_column_family(database.db, database.handle(family), $0) }
      try database.flush(.meta, wait: true)
    }
    let run = try StoreVerificationTests.verify(directory)
    #expect(run.findings == ["\(family.name): the family is missing"])
  }
}
