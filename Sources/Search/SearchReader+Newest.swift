internal import Model

extension SearchReader {
  /// A page in the order of the log, newest first.
  func findNewest(
    _ query: SearchQuery, _ plan: SearchPlan, _ snapshot: Snapshot, _ screen: HitScreen?,
    _ guardian: UnsafeMutablePointer<QueryGuard>
  ) throws(SearchError) -> SearchPage {
    var page = SearchPage()
    let through = min(query.resume?.through ?? snapshot.watermark, snapshot.watermark)
    let lower = max(query.positions.lowerBound, 1)
    let upper = min(query.positions.upperBound, through.rawValue)
    guard lower <= upper else { return page }
    let behind = query.resume.map { $0.position.rawValue } ?? UInt64.max
    guard behind > lower else { return page }
    let start = min(upper, behind - 1)
    var collection = Collection(offset: query.offset, limit: max(1, query.limit))
    var sieve = HitSieve(screen)
    let end = try walk(plan, lower...start, snapshot, guardian) { visit in
      guard sieve.admits(visit.position) else { return !sieve.hasFailed }
      let goesOn = collection.add(visit.position)
      if collection.isOneMore {
        if let screen, !screen.isNarrow { return false }
        guardian.pointee.beginCounting()
      }
      return goesOn
    }
    try sieve.check()
    page.hits = collection.hits.map { SearchHit(position: Position($0), score: 0) }

    var lookedDownTo = lower
    switch end {
    case .finished: break
    case .enough: lookedDownTo = collection.last
    case .stopped(let position):
      lookedDownTo = screen == nil ? position : collection.resumption(position, from: start)
    }
    if collection.isFull, let last = page.hits.last {
      // Stopped before it was known whether there is more: the next page tells.
      let mayHaveMore = collection.hasMore || (end != .finished && lookedDownTo > lower)
      if mayHaveMore { page.next = SearchResume(through: through, position: last.position) }
    } else if lookedDownTo > lower {
      page.isPartial = true
      // Not a step further, even with the grace: no cursor could get on from here.
      if lookedDownTo <= start {
        page.next = SearchResume(through: through, position: Position(lookedDownTo))
      }
    }
    let below = Count(matches: collection.seen, from: start, downTo: lookedDownTo, isWhole: end == .finished)
    var above = Count(matches: 0, from: upper, downTo: start &+ 1, isWhole: true)
    if screen != nil {
      // What stands above was counted on the pages before: with a screen that costs as much as finding it.
      above.matches = Int(clamping: query.resume?.above ?? 0)
      page.next?.above = UInt64(SearchReader.sum(above.matches, collection.passed))
      page.next?.statistics = RankingStatistics.none
    } else if start < upper {
      guardian.pointee.beginCounting()
      above = try count(plan, start + 1...upper, snapshot, guardian)
      // Nothing could be counted: it is taken to be like what stands below.
      if above.downTo > upper { above = Count(like: below, from: upper, downTo: start + 1) }
    }
    page.total = SearchReader.sum(below.estimate(downTo: lower), above.estimate(downTo: start &+ 1))
    page.isTotalExact = below.isWhole && above.isWhole
    return page
  }

  /// Counts matches, as many as are counted beyond a page.
  private func count(
    _ plan: SearchPlan, _ range: ClosedRange<UInt64>, _ snapshot: Snapshot,
    _ guardian: UnsafeMutablePointer<QueryGuard>
  ) throws(SearchError) -> Count {
    var count = Count(matches: 0, from: range.upperBound, downTo: range.lowerBound, isWhole: false)
    let end = try walk(plan, range, snapshot, guardian) { visit in
      count.matches += 1
      count.downTo = visit.position
      return count.matches < Limits.searchCountedMax
    }
    switch end {
    case .finished:
      count.isWhole = true
      count.downTo = range.lowerBound
    case .stopped(let position): count.downTo = min(position, range.upperBound &+ 1)
    case .enough: break
    }
    return count
  }

  /// Matches within a span of positions, and what they say of a longer one.
  struct Count {
    var matches: Int
    var from: UInt64
    var downTo: UInt64
    var isWhole: Bool

    init(matches: Int, from: UInt64, downTo: UInt64, isWhole: Bool) {
      self.matches = matches
      self.from = from
      self.downTo = downTo
      self.isWhole = isWhole
    }

    /// A span that nothing was counted in.
    init(like other: Count, from: UInt64, downTo: UInt64) {
      let density = Double(other.matches) / (Double(max(other.from, other.downTo) - other.downTo) + 1)
      let matches = Int(min(density * (Double(from - downTo) + 1), 1e15))
      self.init(matches: matches, from: from, downTo: downTo, isWhole: false)
    }

    /// As many as there would be if the rest, down to `lower`, were like what was looked at.
    func estimate(downTo lower: UInt64) -> Int {
      guard !isWhole, downTo > lower, from >= downTo else { return matches }
      let density = Double(matches) / (Double(from - downTo) + 1)
      return matches + Int(min(density * Double(downTo - lower), 1e15))
    }
  }

  /// Takes a page's hits out of those that pass, and counts on.
  private struct Collection {
    let offset: Int
    let limit: Int
    private(set) var hits: [UInt64] = []
    private(set) var seen = 0
    private(set) var last = UInt64.max

    init(offset: Int, limit: Int) {
      self.offset = max(0, offset)
      self.limit = limit
    }

    var isFull: Bool { hits.count == limit }
    /// The last one showed that there is another page.
    var isOneMore: Bool { seen == offset + limit + 1 }
    var hasMore: Bool { isFull && seen > offset + limit }
    /// Hits up to the page's end.
    var passed: Int { min(seen, offset + limit) }

    /// How far down it may be told that everything was looked at: behind it a page goes on that isn't full.
    func resumption(_ lookedDownTo: UInt64, from start: UInt64) -> UInt64 {
      let end = HitSieve.grainEnd(lookedDownTo)
      // Less than a grain was looked at: rather the position than no way on.
      return min(end > start ? lookedDownTo : end, last)
    }

    /// - Returns: whether to go on.
    mutating func add(_ position: UInt64) -> Bool {
      seen += 1
      last = position
      if seen > offset, hits.count < limit { hits.append(position) }
      return seen < offset + limit + Limits.searchCountedMax
    }
  }
}
