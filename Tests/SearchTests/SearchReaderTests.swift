import EngramTesting
import Glibc
import Model
import Testing

@testable import Search

@Suite struct SearchReaderTests {
  private let directory: SearchDirectory
  private let tokenizer: Tokenizer

  init() throws {
    directory = try SearchDirectory()
    tokenizer = try Tokenizer()
  }

  private func index(_ count: Int, span: UInt64 = 4096, _ payload: (Int) -> String) throws -> SearchReader {
    var options = SearchOptions()
    options.partPositions = span
    let index = try SearchIndex(directory: directory.path, log: testLog, options: options)
    for n in 1...count { try index.add(TestUnit(position: UInt64(n), payload: payload(n))) }
    try index.commit(through: UInt64(count))
    return try SearchReader(directory: directory.path)
  }

  /// Asks with a clock that ticks with each question of the guard.
  private func find(
    _ reader: SearchReader, _ text: String, _ query: SearchQuery = SearchQuery(), ticks: UInt64 = .max,
    isCancelled: @escaping () -> Bool = { false }
  ) throws -> SearchPage {
    var time: UInt64 = 0
    reader.clock = {
      time += 1
      return time
    }
    let text = try SearchText(Array(text.utf8), tokenizer: tokenizer)
    return try reader.find(query, text: text, deadline: ticks, isCancelled: isCancelled)
  }

  private func query(_ order: SearchQuery.Order, limit: Int = 20) -> SearchQuery {
    var query = SearchQuery()
    query.order = order
    query.limit = limit
    return query
  }

  // MARK: Scores

  @Test func scoresAreBM25() throws {
    let payloads = [
      "swift", "swift swift build", "build it with swift and more words", "nothing of it", "swift",
    ]
    let reader = try index(5) { payloads[$0 - 1] }
    let page = try find(reader, "swift build", query(.relevance))
    // FTS5 counts the tags as one token of each unit.
    let lengths = payloads.map { Double($0.split(separator: " ").count + 1) }
    let average = lengths.reduce(0, +) / 5
    func weight(_ frequency: Double) -> Double {
      Double(Float(log(1 + (5 - frequency + 0.5) / (frequency + 0.5))))
    }
    func part(_ count: Double, _ length: Double, _ weight: Double) -> Double {
      weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / average))
    }
    let second = part(2, lengths[1], weight(4)) + part(1, lengths[1], weight(2))
    let third = part(1, lengths[2], weight(4)) + part(1, lengths[2], weight(2))
    #expect(page.hits.map(\.position) == [Position(2), Position(3)])
    for (hit, score) in zip(page.hits, [second, third]) { #expect(abs(hit.score - score) < 1e-9) }
  }

  @Test func equalScoresStandNewestFirst() throws {
    let reader = try index(100, span: 64) { _ in "the same words" }
    let page = try find(reader, "same", query(.relevance, limit: 1000))
    #expect(page.hits.map(\.position.rawValue) == (1...100).reversed().map(UInt64.init))
    #expect(Set(page.hits.map(\.score)).count == 1)
  }

  @Test func ofSeveralWaysToWriteATermTheBestCounts() throws {
    let payloads = ["getUserName()", "get user name", "get the name of a user"]
    let reader = try index(3) { payloads[$0 - 1] }
    let page = try find(reader, "getUserName", query(.relevance))
    #expect(page.hits.first?.position == Position(1))
    #expect(!page.hits.contains { $0.position == Position(3) })
  }

  @Test func laterUnitsChangeNoPageThatFollows() throws {
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    for n in 1...200 {
      let payload = String(repeating: "word ", count: n % 9) + "and others"
      try index.add(TestUnit(position: UInt64(n), payload: payload))
    }
    try index.commit(through: 200)
    let reader = try SearchReader(directory: directory.path)
    for order in [SearchQuery.Order.recent, .relevance] {
      let whole = try find(reader, "word", query(order, limit: 1000)).hits
      var asked = query(order, limit: 7)
      var hits: [SearchHit] = []
      var position = index.watermark.rawValue
      repeat {
        let page = try find(reader, "word", asked)
        hits += page.hits
        asked.resume = page.next
        position += 1
        try index.add(TestUnit(position: position, payload: "word word word word"))
        try index.commit(through: position)
      } while asked.resume != nil
      #expect(hits == whole)
    }
  }

  @Test func whatOnePageRankedTheNextOneRanksHoweverLongItTakes() throws {
    let reader = try index(600, span: 64) { String(repeating: "word ", count: 1 + $0 % 9) }
    let whole = try find(reader, "word", query(.relevance, limit: 1000)).hits
    var asked = query(.relevance, limit: 10)
    asked.resume = try find(reader, "word", asked).next
    // Out of time at once, and in the middle.
    for ticks in [0, 3, 9] {
      let page = try find(reader, "word", asked, ticks: UInt64(ticks))
      #expect(page.hits == Array(whole[10..<20]) && !page.isPartial)
    }
    // Not even with the grace: the same page is to be asked for again.
    var time: UInt64 = 0
    reader.clock = {
      time += QueryGuard.grace / 4
      return time
    }
    let text = try SearchText(Array("word".utf8), tokenizer: tokenizer)
    let cut = try reader.find(asked, text: text, deadline: 1, isCancelled: { false })
    #expect(cut.hits == [] && cut.isPartial && cut.next == asked.resume)
  }

  // MARK: Counting

  @Test func fewHitsAreCountedManyAreEstimated() throws {
    let reader = try index(4000, span: 1024) {
      $0 % 2 == 0 ? "even number" : $0 % 40 == 1 ? "rare number" : "odd number"
    }
    let rare = try find(reader, "rare", query(.recent))
    #expect(rare.total == 100 && rare.isTotalExact)
    let even = try find(reader, "even", query(.recent))
    #expect(!even.isTotalExact)
    #expect((1900...2100).contains(even.total))
    var asked = query(.recent)
    asked.resume = even.next
    let second = try find(reader, "even", asked)
    #expect((1900...2100).contains(second.total))
    let ranked = try find(reader, "even", query(.relevance))
    #expect(ranked.total == 2000 && ranked.isTotalExact)
  }

  @Test func anOffsetPassesOverHits() throws {
    let reader = try index(100, span: 64) { "number \($0)" }
    for order in [SearchQuery.Order.recent, .relevance] {
      var asked = query(order, limit: 10)
      asked.offset = 55
      let page = try find(reader, "number", asked)
      #expect(page.hits.map(\.position.rawValue) == (36...45).reversed().map(UInt64.init))
      asked.offset = 0
      asked.resume = page.next
      #expect(try find(reader, "number", asked).hits.first?.position == Position(35))
      asked.resume = nil
      asked.offset = 100
      #expect(try find(reader, "number", asked).hits == [])
    }
  }

  // MARK: Limits

  @Test func commonWordsThatNeverMeetAreStoppedInTime() throws {
    // Long lists of places, so that there are many pages to read.
    let words = ["alpha", "beta"].map { Array(repeating: $0, count: 100).joined(separator: " ") }
    let reader = try index(10_000) { words[$0 % 2] }
    for order in [SearchQuery.Order.recent, .relevance] {
      let whole = try find(reader, "alpha beta", query(order))
      #expect(whole.hits == [] && whole.isTotalExact && !whole.isPartial)
      let questions = reader.lastQuestions
      #expect(questions > 10, "asked only \(questions) times")
      let cut = try find(reader, "alpha beta", query(order), ticks: UInt64(questions / 2))
      #expect(cut.isPartial)
      #expect(reader.lastQuestions <= questions / 2 + 1)
      // What was looked at need not be again.
      #expect(cut.next.map { $0.position < Position(10_000) } == true)
    }
  }

  @Test func theBeginningOfManyWordsIsStoppedInTime() throws {
    let reader = try index(5000, span: 1 << 16) { n in
      (0..<60).map { "a\(n % 300 + $0)" }.joined(separator: " ")
    }
    let whole = try find(reader, "a*", query(.recent))
    #expect(whole.hits.count == 20)
    let questions = reader.lastQuestions
    #expect(questions > 20, "asked only \(questions) times")
    // Neither by the deadline nor by the grace behind it is there anything: no cursor could get on.
    var time: UInt64 = 0
    reader.clock = {
      time += QueryGuard.grace / 4
      return time
    }
    let text = try SearchText(Array("a*".utf8), tokenizer: tokenizer)
    let cut = try reader.find(query(.recent), text: text, deadline: 1, isCancelled: { false })
    #expect(reader.lastQuestions <= 6)
    #expect(cut.isPartial && cut.hits == [] && cut.next == nil)
  }

  @Test func whoGoesStopsTheQuery() throws {
    let words = ["alpha", "beta"].map { Array(repeating: $0, count: 100).joined(separator: " ") }
    let reader = try index(10_000, span: 1 << 16) { words[$0 % 2] }
    var asked = 0
    let page = try find(reader, "alpha beta", query(.recent)) {
      asked += 1
      return asked == 3
    }
    #expect(page.isPartial)
    #expect(asked == 3)
    // The connection is as good as new.
    #expect(try find(reader, "alpha", query(.recent)).hits.count == 20)
  }

  @Test func theLargestQueryIsAsked() throws {
    let reader = try index(300, span: 64) { "word\($0)" }
    var asked = query(.relevance)
    asked.contexts = (0..<Limits.searchContextsMax).map { Array("context\($0)".utf8) }
    asked.agents = (0..<Limits.searchAgentsMax).map { Array("agent\($0)".utf8) }
    for n in 0..<64 { asked.filter.insert(UnitFilter.Pair(key: Array("k\(n)".utf8), value: Array("v".utf8))) }
    for type in WorkUnitType.allCases { asked.filter.insert(type) }
    let words = (0..<Limits.searchTermsMax).map { "word\($0)" }.joined(separator: " ")
    #expect(try find(reader, words, asked).hits == [])
    let excluded = (0..<Limits.searchTermsMax).map { "-word\($0)" }.joined(separator: " ")
    asked = query(.recent, limit: 1000)
    asked.contexts =
      (0..<Limits.searchContextsMax - 1).map { Array("context\($0)".utf8) } + [Array("context".utf8)]
    asked.agents = (0..<Limits.searchAgentsMax - 1).map { Array("agent\($0)".utf8) } + [Array("agent".utf8)]
    #expect(try find(reader, excluded, asked).hits.count == 300 - Limits.searchTermsMax + 1)
  }

  @Test(arguments: [
    SearchResume(through: Position(.max), position: Position(.max), score: .nan),
    SearchResume(through: .zero, position: .zero, score: -.infinity),
    SearchResume(through: Position(50), position: Position(.max), score: .infinity, floor: Position(.max)),
    SearchResume(
      through: Position(50), position: Position(20), score: 1,
      statistics: RankingStatistics(averageLength: .nan, weights: [.infinity])),
    SearchResume(
      through: Position(50), position: Position(20), score: 1,
      statistics: RankingStatistics(averageLength: 3, weights: [1, 2, 3, 4])),
  ])
  func forgedCursorsAreAnswered(resume: SearchResume) throws {
    let reader = try index(100, span: 64) { "number \($0)" }
    for order in [SearchQuery.Order.recent, .relevance] {
      var asked = query(order)
      asked.resume = resume
      for text in ["number", "", "-x", "n*"] {
        #expect(try find(reader, text, asked).hits.count <= 20)
      }
      asked.positions = UInt64.max...UInt64.max
      #expect(try find(reader, "number", asked).hits == [])
    }
  }

  @Test func withoutAnIndexThereIsAnError() throws {
    #expect(throws: SearchError.self) { try SearchReader(directory: directory.path) }
  }

  @Test func theBestAreKept() {
    var random = SearchRandom(state: 1)
    for capacity in [1, 2, 7, 100] {
      var best = BestHits(capacity: capacity, behind: nil)
      let hits = (0..<200).map { BestHits.Hit(score: Double(random.below(20)), position: UInt64($0)) }
      for hit in hits.shuffled(using: &random) { best.add(hit.score, hit.position) }
      #expect(best.sorted() == Array(hits.sorted { $1.isWorse(than: $0) }.prefix(capacity)))
    }
  }
}
