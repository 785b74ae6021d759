internal import CSQLite
internal import Glibc
internal import Model

/// Stops a query when its time is over or nobody wants it any more: SQLite asks it every few steps. FTS5 works long
/// inside one step of the statement, but each page that it reads is a small statement of its own, whose steps count.
///
/// A query must get somewhere, or its next page would begin where this one did: until it has, it is given
/// `grace` more.
struct QueryGuard {
  /// Steps of SQLite's machine between two questions: a question takes about 0.05 µs, a row 6 steps, and reading a page
  /// of some thousand postings 4.
  static let steps: Int32 = 20
  static let grace = Limits.searchNanosecondsMax
  /// Questions after a page is full: 4000 steps of counting on, about 600 hits of one word, or 3 ms of reading pages. A
  /// number of steps, not a time, so that a busy machine counts no less than an idle one.
  static let countingQuestions = 200

  /// Monotonic nanoseconds.
  var deadline: UInt64
  /// Something has been looked at to its end: what this page answers, the next one need not look at.
  var hasProgress = false
  /// Nothing short of the end is progress.
  var isPatient = false
  /// The time is over, or the query is cancelled.
  private(set) var isStopped = false
  /// Questions asked.
  private(set) var questions = 0
  /// The last question; nil: as many as the time allows.
  private var questionsMax: Int?
  private let isCancelled: () -> Bool
  private let clock: () -> UInt64

  init(deadline: UInt64, clock: @escaping () -> UInt64, isCancelled: @escaping () -> Bool) {
    self.deadline = deadline
    self.clock = clock
    self.isCancelled = isCancelled
  }

  /// Whether the query must end here.
  mutating func asks() -> Bool {
    if isStopped { return true }
    questions += 1
    let end =
      hasProgress && !isPatient ? deadline : deadline.addingReportingOverflow(QueryGuard.grace).partialValue
    isStopped = clock() >= max(end, deadline) || isCancelled()
    return isStopped || questions >= questionsMax ?? .max
  }

  /// What is answered is found: from now on it is counted, not for long.
  mutating func beginCounting() { questionsMax = questions + QueryGuard.countingQuestions }

  static func monotonic() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

extension Database {
  /// Runs `body` with the guard watching.
  func watched<Result>(
    by guardian: UnsafeMutablePointer<QueryGuard>, _ body: () throws(SearchError) -> Result
  ) throws(SearchError) -> Result {
    sqlite3_progress_handler(
      handle, QueryGuard.steps,
      { context in
        guard let context else { return 0 }
        return context.assumingMemoryBound(to: QueryGuard.self).pointee.asks() ? 1 : 0
      }, guardian)
    defer { sqlite3_progress_handler(handle, 0, nil, nil) }
    return try body()
  }
}
