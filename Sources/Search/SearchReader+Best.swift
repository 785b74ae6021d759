internal import CSearch
internal import Glibc
internal import Model

extension SearchReader {
  /// A page by score, the best first. All matches are scored in one pass, newest first; the best of them are kept.
  ///
  /// Where the time limit ends the pass, the newest part of the matches has been ranked. The pages that follow rank
  /// the same part again (`SearchResume.floor`), and when it is used up what is older, as a part of its own.
  func findBest(
    _ query: SearchQuery, _ plan: SearchPlan, _ snapshot: Snapshot, _ screen: HitScreen?,
    _ guardian: UnsafeMutablePointer<QueryGuard>
  ) throws(SearchError) -> SearchPage {
    var page = SearchPage()
    let through = min(query.resume?.through ?? snapshot.watermark, snapshot.watermark)
    let lower = max(query.positions.lowerBound, 1)
    let upper = min(query.positions.upperBound, through.rawValue)
    guard lower <= upper else { return page }
    let floor = max(lower, query.resume?.floor.rawValue ?? 0)
    guard floor <= upper else { return page }
    let statistics: RankingStatistics
    if screen != nil {
      statistics = .uniform(plan.ranked.count)
    } else if let carried = usable(query.resume?.statistics, plan) {
      statistics = carried
    } else {
      statistics = try frequencies(plan, snapshot, guardian)
    }

    // Of at most half the range of `UInt64`, as the cursor's reader sees to.
    let above = Int(clamping: query.resume?.above ?? 0)
    let limit = max(1, query.limit)
    var best = BestHits(
      capacity: max(0, query.offset) + limit + 1,
      behind: query.resume.map { ($0.score, $0.position.rawValue) })
    var matches = 0
    var sieve = HitSieve(screen)
    var settled = Settled(best: best, upper: upper)
    // What the first page could rank in its time takes this one about as long.
    guardian.pointee.isPatient = (query.resume?.floor ?? .zero) > .zero
    let end = try rank(plan, floor...upper, snapshot, statistics, guardian) { visit, ranking in
      if screen != nil {
        settled.visits(visit.position, best, matches)
        // What has no place is not asked for, nor counted: it would be as much work as all the rest.
        guard visit.score != nil else { return true }
        guard sieve.admits(visit.position) else { return !sieve.hasFailed }
      }
      matches += 1
      if let score = visit.score, best.add(score, visit.position) { ranking.pointee.floor = best.floor }
      return true
    }
    try sieve.check()
    var lookedDownTo = floor
    if case .stopped(let position) = end {
      lookedDownTo = position
      if screen != nil, settled.downTo <= upper {
        (best, matches, lookedDownTo) = (settled.best, settled.matches, max(settled.downTo, floor))
      }
    }

    // A page that can't rank what the one before it ranked would show hits twice: try again.
    if let resume = query.resume, resume.floor > .zero, lookedDownTo > floor {
      page.isPartial = true
      page.isTotalExact = false
      page.total = SearchReader.sum(above, matches)
      page.next = resume
      return page
    }
    let ranked = best.sorted()
    page.hits = ranked.dropFirst(max(0, query.offset)).prefix(limit).map {
      SearchHit(position: Position($0.position), score: $0.score)
    }
    page.isPartial = lookedDownTo > lower
    page.isTotalExact = !page.isPartial && (screen == nil || !best.isFull)
    page.total = SearchReader.sum(
      above,
      Count(matches: matches, from: upper, downTo: lookedDownTo, isWhole: false).estimate(downTo: lower))
    if ranked.count > max(0, query.offset) + limit, let last = page.hits.last {
      page.next = SearchResume(
        through: through, position: last.position, score: last.score, statistics: statistics,
        floor: Position(lookedDownTo), above: UInt64(above))
    } else if page.isPartial, lookedDownTo <= upper {
      // Every score is less: the older part, from its best hit on.
      page.next = SearchResume(
        through: Position(lookedDownTo - 1), position: Position(lookedDownTo),
        score: .greatestFiniteMagnitude,
        statistics: statistics, above: UInt64(SearchReader.sum(above, matches)))
    }
    return page
  }

  /// With a screen: a pass as it was when it had looked at whole grains. Where the time ends it, the page and its cursor
  /// say no more than that.
  private struct Settled {
    private(set) var best: BestHits
    private(set) var matches = 0
    /// All above was looked at, and this itself.
    private(set) var downTo: UInt64
    private var grain: UInt64

    init(best: BestHits, upper: UInt64) {
      self.best = best
      downTo = upper &+ 1
      grain = upper / HitSieve.grain
    }

    /// The next match stands at `position`; `best` and `matches` are those above it.
    mutating func visits(_ position: UInt64, _ best: BestHits, _ matches: Int) {
      guard position / HitSieve.grain < grain else { return }
      grain = position / HitSieve.grain
      downTo = HitSieve.grainEnd(position)
      self.best = best
      self.matches = matches
    }
  }

  /// What a forged cursor says has no other bound.
  static func sum(_ a: Int, _ b: Int) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }

  /// Visits all matches with their scores.
  private func rank(
    _ plan: SearchPlan, _ range: ClosedRange<UInt64>, _ snapshot: Snapshot,
    _ statistics: RankingStatistics, _ guardian: UnsafeMutablePointer<QueryGuard>,
    _ visit: (Visit, UnsafeMutablePointer<engram_ranking>) -> Bool
  ) throws(SearchError) -> WalkEnd {
    let terms = plan.ranked.map(\.term)
    let result: Result<WalkEnd, SearchError> = terms.withUnsafeBufferPointer { terms in
      statistics.weights.withUnsafeBufferPointer { weights in
        var ranking = engram_ranking(
          floor: -.infinity, average_length: statistics.averageLength, count: Int32(weights.count),
          weights: weights.baseAddress, terms: terms.baseAddress)
        return withUnsafeMutablePointer(to: &ranking) { ranking in
          do throws(SearchError) {
            return .success(
              try walk(plan, range, snapshot, guardian, ranking: ranking) { visit($0, ranking) })
          } catch {
            return .failure(error)
          }
        }
      }
    }
    return try result.get()
  }

  // MARK: Statistics

  /// What a cursor carries, if it can be computed with: cursors can be forged.
  private func usable(_ statistics: RankingStatistics?, _ plan: SearchPlan) -> RankingStatistics? {
    guard let statistics, statistics.weights.count == plan.ranked.count,
      statistics.averageLength >= 1, statistics.averageLength.isFinite,
      statistics.weights.allSatisfy({ $0.isFinite && $0 >= 0 })
    else { return nil }
    return statistics
  }

  /// How frequent each phrase is in the whole index: counted in its newest units, extrapolated where that is long.
  private func frequencies(
    _ plan: SearchPlan, _ snapshot: Snapshot, _ guardian: UnsafeMutablePointer<QueryGuard>
  ) throws(SearchError) -> RankingStatistics {
    let units = snapshot.parts.reduce(0) { $0 + $1.units }
    let tokens = snapshot.parts.reduce(0) { $0 + $1.tokens }
    let each = min(
      SearchReader.frequencyCountedMax,
      SearchReader.frequenciesCountedMax / Int64(max(1, plan.ranked.count)))
    // A quarter of the time is for this; how rare a word is beyond what is known by then changes scores little.
    let now = clock()
    let deadline = guardian.pointee.deadline
    var sampler = QueryGuard(
      deadline: now &+ (deadline > now ? (deadline - now) / 4 : 0), clock: clock,
      isCancelled: { guardian.pointee.isStopped })
    sampler.hasProgress = true
    var weights: [Float] = []
    for phrase in plan.ranked {
      var seen: Int64 = 0
      var among: Int64 = 0
      try withUnsafeMutablePointer(to: &sampler) { sampler throws(SearchError) in
        for part in snapshot.parts.reversed() where seen < each && !sampler.pointee.isStopped {
          let (found, share) = try count(phrase, part, snapshot, each - seen, sampler)
          seen += found
          among += share
          // The beginning of a word is looked up by reading all words that begin so.
          if phrase.isPrefix, among > 0 { break }
        }
      }
      let frequency = Double(seen) * Double(units) / Double(max(1, among))
      let rest = max(0, Double(units) - frequency)
      weights.append(Float(log(1 + (rest + 0.5) / (frequency + 0.5))))
    }
    return RankingStatistics(
      averageLength: max(1, Double(tokens) / Double(max(1, units))), weights: weights)
  }

  /// Counts a phrase's units in a part.
  /// - Returns: how many, at most `limit`, and among how many of the part's units.
  private func count(
    _ phrase: SearchPlan.Ranked, _ part: SearchPart, _ snapshot: Snapshot, _ limit: Int64,
    _ sampler: UnsafeMutablePointer<QueryGuard>
  ) throws(SearchError) -> (found: Int64, among: Int64) {
    let statement = try self.statement(part.number, .count)
    let result: Result<(Int64, Int64), SearchError> = phrase.expression.withUnsafeBytes { text in
      do throws(SearchError) {
        defer { statement.reset() }
        try statement.bind(1, text: text)
        return try database.watched(by: sampler) { () throws(SearchError) in
          var found: Int64 = 0
          var last: Int64 = 0
          while found < limit {
            switch try statement.step() {
            case .row: last = statement.integer(0)
            case .done: return .success((found, part.units))
            case .interrupted: return .success((found, found == 0 ? 0 : units(from: last)))
            }
            found += 1
          }
          return .success((found, units(from: last)))
        }
      } catch {
        return .failure(error)
      }
    }
    return try result.get()

    /// About how many of the part's units stand at `position` and above.
    func units(from position: Int64) -> Int64 {
      let first = Double(part.number) * Double(snapshot.span)
      let end = min(first + Double(snapshot.span), Double(snapshot.watermark.rawValue) + 1)
      let share = (end - Double(position)) / max(1, end - first)
      return max(1, Int64(Double(part.units) * min(1, max(0, share))))
    }
  }
}

/// The best hits of a pass: a heap with the worst of them on top.
struct BestHits {
  struct Hit: Equatable {
    var score: Double
    var position: UInt64

    /// Whether this one stands behind the other.
    func isWorse(than other: Hit) -> Bool {
      score != other.score ? score < other.score : position < other.position
    }
  }

  let capacity: Int
  /// Where the page before ended: only what stands behind it counts.
  private let behind: Hit?
  private(set) var heap: [Hit] = []

  init(capacity: Int, behind: (score: Double, position: UInt64)?) {
    self.capacity = max(1, capacity)
    self.behind = behind.map { Hit(score: $0.score, position: $0.position) }
  }

  var isFull: Bool { heap.count == capacity }

  /// A hit with less than this has no place.
  var floor: Double { heap.count < capacity ? -.infinity : heap[0].score }

  /// - Returns: whether the hit has a place.
  @discardableResult
  mutating func add(_ score: Double, _ position: UInt64) -> Bool {
    let hit = Hit(score: score, position: position)
    if let behind, !hit.isWorse(than: behind) { return false }
    if heap.count < capacity {
      heap.append(hit)
      rise()
      return true
    }
    guard heap[0].isWorse(than: hit) else { return false }
    heap[0] = hit
    sink()
    return true
  }

  /// The best first.
  func sorted() -> [Hit] { heap.sorted { $1.isWorse(than: $0) } }

  private mutating func rise() {
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].isWorse(than: heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var worst = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].isWorse(than: heap[worst]) {
        worst = child
      }
      guard worst != parent else { return }
      heap.swapAt(parent, worst)
      parent = worst
    }
  }
}
