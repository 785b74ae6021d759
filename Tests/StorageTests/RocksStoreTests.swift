import EngramTesting
import Glibc
import Model
import Testing

@testable import Storage

@Suite struct RocksStoreTests {
  @Test func aReopenedStoreHoldsWhatItHeld() throws {
    let directory = try TestDirectory()
    var history = HistoryMaker()
    for index in 0..<200 {
      history.context(bytes("c\(index % 9)"))
      history.unit(bytes("c\(index % 9)"), bodyBytes: 900)
    }
    do {
      let store = try openRocks(directory.path)
      defer { store.close() }
      #expect(store.marksAtOpen == StoreMarks())
      try store.apply(history.records, batch: 30)
    }
    let store = try openRocks(directory.path)
    defer { store.close() }
    #expect(store.marksAtOpen == StoreMarks(history.end))
    #expect(store.appliedPosition() == history.end)
    #expect(try store.persistedPosition() == history.end)
    #expect(try store.allEvents() == history.records)
    #expect(try store.lowestPosition() == Position(1))
  }

  @Test func persistedFollowsAppliedOnlyWithAFlush() throws {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    defer { store.close() }
    var history = HistoryMaker()
    history.unit(bytes("a"))
    try store.apply(history.records)
    #expect(try store.persistedPosition() == .zero)
    try store.flush(wait: true)
    #expect(try store.persistedPosition() == Position(1))
    try store.apply([], upTo: Position(5))
    #expect(try store.persistedPosition() == Position(1))
    #expect(try store.persistedMarks() == StoreMarks(Position(1)))
    // One family alone does not move the minimum.
    try store.database.flush(.units, wait: true)
    #expect(try store.persistedMarks()[.units] == Position(5))
    #expect(try store.persistedPosition() == Position(1))
  }

  /// RocksDB flushes at closing what is in its active memtables, and breaks off what is being flushed.
  @Test func closingWaitsForFlushesUnderWay() throws {
    let directory = try TestDirectory()
    var history = HistoryMaker()
    for _ in 0..<10 {
      let applied = history.records.count
      for _ in 0..<200 { history.unit(bytes("a"), bodyBytes: 1000) }
      let store = try openRocks(directory.path)
      #expect(store.marksAtOpen == StoreMarks(Position(UInt64(applied))))
      try store.apply(Array(history.records[applied...]))
      try store.flush(wait: false)
      store.close()
    }
  }

  @Test func aStoreOfAnotherLogIsRefused() throws {
    let directory = try TestDirectory()
    try openRocks(directory.path).close()
    let other = [UInt8](repeating: 9, count: 16)
    let error = #expect(throws: StoreError.self) {
      try RocksStore(path: directory.path + "/db", logUUID: other)
    }
    #expect(error?.severity == .integrity)
    let whichever = try RocksStore(path: directory.path + "/db", logUUID: nil, options: .small)
    #expect(whichever.logUUID == testLogUUID)
    whichever.close()
    #expect(throws: StoreError.self) { try RocksStore(path: directory.path + "/db", logUUID: [1, 2]) }
  }

  @Test func noStoreIsMadeWithoutALog() throws {
    let directory = try TestDirectory()
    #expect(throws: StoreError.self) { try RocksStore(path: directory.path + "/db", logUUID: nil) }
    #expect(throws: StoreError.self) {
      try RocksStore(path: directory.path + "/no/such/parent", logUUID: testLogUUID)
    }
  }

  @Test(arguments: [1, 5] as [UInt8])
  func anotherFormatIsRefused(_ version: UInt8) throws {
    let directory = try TestDirectory()
    do {
      let store = try openRocks(directory.path)
      defer { store.close() }
      try put(store, .meta, StoreKey.format, [version, 0, 0, 0])
    }
    let error = #expect(throws: StoreError.self) { try openRocks(directory.path) }
    #expect(error?.severity == .integrity)
    #expect(error?.message.contains("format version \(version)") == true)
  }

  @Test func dataWithoutIdentityIsRefused() throws {
    let directory = try TestDirectory()
    do {
      let database = try RocksDatabase.open(directory.path + "/db", .small)
      defer { database.close() }
      try put(database, .units, StoreKey.mark, [1, 0, 0, 0, 0, 0, 0, 0])
    }
    let error = #expect(throws: StoreError.self) { try openRocks(directory.path) }
    #expect(error?.severity == .integrity)
  }

  @Test func aSecondOpenOfTheSameDirectoryFails() throws {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    defer { store.close() }
    let error = #expect(throws: StoreError.self) { try openRocks(directory.path) }
    #expect(error?.severity == .operational)
  }

  /// A family ahead of the others skips what it has; none is taken back.
  @Test(arguments: StoreFamily.allCases)
  func replayIsHarmlessWhicheverFamilyIsAhead(_ ahead: StoreFamily) throws {
    let directory = try TestDirectory()
    var history = HistoryMaker()
    for index in 0..<50 {
      history.context(bytes("c\(index % 3)"), agent: "agent\(index % 5)", revision: UInt64(index))
      history.unit(bytes("c\(index % 3)"))
      history.lock(LockAction.allCases[index % 4], "path\(index % 7)")
      if index % 9 == 0 { history.restart() }
    }
    do {
      // As a crash leaves it: `ahead` has seen everything, the others only the first 30 events.
      let store = try openRocks(directory.path)
      defer { store.close() }
      try store.apply(Array(history.records[..<30]))
      let saved = try StoreFamily.allCases.map { try dump(store.database, $0) }
      try store.apply(Array(history.records[30...]))
      for family in StoreFamily.allCases where family != ahead {
        try restore(store, family, saved[family.rawValue])
      }
    }
    let expected = try TestDirectory()
    let whole = try openRocks(expected.path)
    defer { whole.close() }
    try whole.apply(history.records)

    let store = try openRocks(directory.path)
    defer { store.close() }
    #expect(store.appliedPosition() == Position(30))
    #expect(store.marksAtOpen.highest == history.end)
    #expect(store.marksAtOpen[ahead] == history.end)
    // Replay from before the lowest mark, as a log scan may.
    try store.apply(Array(history.records[20...]), batch: 9)
    for family in StoreFamily.allCases {
      #expect(try dump(store.database, family) == dump(whole.database, family), "\(family)")
    }
    #expect(store.appliedPosition() == history.end)
    #expect(try store.heldLocks() == heldLocks(history.records))
    #expect(try store.allEvents(.all) == whole.allEvents(.all))
  }

  @Test func aDamagedTableIsAnErrorNotATrap() throws {
    let directory = try TestDirectory()
    var history = HistoryMaker()
    for _ in 0..<300 { history.unit(bytes("a"), bodyBytes: 1200) }
    do {
      let store = try openRocks(directory.path)
      defer { store.close() }
      try store.apply(history.records)
    }
    let tables = TestDirectory.names(in: directory.path + "/db").filter { $0.hasSuffix(".sst") }
    #expect(!tables.isEmpty)
    // Flips bits near the start of every table: data blocks, found only when they are read.
    for table in tables { try flip("\(directory.path)/db/\(table)", at: 40) }
    do {
      let store = try openRocks(directory.path)
      defer { store.close() }
      let error = #expect(throws: StoreError.self) { try store.sequences(bytes("a")) }
      #expect(error?.severity == .integrity)
      #expect(throws: StoreError.self) { try store.allEvents() }
      #expect(throws: StoreError.self) {
        try store.unit(context: bytes("a"), sequence: Sequence(1), tier: .disk) { _ in }
      }
    } catch {
      // Where the mark lies in the damaged block, opening already says so.
      #expect(error.severity == .integrity)
    }
  }

  @Test func aMissingTableStopsTheStart() throws {
    let directory = try TestDirectory()
    do {
      let store = try openRocks(directory.path)
      defer { store.close() }
      try store.apply([EventSamples.unit(position: 1, context: bytes("a"), sequence: 1)])
    }
    let table = try #require(TestDirectory.names(in: directory.path + "/db").first { $0.hasSuffix(".sst") })
    unlink("\(directory.path)/db/\(table)")
    let error = #expect(throws: StoreError.self) { try openRocks(directory.path) }
    #expect(error?.severity == .integrity)
  }

  /// What lies on disk and in no cache: cache-only reads say so instead of reading it.
  @Test func cacheOnlyReadsNeverTouchTheDisk() throws {
    let directory = try TestDirectory()
    var history = HistoryMaker()
    // Enough for several blocks in every family: opening reads the last one of each, for its mark.
    for index in 0..<600 {
      history.context(bytes("b\(index)"))
      history.unit(bytes("a"), bodyBytes: 200)
    }
    do {
      let store = try openRocks(directory.path)
      defer { store.close() }
      try store.apply(history.records)
    }
    let store = try openRocks(directory.path)
    defer { store.close() }
    let record = history.records[51]
    let id = try unitID(record)
    func scan(_ tier: ReadTier) throws -> ScanEnd {
      try store.units(
        in: bytes("a"), from: Sequence(1), through: Sequence(.max), reverse: true, limit: .max,
        bytesMax: .max, tier: tier
      ) { _ in true }
    }
    #expect(try store.location(of: id, tier: .cacheOnly) == .incomplete)
    #expect(try store.unit(id: id, tier: .cacheOnly) { _ in } == .incomplete)
    #expect(try store.contextHead(bytes("a"), tier: .cacheOnly) == .incomplete)
    #expect(try store.contextHead(bytes("unknown"), tier: .cacheOnly) == .notFound)
    #expect(try scan(.cacheOnly) == .incomplete)
    // Once read, it is in the cache.
    #expect(try scan(.disk) == .exhausted)
    #expect(try scan(.cacheOnly) == .exhausted)
    #expect(try store.unitBytes(id) == record)
    #expect(try store.unitBytes(id, .cacheOnly) == record)
  }

  @Test func openingAndClosingAgainAndAgainLeavesNothingOpen() throws {
    let directory = try TestDirectory()
    var history = HistoryMaker()
    var openFiles: [Int] = []
    for _ in 0..<12 {
      let store = try openRocks(directory.path)
      let applied = history.records.count
      for _ in 0..<20 { history.unit(bytes("a")) }
      try store.apply(Array(history.records[applied...]))
      #expect(try store.sequences(bytes("a")).count == history.records.count)
      store.close()
      openFiles.append(TestDirectory.linksTo(directory.path))
    }
    #expect(openFiles.allSatisfy { $0 == 0 })
  }

  @Test func healthCountsWhatIsThere() throws {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    defer { store.close() }
    var history = HistoryMaker()
    for _ in 0..<100 { history.unit(bytes("a"), bodyBytes: 1000) }
    try store.apply(history.records)
    #expect(store.health().memtableBytes > 100_000)
    try store.flush(wait: true)
    let health = store.health()
    #expect(health.isHealthy)
    #expect(health.tableFileBytes > 50_000)
    #expect(health.familyBytes.count == StoreFamily.allCases.count)
    #expect(health.familyBytes[StoreFamily.units.rawValue] > 50_000)
  }

  @Test func largeUnitsMayLiveInBlobFiles() throws {
    let directory = try TestDirectory()
    var options = StoreOptions.small
    options.blobBytesMin = 4096
    var history = HistoryMaker()
    for index in 0..<40 { history.unit(bytes("a"), bodyBytes: index % 2 == 0 ? 100 : 20_000) }
    do {
      let store = try openRocks(directory.path, options: options)
      defer { store.close() }
      try store.apply(history.records)
      try store.flush(wait: true)
      #expect(store.health().blobFileBytes > 400_000)
    }
    let store = try openRocks(directory.path, options: options)
    defer { store.close() }
    #expect(try store.unitBytes(unitID(history.records[1]), .cacheOnly) == nil)
    #expect(try store.allEvents() == history.records)
    #expect(try store.unitBytes(unitID(history.records[1]), .cacheOnly) == history.records[1])
  }
}
