internal import EventLoop
internal import Glibc
internal import Model
internal import Search
internal import Storage
internal import Synchronization
internal import Telemetry

/// A connection that reads the index, as long as it is kept: `SearchReader` with what belongs to a thread, or a test's
/// twin. One thread.
protocol UnitFinder: AnyObject {
  func find(
    _ query: SearchQuery, text: SearchText, deadline: UInt64, screen: HitScreen?, isCancelled: () -> Bool
  ) throws(SearchError) -> SearchPage

  /// An excerpt of a unit with what matches marked in it; nil if nothing does.
  func excerpt(of unit: EventView, by highlighter: Highlighter) throws(SearchError) -> [UInt8]?
}

/// Answers searches on two threads, each with a connection of its own to the index. More may wait, in order, up to a
/// limit. The index tells where units are; what they are is read from the store, which is asked whether they are truly
/// what was looked for.
final class SearchService: @unchecked Sendable {
  static let threads = 2
  static let off = Problem(.unavailable, "search is off (--no-search)")
  static let ending = Problem(.unavailable, "the server is stopping; try again")
  /// How long `close` may take to answer what is queued; the rest is refused.
  static let endNanoseconds: UInt64 = 1_000_000_000
  static let abandoned = Problem(.unavailable, "the connection ended before the search was done")

  private struct Job {
    var request: SearchRequest
    var done: @Sendable (Result<[UInt8], Problem>) -> Void
  }

  let indexer: Indexer
  private let store: any EventStore
  private let metrics: SearchMetrics
  private let open: @Sendable () throws(SearchError) -> any UnitFinder
  private let queuedMax: Int
  /// Guards everything below.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var queue: [Job] = []
  private var isClosing = false
  /// When `close` began; 0 before.
  private let closing = Atomic<UInt64>(0)
  private var threads: [pthread_t] = []
  /// One for each loop, by its index, made by the first search there.
  private var tokenizers: [Int: Tokenizer] = [:]

  init(
    indexer: Indexer, store: any EventStore, metrics: SearchMetrics,
    queuedMax: Int = Limits.searchesQueuedMax,
    open: @escaping @Sendable () throws(SearchError) -> any UnitFinder
  ) {
    self.indexer = indexer
    self.store = store
    self.metrics = metrics
    self.queuedMax = queuedMax
    self.open = open
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    condition = .allocate(capacity: 1)
    condition.initialize(to: pthread_cond_t())
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  func start() {
    for _ in 0..<SearchService.threads {
      var thread = pthread_t()
      let failed = pthread_create(
        &thread, nil,
        { argument in
          guard let argument else { return nil }
          EventLoop.nameThread("engram-search")
          Unmanaged<SearchService>.fromOpaque(argument).takeRetainedValue().run()
          return nil
        }, Unmanaged.passRetained(self).toOpaque())
      precondition(failed == 0, "no thread for searches")
      threads.append(thread)
    }
  }

  /// Queues a search; `done` is called on a thread of the service. Any thread.
  /// - Returns: false, and `done` is not called, when too many wait or the service is closed.
  func submit(_ request: SearchRequest, _ done: @escaping @Sendable (Result<[UInt8], Problem>) -> Void)
    -> Bool
  {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard !isClosing, queue.count < queuedMax else {
      metrics.refused.add()
      return false
    }
    queue.append(Job(request: request, done: done))
    metrics.queued.set(Int64(queue.count))
    pthread_cond_signal(condition)
    return true
  }

  /// The tokenizer of a loop, whose thread calls this.
  func tokenizer(of loop: EventLoop) throws(SearchError) -> Tokenizer {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if let found = tokenizers[loop.index] { return found }
    let made = try Tokenizer()
    tokenizers[loop.index] = made
    return made
  }

  /// Answers what is queued, as far as a second goes, and ends the threads. Before the loops end; idempotent.
  func close() {
    pthread_mutex_lock(mutex)
    if !isClosing { closing.store(EventLoop.monotonicNanoseconds(), ordering: .relaxed) }
    isClosing = true
    let joined = threads
    threads = []
    pthread_cond_broadcast(condition)
    pthread_mutex_unlock(mutex)
    for thread in joined { pthread_join(thread, nil) }
  }

  private func next() -> Job? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while queue.isEmpty {
      if isClosing { return nil }
      pthread_cond_wait(condition, mutex)
    }
    let job = queue.removeFirst()
    metrics.queued.set(Int64(queue.count))
    return job
  }

  private func run() {
    var connection = Connection()
    while let job = next() {
      guard !job.request.isCancelled else {
        metrics.cancelled.add()
        job.done(.failure(SearchService.abandoned))
        continue
      }
      let begun = EventLoop.monotonicNanoseconds()
      let closing = closing.load(ordering: .relaxed)
      guard closing == 0 || begun < closing + SearchService.endNanoseconds else {
        job.done(.failure(SearchService.ending))
        continue
      }
      let answer = answer(job.request, begun: begun, &connection)
      metrics.queries.record(EventLoop.monotonicNanoseconds() &- begun)
      job.done(answer)
    }
  }

  // MARK: One search

  /// A thread's connection, and the generation of the index that it reads.
  private struct Connection {
    var finder: (any UnitFinder)?
    var generation: UInt64 = 0
  }

  private func answer(
    _ request: SearchRequest, begun: UInt64, _ connection: inout Connection
  ) -> Result<[UInt8], Problem> {
    do throws(SearchError) {
      guard let finder = try connect(&connection) else {
        return .failure(Problem(.unavailable, "the search index is not open; try again"))
      }
      return .success(try search(request, begun: begun, finder))
    } catch {
      metrics.failures.add()
      connection.finder = nil
      guard error.kind == .damaged else {
        return .failure(Problem(.unavailable, "the search index can't be read now; try again"))
      }
      indexer.reportDamage(error.message, generation: connection.generation)
      return .failure(Problem(.unavailable, "the search index is damaged and is made anew; try again"))
    }
  }

  /// Nil: there is nothing to connect to.
  private func connect(_ connection: inout Connection) throws(SearchError) -> (any UnitFinder)? {
    let generation = indexer.generation
    if let finder = connection.finder {
      if connection.generation == generation { return finder }
      connection.finder = nil
    }
    guard generation != 0 else { return nil }
    connection.generation = generation
    let finder = try open()
    connection.finder = finder
    return finder
  }

  private func search(
    _ request: SearchRequest, begun: UInt64, _ finder: any UnitFinder
  ) throws(SearchError) -> [UInt8] {
    // Before anything is looked at: what is added meanwhile may be missing.
    let isRebuilding = indexer.isRebuilding
    var query = request.query
    var summary = SearchAnswer.Summary()
    guard try narrow(&query, request) else {
      summary.indexed = indexer.indexedPosition
      summary.isPartial = isRebuilding || summary.indexed < request.minPosition
      count(summary)
      var answer = SearchAnswer()
      return answer.finish(summary)
    }
    let view = try request.visibility.map { visibility throws(SearchError) in
      try RestrictedSearch(&query, visibility, store, indexed: indexer.indexedPosition)
    }
    while true {
      let page = try finder.find(
        query, text: request.text, deadline: begun + Limits.searchNanosecondsMax, screen: view?.screen
      ) { request.isCancelled }
      var writing = Writing(request, begun: begun)
      let taken = try write(page.hits, finder, &writing)
      if taken < page.hits.count {
        // The page is too large: a shorter one, from the index, knows where the next one begins.
        query.limit = max(1, taken)
        continue
      }
      summary.total = page.total
      summary.isTotalExact = page.isTotalExact && !isRebuilding
      summary.indexed = view?.known.map { min($0, page.indexed) } ?? page.indexed
      summary.isPartial =
        page.isPartial || writing.isLate || isRebuilding || summary.indexed < request.minPosition
      if let next = page.next {
        summary.cursor = SearchCursor(queryHash: request.queryHash, resume: next).text()
      }
      count(summary)
      return writing.answer.finish(summary)
    }
  }

  private func count(_ summary: SearchAnswer.Summary) {
    if summary.isPartial { metrics.partial.add() }
  }

  /// Makes a range of positions of the times. False: nothing lies in it.
  private func narrow(_ query: inout SearchQuery, _ request: SearchRequest) throws(SearchError) -> Bool {
    var low = query.positions.lowerBound
    var high = query.positions.upperBound
    do throws(StoreError) {
      if let since = request.since { low = max(low, try store.position(atOrAfter: since).rawValue) }
      if let until = request.until {
        let end = try store.position(atOrAfter: until).rawValue
        guard end > 0 else { return false }
        high = min(high, end - 1)
      }
    } catch {
      throw SearchError(.operational, operation: "find a time", message: "\(error)")
    }
    guard low <= high else { return false }
    query.positions = low...high
    return true
  }

  /// An answer that is being written.
  private struct Writing {
    let request: SearchRequest
    let highlighter: Highlighter?
    /// Excerpts of long texts take time: what is left of a page when this is over is answered without.
    let deadline: UInt64
    var answer = SearchAnswer()
    var isLate = false

    init(_ request: SearchRequest, begun: UInt64) {
      self.request = request
      highlighter = request.highlights && !request.text.hasNoWords ? Highlighter(request.text) : nil
      deadline = begun + 2 * Limits.searchNanosecondsMax
    }
  }

  /// Writes the hits that are what was looked for, as far as they fit a page; at least one is tried.
  /// - Returns: how many hits were looked at.
  private func write(
    _ hits: [SearchHit], _ finder: any UnitFinder, _ writing: inout Writing
  ) throws(SearchError) -> Int {
    for (place, hit) in hits.enumerated() {
      var isFull = false
      var failure: SearchError?
      do throws(StoreError) {
        _ = try store.event(at: hit.position) { unit in
          do throws(SearchError) { isFull = try !add(unit, hit, finder, &writing) } catch { failure = error }
        }
      } catch {
        throw SearchError(.operational, operation: "read a unit", message: "\(error)")
      }
      if let failure { throw failure }
      if isFull { return place }
      if writing.request.isCancelled { break }
    }
    return hits.count
  }

  /// False: the page has no room for it.
  private func add(
    _ unit: EventView, _ hit: SearchHit, _ finder: any UnitFinder, _ writing: inout Writing
  ) throws(SearchError) -> Bool {
    let request = writing.request
    guard request.query.admits(unit, since: request.since, until: request.until),
      request.visibility?.sees(unit) ?? true
    else { return true }
    let size = writing.answer.bytes.count + unit.bodyLength
    guard writing.answer.count == 0 || size <= Limits.pageBytesMax else { return false }
    var excerpt: [UInt8]?
    if let highlighter = writing.highlighter {
      if EventLoop.monotonicNanoseconds() < writing.deadline {
        excerpt = try finder.excerpt(of: unit, by: highlighter)
      } else {
        writing.isLate = true
      }
    }
    writing.answer.add(unit, score: hit.score, highlight: excerpt)
    return true
  }
}

extension SearchQuery {
  /// Whether a record is what the query's filters ask for: the index knows them by fingerprints, which somebody may have
  /// made to collide.
  func admits(_ unit: EventView, since: LogTime?, until: LogTime?) -> Bool {
    guard unit.kind == .unit, filter.admits(unit) else { return false }
    if let since, unit.logTime < since { return false }
    if let until, unit.logTime >= until { return false }
    func holds(_ names: [[UInt8]], _ name: UnsafeRawBufferPointer?) -> Bool {
      names.isEmpty || name.map { name in names.contains { $0.elementsEqual(name) } } ?? false
    }
    return holds(contexts, unit.contextID) && holds(agents, unit.agentID)
  }
}
