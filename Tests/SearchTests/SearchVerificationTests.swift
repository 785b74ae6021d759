import EngramTesting
import Model
import Testing

@testable import Search

@Suite struct SearchVerificationTests {
  private func units() -> [TestUnit] {
    var world = SearchWorld(random: SearchRandom(state: 5))
    return (1...300).map { world.unit(UInt64($0)) }
  }

  private func index(_ units: [TestUnit], below path: String, batch: Int) throws {
    let index = try SearchIndex(directory: path, log: testLog, options: .small)
    for (number, unit) in units.enumerated() {
      try index.add(unit)
      if number % batch == batch - 1 { try index.commit(through: Position(unit.position)) }
    }
    try index.commit(through: 300)
    try index.close()
  }

  private func findings(_ path: String, _ units: [TestUnit]) throws -> [String] {
    let verification = try #require(try SearchVerification(directory: path))
    for unit in units {
      try unit.record.withUnsafeBytes { try verification.expect(try #require(EventView($0))) }
    }
    return try verification.run()
  }

  @Test func anIndexIsWhatARebuildWouldBe() throws {
    let units = units()
    let directory = try SearchDirectory()
    try index(units, below: directory.path, batch: 7)
    #expect(try findings(directory.path, units) == [])
    #expect(try findings(directory.path, units.reversed()) == [])
    let verification = try #require(try SearchVerification(directory: directory.path))
    #expect(verification.log == testLog)
    #expect(verification.watermark == Position(300))
    #expect(verification.units == 300)
  }

  @Test func aFreshIndexAndOneThatWasTidiedAreTheSame() throws {
    let units = units()
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    for unit in units {
      try index.add(unit)
      try index.commit(through: Position(unit.position))
      if unit.position % 20 == 0 { _ = try index.tidy(pages: 2) }
    }
    while try index.tidy() {}
    #expect(try findings(directory.path, units) == [])
  }

  @Test func aUnitThatIsMissingOrOneTooManyIsFound() throws {
    var units = units()
    let directory = try SearchDirectory()
    try index(units.filter { $0.position != 77 }, below: directory.path, batch: 50)
    #expect(
      try findings(directory.path, units) == [
        "part 1 has 63 units instead of 64", "part 1: its counts are wrong",
      ])
    units.remove(at: 76)
    units.remove(at: 10)
    #expect(try findings(directory.path, units).first == "part 0 has 63 units instead of 62")
  }

  @Test func anotherWordOrAnotherPlaceIsFound() throws {
    var units = units()
    units[9].payload = "one two three"
    let directory = try SearchDirectory()
    try index(units, below: directory.path, batch: 50)
    units[9].payload = "one three two"
    #expect(try findings(directory.path, units) == ["part 0: its words are not those of its units"])
    units[9].payload = "one two four"
    #expect(try findings(directory.path, units) == ["part 0: its words are not those of its units"])
    units[9].payload = "one two three"
    units[9].context = "elsewhere"
    #expect(try findings(directory.path, units) == ["part 0: its words are not those of its units"])
  }

  @Test func unitsAboveTheWatermarkAreNotMissed() throws {
    var units = units()
    let directory = try SearchDirectory()
    try index(units, below: directory.path, batch: 50)
    units.append(TestUnit(position: 301, payload: "later"))
    #expect(try findings(directory.path, units) == [])
  }

  @Test func withoutAnIndexThereIsNothingToVerify() throws {
    let directory = try SearchDirectory()
    #expect(try SearchVerification(directory: directory.path) == nil)
  }

  @Test(arguments: [(UInt64(0), 1), (127, 1), (128, 2), (16384, 3), (1 << 60, 9)])
  func readsNumbers(value: UInt64, bytes: Int) {
    // The encoding of section 1.6, for numbers below 2^63: groups of seven bits, the highest first.
    var groups: [UInt8] = []
    if value >= 1 << 56 {
      groups = [UInt8(truncatingIfNeeded: value)]
      var rest = value >> 8
      for _ in 0..<8 {
        groups.insert(UInt8(rest & 0x7F) | 0x80, at: 0)
        rest >>= 7
      }
    } else {
      var rest = value
      repeat {
        groups.insert(UInt8(rest & 0x7F) | (groups.isEmpty ? 0 : 0x80), at: 0)
        rest >>= 7
      } while rest > 0
    }
    #expect(groups.count == bytes)
    #expect(groups.withUnsafeBytes { SearchVerification.varint($0) } == value)
  }
}
