import EngramTesting
import Model
import Testing
import WAL

/// Row by row, the table of `WAL.md`, "Starting". Every case begins with the same log:
///
///     file 1: segment 1, batches 1 (position 1, 2) and 2 (3), cut after a restart
///     file 2: segment 2, batches 3 (4, two blocks), 4 (5) and 5 (6)
///     file 3 and 4: spares
struct RecoveryTableTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var row: RecoveryRow
    var what: String
    var expected: Expected
    var after: UInt64 = 0
    var witness: UInt64 = 0
    var prepare: @Sendable (SimulatedDisk) -> Void

    var testDescription: String { "\(row.rawValue): \(what)" }
  }
  enum Expected: Equatable, Sendable {
    /// Starts, and ends at this position.
    case ends(UInt64)
    case damage(file: Int, offset: UInt64, position: UInt64)
    case unsupported(file: Int, offset: UInt64, position: UInt64)
  }

  static let one = Forge.name(1)
  static let two = Forge.name(2)
  static let three = Forge.name(3)
  /// Where the batches of file 2 begin.
  static let third = 4_096
  static let fourth = 12_288
  static let fifth = 16_384

  static func disk() throws -> SimulatedDisk {
    let disk = SimulatedDisk(seed: 3)
    let first = try LogWorld(disk)
    disk.drain()
    #expect(first.append([100, 200]) == .ok)
    #expect(first.append([300]) == .ok)
    disk.crash()
    let second = try LogWorld(disk)
    disk.drain()
    #expect(second.append([5_000]) == .ok)
    #expect(second.append([10]) == .ok)
    #expect(second.append([20]) == .ok)
    disk.drain()
    return disk.copy(seed: 4)
  }

  @Test(arguments: cases) func `a start decides by the row`(_ one: Case) throws {
    let disk = try Self.disk()
    one.prepare(disk)
    let before = disk.fileNames.map { disk.contents($0) }
    let start = LogWorld.start(disk, after: Position(one.after), witness: Position(one.witness))
    switch one.expected {
    case .ends(let position):
      let log = try #require(start.log, "\(start.error?.description ?? "")")
      #expect(log.tail.lastPosition.rawValue == position)
      #expect(log.rows.contains(one.row), "\(log.rows)")
      #expect(
        start.bodies.keys.sorted() == Array(1...max(position, 1)).filter { $0 > one.after && $0 <= position })
    case .damage(let file, let offset, let position):
      let damage = try #require(start.damage)
      #expect(damage.row == one.row && damage.file == Forge.name(file), "\(damage)")
      #expect(damage.offset == offset && damage.position.rawValue == position, "\(damage)")
    case .unsupported(let file, let offset, let position):
      let found = try #require(start.unsupported)
      #expect(found.row == one.row && found.file == Forge.name(file), "\(found)")
      #expect(found.offset == offset && found.position.rawValue == position, "\(found)")
    }
    #expect(disk.fileNames.map { disk.contents($0) } == before, "a start writes nothing")
  }

  @Test func `every row has a case`() {
    #expect(Set(Self.cases.map(\.row)) == Set(RecoveryRow.allCases))
  }

  static let cases: [Case] = files + chain + batches + ends

  private static let files = [
    Case(row: .foreignName, what: "other names are left alone", expected: .ends(6)) {
      $0.install("notes.txt", [1, 2, 3])
      $0.install("0000000000000001.wal.bak", [1])
      $0.install("000000000000000G.wal", [1])
    },
    Case(row: .blank, what: "a spare", expected: .ends(6)) { _ in },
    Case(row: .blank, what: "a file whose making was cut short", expected: .ends(6)) {
      $0.install(Forge.name(9), [UInt8](repeating: 0, count: 100))
    },
    Case(row: .unreadable, what: "a torn header, and nothing behind it", expected: .ends(6)) {
      Forge.file($0, three) { $0.replaceSubrange(0..<300, with: repeatElement(7, count: 300)) }
    },
    Case(row: .unreadable, what: "a torn header over an earlier life", expected: .ends(6), after: 3) {
      Forge.flip($0, one, at: 50)
    },
    Case(
      row: .lostHeader, what: "a damaged header before batches",
      expected: .damage(file: 2, offset: 0, position: 4)
    ) {
      Forge.flip($0, two, at: 70)
    },
    Case(
      row: .lostHeader, what: "a wiped header before batches",
      expected: .damage(file: 2, offset: 0, position: 4)
    ) {
      Forge.file($0, two) { $0.replaceSubrange(0..<4_096, with: repeatElement(0, count: 4_096)) }
    },
    Case(
      row: .lostHeader, what: "header and first batch are damaged",
      expected: .damage(file: 2, offset: 0, position: 5)
    ) {
      Forge.flip($0, two, at: 70)
      Forge.flip($0, two, at: third + 20)
    },
    Case(row: .unsupportedHeader, what: "version 2", expected: .unsupported(file: 2, offset: 0, position: 1))
    {
      Forge.segment($0, two, at: 8, UInt32(2))
    },
    Case(
      row: .unsupportedHeader, what: "an unknown flag",
      expected: .unsupported(file: 1, offset: 0, position: 1)
    ) {
      Forge.segment($0, one, at: 92, UInt32(4))
    },
    Case(row: .foreignSegment, what: "an index twice", expected: .damage(file: 7, offset: 0, position: 4)) {
      disk in
      disk.install(Forge.name(7), disk.contents(two) ?? [])
    },
    Case(row: .foreignSegment, what: "another log's", expected: .damage(file: 1, offset: 0, position: 1)) {
      Forge.segment($0, one, at: 16, UInt64(99))
    },
  ]

  private static let chain = [
    Case(row: .newLog, what: "nothing at all", expected: .ends(0)) { disk in
      for name in disk.fileNames { disk.uninstall(name) }
    },
    Case(row: .newLog, what: "spares only", expected: .ends(0)) {
      $0.uninstall(one)
      $0.uninstall(two)
    },
    Case(
      row: .logMissing, what: "nothing, but the store has marks",
      expected: .damage(file: 0, offset: 0, position: 3), after: 2, witness: 6
    ) { disk in
      for name in disk.fileNames { disk.uninstall(name) }
    },
    Case(row: .segmentMissing, what: "the oldest", expected: .damage(file: 2, offset: 0, position: 1)) {
      $0.uninstall(one)
    },
    Case(
      row: .segmentMissing, what: "the oldest, needed in part",
      expected: .damage(file: 2, offset: 0, position: 3),
      after: 2
    ) {
      $0.uninstall(one)
    },
    Case(row: .segmentMissing, what: "one in the middle", expected: .damage(file: 2, offset: 0, position: 1))
    {
      Forge.segment($0, two, at: 32, UInt64(3))
    },
    Case(row: .accepted, what: "a missing segment that the store has", expected: .ends(6), after: 3) {
      $0.uninstall(one)
    },
    Case(row: .recycled, what: "a segment that the store has", expected: .ends(6), after: 3) { _ in },
    Case(row: .headerContradicts, what: "an older term", expected: .damage(file: 2, offset: 0, position: 4)) {
      Forge.segment($0, two, at: 40, UInt64(0))
    },
    Case(
      row: .headerContradicts, what: "another first batch", expected: .damage(file: 2, offset: 0, position: 4)
    ) {
      Forge.segment($0, two, at: 48, UInt64(4))
    },
    Case(
      row: .headerContradicts, what: "another first position",
      expected: .damage(file: 2, offset: 0, position: 3)
    ) {
      Forge.segment($0, two, at: 56, UInt64(3))
    },
    Case(row: .sizeDiffers, what: "cut off", expected: .damage(file: 2, offset: 0, position: 4)) {
      $0.truncate(two, to: 60 << 10)
    },
    Case(row: .sizeDiffers, what: "longer", expected: .damage(file: 1, offset: 0, position: 1)) {
      $0.truncate(one, to: 80 << 10)
    },
  ]

  private static let batches = [
    Case(row: .accepted, what: "intact", expected: .ends(6)) { _ in },
    Case(row: .segmentEnd, what: "what stands beyond the named end is dead", expected: .ends(6)) { disk in
      // A whole batch of this life, which a late write of a killed process might leave: batch 2 once more.
      Forge.file(disk, one) { $0.replaceSubrange(12_288..<16_384, with: Array($0[8_192..<12_288])) }
    },
    Case(
      row: .unsupportedRecord, what: "unknown batch flags",
      expected: .unsupported(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fifth, at: 56, UInt32(2))
    },
    Case(
      row: .batchContradicts, what: "number", expected: .damage(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fifth, at: 24, UInt64(6))
    },
    Case(
      row: .batchContradicts, what: "an older term",
      expected: .damage(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fifth, at: 16, UInt64(0))
    },
    Case(
      row: .batchContradicts, what: "a newer term",
      expected: .damage(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fifth, at: 16, UInt64(2))
    },
    Case(
      row: .batchContradicts, what: "position", expected: .damage(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fifth, at: 32, UInt64(5))
    },
    Case(
      row: .batchContradicts, what: "chain", expected: .damage(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fifth, at: 52, UInt32(1))
    },
    Case(
      row: .batchContradicts, what: "segment", expected: .damage(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fifth, at: 72, UInt64(1))
    },
    Case(
      row: .batchContradicts, what: "witness", expected: .damage(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fifth, at: 64, UInt64(6))
    },
    Case(
      row: .batchContradicts, what: "past the end",
      expected: .damage(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fifth, at: 44, UInt32(60 << 10))
    },
    Case(
      row: .batchContradicts, what: "behind a seal",
      expected: .damage(file: 2, offset: UInt64(fifth), position: 6)
    ) {
      Forge.batch($0, two, batch: fourth, at: 56, UInt32(1))
      Forge.batch($0, two, batch: fifth, at: 52, Forge.number($0, two, at: fourth + 60) as UInt32)
    },
    Case(row: .brokenBeforeEnd, what: "a flipped bit", expected: .damage(file: 1, offset: 4_096, position: 1))
    {
      Forge.flip($0, one, at: 4_300)
    },
    Case(
      row: .brokenBeforeEnd, what: "the last batch is gone",
      expected: .damage(file: 1, offset: 8_192, position: 3)
    ) {
      Forge.file($0, one) { $0.replaceSubrange(8_192..<12_288, with: repeatElement(0, count: 4_096)) }
    },
    Case(
      row: .brokenBeforeEnd, what: "another chain", expected: .damage(file: 1, offset: 12_288, position: 4)
    ) {
      Forge.segment($0, two, at: 88, UInt32(1))
    },
    Case(
      row: .brokenBeforeEnd, what: "another length", expected: .damage(file: 1, offset: 12_288, position: 4)
    ) {
      Forge.segment($0, two, at: 80, UInt64(10_000))
    },
    Case(
      row: .brokenBeforeLater, what: "broken records",
      expected: .damage(file: 2, offset: UInt64(fourth), position: 5)
    ) {
      Forge.flip($0, two, at: fourth + 140)
    },
    Case(
      row: .brokenBeforeLater, what: "a broken header",
      expected: .damage(file: 2, offset: UInt64(third), position: 4)
    ) {
      Forge.flip($0, two, at: third + 30)
    },
    Case(
      row: .brokenBeforeLater, what: "a wiped block",
      expected: .damage(file: 2, offset: UInt64(fourth), position: 5)
    ) {
      Forge.file($0, two) { $0.replaceSubrange(fourth..<fifth, with: repeatElement(0, count: 4_096)) }
    },
  ]

  private static let ends = [
    Case(row: .tornTail, what: "records", expected: .ends(5)) { Forge.flip($0, two, at: fifth + 150) },
    Case(row: .tornTail, what: "header", expected: .ends(5)) { Forge.flip($0, two, at: fifth + 30) },
    Case(row: .tornTail, what: "padding", expected: .ends(5)) { Forge.flip($0, two, at: fifth + 4_095) },
    Case(row: .tornTail, what: "in the first batch of a fresh segment", expected: .ends(3), witness: 3) {
      Forge.file($0, two) { $0.replaceSubrange(fourth..<20_480, with: repeatElement(0, count: 8_192)) }
      Forge.flip($0, two, at: third + 5_000)
    },
    Case(row: .logEnd, what: "nothing further", expected: .ends(6), witness: 6) { _ in },
    Case(row: .logEnd, what: "an empty newest segment", expected: .ends(3)) {
      Forge.file($0, two) { $0.replaceSubrange(third..<20_480, with: repeatElement(0, count: 16_384)) }
    },
    Case(row: .logEnd, what: "the store has all of it", expected: .ends(6), after: 6) { _ in },
    Case(
      row: .belowWitness, what: "a mark above the end",
      expected: .damage(file: 2, offset: 20_480, position: 7),
      witness: 7
    ) { _ in },
    Case(
      row: .belowWitness, what: "the store is ahead of the log",
      expected: .damage(file: 2, offset: 20_480, position: 7), after: 9
    ) { _ in },
    Case(
      row: .belowWitness, what: "a broken batch that was known to be durable",
      expected: .damage(file: 2, offset: UInt64(fifth), position: 6), witness: 6
    ) {
      Forge.flip($0, two, at: fifth + 150)
    },
  ]
}
