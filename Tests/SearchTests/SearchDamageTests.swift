import EngramTesting
import Glibc
import Model
import Testing

@testable import Search

/// Whatever happened to the files: right results, or an error that says so; never a trap, and never an end to it.
@Suite struct SearchDamageTests {
  private static let queries = ["error", "the build", "\"build failed\"", "go*", "-error", "", "東京", "x y1"]

  private let units: [TestUnit]
  private let right: [[UInt64]]
  private let directory: SearchDirectory
  /// The files of an index that was closed, and of one that was killed.
  private let closed: [UInt8]
  private let killed: (file: [UInt8], wal: [UInt8])

  init() throws {
    var world = SearchWorld(random: SearchRandom(state: 11))
    units = (1...150).map { world.unit(UInt64($0)) }
    directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    for unit in units.prefix(100) { try index.add(unit) }
    try index.commit(through: 100)
    while try index.tidy() {}
    for unit in units.dropFirst(100) {
      try index.add(unit)
      if unit.position % 10 == 0 { try index.commit(through: Position(unit.position)) }
    }
    killed = (TestFile.read(directory.file), TestFile.read(directory.file + "-wal"))
    let reader = try SearchReader(directory: directory.path)
    right = try Self.queries.map { try reader.positions($0, Self.all) }
    try index.close()
    closed = TestFile.read(directory.file)
  }

  private static var all: SearchQuery {
    var query = SearchQuery()
    query.limit = 1000
    return query
  }

  private enum Outcome: Equatable { case right, earlier, refused, wrong(String) }

  /// Opens what is there as a server does after a crash, asks it everything, and indexes on.
  private func outcome(_ file: [UInt8], wal: [UInt8] = []) throws -> Outcome {
    let directory = try SearchDirectory()
    mkdir(directory.path + "/search", 0o700)
    TestFile.write(file, to: directory.file)
    if !wal.isEmpty { TestFile.write(wal, to: directory.file + "-wal") }
    do {
      let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
      let watermark = index.watermark.rawValue
      guard watermark <= 150 else { return .wrong("watermark \(watermark)") }
      let reader = try SearchReader(directory: directory.path)
      for (text, right) in zip(Self.queries, right) {
        let found = try reader.positions(text, Self.all)
        let expected = right.filter { $0 <= watermark }
        guard found == expected else { return .wrong("'\(text)': \(found), expected \(expected)") }
      }
      for unit in units where unit.position > watermark { try index.add(unit) }
      try index.add(TestUnit(position: 151, payload: "afterwards"))
      try index.commit(through: 151)
      _ = try index.tidy()
      guard try reader.positions("afterwards") == [151] else { return .wrong("what came later isn't found") }
      return watermark == 150 ? .right : .earlier
    } catch let error as SearchError {
      return error.kind == .damaged ? .refused : .wrong("\(error)")
    }
  }

  @Test func theFilesAsTheyAreAreRight() throws {
    #expect(try outcome(closed) == .right)
    #expect(try outcome(killed.file, wal: killed.wal) == .right)
    #expect(closed.count > 20 * 1024 && killed.wal.count > 20 * 1024)
  }

  @Test func aPageOfZeros() throws {
    for page in 0..<closed.count / 1024 {
      var file = closed
      file.replaceSubrange(page * 1024..<(page + 1) * 1024, with: repeatElement(0, count: 1024))
      let outcome = try outcome(file)
      #expect(outcome == .refused || outcome == .right, "page \(page): \(outcome)")
    }
  }

  @Test func aFileCutShort() throws {
    for count in stride(from: 0, to: closed.count, by: 701) {
      let outcome = try outcome(Array(closed.prefix(count)))
      // An empty file is a new one.
      #expect(outcome == .refused || (count == 0 && outcome == .earlier), "\(count) bytes: \(outcome)")
    }
  }

  @Test func garbage() throws {
    var random = SearchRandom(state: 3)
    let noise = (0..<8192).map { _ in UInt8.random(in: 0...255, using: &random) }
    #expect(try outcome(noise) == .refused)
    #expect(try outcome(Array("SQLite format 3\0".utf8) + noise) == .refused)
    #expect(try outcome(noise + closed) == .refused)
    for count in [1, 15, 16, 99, 100, 511, 512] {
      let outcome = try outcome(Array(noise.prefix(count)))
      #expect(outcome == .refused || outcome == .earlier, "\(count) bytes")
    }
  }

  @Test func flippedBytes() throws {
    var random = SearchRandom(state: 21)
    for _ in 0..<400 {
      var file = closed
      let place = random.below(file.count)
      file[place] ^= UInt8(1 << random.below(8))
      let outcome = try outcome(file)
      #expect(outcome == .refused || outcome == .right, "byte \(place): \(outcome)")
    }
  }

  @Test func aWriteAheadLogCutShortOrFlippedLosesTheEndOnly() throws {
    var random = SearchRandom(state: 22)
    var outcomes: [Outcome] = []
    for _ in 0..<100 {
      let outcome = try outcome(killed.file, wal: Array(killed.wal.prefix(random.below(killed.wal.count))))
      #expect(outcome != .wrong(""), "\(outcome)")
      if case .wrong(let text) = outcome { Issue.record("cut: \(text)") }
      outcomes.append(outcome)
    }
    for _ in 0..<200 {
      var wal = killed.wal
      let place = random.below(wal.count)
      wal[place] ^= UInt8(1 << random.below(8))
      let outcome = try outcome(killed.file, wal: wal)
      if case .wrong(let text) = outcome { Issue.record("byte \(place): \(text)") }
      outcomes.append(outcome)
    }
    #expect(outcomes.contains(.earlier))
  }

  @Test func ofAnotherLogOrVersionOrNoneOfOurs() throws {
    for statement in [
      "UPDATE meta SET format = 2", "UPDATE meta SET log = zeroblob(16)", "DELETE FROM meta",
      "DROP TABLE meta",
      "UPDATE meta SET watermark = -1", "UPDATE meta SET span = 0", "DROP TABLE parts",
      "CREATE TABLE more(x)",
      "DROP TABLE part_0", "PRAGMA application_id = 1", "DELETE FROM parts",
      "INSERT INTO parts VALUES (-1, 1, 1)", "INSERT INTO parts VALUES (9223372036854775807, 1, 1)",
    ] {
      let copy = try SearchDirectory()
      mkdir(copy.path + "/search", 0o700)
      TestFile.write(closed, to: copy.file)
      let database = try Database(path: copy.file, access: .write)
      try database.execute(statement, "break it")
      try database.checkpoint()
      #expect(try outcome(TestFile.read(copy.file)) == .refused, "\(statement)")
    }
  }

  @Test func aCopyTakenInTheMiddleOfATransactionHoldsWhatWasCommitted() throws {
    let directory = try SearchDirectory()
    var options = SearchOptions.small
    // Spills in the middle of transactions.
    options.cacheBytes = 8 << 10
    options.hashBytes = 4 << 10
    let index = try SearchIndex(directory: directory.path, log: testLog, options: options)
    for unit in units {
      try index.add(unit)
      if unit.position % 40 == 0 { try index.commit(through: Position(unit.position)) }
      guard unit.position % 7 == 0 else { continue }
      let wal = TestFile.read(directory.file + "-wal")
      let committed = unit.position / 40 * 40
      let outcome = try outcome(TestFile.read(directory.file), wal: wal)
      #expect(outcome == (committed == 150 ? .right : .earlier), "at \(unit.position): \(outcome)")
    }
  }
}
