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
    let strips = query.filter.isOfTimeOnly ? nil : StripCursor(database, query, tier)
    var scan = RangeScan(database, query, range, tier)
    if let strips { return try scan.follow(strips, range, body) }
    let isWhole = try scan.read(range, body)
    return try isWhole ? scan.end() : scan.sink.stop ?? UnitScan(.incomplete)
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
  /// Up to so many units further, stepping over those between costs less than looking for the place.
  private static let stepsMax: UInt64 = 8
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
    let ahead = placed.map { query.reverse ? $0 &- start : start &- $0 } ?? 0
    if ahead > 0, ahead <= RangeScan.stepsMax {
      for _ in 0..<ahead where cursor.isValid { step() }
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

  /// Reads what the strips name.
  mutating func follow(
    _ strips: StripCursor, _ range: ClosedRange<UInt64>, _ body: (EventView) -> Bool
  ) throws(StoreError) -> UnitScan {
    var strips = strips
    var rest = range
    while true {
      let done: ClosedRange<UInt64>
      sink.budget.spend()
      switch try strips.next(rest) {
      case .incomplete: return UnitScan(.incomplete)
      case .any(let part):
        if try !read(part, body) { return sink.stop ?? UnitScan(.incomplete) }
        // No unit is there: the context ends before, or the range does.
        if placed == nil, !query.reverse { return UnitScan(.exhausted) }
        done = part
      case .some(let sequences, let within):
        for place in sequences.indices {
          let sequence = sequences[query.reverse ? sequences.count - 1 - place : place]
          if try !read(sequence...sequence, body) { return sink.stop ?? UnitScan(.incomplete) }
        }
        done = within
      }
      let edge = query.reverse ? done.lowerBound : done.upperBound
      guard edge != (query.reverse ? range.lowerBound : range.upperBound) else { return UnitScan(.exhausted) }
      if sink.isSpent(at: edge), let stop = sink.stop { return stop }
      rest = query.reverse ? range.lowerBound...edge - 1 : edge + 1...range.upperBound
    }
  }
}
