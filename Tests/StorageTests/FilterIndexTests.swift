import Bytes
import EngramTesting
import Model
import Testing

@testable import Storage

/// A unit as a test knows it, and whether a filter wants it, told without the code under test.
struct FilteredUnit {
  var context: [UInt8]
  var sequence: UInt64
  var type: UInt8
  var agent: [UInt8]
  var metadata: [(key: String, value: String)]
  var time: UInt64

  func satisfies(_ filter: UnitFilter) -> Bool {
    if filter.types != 0, filter.types >> UInt16(type) & 1 == 0 { return false }
    if let agent = filter.agent, agent != self.agent { return false }
    if let since = filter.since, time < since.microseconds { return false }
    if let until = filter.until, time >= until.microseconds { return false }
    return filter.metadata.allSatisfy { wanted in
      metadata.contains { bytes($0.key) == wanted.key && bytes($0.value) == wanted.value }
    }
  }

  func record(at position: UInt64) -> [UInt8] {
    EventSamples.unit(
      position: position, context: context, sequence: sequence, type: type, agent: agent, metadata: metadata,
      logTime: time, bodyBytes: 20)
  }

  /// Frequent and rare types, agents and pairs; the clock often stands still.
  static func random(
    _ context: [UInt8], _ sequence: UInt64, after time: UInt64, _ random: inout some RandomNumberGenerator
  ) -> FilteredUnit {
    func rarely(_ chance: Int) -> Bool { Int.random(in: 0..<chance, using: &random) == 0 }
    var metadata: [(key: String, value: String)] = []
    if !rarely(3) { metadata.append((key: "model", value: rarely(50) ? "small" : "large")) }
    if rarely(40) { metadata.append((key: "rare", value: "\(Int.random(in: 0..<4, using: &random))")) }
    if rarely(4) { metadata.append((key: "trace", value: "t-\(sequence)")) }
    return FilteredUnit(
      context: context, sequence: sequence,
      type: rarely(90) ? 7 : rarely(15) ? 4 : UInt8.random(in: 1...2, using: &random),
      agent: bytes(rarely(200) ? "guest" : rarely(3) ? "bob" : "alice"), metadata: metadata,
      time: time + UInt64(rarely(2) ? 0 : Int.random(in: 1...9, using: &random)))
  }
}

extension UnitFilter {
  /// Any combination of filters, of which most match something.
  static func random(through time: UInt64, _ random: inout some RandomNumberGenerator) -> UnitFilter {
    var filter = UnitFilter()
    func often() -> Bool { Int.random(in: 0..<3, using: &random) == 0 }
    if often() {
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        filter.insert(
          [.message, .reasoning, .toolResult, .error, .system].randomElement(using: &random) ?? .error)
      }
    }
    if often() {
      filter.agent = bytes(["alice", "bob", "guest", "nobody"].randomElement(using: &random) ?? "")
    }
    if often() { filter.since = LogTime(microseconds: .random(in: 0...time, using: &random)) }
    if often() { filter.until = LogTime(microseconds: .random(in: 0...time + 5, using: &random)) }
    for _ in 0..<Int.random(in: 0...5, using: &random) where often() {
      let pairs = [
        ("model", "large"), ("model", "small"), ("rare", "1"), ("rare", "2"), ("rare", "9"),
        ("trace", "t-\(UInt64.random(in: 1...900, using: &random))"),
      ]
      if let (key, value) = pairs.randomElement(using: &random) {
        filter.insert(UnitFilter.Pair(key: bytes(key), value: bytes(value)))
      }
    }
    return filter
  }
}

@Suite struct FilterIndexTests {
  /// All matching sequences of a query, however many calls its limits and budget take.
  private func walk(_ store: any EventStore, _ query: UnitQuery) throws -> [UInt64] {
    var query = query
    var found: [UInt64] = []
    for _ in 0..<10_000 {
      var count = 0
      let scan = try store.units(query, tier: .disk) { unit in
        found.append(unit.unit?.sequence.rawValue ?? 0)
        count += 1
        return true
      }
      #expect(count <= query.limit)
      if scan.end == .exhausted { return found }
      #expect(scan.end == .stopped)
      let reached = scan.reached
      guard reached >= query.from, reached <= query.through else {
        Issue.record("no progress: \(reached) of \(query)")
        return found
      }
      if query.reverse {
        guard reached > query.from else { return found }
        query.through = Sequence(reached.rawValue - 1)
      } else {
        guard reached < query.through else { return found }
        query.from = reached.next
      }
    }
    Issue.record("10,000 pages are too many for \(query)")
    return found
  }

  @Test(
    arguments: [(.rocks, 5, 2500), (.rocks, 6, 1500), (.simulated, 5, 150)] as [(StoreKind, UInt64, Int)])
  func findsWhatAListFinds(_ kind: StoreKind, _ seed: UInt64, _ queries: Int) throws {
    print("seed \(seed)")
    var random = SeededRandom(seed: seed)
    let directory = try TestDirectory()
    var store = try kind.open(directory)
    defer { store.close() }
    let contexts = [bytes("a"), bytes("ab"), bytes("quiet")]
    var units: [FilteredUnit] = []
    var history: [[UInt8]] = []
    var time: UInt64 = 1000
    var sequences: [[UInt8]: UInt64] = [:]
    while units.count < 1900 {
      var records: [[UInt8]] = []
      for _ in 0..<Int.random(in: 1...150, using: &random) {
        let context = contexts[[0, 0, 0, 0, 1, 1, 1, 2].randomElement(using: &random) ?? 0]
        let unit = FilteredUnit.random(context, sequences[context, default: 0] + 1, after: time, &random)
        sequences[context] = unit.sequence
        time = unit.time
        units.append(unit)
        records.append(unit.record(at: UInt64(units.count)))
      }
      try store.apply(records)
      history += records
      if UInt.random(in: 0..<3, using: &random) == 0 { try store.flush(wait: Bool.random(using: &random)) }
      if UInt.random(in: 0..<8, using: &random) == 0, kind == .rocks {
        store.close()
        store = try kind.open(directory)
        // A flush that was only started may not have come to its end.
        try store.apply(Array(history[Int(store.marksAtOpen.lowest.rawValue)...]), batch: 60)
      }
    }
    for _ in 0..<queries {
      let context = contexts.randomElement(using: &random) ?? []
      let from = UInt64.random(in: 0...600, using: &random)
      let query = UnitQuery(
        context: context, from: Sequence(Bool.random(using: &random) ? 0 : from),
        through: Sequence(Bool.random(using: &random) ? .max : from + .random(in: 0...700, using: &random)),
        reverse: Bool.random(using: &random), filter: .random(through: time, &random),
        limit: .random(in: 1...40, using: &random), bytesMax: .random(in: 1...9000, using: &random),
        budget: ScanBudget(
          records: .random(in: 1...300, using: &random), bytes: .random(in: 1...90_000, using: &random)))
      let all = units.filter {
        $0.context == context && $0.sequence >= query.from.rawValue && $0.sequence <= query.through.rawValue
          && $0.satisfies(query.filter)
      }.map(\.sequence)
      #expect(try walk(store, query) == (query.reverse ? all.reversed() : all), "\(query)")
    }
  }

  private func record(_ sequence: UInt64, type: UInt8, _ metadata: [(key: String, value: String)] = [])
    -> [UInt8]
  {
    EventSamples.unit(
      position: sequence, context: bytes("c"), sequence: sequence, type: type, agent: bytes("a"),
      metadata: metadata, logTime: 1)
  }

  private func units(_ strip: StripView, _ print: UInt32) -> [UInt64]? {
    var offsets: [UInt32] = []
    return strip.units(print, into: &offsets) ? offsets.map { strip.first + UInt64($0) } : nil
  }

  @Test func aStripPerBatchTellsWhichUnitsHaveWhat() throws {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    defer { store.close() }
    let records = (1...400).map { n in
      record(
        UInt64(n), type: n == 300 ? 7 : 1, n == 390 ? [(key: "k", value: "v"), (key: "l", value: "v")] : [])
    }
    try store.apply(records, batch: 200)
    // Strips wait for more units, or for a flush.
    #expect(try dump(store.database, .filters).allSatisfy { $0[0] == StoreKey.mark })
    #expect(store.appliedPosition() == Position(400))
    try store.flush(wait: true)
    #expect(try store.persistedPosition() == Position(400))
    let entries = try dump(store.database, .filters).filter {
      $0[0].starts(with: FilterStrip.key(bytes("c"), 0).dropLast(8))
    }
    #expect(entries.map { $0[0] } == [FilterStrip.key(bytes("c"), 256)])
    let value = try #require(entries.first?[1])
    try value.withUnsafeBytes { memory in
      let strip = try #require(StripView(first: 256, memory))
      #expect(strip.last == 400)
      #expect(units(strip, FilterStrip.print(type: 7)) == [300])
      #expect(units(strip, FilterStrip.print(type: 1))?.count == 144)
      #expect(units(strip, FilterStrip.print(type: 2)) == [])
      #expect(units(strip, bytes("a").withUnsafeBytes { FilterStrip.print(agent: $0) })?.count == 145)
      let pair = bytes("k").withUnsafeBytes { key in
        bytes("v").withUnsafeBytes { FilterStrip.print(key: key, value: $0) }
      }
      #expect(units(strip, pair) == [390])
    }
  }

  /// Cut anywhere, or with any byte changed, a strip says so or something else, and reads nothing beyond itself.
  @Test func aDamagedStripIsReadWithinItsBounds() throws {
    var writer = StripWriter()
    for n in 256...290 {
      try view(record(UInt64(n), type: UInt8(1 + n % 3), [(key: "k", value: "\(n)")])) { record in
        guard let unit = record.unit else { return }
        let isAdded = writer.add(unit, record)
        #expect(isAdded)
      }
    }
    var value: [UInt8] = []
    writer.write { value = Array($0) }
    let prints = (1...4).map { FilterStrip.print(type: UInt8($0)) }
    func read(_ value: [UInt8]) {
      value.withUnsafeBytes { memory in
        guard let strip = StripView(first: 256, memory) else { return }
        for print in prints {
          var offsets: [UInt32] = []
          if strip.units(print, into: &offsets) {
            #expect(offsets.allSatisfy { 256 + UInt64($0) <= strip.last })
          }
        }
      }
    }
    for end in 0..<value.count { read(Array(value[..<end])) }
    for place in value.indices {
      for change in [0xff, 0x80, 0x01] as [UInt8] {
        var broken = value
        broken[place] ^= change
        read(broken)
      }
    }
  }

  /// What a start replays because `filters` was behind, and what RocksDB refused and is applied again.
  @Test func stripsAreCompleteAfterACrashAndAfterAnError() throws {
    let directory = try TestDirectory()
    var store = try openRocks(directory.path)
    defer { store.close() }
    let records = (1...900).map { record(UInt64($0), type: $0 % 100 == 0 ? 7 : 1) }
    try store.apply(Array(records[..<500]))
    let behind = try dump(store.database, .filters)
    #expect(
      behind.allSatisfy { $0[1] != [244, 1, 0, 0, 0, 0, 0, 0] }, "the mark must not run ahead of the strips")
    try EventSamples.withViews(of: Array(records[500...])) { views in
      try store.writer.build(views, upTo: Position(900), store.database)
      try store.apply(views, upTo: Position(900))
    }
    try store.flush(wait: true)
    // As a crash before the strips were written would have left it.
    try restore(store, .filters, behind)
    store.close()
    store = try openRocks(directory.path)
    #expect(store.marksAtOpen.lowest < Position(500))
    #expect(store.marksAtOpen[.units] == Position(900))
    let replayed = Array(records[Int(store.marksAtOpen.lowest.rawValue)...])
    try store.apply(replayed, batch: 130)
    for isFlushed in [false, true] {
      if isFlushed { try store.flush(wait: true) }
      var filter = UnitFilter()
      filter.insert(.error)
      let query = UnitQuery(
        context: bytes("c"), from: Sequence(1), through: Sequence(.max), filter: filter, limit: 100)
      #expect(try walk(store, query) == (1...9).map { UInt64($0 * 100) })
    }
  }

  @Test func aSpentBudgetSaysHowFarItGot() throws {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    defer { store.close() }
    try store.apply((1...200).map { record(UInt64($0), type: 1) })
    var filter = UnitFilter()
    filter.insert(.error)
    let query = UnitQuery(
      context: bytes("c"), from: Sequence(1), through: Sequence(.max), filter: filter, limit: 10,
      budget: ScanBudget(records: 50))
    let scan = try store.units(query, tier: .disk) { _ in true }
    #expect(scan == UnitScan(.stopped, reached: Sequence(scan.reached.rawValue), isOverBudget: true))
    #expect((40...50).contains(scan.reached.rawValue))
  }
}
