internal import EventLoop
public import Model
public import Search
internal import Storage
internal import Synchronization

/// One search, from the connection that asks to the thread that answers.
public final class SearchRequest: Abandonable, PositionWaiting, @unchecked Sendable {
  /// What is searched for; `positions` is not narrowed by the filter's times yet.
  public let query: SearchQuery
  /// The query's text, taken apart.
  public let text: SearchText
  /// The times that units must have.
  public let since: LogTime?
  public let until: LogTime?
  /// What its cursors are bound to.
  public let queryHash: UInt64
  public let highlights: Bool
  /// The index must have come so far, unless that takes longer than `waitNanoseconds`.
  public let minPosition: Position
  public let waitNanoseconds: UInt64
  /// What the reader may see; nil: everything.
  public let visibility: (any Visibility)?
  /// The wait for the index; loop thread.
  var wait: PositionWait?
  private let cancelled = Atomic<Bool>(false)

  public init(
    _ query: SearchQuery, text: SearchText, since: LogTime? = nil, until: LogTime? = nil, queryHash: UInt64,
    highlights: Bool = false, minPosition: Position = .zero, waitNanoseconds: UInt64 = 0,
    visibility: (any Visibility)? = nil
  ) {
    self.query = query
    self.text = text
    self.since = since
    self.until = until
    self.queryHash = queryHash
    self.highlights = highlights
    self.minPosition = minPosition
    self.waitNanoseconds = waitNanoseconds
    self.visibility = visibility
  }

  /// Nobody is there to be answered. Any thread.
  var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

  /// Any thread.
  func cancel() { cancelled.store(true, ordering: .relaxed) }

  public func abandon(on engine: LoopEngine) {
    cancel()
    wait?.end()
  }

  /// A search ends by itself soon.
  public func endWait(on engine: LoopEngine) {}
}

/// What a connection waits for, and gives up when it goes. Loop thread.
public protocol Abandonable: AnyObject {
  /// The connection is gone, or will send nothing more.
  func abandon(on engine: LoopEngine)
  /// The end of the connection would not be seen any more.
  func endWait(on engine: LoopEngine)
}

extension LockRequest: Abandonable {
  public func abandon(on engine: LoopEngine) { engine.abandon(self) }
  public func endWait(on engine: LoopEngine) { engine.endWait(self) }
}

extension LoopEngine {
  /// Takes the text of a search apart. Loop thread; some 50 µs for the longest.
  public func searchText(_ text: [UInt8]) throws(Problem) -> SearchText {
    guard let search = engine.search else { throw SearchService.off }
    let tokenizer: Tokenizer
    do throws(SearchError) {
      tokenizer = try search.tokenizer(of: loop)
    } catch {
      throw Problem(.unavailable, "no memory for a search; try again")
    }
    do throws(SearchTextError) {
      return try SearchText(text, tokenizer: tokenizer)
    } catch {
      switch error {
      case .tooManyTerms:
        throw Problem(at: "/query", "must be at most \(Limits.searchTermsMax) words and phrases")
      case .tokenizer: throw Problem(.unavailable, "no memory for a search; try again")
      }
    }
  }

  /// Searches, and returns the answer's JSON. Suspends. Loop thread.
  public func search(_ request: SearchRequest) async throws(Problem) -> [UInt8] {
    guard let search = engine.search else { throw SearchService.off }
    if request.waitNanoseconds > 0, search.indexer.indexedPosition < request.minPosition, !request.isCancelled
    {
      let wait = PositionWait(loop, search.indexer)
      request.wait = wait
      await wait.run(request.minPosition, nanoseconds: request.waitNanoseconds)
      request.wait = nil
    }
    // After a crash the index may be ahead of the store, which had less on disk: what it finds must be readable.
    guard await applied(through: search.indexer.indexedPosition, request) else {
      throw request.isCancelled ? SearchService.abandoned : LoopEngine.storeIsBehind
    }
    let loop = loop
    let answer: Result<[UInt8], Problem>? = await withUnsafeContinuation { continuation in
      let isTaken = search.submit(request) { answer in
        loop.perform { continuation.resume(returning: answer) }
      }
      if !isTaken { continuation.resume(returning: nil) }
    }
    guard let answer else { throw Problem(.unavailable, "too many searches wait; try again") }
    return try answer.get()
  }
}
