internal import Bytes
public import Model

extension RocksStore {
  public func units(
    _ query: UnitQuery, tier: ReadTier, _ body: (EventView) -> Bool
  ) throws(StoreError) -> UnitScan {
    try checkOpen("list units")
    guard query.from <= query.through, !query.filter.isImpossible else { return UnitScan(.exhausted) }
    let range: ClosedRange<UInt64>
    switch try span(of: query, tier) {
    case .found(let found): range = found
    case .notFound: return UnitScan(.exhausted)
    case .incomplete: return UnitScan(.incomplete)
    }
    // Made before the units' cursor: what the index names, that one then has.
    let walk = query.filter.isOfTimeOnly ? nil : FilterWalk(database, query, tier)
    var scan = RangeScan(database, query, range, tier)
    guard let walk else {
      let isWhole = try scan.read(range, body)
      return try isWhole ? scan.end() : scan.sink.stop ?? UnitScan(.incomplete)
    }
    return try scan.follow(walk, range, body)
  }

  // MARK: - Spans of time

  /// The sequences that a query can concern: log time never falls along a context, so that a span of time is a span of
  /// sequences, found by bisection.
  private func span(of query: UnitQuery, _ tier: ReadTier) throws(StoreError) -> Lookup<ClosedRange<UInt64>> {
    let from = max(query.from.rawValue, 1)
    let through = query.through.rawValue
    guard from <= through else { return .notFound }
    guard query.filter.since != nil || query.filter.until != nil else { return .found(from...through) }
    let head: StoredContext.Head
    switch try self.head(of: query.context, tier) {
    case .found(let found): head = found
    case .notFound: return .notFound
    case .incomplete: return .incomplete
    }
    var first = from
    var end = min(through, head.lastSequence.rawValue) &+ 1
    guard first < end else { return .notFound }
    if let since = query.filter.since {
      guard let found = try bisect(query.context, first..<end, since, tier) else { return .incomplete }
      first = found
    }
    if let until = query.filter.until, first < end, until <= head.logTime || end <= head.lastSequence.rawValue
    {
      guard let found = try bisect(query.context, first..<end, until, tier) else { return .incomplete }
      end = found
    }
    return first < end ? .found(first...end - 1) : .notFound
  }

  /// The first sequence of the range whose unit is not before `time`, or the range's end. Nil: memory can't tell.
  private func bisect(
    _ context: [UInt8], _ range: Range<UInt64>, _ time: LogTime, _ tier: ReadTier
  ) throws(StoreError) -> UInt64? {
    var low = range.lowerBound
    var high = range.upperBound
    while low < high {
      let middle = low + (high - low) / 2
      let key = StoreKey.units(context, tag: StoreKey.tagUnit, number: middle)
      let found = try database.get(.units, key, tier, for: "find a time") { value throws(StoreError) in
        try RocksStore.view(value, "find a time").logTime
      }
      switch found {
      case .found(let own) where own < time: low = middle + 1
      // During replay `contexts` may be ahead of `units`: what isn't there yet is the newest.
      case .found, .notFound: high = middle
      case .incomplete: return nil
      }
    }
    return low
  }
}

/// Reads units of one context in one direction and hands those that match over.
private struct RangeScan {
  private let query: UnitQuery
  private let cursor: RocksCursor
  /// The sequence under the cursor, once it is placed.
  private var placed: UInt64?
  var sink: UnitSink

  init(_ database: RocksDatabase, _ query: UnitQuery, _ range: ClosedRange<UInt64>, _ tier: ReadTier) {
    self.query = query
    sink = UnitSink(query)
    let first = StoreKey.units(query.context, tag: StoreKey.tagUnit, number: range.lowerBound)
    let last = StoreKey.units(query.context, tag: StoreKey.tagUnit, number: range.upperBound)
    // One more byte makes the first key after `last`.
    cursor = RocksCursor(
      database, .units, from: first, to: last + [0], tier, withinPrefix: true, for: "list units")
  }

  /// What ended the scan when no unit is under the cursor.
  func end() throws(StoreError) -> UnitScan { UnitScan(try cursor.end()) }

  /// Offers the units of the range, in the query's direction.
  /// - Returns: whether the scan goes on behind it: if not, `sink.stop` says why, or memory can't tell.
  mutating func read(
    _ range: ClosedRange<UInt64>, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Bool {
    let start = query.reverse ? range.upperBound : range.lowerBound
    if let placed, query.reverse ? placed == start &+ 1 : placed &+ 1 == start {
      step()
    } else {
      let key = StoreKey.units(query.context, tag: StoreKey.tagUnit, number: start)
      if query.reverse { cursor.seek(before: key) } else { cursor.seek(key) }
    }
    placed = nil
    while cursor.isValid {
      let record = try RocksStore.view(cursor.value, "list units")
      guard let sequence = record.unit?.sequence.rawValue else {
        throw .damaged("list units", "the record at position \(record.position.rawValue) is no unit's")
      }
      placed = sequence
      guard range.contains(sequence) else { return true }
      if !sink.offer(record, sequence, body) { return false }
      if sequence == (query.reverse ? range.lowerBound : range.upperBound) { return true }
      step()
    }
    placed = nil
    return try cursor.end() != .incomplete
  }

  private func step() {
    if query.reverse { cursor.previous() } else { cursor.next() }
  }

  /// Reads what the index names.
  mutating func follow(
    _ walk: FilterWalk, _ range: ClosedRange<UInt64>, _ body: (EventView) -> Bool
  ) throws(StoreError) -> UnitScan {
    let size = FilterIndex.blockUnits
    var block = (query.reverse ? range.upperBound : range.lowerBound) / size
    let last = (query.reverse ? range.lowerBound : range.upperBound) / size
    while true {
      switch try walk.next(block, last: last, &sink.budget) {
      case .end: return UnitScan(.exhausted)
      case .incomplete: return UnitScan(.incomplete)
      case .spent(let next):
        return UnitScan(.stopped, reached: Sequence(edge(before: next, range)), isOverBudget: true)
      case .block(let found, var units):
        block = found
        while let run = take(&units, block) {
          let wanted = run.clamped(to: range)
          guard run.overlaps(range) else { continue }
          if try !read(wanted, body) { return sink.stop ?? UnitScan(.incomplete) }
        }
      }
      guard block != last else { return UnitScan(.exhausted) }
      block = query.reverse ? block - 1 : block + 1
      if sink.isSpent(at: edge(before: block, range)), let stop = sink.stop { return stop }
    }
  }

  /// The sequence of the range that comes just before a block, in the query's direction.
  private func edge(before block: UInt64, _ range: ClosedRange<UInt64>) -> UInt64 {
    let size = FilterIndex.blockUnits
    return query.reverse
      ? max(range.lowerBound, block * size + size) : min(range.upperBound, block * size - 1)
  }

  /// Takes the next run of units out of a block's bits.
  private func take(_ units: inout UInt64, _ block: UInt64) -> ClosedRange<UInt64>? {
    guard units != 0 else { return nil }
    let base = block * FilterIndex.blockUnits
    let low: Int
    let high: Int
    if query.reverse {
      high = 63 - units.leadingZeroBitCount
      let run = (~(units << (63 - high))).leadingZeroBitCount
      low = high - run + 1
    } else {
      low = units.trailingZeroBitCount
      high = low + (~(units >> low)).trailingZeroBitCount - 1
    }
    let count = high - low + 1
    units &= ~((count == 64 ? ~0 : (1 << UInt64(count)) - 1) << UInt64(low))
    return base + UInt64(low)...base + UInt64(high)
  }
}
