internal import Bytes
internal import CRocksDB
public import Model

extension RocksStore {
  public func apply(_ records: [EventView], upTo: Position) throws(StoreError) {
    try checkOpen("apply")
    try writer.build(records, upTo: upTo, database)
    try database.write(writer.batch, for: "apply")
    if let last = records.last { database.expiry.observe(last.logTime) }
    if let position = writer.commit(upTo: upTo) { publish(position) }
  }
}

/// Turns events into the puts of one `WriteBatch`. Its memory is kept from batch to batch. Apply thread only.
final class ApplyWriter {
  let batch: OpaquePointer = rocksdb_writebatch_create()
  private var marks: StoreMarks
  private var parsed: [ParsedEvent] = []
  /// Whether events of locks or restarts are among them.
  private var hasLocks = false
  /// Whether units that name others are among them.
  private var hasRelations = false
  private var groups = ContextGroups()
  private var strips = PendingStrips()
  /// Whether the batch holds the strips.
  private var hasStrips = false
  /// Of the last batch that was written.
  private var end = Position.zero
  let key: ScratchBytes
  let value: ScratchBytes
  let relations = RelationWriter()
  private var isFreed = false

  init(marks: StoreMarks) {
    self.marks = marks
    // A field of a record holds at most 65,535 bytes, of which escaping may make twice as many.
    key = ScratchBytes(capacity: 3 << 16)
    value = ScratchBytes(capacity: 3 << 16)
  }

  func free() {
    guard !isFreed else { return }
    isFreed = true
    rocksdb_writebatch_destroy(batch)
    key.free()
    value.free()
    relations.free()
  }

  /// - Returns: the lowest mark, after the batch has been written, of those that a reader depends on: what `filters`
  ///   doesn't have yet, it doesn't need.
  func commit(upTo: Position) -> Position? {
    end = max(end, upTo)
    if hasStrips { strips.removeAll() }
    for family in StoreFamily.allCases where advances(family) { marks[family] = max(marks[family], upTo) }
    return StoreFamily.allCases.filter { $0 != .filters }.map { marks[$0] }.min()
  }

  /// Fills `batch`. Families are filled one after another, and `units` context by context: neighbours in a
  /// memtable are then inserted one after another, which its skip list is quick at.
  func build(_ records: [EventView], upTo: Position, _ database: RocksDatabase) throws(StoreError) {
    rocksdb_writebatch_clear(batch)
    try parse(records, upTo: upTo)
    putUnits(records, database.handle(.units))
    putIDs(database.handle(.ids))
    putLog(records, database.handle(.log))
    putContexts(records, database.handle(.contexts))
    putAgents(records, database.handle(.agents))
    putKeys(records, database.handle(.idempotency))
    putFilters(records, database.handle(.filters))
    if hasLocks { putLocks(records, after: marks[.locks], database.handle(.locks)) }
    if hasRelations { putRelations(parsed, after: marks[.relations], database.handle(.relations)) }
    for family in StoreFamily.allCases where advances(family) {
      // During replay a family may be ahead of the batch: its mark never goes back.
      putMark(max(marks[family], upTo), database.handle(family))
    }
  }

  /// Whether the batch brings the family up to its end.
  private func advances(_ family: StoreFamily) -> Bool {
    family != .filters || hasStrips || strips.units == 0
  }

  private func putMark(_ position: Position, _ family: OpaquePointer) {
    withUnsafeBytes(of: position.rawValue.littleEndian) { mark in
      StoreKey.mark.withUnsafeBytes { key in
        engram_batch_put(batch, family, key.baseAddress, key.count, mark.baseAddress, mark.count)
      }
    }
  }

  /// Writes the strips that are pending, so that `filters` is as far as the other families.
  func writeStrips(_ database: RocksDatabase) throws(StoreError) {
    guard strips.units > 0 else { return }
    rocksdb_writebatch_clear(batch)
    putStrips(database.handle(.filters))
    putMark(max(marks[.filters], end), database.handle(.filters))
    try database.write(batch, for: "flush")
    marks[.filters] = max(marks[.filters], end)
    strips.removeAll()
  }

  private func parse(_ records: [EventView], upTo: Position) throws(StoreError) {
    parsed.removeAll(keepingCapacity: true)
    groups.removeAll()
    hasLocks = false
    hasRelations = false
    var previous = Position.zero
    for record in records {
      guard let event = ParsedEvent(record) else {
        throw .damaged("apply", "the event at position \(record.position.rawValue) is malformed")
      }
      guard event.kind != nil || record.flags & EventRecord.flagRequired == 0 else {
        throw .damaged(
          "apply",
          "the event at position \(event.position.rawValue) is of the unknown kind \(record.kindNumber)")
      }
      guard event.position > previous, event.position <= upTo else {
        throw .damaged(
          "apply", "position \(event.position.rawValue) after \(previous.rawValue), up to \(upTo.rawValue)")
      }
      previous = event.position
      if event.kind == .lock || event.kind == .restart { hasLocks = true }
      if event.relations != nil { hasRelations = true }
      groups.add(event, index: parsed.count)
      parsed.append(event)
    }
    groups.sort()
  }

  // MARK: - Families

  private func putUnits(_ records: [EventView], _ family: OpaquePointer) {
    let mark = marks[.units]
    groups.forEachGrouped { index in
      let event = parsed[index]
      guard event.position > mark else { return }
      let unit = event.unit
      key.setUnitsKey(
        event, tag: unit == nil ? StoreKey.tagOther : StoreKey.tagUnit,
        number: unit?.sequence.rawValue ?? event.position.rawValue)
      // Another kind's event lies in `log`; here only that it concerns the context.
      let bytes = unit == nil ? UnsafeRawBufferPointer(start: nil, count: 0) : records[index].bytes
      engram_batch_put(
        batch, family, key.base, key.count, bytes.baseAddress ?? UnsafeRawPointer(key.base), bytes.count)
    }
  }

  private func putIDs(_ family: OpaquePointer) {
    let mark = marks[.ids]
    for event in parsed where event.position > mark {
      guard let unit = event.unit else { continue }
      key.count = 0
      key.big(event.namespace)
      key.big(unit.id.high)
      key.big(unit.id.low)
      value.count = 0
      value.little(unit.sequence.rawValue)
      value.little(unit.hash.high)
      value.little(unit.hash.low)
      value.run(event.context)
      engram_batch_put(batch, family, key.base, key.count, value.base, value.count)
    }
  }

  private func putLog(_ records: [EventView], _ family: OpaquePointer) {
    let mark = marks[.log]
    for (index, event) in parsed.enumerated() where event.position > mark {
      key.count = 0
      key.big(event.namespace)
      key.big(event.position.rawValue)
      let record = records[index].bytes
      value.count = 0
      if let unit = event.unit {
        value.byte(StoreKey.logReference)
        value.little(UInt32(truncatingIfNeeded: record.count))
        value.unitsKey(event, tag: StoreKey.tagUnit, number: unit.sequence.rawValue)
        engram_batch_put(batch, family, key.base, key.count, value.base, value.count)
      } else {
        value.byte(StoreKey.logRecord)
        engram_batch_put2(
          batch, family, key.base, key.count, value.base, value.count, record.baseAddress, record.count)
      }
    }
  }

  private func putContexts(_ records: [EventView], _ family: OpaquePointer) {
    let mark = marks[.contexts]
    for group in groups.groups {
      if let index = group.lastUnit, parsed[index].position > mark, let unit = parsed[index].unit {
        key.setContextKey(parsed[index], part: StoreKey.contextHead)
        value.count = 0
        value.little(unit.sequence.rawValue)
        value.little(records[index].logTime.microseconds)
        value.little(parsed[index].position.rawValue)
        engram_batch_put(batch, family, key.base, key.count, value.base, value.count)
      }
      if let index = group.lastContextEvent, parsed[index].position > mark {
        key.setContextKey(parsed[index], part: StoreKey.contextRecord)
        let record = records[index].bytes
        engram_batch_put(batch, family, key.base, key.count, record.baseAddress, record.count)
      }
    }
  }

  /// Gathers what strips say; they are put together once enough has come together.
  private func putFilters(_ records: [EventView], _ family: OpaquePointer) {
    let mark = marks[.filters]
    for group in groups.groups {
      guard let last = group.lastUnit, parsed[last].position > mark,
        parsed[last].unit?.sequence.rawValue ?? 0 >= FilterStrip.firstSequence
      else { continue }
      key.setStripName(parsed[last])
      let name = UnsafeRawBufferPointer(start: key.base, count: key.count)
      groups.forEach(in: group) { index in
        guard parsed[index].position > mark, let unit = parsed[index].unit,
          unit.sequence.rawValue >= FilterStrip.firstSequence
        else { return }
        strips.add(name, unit, records[index])
      }
    }
    hasStrips = strips.units >= PendingStrips.unitsMax
    if hasStrips { putStrips(family) }
  }

  private func putStrips(_ family: OpaquePointer) {
    strips.forEach { key, value in
      key.withUnsafeBytes { key in
        engram_batch_put(batch, family, key.baseAddress, key.count, value.baseAddress, value.count)
      }
    }
  }

  private func putAgents(_ records: [EventView], _ family: OpaquePointer) {
    let mark = marks[.agents]
    for (index, event) in parsed.enumerated() where event.kind == .context && event.position > mark {
      records[index].forEachAgent { agent in
        key.setAgentKey(event.namespace, agent, event.context)
        value.count = 0
        value.little(event.position.rawValue)
        engram_batch_put(batch, family, key.base, key.count, value.base, value.count)
      }
    }
  }

  private func putKeys(_ records: [EventView], _ family: OpaquePointer) {
    let mark = marks[.idempotency]
    for (index, event) in parsed.enumerated() where event.unit != nil && event.position > mark {
      putKey(records[index], family)
    }
  }
}

/// The parts of an event that keys are made of. Points into the record.
struct ParsedEvent {
  var position: Position
  var namespace: UInt16
  var kind: EventKind?
  var unit: UnitHead?
  /// Empty for an event that concerns no context.
  var context: UnsafeRawBufferPointer
  /// `UnitRelationships.list` of a unit that names others.
  var relations: UnsafeRawBufferPointer?

  /// Nil for a record that lacks what its kind must have.
  init?(_ record: EventView) {
    position = record.position
    namespace = record.namespace
    kind = record.kind
    guard namespace != StoreKey.namespaceReserved, position > .zero else { return nil }
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    context = record.contextID ?? none
    switch kind {
    case .unit:
      guard let head = record.unit, head.sequence > .zero, !context.isEmpty else { return nil }
      unit = head
      relations = UnitRelationships.list(record, head)
    case .context:
      guard record.context != nil, !context.isEmpty else { return nil }
    case .lock:
      guard record.lock != nil, record.resourcePath?.isEmpty == false else { return nil }
      context = none
    case .restart: context = none
    case nil: break
    }
  }
}
