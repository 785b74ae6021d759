import EngramTesting
import Model
import Storage
import Testing

@Suite struct RelationStoreTests {
  private static func id(_ position: UInt64) -> UnitID { EventSamples.unitID(position) }

  private static func outgoing(_ other: UInt64, _ type: RelationshipType, _ index: UInt16, of unit: Int = 0)
    -> Relation
  {
    Relation(unit: unit, other: id(other), type: type.rawValue, isIncoming: false, index: index)
  }

  private static func incoming(_ other: UInt64, _ type: RelationshipType, _ index: UInt16, of unit: Int = 0)
    -> Relation
  {
    Relation(
      unit: unit, other: id(other), type: type.rawValue, isIncoming: true, index: index,
      source: Position(other))
  }

  @Test(arguments: StoreKind.allCases)
  func relationshipsAreSeenFromBothEndsInTheirOrder(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    // 1 names itself, 3 twice and one that never comes; 2 names nobody; 3 and 4 name 1.
    history.unit(
      bytes("a"),
      naming: [
        (Self.id(1), .references), (Self.id(3), .causes), (Self.id(99), .modifies), (Self.id(3), .dependsOn),
      ])
    history.unit(bytes("b"))
    history.unit(bytes("b"), naming: [(Self.id(1), .respondsTo)])
    history.unit(bytes("a"), naming: [(Self.id(3), .sequential), (Self.id(1), .replaces)])
    try store.apply(Array(history.records[..<2]))
    try store.apply(Array(history.records[2...]))
    let own = [
      Self.outgoing(1, .references, 0), Self.outgoing(3, .causes, 1), Self.outgoing(99, .modifies, 2),
      Self.outgoing(3, .dependsOn, 3),
    ]
    let others = [
      Self.incoming(1, .references, 0), Self.incoming(3, .respondsTo, 0), Self.incoming(4, .replaces, 1),
    ]
    for flushed in [false, true] {
      if flushed { try store.flush(wait: true) }
      #expect(try store.relations(of: Self.id(1), .outgoing) == own)
      #expect(try store.relations(of: Self.id(1), .incoming) == others)
      #expect(try store.relations(of: Self.id(1)) == own + others)
      #expect(try store.relations(of: Self.id(1), []) == [])
      #expect(try store.relations(of: Self.id(99)) == [Self.incoming(1, .modifies, 2)])
      #expect(try store.relations(of: try unitID(history.records[1])) == [])
      #expect(
        try store.relations(of: Self.id(3)) == [
          Self.outgoing(1, .respondsTo, 0), Self.incoming(1, .causes, 1), Self.incoming(1, .dependsOn, 3),
          Self.incoming(4, .sequential, 0),
        ])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func manyUnitsAreAskedForAtOnceUntilOneHasEnough(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    for _ in 1...50 { history.unit(bytes("a"), naming: [(Self.id(51), .causes), (Self.id(52), .causes)]) }
    try store.apply(history.records, batch: 7)
    var found: [Relation] = []
    let ids = [Self.id(52), Self.id(7), Self.id(52), Self.id(60)]
    var end = try store.relations(of: ids, .both, after: nil) {
      found.append($0)
      return true
    }
    #expect(end == .exhausted)
    let first = (1...50).map { Self.incoming($0, .causes, 1) }
    let third = (1...50).map { Self.incoming($0, .causes, 1, of: 2) }
    #expect(
      found == first + [Self.outgoing(51, .causes, 0, of: 1), Self.outgoing(52, .causes, 1, of: 1)] + third)
    for limit in [1, 49, 50, 51, 52, 60] {
      found = []
      end = try store.relations(of: ids, .both, after: nil) {
        found.append($0)
        return found.count < limit
      }
      #expect(end == .stopped && found.count == limit)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func aWalkGoesOnBehindWhereItStopped(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let seed = UInt64.random(in: 0..<1000)
    print("walks that go on: seed \(seed)")
    var random = SeededRandom(seed: seed)
    var history = HistoryMaker()
    for _ in 1...60 { history.relatedUnit(bytes("a"), &random) }
    try store.apply(history.records)
    let ids = (1...70).map { Self.id($0) }
    for directions in [.outgoing, .incoming, .both] as [RelationDirections] {
      var all: [Relation] = []
      _ = try store.relations(of: ids, directions, after: nil) {
        all.append($0)
        return true
      }
      #expect(all.count > 60)
      for count in [1, 2, 7] {
        var found: [Relation] = []
        var end = ScanEnd.stopped
        while end == .stopped {
          var left = count
          end = try store.relations(of: ids, directions, after: found.last) {
            found.append($0)
            left -= 1
            return left > 0
          }
        }
        #expect(found == all, "\(directions) by \(count)")
      }
    }
  }

  /// A list of 256, the longest; metadata and payloads that look like lists.
  @Test(arguments: StoreKind.allCases)
  func whatARecordNamesIsFoundBehindItsPayload(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let long = (0..<256).map { index in
      (
        target: Self.id(UInt64(1000 + index % 100)), type: RelationshipType.allCases[index % 7],
        metadata: "{\"k\":\"],\\\"relationships\\\":[{\"}"
      )
    }
    let trap = "\\\",\\\"payload_encoding\\\":\\\"utf8\\\",\\\"relationships\\\":[{"
    let records = [
      EventSamples.relatedUnit(
        position: 1, context: bytes("a"), sequence: 1, relationships: long,
        metadata: "{\"relationships\":\"[\"}",
        payload: trap),
      EventSamples.relatedUnit(
        position: 2, context: bytes("a"), sequence: 2, relationships: Array(long[..<3]), payload: "AAEC",
        encoding: .base64),
      EventSamples.relatedUnit(
        position: 3, context: bytes("a"), sequence: 3, relationships: [], payload: trap),
    ]
    try store.apply(records)
    let found = try store.relations(of: Self.id(1), .outgoing)
    #expect(found.map(\.other) == long.map(\.target) && found.map(\.index) == Array(0..<256))
    #expect(found.map(\.type) == long.map(\.type.rawValue))
    #expect(try store.relations(of: Self.id(2), .outgoing).map(\.other) == long[..<3].map(\.target))
    #expect(try store.relations(of: Self.id(3)) == [])
    #expect(try store.relations(of: Self.id(1000)).count == 4)
    var metadata: [String] = []
    try view(records[0]) { event in
      UnitRelationships.forEach(event) {
        metadata.append(String(decoding: $0.metadata, as: UTF8.self))
        return true
      }
    }
    #expect(metadata == long.map(\.metadata))
  }

  @Test(arguments: StoreKind.allCases)
  func unitsAreLookedUpAndReadTogether(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    for index in 0..<300 {
      history.unit(bytes("c\(index % 7)"), bodyBytes: index % 100 == 3 ? 900_000 : 60)
    }
    try store.apply(history.records, batch: 100)
    try store.flush(wait: true)
    let ids = try history.records.map { try unitID($0) }
    let unknown = UnitID(high: 5, low: 5)
    let asked = [unknown] + ids + [unknown, ids[3]]
    let places = try store.locations(of: asked)
    #expect(places.count == 303 && places[0] == nil && places[301] == nil)
    #expect(places[302] == places[4])
    for (index, id) in ids.enumerated() {
      #expect(try store.location(of: id, tier: .disk) == places[index + 1].map { .found($0) })
    }
    var read: [[UInt8]] = []
    let known = places.compactMap { $0 }
    try store.units(at: known) { index, unit in
      #expect(index == read.count)
      read.append(Array(unit.bytes))
      return true
    }
    #expect(read == history.records + [history.records[3]])
    var count = 0
    try store.units(at: known) { _, _ in
      count += 1
      return count < 130
    }
    #expect(count == 130)
    #expect(try store.locations(of: []) == [])
  }
}
