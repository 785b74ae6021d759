internal import Bytes
internal import Model

/// `filters`: every strip names just the units of its run that have each value. What no strip covers is read anyway.
struct FiltersCheck: FamilyCheck {
  static let family = StoreFamily.filters

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    guard let length: UInt16 = key.number(at: 2), key.count == 4 + Int(length.byteSwapped) + 8,
      let number: UInt64 = key.number(at: key.count - 8),
      let strip = StripView(first: number.byteSwapped, value)
    else { return run.find("filters: an entry of \(key.count) and \(value.count) bytes is none") }
    let context = [UInt8](key[4..<4 + Int(length.byteSwapped)])
    let place =
      "filters: context \(context.withUnsafeBytes { StoreVerification.name($0) }), the strip at sequence "
      + "\(strip.first)"
    var lists: [UInt32: [UInt32]] = [:]
    var count: UInt64 = 0
    do throws(StoreError) {
      try units(of: context, in: strip, run.database) { record, offset in
        count += 1
        for print in FiltersCheck.prints(of: record) { lists[print, default: []].append(offset) }
      }
    } catch {
      return run.find("\(place): \(error.message)")
    }
    guard count == strip.last - strip.first + 1 else {
      // Units may be behind, and then the log has them.
      if run.marks[.filters] <= run.marks[.units] { run.find("\(place) covers units that aren't there") }
      return
    }
    for (print, wanted) in lists {
      var found: [UInt32] = []
      guard strip.units(print, into: &found), FiltersCheck.isSame(found, wanted) else {
        return run.find("\(place) names other units for a value than have it")
      }
    }
    if strip.listCount != lists.count { run.find("\(place) names values that no unit has") }
  }

  private func units(
    of context: [UInt8], in strip: StripView, _ database: RocksDatabase,
    _ body: (EventView, UInt32) -> Void
  ) throws(StoreError) {
    let first = StoreKey.units(context, tag: StoreKey.tagUnit, number: strip.first)
    let last = StoreKey.units(context, tag: StoreKey.tagUnit, number: strip.last)
    let cursor = RocksCursor(
      database, .units, from: first, to: last + [0], .disk, withinPrefix: true, for: "verify")
    cursor.seek(first)
    while cursor.isValid {
      if let record = EventView(cursor.value), let unit = record.unit {
        body(record, UInt32(truncatingIfNeeded: unit.sequence.rawValue &- strip.first))
      }
      cursor.next()
    }
    _ = try cursor.end()
  }

  /// Two values of one unit may share a print: then it is named twice.
  private static func isSame(_ found: [UInt32], _ wanted: [UInt32]) -> Bool {
    found.indices.filter { $0 == 0 || found[$0] != found[$0 - 1] }.map { found[$0] } == wanted
  }

  /// Each once.
  private static func prints(of record: EventView) -> Set<UInt32> {
    var prints: Set<UInt32> = []
    if let unit = record.unit { prints.insert(FilterStrip.print(type: unit.type)) }
    if let agent = record.agentID { prints.insert(FilterStrip.print(agent: agent)) }
    UnitMetadata.forEach(record) { key, value in
      prints.insert(FilterStrip.print(key: key, value: value))
      return true
    }
    return prints
  }
}

/// `idempotency`: every entry tells of the unit that came with the key.
struct IdempotencyCheck: FamilyCheck {
  static let family = StoreFamily.idempotency

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    guard let answer = KeptAnswer(value), let name = key.tail(from: 2) else {
      return run.find("idempotency: an entry of \(key.count) and \(value.count) bytes is none")
    }
    guard answer.last >= answer.first else {
      return run.find("idempotency: ends at \(answer.last.rawValue), before \(answer.first.rawValue)")
    }
    guard answer.last <= min(run.marks[.log], run.marks[.units]) else { return }
    let place = run.look(.log, StoreKey.log(answer.first)) { value in
      value.tail(from: StoreKey.logReferenceHeadBytes).map { [UInt8]($0) } ?? []
    }
    var isSame = false
    if case .found(let unitsKey) = place {
      let found = run.look(.units, unitsKey) { record in
        guard let event = EventView(record), let mark = event.idempotency, let agent = event.agentID else {
          return false
        }
        return KeptAnswer(requestHash: mark.requestHash, firstUnit: event) == answer
          && IdempotencyName.make(agent: agent, key: mark.key) == [UInt8](name)
      }
      isSame = found == .found(true) || found == .incomplete
    }
    if !isSame {
      run.find(
        "idempotency: an entry names position \(answer.first.rawValue), which didn't come with its key")
    }
  }
}

/// The keys that units came with, looked up while `units` is scanned.
struct KeysCheck {
  private var newest = LogTime(microseconds: 0)
  private static let missingMax = 1 << 16
  /// Not found: compaction may have dropped them, if they are old enough.
  private var missing: [(position: Position, time: LogTime)] = []

  mutating func add(_ record: EventView, _ event: ParsedEvent, _ run: StoreVerification) {
    newest = max(newest, record.logTime)
    guard let mark = record.idempotency, let agent = record.agentID,
      event.position <= run.marks[.idempotency]
    else { return }
    let key = StoreKey.idempotency(
      IdempotencyName.make(agent: agent, key: mark.key), namespace: event.namespace)
    // A later request under the same key takes its place.
    let first = run.look(.idempotency, key) { KeptAnswer($0)?.first ?? .zero }
    switch first {
    case .found(let position) where position >= event.position: break
    case .incomplete: break
    case .found, .notFound:
      if missing.count < KeysCheck.missingMax { missing.append((event.position, record.logTime)) }
    }
  }

  mutating func end(_ run: StoreVerification) {
    for (position, time) in missing
    where newest.microseconds - time.microseconds < Limits.idempotencyMicroseconds {
      run.find("idempotency: the key that position \(position.rawValue) came with is missing")
    }
    missing = []
  }
}
