internal import Model

/// Where units that satisfy a filter may be.
enum Candidates: Equatable {
  /// These sequences of the range, ascending; none of the others.
  case some([UInt64], within: ClosedRange<UInt64>)
  /// No strip says anything about the range.
  case any(ClosedRange<UInt64>)
  /// Memory alone can't tell.
  case incomplete
}

/// Walks over a context's strips in one direction. One thread; must not outlive the database.
struct StripCursor {
  private let cursor: RocksCursor
  private let context: [UInt8]
  private let reverse: Bool
  /// One of each.
  private var parts: [[UInt32]] = []
  private var isPlaced = false

  init(_ database: RocksDatabase, _ query: UnitQuery, _ tier: ReadTier) {
    context = query.context
    reverse = query.reverse
    cursor = RocksCursor(
      database, .filters, from: FilterStrip.key(context, 0), to: FilterStrip.key(context, .max) + [0], tier,
      withinPrefix: true, for: "look up a filter")
    for pair in query.filter.metadata {
      let print = pair.key.withUnsafeBytes { key in
        pair.value.withUnsafeBytes { FilterStrip.print(key: key, value: $0) }
      }
      parts.append([print])
    }
    if let agent = query.filter.agent {
      parts.append([agent.withUnsafeBytes { FilterStrip.print(agent: $0) }])
    }
    let types = (0..<UInt16.bitWidth).filter { query.filter.types & (1 << UInt16($0)) != 0 }
    if !types.isEmpty { parts.append(types.map { FilterStrip.print(type: UInt8($0)) }) }
  }

  /// What is known of the part of `range` where the walk begins: its lower end or, in reverse, its upper.
  mutating func next(_ range: ClosedRange<UInt64>) throws(StoreError) -> Candidates {
    let start = reverse ? range.upperBound : range.lowerBound
    if start < FilterStrip.firstSequence {
      return .any(range.lowerBound...min(range.upperBound, FilterStrip.firstSequence - 1))
    }
    guard try place(start) else { return .incomplete }
    guard let strip = try self.strip(),
      reverse ? strip.last >= range.lowerBound : strip.first <= range.upperBound
    else { return try cursor.end() == .incomplete ? .incomplete : .any(unknown(range)) }
    if strip.first > start { return .any(start...strip.first - 1) }
    if strip.last < start { return .any(strip.last + 1...start) }
    let within = range.clamped(to: strip.first...strip.last)
    var found: [UInt64] = []
    for offset in try units(of: strip) where within.contains(strip.first + UInt64(offset)) {
      found.append(strip.first + UInt64(offset))
    }
    return .some(found, within: within)
  }

  /// What lies beyond the strips: but below the first sequence of any strip another call says more.
  private func unknown(_ range: ClosedRange<UInt64>) -> ClosedRange<UInt64> {
    reverse ? max(range.lowerBound, FilterStrip.firstSequence)...range.upperBound : range
  }

  /// Brings the cursor to the strip that holds `start`, or else to the next one in the walk's direction, if there is
  /// one. False: memory can't tell.
  private mutating func place(_ start: UInt64) throws(StoreError) -> Bool {
    if isPlaced {
      // A strip that begins behind the part that was answered is asked for again.
      while let strip = try strip(), reverse ? strip.first > start : strip.last < start { step() }
      return try isTold()
    }
    isPlaced = true
    cursor.seek(before: FilterStrip.key(context, start))
    if !reverse, try isTold(), try strip().map({ $0.last < start }) ?? true {
      cursor.seek(FilterStrip.key(context, start))
    }
    return try isTold()
  }

  /// Whether there is a strip under the cursor, or certainly none.
  private func isTold() throws(StoreError) -> Bool {
    if cursor.isValid { return true }
    return try cursor.end() != .incomplete
  }

  private func step() {
    if reverse { cursor.previous() } else { cursor.next() }
  }

  /// The strip under the cursor.
  private func strip() throws(StoreError) -> StripView? {
    guard cursor.isValid else { return nil }
    let key = cursor.key
    guard key.count >= 12, let number: UInt64 = key.number(at: key.count - 8),
      let strip = StripView(first: number.byteSwapped, cursor.value)
    else { throw .damaged("look up a filter", "a strip of \(cursor.value.count) bytes is malformed") }
    return strip
  }

  /// The units of a strip that may satisfy every part.
  private func units(of strip: StripView) throws(StoreError) -> [UInt32] {
    var common: [UInt32]?
    for part in parts {
      var own: [UInt32] = []
      for print in part where !strip.units(print, into: &own) {
        throw .damaged("look up a filter", "a list of the strip at sequence \(strip.first) is malformed")
      }
      if part.count > 1 { own.sort() }
      if let known = common { own = StripCursor.common(known, own) }
      if own.isEmpty { return [] }
      common = own
    }
    // One unit may be named by two prints of a part.
    var units = common ?? []
    units = units.indices.filter { $0 == 0 || units[$0] != units[$0 - 1] }.map { units[$0] }
    return units
  }

  /// What two ascending lists share.
  private static func common(_ a: [UInt32], _ b: [UInt32]) -> [UInt32] {
    var found: [UInt32] = []
    var (i, j) = (0, 0)
    while i < a.count, j < b.count {
      if a[i] == b[j] { found.append(a[i]) }
      if a[i] <= b[j] { i += 1 } else { j += 1 }
    }
    return found
  }
}
