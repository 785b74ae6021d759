public import Model
public import Storage

/// An element of some unit's list of relationships.
struct NamedBy {
  /// Index of the unit that names.
  var record: Int
  /// In its list.
  var index: UInt16
  var type: UInt8
}

extension SimulatedStore.State {
  /// What the record at `index` names, if it is a unit's.
  func forEachRelationship(of index: Int, _ body: (UnitRelationship) -> Bool) {
    records[index].withUnsafeBytes { memory in
      if let view = EventView(memory) { UnitRelationships.forEach(view, body) }
    }
  }

  func relations(of id: UnitID, _ unit: Int, _ directions: RelationDirections) -> [Relation] {
    var found: [Relation] = []
    if directions.contains(.outgoing), let own = indexOfID[id], holds(.relations, own) {
      forEachRelationship(of: own) { relationship in
        found.append(
          Relation(
            unit: unit, other: relationship.target, type: relationship.type.rawValue, isIncoming: false,
            index: relationship.index))
        return true
      }
    }
    guard directions.contains(.incoming) else { return found }
    for edge in naming[id] ?? [] where holds(.relations, edge.record) {
      guard let other = view(edge.record, { $0.unit?.id }) else { continue }
      found.append(
        Relation(
          unit: unit, other: other, type: edge.type, isIncoming: true, index: edge.index,
          source: Position(positions[edge.record])))
    }
    return found
  }
}

extension SimulatedStore {
  public func relations(
    of units: [UnitID], _ directions: RelationDirections, after: Relation?, _ body: (Relation) -> Bool
  ) throws(StoreError) -> ScanEnd {
    var found = try call("follow relationships") { state in
      units.enumerated().flatMap { state.relations(of: $1, $0, directions) }
    }
    if let after, let place = found.firstIndex(of: after) { found.removeFirst(place + 1) }
    return found.allSatisfy(body) ? .exhausted : .stopped
  }

  public func context(
    ofUnitAt position: Position, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(StoreError) -> Presence {
    let found: [UInt8]? = try call("find a unit's context") { state in
      guard let index = state.positions.firstIndex(of: position.rawValue), state.holds(.log, index),
        state.view(index, { $0.kind == .unit })
      else { return nil }
      return state.context(index)
    }
    found?.withUnsafeBytes(body)
    return found == nil ? .notFound : .found
  }

  public func locations(of ids: [UnitID]) throws(StoreError) -> [UnitLocation?] {
    try call("look up ids") { state in
      ids.map { id in
        guard let index = state.indexOfID[id], state.holds(.ids, index) else { return nil }
        return state.view(index) { view in
          guard let unit = view.unit, let context = view.contextID else { return nil }
          return UnitLocation(context: Array(context), sequence: unit.sequence, hash: unit.hash)
        }
      }
    }
  }

  public func units(at places: [UnitLocation], _ body: (Int, EventView) -> Bool) throws(StoreError) {
    let records = try call("read units") { state in
      places.map { place in
        state.units[place.context]?.first {
          state.holds(.units, $0) && state.sequence($0) == place.sequence
        }.map { state.records[$0] }
      }
    }
    for (index, record) in records.enumerated() {
      let goesOn = record?.withUnsafeBytes { memory in EventView(memory).map { body(index, $0) } ?? true }
      if goesOn == false { return }
    }
  }
}
