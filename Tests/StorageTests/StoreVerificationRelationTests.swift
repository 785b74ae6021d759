import EngramTesting
import Model
import Testing

@testable import Storage

/// What `engram verify` says of `relations`: each kind of damage, and what a crash may leave.
struct StoreVerificationRelationTests {
  private static func id(_ position: UInt64) -> UnitID { EventSamples.unitID(position) }

  private static func history() -> HistoryMaker {
    var history = HistoryMaker()
    history.context(bytes("ctx"))
    history.unit(bytes("ctx"), naming: [(id(2), .causes), (id(9), .references)])
    history.lock(.acquired, "a")
    history.unit(bytes("ctx"))
    history.unit(bytes("other"), naming: [(id(2), .respondsTo)])
    history.unit(bytes("ctx"), naming: [(id(2), .replaces), (id(5), .replaces)], metadata: "{\"a\":\"b\"}")
    history.unit(bytes("ctx"))
    return history
  }

  private static func findings(_ change: (inout [[[UInt8]]]) -> Void) throws -> [String] {
    try StoreVerificationTests.findings(
      { store, _ in try StoreVerificationTests.edit(store, .relations, change) }, of: history())
  }

  @Test func `a sound store, with and without its log`() throws {
    for withLog in [true, false] {
      #expect(try StoreVerificationTests.findings({ _, _ in }, withLog: withLog, of: Self.history()) == [])
    }
  }

  /// What a crash leaves: the log's records stand in for what one of the two families lacks.
  @Test(arguments: StoreFamily.allCases, [1, 2, 4, 5, 6])
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

  @Test func `an edge that is gone, from either end`() throws {
    let list = try Self.findings {
      $0.removeAll { $0[0] == RelationKey.key(Self.id(2), RelationKey.outgoing) }
    }
    #expect(list == ["relations: what the unit at position 2 names is missing"])
    let key = RelationKey.incoming(Self.id(2), source: Position(6), index: 0)
    let edge = try Self.findings { $0.removeAll { $0[0] == key } }
    #expect(edge == ["relations: what the unit at position 6 names is missing"])
  }

  @Test func `an edge of another type, or of another unit`() throws {
    for at in [15, 16] {
      let key = RelationKey.incoming(Self.id(9), source: Position(2), index: 1)
      let found = try Self.findings { entries in
        guard let index = entries.firstIndex(where: { $0[0] == key }) else { return }
        entries[index][1][at] ^= 1
      }
      #expect(
        found == [
          "relations: what the unit at position 2 names stands here otherwise than in units",
          "relations: an entry of \(Self.id(9)) that no unit makes",
        ])
    }
  }

  @Test func `an edge that no unit makes`() throws {
    let found = try Self.findings {
      $0.append([
        RelationKey.incoming(Self.id(4), source: Position(5), index: 1), RelationKey.edge(Self.id(5), 1),
      ])
    }
    #expect(found == ["relations: an entry of \(Self.id(4)) that no unit makes"])
    let unknown = try Self.findings {
      $0.append([RelationKey.key(Self.id(77), RelationKey.outgoing), RelationKey.edge(Self.id(5), 1)])
    }
    #expect(unknown == ["relations: an entry of \(Self.id(77)) that no unit makes"])
    let beyond = try Self.findings {
      $0.append([
        RelationKey.incoming(Self.id(4), source: Position(99), index: 0), RelationKey.edge(Self.id(5), 1),
      ])
    }
    #expect(beyond.contains("relations: position 99 is above the family's mark"))
  }

  @Test func `what doesn't belong there`() throws {
    for key in [[0, 0, 7], [0, 0] + [UInt8](repeating: 3, count: 17)] as [[UInt8]] {
      #expect(try Self.findings { $0.append([key, [1]]) }.count == 1, "\(key)")
    }
  }
}
