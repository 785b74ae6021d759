internal import CRocksDB
public import Model

extension RocksStore {
  public func relations(
    of units: [UnitID], _ directions: RelationDirections, after: Relation?, _ body: (Relation) -> Bool
  ) throws(StoreError) -> ScanEnd {
    let operation: StaticString = "follow relationships"
    try checkOpen(operation)
    let first = after?.unit ?? 0
    guard units.indices.contains(first), !directions.isEmpty else { return .exhausted }
    // One cursor sees one moment, whatever is applied meanwhile.
    let cursor = RocksCursor(
      database, .relations, from: [], to: StoreKey.end(of: [0, 0]), .disk, withinPrefix: true, for: operation)
    for place in first..<units.count {
      let passed = place == first ? after : nil
      cursor.seek(RelationKey.start(units[place], directions, after: passed))
      while cursor.isValid {
        let key = cursor.key
        guard key.count >= RelationKey.outgoingKeyBytes, RelationKey.unit(key) == units[place] else { break }
        if key[RelationKey.prefixBytes] == RelationKey.outgoing {
          let index = passed.map { Int($0.index) + 1 } ?? 0
          if try !RocksStore.list(cursor.value, place, from: index, operation, body) { return .stopped }
        } else {
          guard directions.contains(.incoming) else { break }
          guard let relation = Relation(place, key, cursor.value) else {
            throw RocksStore.brokenEdge(operation)
          }
          if !body(relation) { return .stopped }
        }
        cursor.next()
      }
      if !cursor.isValid { _ = try cursor.end() }
    }
    return .exhausted
  }

  /// Hands over a unit's own list, from its element `first` on.
  private static func list(
    _ value: UnsafeRawBufferPointer, _ place: Int, from first: Int, _ operation: StaticString,
    _ body: (Relation) -> Bool
  ) throws(StoreError) -> Bool {
    let count = value.count / RelationKey.edgeBytes
    guard count * RelationKey.edgeBytes == value.count else { throw brokenEdge(operation) }
    for index in min(first, count)..<count {
      guard let (other, type) = RelationKey.edge(value, index), let number = UInt16(exactly: index) else {
        throw brokenEdge(operation)
      }
      let relation = Relation(unit: place, other: other, type: type, isIncoming: false, index: number)
      if !body(relation) { return false }
    }
    return true
  }

  private static func brokenEdge(_ operation: StaticString) -> StoreError {
    .damaged(operation, "an entry of `relations` is malformed")
  }

  // MARK: - Many units at once

  /// Units that are looked up together at most: one call for many keys shares the work on filters and indexes.
  static let lookedUpTogether = 128

  public func locations(of ids: [UnitID]) throws(StoreError) -> [UnitLocation?] {
    let operation: StaticString = "look up ids"
    try checkOpen(operation)
    var found: [UnitLocation?] = []
    found.reserveCapacity(ids.count)
    var start = 0
    while start < ids.count {
      let end = min(ids.count, start + RocksStore.lookedUpTogether)
      let keys = ids[start..<end].map { StoreKey.id($0) }
      _ = try database.get(.ids, keys, for: operation) { _, value throws(StoreError) in
        guard let value else {
          found.append(nil)
          return true
        }
        guard let location = UnitLocation(value) else {
          throw .damaged(operation, "an entry of `ids` has only \(value.count) bytes")
        }
        found.append(location)
        return true
      }
      start = end
    }
    return found
  }

  public func units(at places: [UnitLocation], _ body: (Int, EventView) -> Bool) throws(StoreError) {
    let operation: StaticString = "read units"
    try checkOpen(operation)
    var start = 0
    // Records that are read together are in memory together: fewer while they are large.
    var together = 8
    while start < places.count {
      let end = min(places.count, start + together)
      let keys = places[start..<end].map {
        StoreKey.units($0.context, tag: StoreKey.tagUnit, number: $0.sequence.rawValue)
      }
      var bytes = 0
      let goesOn = try database.get(.units, keys, for: operation) { index, value throws(StoreError) in
        guard let value else {
          // As in `unit(id:)`: until replay is through, one family may have what another lacks.
          guard isLevel else { return true }
          throw .damaged(
            operation, "sequence \(places[start + index].sequence.rawValue) is in `ids`, but not in `units`")
        }
        bytes += value.count
        return body(start + index, try RocksStore.view(value, operation))
      }
      guard goesOn else { return }
      start = end
      together = bytes > UnitChunk.bytesMax / 2 ? max(together / 2, 1) : min(together * 2, UnitChunk.unitsMax)
    }
  }
}

extension Relation {
  /// Of an entry of a unit's incoming edges.
  init?(_ unit: Int, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    guard key.count == RelationKey.incomingKeyBytes, value.count == RelationKey.edgeBytes,
      let source: UInt64 = key.number(at: RelationKey.outgoingKeyBytes),
      let index: UInt16 = key.number(at: RelationKey.outgoingKeyBytes + 8),
      let (other, type) = RelationKey.edge(value)
    else { return nil }
    self.init(
      unit: unit, other: other, type: type, isIncoming: true, index: index.byteSwapped,
      source: Position(source.byteSwapped))
  }
}

extension RocksDatabase {
  /// Looks keys up together and hands over each with its value, nil for one that isn't there, in their order, until `body`
  /// returns false. The values stand in memory together.
  /// - Returns: false if `body` did.
  func get(
    _ family: StoreFamily, _ keys: [[UInt8]], for operation: StaticString,
    _ body: (Int, UnsafeRawBufferPointer?) throws(StoreError) -> Bool
  ) throws(StoreError) -> Bool {
    let count = keys.count
    guard count > 0 else { return true }
    var pointers = [UnsafePointer<CChar>?](repeating: nil, count: count)
    var slices = [OpaquePointer?](repeating: nil, count: count)
    var errors = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
    let sizes = keys.map(\.count)
    Array(keys.joined()).withUnsafeBytes { keys in
      engram_get_many(
        db, pointRead(.disk), handle(family), count, keys.baseAddress, sizes, &pointers, &slices, &errors)
    }
    defer {
      for slice in slices { if let slice { rocksdb_pinnableslice_destroy(slice) } }
      for error in errors { if let error { rocksdb_free(error) } }
    }
    for index in 0..<count {
      if let error = errors[index] {
        throw RocksFailure(message: String(cString: error)).storeError(operation)
      }
      if try !body(index, slices[index].map { RocksDatabase.bytes($0) }) { return false }
    }
    return true
  }
}
