import EngramTesting
import EventLoop
import Model
import Search
import Storage
import Synchronization
import Telemetry
import Testing

@testable import Engine

/// A reader of an index that answers as a test says.
private final class ScriptedFinder: UnitFinder {
  typealias Body = @Sendable (SearchQuery, () -> Bool) -> Result<SearchPage, SearchError>
  private let body: Body

  init(_ body: @escaping Body) { self.body = body }

  func find(
    _ query: SearchQuery, text: SearchText, deadline: UInt64, screen: HitScreen?, isCancelled: () -> Bool
  ) throws(SearchError) -> SearchPage {
    try body(query, isCancelled).get()
  }

  func excerpt(of unit: EventView, by highlighter: Highlighter) throws(SearchError) -> [UInt8]? { nil }
}

@Suite struct SearchServiceTests {
  /// A service beside an indexer that has indexed a few units.
  private final class Desk: @unchecked Sendable {
    let world: IndexerTests.World
    let metrics = SearchMetrics(Registry())
    let service: SearchService
    let text: SearchText
    let answers = Mutex<[String]>([])

    init(queuedMax: Int = 4, _ body: @escaping ScriptedFinder.Body) throws {
      world = try IndexerTests.World()
      world.start()
      world.post(batches: 2)
      world.expectComplete()
      service = SearchService(
        indexer: world.indexer, store: world.store, metrics: metrics, queuedMax: queuedMax
      ) { () throws(SearchError) in ScriptedFinder(body) }
      text = try SearchText(Array("word".utf8), tokenizer: Tokenizer())
    }

    func request(visibility: (any Visibility)? = nil) -> SearchRequest {
      SearchRequest(SearchQuery(), text: text, queryHash: 1, visibility: visibility)
    }

    /// - Returns: whether the search was taken.
    @discardableResult
    func ask(_ request: SearchRequest? = nil) -> Bool {
      service.submit(request ?? self.request()) { [self] answer in
        let text =
          switch answer {
          case .success(let bytes): String(decoding: bytes, as: UTF8.self)
          case .failure(let problem): problem.detail
          }
        answers.withLock { $0.append(text) }
      }
    }

    var answered: [String] { answers.withLock { $0 } }

    func stop() {
      service.close()
      world.stop()
    }
  }

  private static func page(_ positions: [UInt64]) -> SearchPage {
    var page = SearchPage()
    page.hits = positions.map { SearchHit(position: Position($0), score: 0) }
    page.total = positions.count
    return page
  }

  @Test func `answers with the units that were found, as they are stored`() throws {
    // The second event is no unit, which no index of this log says: it is passed over.
    let desk = try Desk { _, _ in .success(Self.page([4, 2, 1])) }
    desk.service.start()
    defer { desk.stop() }
    #expect(desk.ask())
    #expect(comes { desk.answered.count == 1 })
    let answer = try #require(desk.answered.first)
    #expect(answer.split(separator: "\"work_unit\":").count - 1 == 2)
    #expect(answer.contains("\"total_count\":3"))
  }

  @Test func `a reader who may not see everything is answered nothing else, whatever is found`() throws {
    let asked = Mutex<[[UInt8]]>([])
    // An index that finds all there is: 1 and 4 stand in the context a, 3 in b.
    let desk = try Desk { query, _ in
      asked.withLock { $0 = query.contexts }
      return .success(Self.page([4, 3, 2, 1]))
    }
    desk.service.start()
    defer { desk.stop() }
    #expect(desk.ask(desk.request(visibility: NamedVisibility(contexts: ["b"]))))
    #expect(comes { desk.answered.count == 1 })
    let answer = try #require(desk.answered.first)
    #expect(answer.split(separator: "\"work_unit\":").count - 1 == 1)
    #expect(asked.withLock { $0 }.isEmpty == false)
  }

  @Test func `as many wait as may, and no more`() throws {
    let desk = try Desk(queuedMax: 3) { _, _ in .success(SearchPage()) }
    defer { desk.stop() }
    #expect((0..<5).map { _ in desk.ask() } == [true, true, true, false, false])
    #expect(desk.metrics.refused.value == 2)
    desk.service.start()
    #expect(comes { desk.answered.count == 3 })
    #expect(desk.ask())
  }

  @Test func `a search that nobody waits for is not begun`() throws {
    let desk = try Desk { _, _ in .success(SearchPage()) }
    let gone = desk.request()
    desk.ask(gone)
    gone.cancel()
    desk.service.start()
    defer { desk.stop() }
    #expect(comes { desk.answered == [SearchService.abandoned.detail] })
    #expect(desk.metrics.cancelled.value == 1 && desk.metrics.queries.count == 0)
  }

  @Test func `an index that is damaged is made anew, and the client told`() throws {
    let desk = try Desk { _, _ in
      .failure(SearchError(.damaged, operation: "find", message: "a page is not what was written there"))
    }
    desk.service.start()
    defer { desk.stop() }
    desk.ask()
    #expect(comes { desk.answered.count == 1 })
    #expect(desk.answered.first?.contains("damaged") == true)
    #expect(comes { desk.world.metrics.rebuilds.value == 1 })
    desk.world.expectComplete()
  }

  @Test func `a reader that fails is opened again`() throws {
    let calls = Mutex(0)
    let desk = try Desk { _, _ in
      calls.withLock { calls in
        calls += 1
        guard calls > 1 else {
          return .failure(SearchError(.operational, operation: "find", message: "no memory"))
        }
        return .success(Self.page([1]))
      }
    }
    desk.service.start()
    defer { desk.stop() }
    desk.ask()
    #expect(comes { desk.answered.count == 1 })
    desk.ask()
    #expect(comes { desk.answered.count == 2 })
    #expect(desk.answered.last?.contains("\"total_count\":1") == true)
    #expect(desk.world.metrics.rebuilds.value == 0)
  }

  @Test func `the end waits a second for what is queued, and refuses the rest`() throws {
    // Each takes as long as the end may, so that only those under way are answered, and perhaps a few more.
    let desk = try Desk(queuedMax: 64) { _, _ in
      let end = EventLoop.monotonicNanoseconds() + SearchService.endNanoseconds
      while EventLoop.monotonicNanoseconds() < end { breathe() }
      return .success(SearchPage())
    }
    for _ in 0..<40 { desk.ask() }
    desk.service.start()
    desk.stop()
    let refused = desk.answered.count { $0 == SearchService.ending.detail }
    #expect(desk.answered.count == 40)
    #expect(refused >= 30 && refused < 40)
    #expect(!desk.ask())
  }
}
