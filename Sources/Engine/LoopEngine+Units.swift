internal import Bytes
public import Model
internal import Storage

/// Some units of one context, as a client asks for them.
public struct UnitList: Sendable {
  public var context: [UInt8]
  /// Sequences.
  public var range: ClosedRange<UInt64>
  /// From the newest to the oldest.
  public var reverse: Bool
  public var filter: UnitFilter
  public var limit: Int
  /// Of records: a unit that takes the sum past it is the page's last one.
  public var bytesMax: Int
  public var budget: ScanBudget

  public init(
    context: [UInt8], range: ClosedRange<UInt64>, reverse: Bool = false, filter: UnitFilter = UnitFilter(),
    limit: Int, bytesMax: Int = Limits.pageBytesMax, budget: ScanBudget = ScanBudget()
  ) {
    self.context = context
    self.range = range.clamped(to: 0...UInt64.max - 1)
    self.reverse = reverse
    self.filter = filter
    self.limit = limit
    self.bytesMax = bytesMax
    self.budget = budget
  }
}

extension LoopEngine {
  /// What a filtered list may look at on the loop's own thread, in the store's memory; beyond it the read pool goes on.
  static let budgetOnLoop = ScanBudget(records: 500, bytes: 1 << 20)
  /// Records of the window that one page of a filtered list may look at: about a millisecond.
  static let windowRecordsMax = 8192
  /// How often a read begins anew because the window lost meanwhile what the store hadn't been asked for.
  static let attemptsMax = 8

  /// Units of a context, at most `limit`; fewer when they come to `bytesMax` bytes, or when the list's budget is spent:
  /// then `reached` says how far the page goes. Suspends if the disk has to be asked. The page's views into the
  /// window are valid until the next suspension.
  public func units(_ list: UnitList) async throws(Problem) -> UnitPage {
    guard !list.filter.isImpossible, list.limit > 0 else { return UnitPage() }
    for _ in 0..<LoopEngine.attemptsMax {
      if let page = try await list.reverse ? descending(list) : ascending(list) { return page }
    }
    throw Problem(.unavailable, "the units moved on while they were being read; try again")
  }

  /// The part of the range that only the store can have; nil if the window will do.
  private func belowWindow(_ list: UnitList) -> ClosedRange<UInt64>? {
    list.context.withUnsafeBytes { name in
      guard let held = window.sequences(of: name) else { return list.range }
      let through = min(list.range.upperBound, held.lowerBound - 1)
      guard list.range.lowerBound <= through else { return nil }
      // A unit of the window is from before the span of time: so are all in the store.
      if let since = list.filter.since,
        window.sequences(of: name, since: since, until: nil)?.lowerBound != held.lowerBound
      {
        return nil
      }
      return list.range.lowerBound...through
    }
  }

  /// Nil: the window lost something meanwhile; begin anew.
  private func ascending(_ list: UnitList) async throws(Problem) -> UnitPage? {
    var page = UnitPage()
    guard let below = belowWindow(list) else {
      take(list.range, list, into: &page)
      return page
    }
    let stored = try await readStored(list, below, limit: list.limit, bytesMax: list.bytesMax)
    // Nothing suspends from here on, so that views into the window stay good.
    page.take(stored)
    if stored.end == .stopped {
      page.reached = stored.reached.rawValue
      return page
    }
    let above = below.upperBound + 1
    guard above <= list.range.upperBound else { return page }
    // That there is more above was read off the window: what it no longer has by now, the store has.
    guard let held = list.context.withUnsafeBytes({ window.sequences(of: $0) }), held.lowerBound <= above
    else {
      page.reached = below.upperBound
      return page
    }
    take(above...list.range.upperBound, list, into: &page)
    return page
  }

  /// Nil: the window lost something meanwhile; begin anew.
  private func descending(_ list: UnitList) async throws(Problem) -> UnitPage? {
    var page = UnitPage()
    guard let held = list.context.withUnsafeBytes({ window.sequences(of: $0) }),
      held.lowerBound <= list.range.upperBound
    else {
      let stored = try await readStored(list, list.range, limit: list.limit, bytesMax: list.bytesMax)
      page.take(stored)
      if stored.end == .stopped { page.reached = stored.reached.rawValue }
      return page
    }
    let upper = min(list.range.upperBound, held.upperBound)
    if list.range.lowerBound <= upper { take(list.range.lowerBound...upper, list, into: &page) }
    guard page.reached == nil, let below = belowWindow(list) else { return page }
    let stored = try await readStored(
      list, below, limit: list.limit - page.units.count, bytesMax: list.bytesMax - page.bytes)
    // The views into the window are made again: its oldest batches may have gone.
    let now = list.context.withUnsafeBytes { window.sequences(of: $0) }
    guard let now, now.lowerBound <= held.lowerBound else { return nil }
    page = UnitPage()
    take(held.lowerBound...upper, list, into: &page)
    page.take(stored)
    if stored.end == .stopped { page.reached = stored.reached.rawValue }
    return page
  }

  /// Takes what the window has of the range, as far as the page's limits go.
  private func take(_ range: ClosedRange<UInt64>, _ list: UnitList, into page: inout UnitPage) {
    list.context.withUnsafeBytes { name in
      guard
        let span = window.sequences(of: name, since: list.filter.since, until: list.filter.until),
        span.overlaps(range)
      else { return }
      let part = span.clamped(to: range)
      var sequence = list.reverse ? part.upperBound : part.lowerBound
      let end = list.reverse ? part.lowerBound : part.upperBound
      var left = list.filter.isOfTimeOnly ? Int.max : min(LoopEngine.windowRecordsMax, list.budget.records)
      window.units(in: name, part, reverse: list.reverse) { view in
        if list.filter.admits(view) {
          page.units.append(view)
          page.bytes += view.length
        }
        left -= 1
        let isFull = page.units.count >= list.limit || page.bytes >= list.bytesMax
        if isFull || left <= 0 {
          // Full with the range's last unit, it is a whole page all the same.
          if sequence != end || range.contains(list.reverse ? end &- 1 : end + 1) { page.reached = sequence }
          return false
        }
        sequence = list.reverse ? sequence &- 1 : sequence + 1
        return true
      }
    }
  }

  private func readStored(
    _ list: UnitList, _ range: ClosedRange<UInt64>, limit: Int, bytesMax: Int
  ) async throws(Problem) -> StoredRecords {
    var query = UnitQuery(
      context: list.context, from: Sequence(range.lowerBound), through: Sequence(range.upperBound),
      reverse: list.reverse, filter: list.filter, limit: limit, bytesMax: bytesMax, budget: list.budget)
    let onDisk = query
    query.budget.records = min(query.budget.records, LoopEngine.budgetOnLoop.records)
    query.budget.bytes = min(query.budget.bytes, LoopEngine.budgetOnLoop.bytes)
    let inMemory = query
    let store = store
    return try await readStored { records, tier in
      let query = tier == .cacheOnly ? inMemory : onDisk
      records.collect { take throws(StoreError) in
        let scan = try store.units(query, tier: tier) {
          take($0)
          return true
        }
        records.reached = scan.reached
        // Too much for the loop's thread is as good as not in memory.
        return tier == .cacheOnly && scan.isOverBudget ? .incomplete : scan.end
      }
    }
  }
}
