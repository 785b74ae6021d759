internal import Bytes
internal import Model

/// `filters`: every entry names a unit that has the value, and every unit is found by each of its values.
struct FiltersCheck: FamilyCheck {
  static let family = StoreFamily.filters

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    guard let length: UInt16 = key.number(at: 2), key.count == 4 + Int(length.byteSwapped) + 17,
      let wanted: UInt64 = key.number(at: key.count - 16), let number: UInt64 = key.number(at: key.count - 8),
      value.count == 1
    else { return run.find("filters: an entry of \(key.count) and \(value.count) bytes is none") }
    let context = UnsafeRawBufferPointer(rebasing: key[4..<4 + Int(length.byteSwapped)])
    let tag = key[key.count - 17]
    let unitsKey = StoreKey.units([UInt8](context), tag: StoreKey.tagUnit, number: number.byteSwapped)
    let found = run.look(.units, unitsKey) { record in
      EventView(record).map { FilterValues.contains(tag, wanted.byteSwapped, in: $0) } ?? false
    }
    // Units may be behind, and then the log has them.
    let isBehind = run.marks[.filters] > run.marks[.units]
    if found == .found(false) || (found == .notFound && !isBehind) {
      run.find(
        "filters: context \(StoreVerification.name(context)), sequence \(number.byteSwapped) is posted for "
          + "what it doesn't have")
    }
  }
}

/// What a unit is posted for.
private enum FilterValues {
  static func forEach(_ record: EventView, _ body: (_ tag: UInt8, _ value: UInt64) -> Void) {
    guard let unit = record.unit else { return }
    body(FilterIndex.tagType, UInt64(unit.type))
    if let agent = record.agentID { body(FilterIndex.tagAgent, FilterIndex.value(agent: agent)) }
    UnitMetadata.forEach(record) { key, value in
      body(FilterIndex.tagMetadata, FilterIndex.value(key: key, value: value))
      return true
    }
  }

  static func contains(_ tag: UInt8, _ value: UInt64, in record: EventView) -> Bool {
    var isThere = false
    forEach(record) { if $0 == tag, $1 == value { isThere = true } }
    return isThere
  }
}

/// The values of one block of a context, gathered while `units` is scanned, then looked up in `filters`.
struct FilterBlock {
  private struct Value: Hashable {
    var tag: UInt8
    var value: UInt64
  }

  private var context: [UInt8] = []
  private var block: UInt64 = 0
  private var units: [Value: UInt64] = [:]

  /// Units of one context come one after another, in sequence.
  mutating func add(_ record: EventView, _ event: ParsedEvent, _ unit: UnitHead, _ run: StoreVerification) {
    let sequence = unit.sequence.rawValue
    guard sequence >= FilterIndex.firstSequence, event.position <= run.marks[.filters] else { return }
    let block = sequence / FilterIndex.blockUnits
    let isSame = context.withUnsafeBytes { StoreVerification.areSame($0, event.context) }
    if block != self.block || !isSame {
      end(run)
      self.block = block
      if !isSame { context = [UInt8](event.context) }
    }
    FilterValues.forEach(record) {
      units[Value(tag: $0, value: $1), default: 0] |= 1 << (sequence % FilterIndex.blockUnits)
    }
  }

  /// Compares the block with what the index says of it.
  mutating func end(_ run: StoreVerification) {
    for (value, wanted) in units {
      let cursor = PostingCursor(
        run.database, context, tag: value.tag, value: value.value, reverse: false, .disk)
      var budget = ScanBudget()
      var found: UInt64 = 0
      do throws(StoreError) {
        if case .block(block, let posted) = try cursor.find(block, &budget) { found = posted }
      } catch {
        run.find("filters: \(error.message)")
        continue
      }
      guard wanted & ~found != 0 else { continue }
      let name = context.withUnsafeBytes { StoreVerification.name($0) }
      let sequence =
        block * FilterIndex.blockUnits + UInt64((wanted & ~found).trailingZeroBitCount)
      run.find("filters: context \(name), sequence \(sequence) isn't posted for what it has")
    }
    units.removeAll(keepingCapacity: true)
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
      run.find("idempotency: an entry names position \(answer.first.rawValue), which didn't come with its key")
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
    var key: [UInt8] = []
    StoreKey.append(event.namespace, to: &key)
    key += IdempotencyName.make(agent: agent, key: mark.key)
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
