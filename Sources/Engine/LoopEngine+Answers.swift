public import Model
internal import Storage

/// Units that a request under an id or a key has appended before, to be answered again.
extension LoopEngine {
  /// Units by their ids, in this order; all of them exist. Suspends if the disk has to be asked.
  public func units(_ ids: [UnitID]) async throws(Problem) -> UnitPage {
    var stored = UnitPage()
    var found: [UnitID: EventView] = [:]
    for _ in 0..<LoopEngine.attemptsMax {
      // Nothing may suspend between reading the window and using its views.
      let missing = ids.filter { found[$0] == nil && window.unit($0) == nil }
      if missing.isEmpty {
        stored.units = ids.compactMap { window.unit($0) ?? found[$0] }
        return stored
      }
      let store = store
      stored.take(
        try await readStored { records, tier in
          records.collect { take throws(StoreError) in
            for id in missing where try store.unit(id: id, tier: tier, { take($0) }) == .incomplete {
              return .incomplete
            }
            return .exhausted
          }
        })
      for unit in stored.units { if let id = unit.unit?.id { found[id] = unit } }
    }
    throw Problem(.internal, "units that were appended before can't be found")
  }

  /// The units among one request's events, which lie in one batch. Suspends if the disk has to be asked.
  public func units(at positions: ClosedRange<Position>) async throws(Problem) -> UnitPage {
    var page = UnitPage()
    if window.lowest <= positions.lowerBound {
      _ = window.events(
        after: Position(positions.lowerBound.rawValue - 1), filter: .allUnits, recordsMax: .max
      ) { unit in
        guard unit.position <= positions.upperBound else { return false }
        page.units.append(unit)
        return true
      }
      return page
    }
    // What has left the window the store has applied.
    let after = Position(positions.lowerBound.rawValue - 1)
    (page, _, _) = try await events(
      after: after, through: positions.upperBound, filter: .allUnits, bytesMax: .max)
    return page
  }
}

extension UnitPage {
  /// Units whose memory the caller keeps.
  public init(_ units: [EventView]) { self.units = units }
}
