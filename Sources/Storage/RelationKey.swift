internal import Bytes
internal import CRocksDB
internal import Model

/// Keys and values of `relations`; `STORE.md` draws them. A unit's own list is one entry, just before the entries of those
/// that name it, one each, in log order.
enum RelationKey {
  /// Namespace and id: what all entries of one unit begin with, and what the family's filters are asked for.
  static let prefixBytes = 18
  /// What stands behind the prefix.
  static let outgoing: UInt8 = 0
  static let incoming: UInt8 = 1

  static let outgoingKeyBytes = prefixBytes + 1
  static let incomingKeyBytes = outgoingKeyBytes + 10
  /// The other unit's id and the relationship's type: a value of an incoming edge, an element of a list.
  static let edgeBytes = 17

  /// Of a unit's list, and what the keys of the edges that lead to it begin with.
  static func key(_ id: UnitID, _ direction: UInt8, namespace: UInt16 = StoreKey.namespace) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(incomingKeyBytes)
    StoreKey.append(namespace, to: &key)
    StoreKey.append(id.high, to: &key)
    StoreKey.append(id.low, to: &key)
    key.append(direction)
    return key
  }

  /// Of the edge that the unit at `source` makes by the element `index` of its list.
  static func incoming(_ id: UnitID, source: Position, index: UInt16) -> [UInt8] {
    var key = key(id, incoming)
    StoreKey.append(source.rawValue, to: &key)
    StoreKey.append(index, to: &key)
    return key
  }

  /// The first key to look at for a unit's relationships. Behind one that its list has, that is the list again.
  static func start(_ id: UnitID, _ directions: RelationDirections, after: Relation?) -> [UInt8] {
    guard let after, after.isIncoming else {
      return key(id, directions.contains(.outgoing) ? outgoing : incoming)
    }
    return incoming(id, source: after.source, index: after.index) + [0]
  }

  static func edge(_ other: UnitID, _ type: UInt8) -> [UInt8] {
    var value: [UInt8] = []
    StoreKey.append(other.high, to: &value)
    StoreKey.append(other.low, to: &value)
    value.append(type)
    return value
  }

  /// The id in a key.
  static func unit(_ key: UnsafeRawBufferPointer) -> UnitID? {
    guard let high: UInt64 = key.number(at: 2), let low: UInt64 = key.number(at: 10) else { return nil }
    return UnitID(high: high.byteSwapped, low: low.byteSwapped)
  }

  /// The element `index` of a value.
  static func edge(_ value: UnsafeRawBufferPointer, _ index: Int = 0) -> (other: UnitID, type: UInt8)? {
    let at = index * edgeBytes
    guard value.count >= at + edgeBytes, let high: UInt64 = value.number(at: at),
      let low: UInt64 = value.number(at: at + 8)
    else { return nil }
    return (UnitID(high: high.byteSwapped, low: low.byteSwapped), value[at + 16])
  }
}

/// Turns what units name into puts. One thread.
final class RelationWriter {
  /// Of one batch, in the order of their keys when they are put: neighbours in the memtable follow one another.
  private var edges: [Edge] = []
  private var lists: [(namespace: UInt16, id: UnitID, start: Int, count: Int)] = []
  private let batch: OpaquePointer = rocksdb_writebatch_create()
  private var listBytes: [UInt8] = []

  private struct Edge {
    var target: UnitID
    var source: UInt64
    var other: UnitID
    var namespace: UInt16
    var index: UInt16
    var type: UInt8
  }

  func free() { rocksdb_writebatch_destroy(batch) }

  /// About what the puts of all that was added take.
  var bytes: Int { edges.count * (RelationKey.incomingKeyBytes + 2 * RelationKey.edgeBytes) }

  /// Takes a unit that names others.
  func add(_ event: ParsedEvent, _ id: UnitID) {
    guard let list = event.relations else { return }
    let start = listBytes.count
    UnitRelationships.forEach(in: list) { relationship in
      edges.append(
        Edge(
          target: relationship.target, source: event.position.rawValue, other: id, namespace: event.namespace,
          index: relationship.index, type: relationship.type.rawValue))
      withUnsafeBytes(of: (relationship.target.high.bigEndian, relationship.target.low.bigEndian)) {
        listBytes.append(contentsOf: $0)
      }
      listBytes.append(relationship.type.rawValue)
      return true
    }
    if listBytes.count > start { lists.append((event.namespace, id, start, listBytes.count - start)) }
  }

  /// Puts everything that was added into `batch`, and forgets it.
  func put(into batch: OpaquePointer, _ family: OpaquePointer) {
    listBytes.withUnsafeBytes { memory in
      for list in lists {
        withKey(list.namespace, list.id) { key in
          key[RelationKey.prefixBytes] = RelationKey.outgoing
          engram_batch_put(
            batch, family, key.baseAddress, RelationKey.outgoingKeyBytes,
            memory.baseAddress.map { $0 + list.start }, list.count)
        }
      }
    }
    // Within one target they are in order already, and a sort that isn't stable may not change that.
    edges.sort { a, b in
      if a.target != b.target { return a.target < b.target }
      return a.source != b.source ? a.source < b.source : a.index < b.index
    }
    for edge in edges { put(edge, batch, family) }
    edges.removeAll(keepingCapacity: true)
    lists.removeAll(keepingCapacity: true)
    listBytes.removeAll(keepingCapacity: true)
  }

  private func put(_ edge: Edge, _ batch: OpaquePointer, _ family: OpaquePointer) {
    withKey(edge.namespace, edge.target) { key in
      key[RelationKey.prefixBytes] = RelationKey.incoming
      key.storeBytes(of: edge.source.bigEndian, toByteOffset: RelationKey.outgoingKeyBytes, as: UInt64.self)
      key.storeBytes(
        of: edge.index.bigEndian, toByteOffset: RelationKey.outgoingKeyBytes + 8, as: UInt16.self)
      withUnsafeTemporaryAllocation(byteCount: RelationKey.edgeBytes, alignment: 8) { value in
        value.storeBytes(of: edge.other.high.bigEndian, toByteOffset: 0, as: UInt64.self)
        value.storeBytes(of: edge.other.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        value[16] = edge.type
        engram_batch_put(
          batch, family, key.baseAddress, RelationKey.incomingKeyBytes, value.baseAddress, value.count)
      }
    }
  }

  /// Room for a key, whose prefix is written.
  private func withKey(
    _ namespace: UInt16, _ id: UnitID, _ body: (UnsafeMutableRawBufferPointer) -> Void
  ) {
    withUnsafeTemporaryAllocation(byteCount: RelationKey.incomingKeyBytes, alignment: 8) { key in
      key.storeBytes(of: namespace.bigEndian, toByteOffset: 0, as: UInt16.self)
      key.storeBytes(of: id.high.bigEndian, toByteOffset: 2, as: UInt64.self)
      key.storeBytes(of: id.low.bigEndian, toByteOffset: 10, as: UInt64.self)
      body(key)
    }
  }

  /// Writes everything that was added, in a batch of its own.
  func write(_ database: RocksDatabase, _ operation: StaticString) throws(StoreError) {
    rocksdb_writebatch_clear(batch)
    put(into: batch, database.handle(.relations))
    try database.write(batch, for: operation)
  }
}

extension ApplyWriter {
  /// What units above the mark name.
  func putRelations(_ events: [ParsedEvent], after mark: Position, _ family: OpaquePointer) {
    for event in events where event.position > mark {
      if let unit = event.unit { relations.add(event, unit.id) }
    }
    relations.put(into: batch, family)
  }
}
