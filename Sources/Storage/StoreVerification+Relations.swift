internal import Bytes
internal import Model

/// `relations`: what every unit's record names, once from either end, and nothing else.
struct RelationsCheck: FamilyCheck {
  static let family = StoreFamily.relations

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    run.held[StoreFamily.relations.rawValue].add(key, value)
    if let source = RelationsCheck.source(key), source > run.marks[.relations] {
      run.find("relations: position \(source.rawValue) is above the family's mark")
    }
  }

  /// The entries that a unit makes.
  static func owe(_ event: ParsedEvent, _ id: UnitID, to run: StoreVerification) {
    forEachEntry(of: event, id) { key, value in run.owed[StoreFamily.relations.rawValue].add(key, value) }
  }

  private static func forEachEntry(of event: ParsedEvent, _ id: UnitID, _ body: ([UInt8], [UInt8]) -> Void) {
    guard let list = event.relations else { return }
    var named: [UInt8] = []
    UnitRelationships.forEach(in: list) { relationship in
      let type = relationship.type.rawValue
      named += RelationKey.edge(relationship.target, type)
      body(
        RelationKey.incoming(relationship.target, source: event.position, index: relationship.index),
        RelationKey.edge(id, type))
      return true
    }
    if !named.isEmpty { body(RelationKey.key(id, RelationKey.outgoing), named) }
  }

  /// The position in the key of an incoming edge.
  private static func source(_ key: UnsafeRawBufferPointer) -> Position? {
    guard key.count == RelationKey.incomingKeyBytes, key[RelationKey.prefixBytes] == RelationKey.incoming,
      let number: UInt64 = key.number(at: RelationKey.outgoingKeyBytes)
    else { return nil }
    return Position(number.byteSwapped)
  }

  static func explain(_ run: StoreVerification) {
    UnitsCheck.units(of: run) { _, event, unit, _ in
      guard event.position <= run.marks[.relations] else { return }
      forEachEntry(of: event, unit.id) { key, value in
        let place = "relations: what the unit at position \(event.position.rawValue) names "
        switch run.look(.relations, key, { [UInt8]($0) == value }) {
        case .found(true), .incomplete: break
        case .found(false): run.find(place + "stands here otherwise than in units")
        case .notFound: run.find(place + "is missing")
        }
      }
    }
    guard run.marks[.relations] <= min(run.marks[.units], run.marks[.ids]) else { return }
    try? run.entries(of: .relations) { key, value in
      // A list belongs to the unit in its key, an edge to the one in its value.
      let owner =
        key.count == RelationKey.outgoingKeyBytes ? RelationKey.unit(key) : RelationKey.edge(value)?.other
      guard let owner, makes(owner, [UInt8](key), [UInt8](value), run) else {
        return run.find(
          "relations: an entry of \(RelationKey.unit(key).map { "\($0)" } ?? "nothing") that no unit makes")
      }
    }
  }

  /// Whether the unit's record makes the entry.
  private static func makes(_ id: UnitID, _ key: [UInt8], _ value: [UInt8], _ run: StoreVerification) -> Bool
  {
    guard case .found(.some(let place)) = run.look(.ids, StoreKey.id(id), { UnitLocation($0) }) else {
      return false
    }
    let unitsKey = StoreKey.units(place.context, tag: StoreKey.tagUnit, number: place.sequence.rawValue)
    let made = run.look(.units, unitsKey) { record in
      var made = false
      guard let event = EventView(record).flatMap({ ParsedEvent($0) }) else { return false }
      forEachEntry(of: event, id) { if $0 == key && $1 == value { made = true } }
      return made
    }
    return made == .found(true) || made == .incomplete
  }
}
