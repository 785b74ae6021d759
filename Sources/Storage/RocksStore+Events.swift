internal import CRocksDB
public import Model

extension RocksStore {
  /// Up to this many contexts, each is scanned by itself and the scans are merged by position; beyond it, one scan of
  /// `log` that skips what isn't asked for is cheaper than that many iterators.
  static let mergedContextsMax = 32

  public func events(
    after: Position, through: Position, filter: EventFilter, bytesMax: Int, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position {
    try checkOpen("scan the log")
    // What is not applied to every family yet can't be looked up across them.
    let through = min(through, appliedPosition())
    guard after < through else { return after }
    let sieve = EventSieve(filter)
    // Locks alone have an index of their own: no context need be looked at.
    let contexts = filter.units || filter.contextEvents ? sieve.contexts?.sorted : []
    if let contexts, contexts.count <= RocksStore.mergedContextsMax {
      return try merge(contexts, sieve, after: after, through: through, bytesMax: bytesMax, body)
    }
    return try scanLog(sieve, after: after, through: through, bytesMax: bytesMax, body)
  }

  public func event(at position: Position, _ body: (EventView) -> Void) throws(StoreError) -> Presence {
    let operation: StaticString = "read an event"
    try checkOpen(operation)
    var unitsKey: [UInt8]?
    let found = try database.get(.log, StoreKey.log(position), .disk, for: operation) {
      value throws(StoreError) in
      if value.first == StoreKey.logReference, let key = value.tail(from: StoreKey.logReferenceHeadBytes) {
        unitsKey = Array(key)
      } else {
        body(try RocksStore.record(ofLogValue: value, position, operation))
      }
    }
    guard let unitsKey else { return found.presence }
    let unit = try database.get(.units, unitsKey, .disk, for: operation) { value throws(StoreError) in
      body(try RocksStore.view(value, operation))
    }
    // Replay may have brought `log` further than `units`; afterwards one without the other is damage.
    if unit.presence == .notFound, isLevel {
      throw .damaged(operation, "position \(position.rawValue) is in `log`, but not in `units`")
    }
    return unit.presence
  }

  public func context(
    ofUnitAt position: Position, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(StoreError) -> Presence {
    let operation: StaticString = "find a unit's context"
    try checkOpen(operation)
    var isUnit = false
    let found = try database.get(.log, StoreKey.log(position), .disk, for: operation) {
      value throws(StoreError) in
      guard value.first == StoreKey.logReference, let key = value.tail(from: StoreKey.logReferenceHeadBytes),
        let (context, tag) = StoreKey.context(ofUnitsKey: key)
      else { return }
      guard tag == StoreKey.tagUnit else { return }
      isUnit = true
      body(context)
    }
    return found.presence == .found && !isUnit ? .notFound : found.presence
  }

  /// Of an event that isn't a unit.
  private static func record(
    ofLogValue value: UnsafeRawBufferPointer, _ position: Position, _ operation: StaticString
  ) throws(StoreError) -> EventView {
    guard value.first == StoreKey.logRecord, let memory = value.tail(from: 1) else {
      throw .damaged(operation, "the entry at position \(position.rawValue) is not an event")
    }
    return try view(memory, operation)
  }

  // MARK: - One scan of the log

  private func scanLog(
    _ sieve: EventSieve, after: Position, through: Position, bytesMax: Int, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position {
    let upper = StoreKey.log(through) + [0]
    let cursor = RocksCursor(
      database, .log, from: StoreKey.log(after.next), to: upper, .disk, for: "scan the log")
    cursor.seek(StoreKey.log(after.next))
    var budget = EventBudget(bytesMax: bytesMax)
    var chunk = UnitChunk()
    var scanned = after
    var entries = 0
    while cursor.isValid, entries < scannedEntriesMax, !budget.isSpent {
      entries += 1
      let position = try RocksStore.position(ofLogKey: cursor.key)
      let value = cursor.value
      switch value.first {
      case StoreKey.logReference:
        guard let length: UInt32 = value.number(at: 1),
          let key = value.tail(from: StoreKey.logReferenceHeadBytes)
        else { throw .damaged("scan the log", "the entry at position \(position.rawValue) is too short") }
        if sieve.admits(unitsKey: key) {
          chunk.add(key, position, recordBytes: Int(length))
          budget.reserve(Int(length))
          if chunk.isFull, let stop = try read(&chunk, body) { return stop }
        }
      case StoreKey.logRecord:
        guard let memory = value.tail(from: 1) else { break }
        let record = try RocksStore.view(memory, "scan the log")
        if sieve.admits(record) {
          if let stop = try read(&chunk, body) { return stop }
          budget.reserve(record.length)
          if !body(record) { return position }
        }
      default:
        throw .damaged("scan the log", "the entry at position \(position.rawValue) is of no known form")
      }
      scanned = position
      cursor.next()
    }
    if let stop = try read(&chunk, body) { return stop }
    if cursor.isValid { return scanned }
    _ = try cursor.end()
    return through
  }

  /// Reads the units of the chunk together, hands them over in order, and empties it.
  /// - Returns: the position at which `body` said false.
  private func read(_ chunk: inout UnitChunk, _ body: (EventView) -> Bool)
    throws(StoreError) -> Position?
  {
    let count = chunk.positions.count
    guard count > 0 else { return nil }
    defer { chunk.removeAll() }
    var pointers = [UnsafePointer<CChar>?](repeating: nil, count: count)
    var slices = [OpaquePointer?](repeating: nil, count: count)
    var errors = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
    chunk.keys.withUnsafeBytes { keys in
      engram_get_many(
        database.db, database.pointRead(.disk), database.handle(.units), count, keys.baseAddress, chunk.sizes,
        &pointers, &slices, &errors)
    }
    defer {
      for slice in slices { if let slice { rocksdb_pinnableslice_destroy(slice) } }
      for error in errors { if let error { rocksdb_free(error) } }
    }
    for index in 0..<count {
      if let error = errors[index] {
        throw RocksFailure(message: String(cString: error)).storeError("scan the log")
      }
      guard let slice = slices[index] else {
        throw .damaged(
          "scan the log", "position \(chunk.positions[index].rawValue) is in `log`, but not in `units`")
      }
      if !body(try RocksStore.view(RocksDatabase.bytes(slice), "scan the log")) {
        return chunk.positions[index]
      }
    }
    return nil
  }

  // MARK: - Merged scans

  /// What the contexts have and, if wanted, what the locks have, merged by position.
  private func merge(
    _ contexts: [[UInt8]], _ sieve: EventSieve, after: Position, through: Position, bytesMax: Int,
    _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position {
    var heap = PositionHeap<any OrderedScan>()
    let tags = [StoreKey.tagUnit, StoreKey.tagOther].filter {
      $0 == StoreKey.tagUnit ? sieve.filter.units : sieve.filter.contextEvents
    }
    for context in contexts {
      for tag in tags {
        guard let scan = try ContextScan(self, context, tag: tag, after: after) else { continue }
        heap.push(scan, at: scan.position)
      }
    }
    if sieve.filter.locks, let scan = try LockScan(self, after: after, through: through) {
      heap.push(scan, at: scan.position)
    }
    var budget = EventBudget(bytesMax: bytesMax)
    var entries = 0
    while let (scan, position) = heap.first, position <= through {
      var goesOn = true
      switch scan.find(sieve.filter) {
      case .nothing: break
      case .record(let memory):
        let record = try RocksStore.view(memory, "scan events")
        budget.reserve(record.length)
        goesOn = body(record)
      case .inLog: goesOn = try otherEvent(at: position, &budget, body)
      }
      entries += 1
      if !goesOn || budget.isSpent || entries >= scannedEntriesMax { return position }
      heap.replaceFirst(at: try scan.advance() ? scan.position : nil)
    }
    return through
  }

  private func otherEvent(at position: Position, _ budget: inout EventBudget, _ body: (EventView) -> Bool)
    throws(StoreError) -> Bool
  {
    let operation: StaticString = "scan events"
    var spent = budget
    let found = try database.get(.log, StoreKey.log(position), .disk, for: operation) {
      value throws(StoreError) in
      let record = try RocksStore.record(ofLogValue: value, position, operation)
      spent.reserve(record.length)
      return body(record)
    }
    budget = spent
    guard case .found(let goesOn) = found else {
      throw .damaged(operation, "position \(position.rawValue) is in an index, but not in `log`")
    }
    return goesOn
  }
}

/// Entries of one index, in order of position.
protocol OrderedScan: AnyObject {
  /// Of the entry on which the scan stands.
  var position: Position { get }
  /// What the entry stands for, if the filter wants it.
  func find(_ filter: EventFilter) -> ScannedEntry
  /// - Returns: false at the end.
  func advance() throws(StoreError) -> Bool
}

enum ScannedEntry {
  /// Nothing that is wanted.
  case nothing
  /// A unit's record; valid until the scan advances.
  case record(UnsafeRawBufferPointer)
  /// An event that lies in `log`.
  case inLog
}

/// One context's units, or its other events, in order of position.
private final class ContextScan: OrderedScan {
  private let tag: UInt8
  private let cursor: RocksCursor
  private(set) var position = Position.zero

  /// Stands on the first event above `after`; nil if there is none.
  init?(_ store: RocksStore, _ context: [UInt8], tag: UInt8, after: Position) throws(StoreError) {
    self.tag = tag
    let lower = StoreKey.units(context, tag: tag, number: 0)
    let upper = StoreKey.units(context, tag: tag, number: .max)
    cursor = RocksCursor(
      store.database, .units, from: lower, to: upper, .disk, withinPrefix: true, for: "scan events")
    var number = after.rawValue + 1
    if tag == StoreKey.tagUnit {
      guard case .found(let head) = try store.head(of: context, .disk), head.position > after else {
        return nil
      }
      number = try store.firstSequence(of: context, after: after, head).rawValue
    }
    cursor.seek(StoreKey.units(context, tag: tag, number: number))
    guard try read() else { return nil }
  }

  func find(_ filter: EventFilter) -> ScannedEntry {
    tag == StoreKey.tagUnit ? .record(cursor.value) : .inLog
  }

  func advance() throws(StoreError) -> Bool {
    cursor.next()
    return try read()
  }

  private func read() throws(StoreError) -> Bool {
    guard cursor.isValid else {
      _ = try cursor.end()
      return false
    }
    if tag == StoreKey.tagUnit {
      position = try RocksStore.view(cursor.value, "scan events").position
    } else {
      let key = cursor.key
      guard let number: UInt64 = key.number(at: key.count - 8) else {
        throw .damaged("scan events", "a key of `units` has only \(key.count) bytes")
      }
      position = Position(number.byteSwapped)
    }
    return true
  }
}

extension RocksStore {
  /// The first sequence of the context whose position is above `after`; positions grow with sequences. Looks
  /// from the end in steps that double, then halves: who resumes is mostly near the end.
  func firstSequence(of context: [UInt8], after: Position, _ head: StoredContext.Head) throws(StoreError)
    -> Sequence
  {
    guard after > .zero else { return Sequence(1) }
    // Invariant: low is at or below `after` (or 0), high is above it.
    var high = head.lastSequence.rawValue
    var low: UInt64 = 0
    var step: UInt64 = 1
    while high - low > 1 {
      let probe = low == 0 ? (high > step ? high - step : 1) : low + (high - low) / 2
      if probe == low || probe == high { break }
      if try isAbove(after, context, probe) {
        high = probe
        step = step > high ? high : step * 2
      } else {
        low = probe
      }
    }
    return Sequence(max(high, 1))
  }

  /// A sequence that the store no longer holds counts as below.
  private func isAbove(_ after: Position, _ context: [UInt8], _ sequence: UInt64) throws(StoreError) -> Bool {
    var position = Position.zero
    _ = try unit(context: context, sequence: Sequence(sequence), tier: .disk) { position = $0.position }
    return position > after
  }
}
