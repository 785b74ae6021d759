internal import CSQLite
internal import CSearch
public import Model

/// Asks the index, beside its writer: a connection of its own. One thread at a time; every call blocks.
/// After the index was discarded it answers what was there: open another one.
public final class SearchReader {
  /// Statements that are kept prepared.
  static let statementsMax = 512
  /// Hits of a phrase that are counted to learn how frequent it is; the rest is extrapolated.
  static let frequencyCountedMax: Int64 = 1000
  /// The same, of all phrases of a query.
  static let frequenciesCountedMax: Int64 = 8000

  struct StatementKey: Hashable {
    enum Purpose { case scan, match, score, count }
    var part: UInt64
    var purpose: Purpose
  }

  /// What the file holds, as the query sees it.
  struct Snapshot {
    var parts: [SearchPart] = []
    var watermark = Position.zero
    var span: UInt64 = 1
  }

  let database: Database
  /// Monotonic nanoseconds; tests set their own.
  var clock: () -> UInt64 = QueryGuard.monotonic
  /// Questions that the last query's guard was asked: how often it could have been stopped.
  var lastQuestions = 0
  private var statements: [StatementKey: Statement] = [:]
  private let head: Statement

  /// - Throws: `damaged` if there is no index, or none that this version reads.
  public init(directory: String, options: SearchOptions = SearchOptions()) throws(SearchError) {
    database = try Database(path: SearchFormat.path(directory), access: .read)
    try SearchFile.configure(database, cacheBytes: options.cacheBytes)
    _ = try SearchFile.read(database, log: nil)
    head = try database.prepare("SELECT watermark, span FROM meta", "read the watermark", isKept: true)
  }

  /// All units up to here can be found.
  public func indexed() throws(SearchError) -> Position { try watermark().position }

  /// Finds a page of what a query asks for, as of one moment: `indexed` says which.
  /// - Parameter text: the query's own, taken apart.
  /// - Parameter deadline: monotonic nanoseconds; what has been found by then is answered, as `partial`.
  /// - Parameter screen: which units the page may know of; nil: all.
  /// - Parameter isCancelled: asked every some microseconds.
  public func find(
    _ query: SearchQuery, text: SearchText, deadline: UInt64, screen: HitScreen? = nil,
    isCancelled: () -> Bool
  ) throws(SearchError) -> SearchPage {
    let result: Result<SearchPage, SearchError> = withoutActuallyEscaping(isCancelled) { isCancelled in
      var guardian = QueryGuard(deadline: deadline, clock: clock, isCancelled: isCancelled)
      defer { lastQuestions = guardian.questions }
      return withUnsafeMutablePointer(to: &guardian) { guardian in
        do throws(SearchError) {
          return .success(try find(query, text, screen, guardian))
        } catch {
          return .failure(error)
        }
      }
    }
    return try result.get()
  }

  private func find(
    _ query: SearchQuery, _ text: SearchText, _ screen: HitScreen?,
    _ guardian: UnsafeMutablePointer<QueryGuard>
  ) throws(SearchError) -> SearchPage {
    try database.execute("BEGIN", "begin a query")
    // Reading only: nothing can be lost by it.
    defer { try? database.execute("COMMIT", "end a query") }
    var snapshot = Snapshot()
    (snapshot.watermark, snapshot.span) = try watermark()
    snapshot.parts = try [SearchPart](database)
    guard let plan = SearchPlan(query, text) else {
      var page = SearchPage()
      page.indexed = snapshot.watermark
      return page
    }
    var page: SearchPage
    switch query.order {
    case .relevance where !plan.ranked.isEmpty:
      page = try findBest(query, plan, snapshot, screen, guardian)
    default:
      page = try findNewest(query, plan, snapshot, screen, guardian)
    }
    page.indexed = snapshot.watermark
    return page
  }

  private func watermark() throws(SearchError) -> (position: Position, span: UInt64) {
    defer { head.reset() }
    guard try head.step() == .row, let watermark = UInt64(exactly: head.integer(0)),
      let span = UInt64(exactly: head.integer(1)), span > 0
    else {
      throw SearchError(.damaged, operation: "read the watermark", message: "there is none")
    }
    return (Position(watermark), span)
  }

  // MARK: Walking

  /// How a walk ended.
  enum WalkEnd: Equatable {
    /// Everything was looked at.
    case finished
    /// The caller had enough.
    case enough
    /// The guard ended it: everything from here on, upwards, was looked at.
    case stopped(lookedDownTo: UInt64)
  }

  /// What a walk does at each unit that matches, newest first.
  struct Visit {
    var position: UInt64
    /// Nil: none was asked for, or it is below the ranking's floor.
    var score: Double?
  }

  /// Visits the units that match within `range`, newest first, part by part, until `visit` returns false.
  func walk(
    _ plan: SearchPlan, _ range: ClosedRange<UInt64>, _ snapshot: Snapshot,
    _ guardian: UnsafeMutablePointer<QueryGuard>, ranking: UnsafeMutablePointer<engram_ranking>? = nil,
    visit: (Visit) -> Bool
  ) throws(SearchError) -> WalkEnd {
    var lookedDownTo = range.upperBound &+ 1
    for part in snapshot.parts.reversed() {
      let (first, overflow) = part.number.multipliedReportingOverflow(by: snapshot.span)
      let last = first.addingReportingOverflow(snapshot.span - 1)
      guard !overflow, !last.overflow, first <= range.upperBound, last.partialValue >= range.lowerBound
      else {
        continue
      }
      let within = max(first, range.lowerBound)...min(last.partialValue, range.upperBound)
      let end = try walk(part, plan, within, guardian, ranking, &lookedDownTo, visit)
      if let end { return end }
      lookedDownTo = within.lowerBound
      guardian.pointee.hasProgress = true
      if guardian.pointee.asks(), within.lowerBound > range.lowerBound {
        return .stopped(lookedDownTo: lookedDownTo)
      }
    }
    return .finished
  }

  /// Only the steps are watched: what opens a part's table for the first time is short, and reports to be stopped in it as
  /// a failure.
  /// - Returns: nil at the part's end.
  private func walk(
    _ part: SearchPart, _ plan: SearchPlan, _ range: ClosedRange<UInt64>,
    _ guardian: UnsafeMutablePointer<QueryGuard>, _ ranking: UnsafeMutablePointer<engram_ranking>?,
    _ lookedDownTo: inout UInt64, _ visit: (Visit) -> Bool
  ) throws(SearchError) -> WalkEnd? {
    let purpose: StatementKey.Purpose =
      plan.expression.isEmpty ? .scan : ranking == nil ? .match : .score
    let statement = try self.statement(part.number, purpose)
    let result: Result<WalkEnd?, SearchError> = plan.expression.withUnsafeBytes { text in
      do throws(SearchError) {
        defer { statement.reset() }
        try statement.bind(1, Int64(clamping: range.upperBound))
        try statement.bind(2, Int64(clamping: range.lowerBound))
        if purpose != .scan { try statement.bind(3, text: text) }
        if let ranking { try statement.bind(4, ranking: ranking) }
        return try database.watched(by: guardian) { () throws(SearchError) in
          while true {
            switch try statement.step() {
            case .done: return .success(nil)
            case .interrupted: return .success(.stopped(lookedDownTo: lookedDownTo))
            case .row: break
            }
            let position = UInt64(clamping: statement.integer(0))
            guard range.contains(position), position < lookedDownTo else {
              throw SearchError(.damaged, operation: "find", message: "units are not in their order")
            }
            lookedDownTo = position
            guardian.pointee.hasProgress = true
            let score = ranking == nil || statement.isNull(1) ? nil : statement.double(1)
            if !visit(Visit(position: position, score: score)) { return .success(.enough) }
          }
        }
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  func statement(_ part: UInt64, _ purpose: StatementKey.Purpose) throws(SearchError) -> Statement {
    let key = StatementKey(part: part, purpose: purpose)
    if let statement = statements[key] { return statement }
    if statements.count >= SearchReader.statementsMax { statements.removeAll(keepingCapacity: true) }
    let table = SearchFormat.part(part)
    let range = "rowid <= ?1 AND rowid >= ?2"
    let sql =
      switch purpose {
      case .scan: "SELECT rowid FROM \(table) WHERE \(range) ORDER BY rowid DESC"
      case .match: "SELECT rowid FROM \(table) WHERE \(table) MATCH ?3 AND \(range) ORDER BY rowid DESC"
      case .score:
        "SELECT rowid, engram_score(\(table), ?4) FROM \(table) "
          + "WHERE \(table) MATCH ?3 AND \(range) ORDER BY rowid DESC"
      case .count: "SELECT rowid FROM \(table) WHERE \(table) MATCH ?1 ORDER BY rowid DESC"
      }
    let statement = try database.prepare(sql, "find", isKept: true)
    statements[key] = statement
    return statement
  }
}
