internal import CRocksDB
public import Model

extension RocksStore {
  /// Up to this many contexts, each is scanned by itself and the scans are merged by position; beyond it, one scan of
  /// `log` that skips what isn't asked for is cheaper than that many iterators.
  static let mergedContextsMax = 32
  /// Entries of `log` looked at in one call. The answer says how far it got, matches or not.
  static let scannedEntriesMax = 100_000

  public func events(
    after: Position, through: Position, contexts: [[UInt8]]?, bytesMax: Int, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position {
    try checkOpen("scan the log")
    // What is not applied to every family yet can't be looked up across them.
    let through = min(through, appliedPosition())
    guard after < through else { return after }
    guard let contexts else {
      return try scanLog(after: after, through: through, filter: nil, bytesMax: bytesMax, body)
    }
    let wanted = ContextSet(contexts)
    if wanted.sorted.count > RocksStore.mergedContextsMax {
      return try scanLog(after: after, through: through, filter: wanted, bytesMax: bytesMax, body)
    }
    return try mergeContexts(
      wanted.sorted, after: after, through: through, bytesMax: bytesMax, body)
  }

  // MARK: - One scan of the log

  private func scanLog(
    after: Position, through: Position, filter: ContextSet?, bytesMax: Int, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position {
    let upper = StoreKey.log(through) + [0]
    let cursor = RocksCursor(
      database, .log, from: StoreKey.log(after.next), to: upper, .disk, for: "scan the log")
    cursor.seek(StoreKey.log(after.next))
    var budget = EventBudget(bytesMax: bytesMax)
    var chunk = UnitChunk()
    var scanned = after
    var entries = 0
    while cursor.isValid, entries < RocksStore.scannedEntriesMax, !budget.isSpent {
      entries += 1
      let position = try RocksStore.position(ofLogKey: cursor.key)
      let value = cursor.value
      switch value.first {
      case StoreKey.logReference:
        guard let length: UInt32 = value.number(at: 1),
          let key = value.tail(from: StoreKey.logReferenceHeadBytes)
        else { throw .damaged("scan the log", "the entry at position \(position.rawValue) is too short") }
        if filter?.contains(unitsKey: key) ?? true {
          chunk.add(key, position, recordBytes: Int(length))
          budget.reserve(Int(length))
          if chunk.isFull, let stop = try read(&chunk, body) { return stop }
        }
      case StoreKey.logRecord:
        guard let memory = value.tail(from: 1) else { break }
        let record = try RocksStore.view(memory, "scan the log")
        if filter?.contains(record.contextID) ?? true {
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

  // MARK: - Merged scans of contexts

  private func mergeContexts(
    _ contexts: [[UInt8]], after: Position, through: Position, bytesMax: Int, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position {
    var heap = PositionHeap<ContextScan>()
    for context in contexts {
      for tag in [StoreKey.tagUnit, StoreKey.tagOther] {
        guard let scan = try ContextScan(self, context, tag: tag, after: after) else { continue }
        heap.push(scan, at: scan.position)
      }
    }
    var budget = EventBudget(bytesMax: bytesMax)
    while let (scan, position) = heap.first, position <= through {
      let goesOn: Bool
      if scan.tag == StoreKey.tagUnit {
        let record = try RocksStore.view(scan.cursor.value, "scan contexts")
        budget.reserve(record.length)
        goesOn = body(record)
      } else {
        goesOn = try otherEvent(at: position, &budget, body)
      }
      if !goesOn || budget.isSpent { return position }
      heap.replaceFirst(at: try scan.advance() ? scan.position : nil)
    }
    return through
  }

  private func otherEvent(at position: Position, _ budget: inout EventBudget, _ body: (EventView) -> Bool)
    throws(StoreError) -> Bool
  {
    let operation: StaticString = "scan contexts"
    var spent = budget
    let found = try database.get(.log, StoreKey.log(position), .disk, for: operation) {
      value throws(StoreError) in
      guard value.first == StoreKey.logRecord, let memory = value.tail(from: 1) else {
        throw .damaged(operation, "the entry at position \(position.rawValue) is not an event")
      }
      let record = try RocksStore.view(memory, operation)
      spent.reserve(record.length)
      return body(record)
    }
    budget = spent
    guard case .found(let goesOn) = found else {
      throw .damaged(operation, "position \(position.rawValue) is in `units`, but not in `log`")
    }
    return goesOn
  }
}

/// One context's units, or its other events, in order of position.
private final class ContextScan {
  let tag: UInt8
  let cursor: RocksCursor
  private(set) var position = Position.zero

  /// Stands on the first event above `after`; nil if there is none.
  init?(_ store: RocksStore, _ context: [UInt8], tag: UInt8, after: Position) throws(StoreError) {
    self.tag = tag
    let lower = StoreKey.units(context, tag: tag, number: 0)
    let upper = StoreKey.units(context, tag: tag, number: .max)
    cursor = RocksCursor(
      store.database, .units, from: lower, to: upper, .disk, withinPrefix: true, for: "scan contexts")
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

  /// - Returns: false at the end.
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
      position = try RocksStore.view(cursor.value, "scan contexts").position
    } else {
      let key = cursor.key
      guard let number: UInt64 = key.number(at: key.count - 8) else {
        throw .damaged("scan contexts", "a key of `units` has only \(key.count) bytes")
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
