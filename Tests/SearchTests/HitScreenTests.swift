import EngramTesting
import Glibc
import Model
import Testing

@testable import Search

/// What a page says to a reader who may not see everything follows from what that reader sees.
@Suite struct HitScreenTests {
  /// An index, and the positions that its reader sees.
  private final class World {
    let directory: SearchDirectory
    let reader: SearchReader
    private let tokenizer: Tokenizer
    let seen: Set<UInt64>
    var asked: [UInt64] = []
    /// Ticks with each question of the guard.
    var time: UInt64 = 0

    init(_ units: [TestUnit], through: UInt64, seen: Set<UInt64>, span: UInt64 = 64) throws {
      directory = try SearchDirectory()
      tokenizer = try Tokenizer()
      self.seen = seen
      var options = SearchOptions()
      options.partPositions = span
      let index = try SearchIndex(directory: directory.path, log: testLog, options: options)
      for unit in units { try index.add(unit) }
      try index.commit(through: through)
      reader = try SearchReader(directory: directory.path)
    }

    func find(
      _ text: String, _ query: SearchQuery, isNarrow: Bool, ticks: UInt64 = .max, costs: UInt64 = 0
    ) throws -> SearchPage {
      time = 0
      reader.clock = { [self] in
        time += 1
        return time
      }
      let text = try SearchText(Array(text.utf8), tokenizer: tokenizer)
      let screen = HitScreen(isNarrow: isNarrow) { [self] position throws(SearchError) in
        asked.append(position.rawValue)
        time += costs
        return seen.contains(position.rawValue)
      }
      return try reader.find(query, text: text, deadline: ticks, screen: screen, isCancelled: { false })
    }

    /// All pages, one behind the other.
    func pages(_ text: String, _ query: SearchQuery, isNarrow: Bool) throws -> [SearchPage] {
      var query = query
      var pages: [SearchPage] = []
      repeat {
        let page = try find(text, query, isNarrow: isNarrow)
        pages.append(page)
        query.resume = page.next
        query.offset = 0
      } while query.resume != nil && pages.count < 1000
      #expect(pages.count < 1000, "a cursor that leads nowhere")
      return pages
    }
  }

  private static let words = ["alpha", "beta", "gamma", "delta"]

  private static func payload(_ random: inout SeededRandom) -> String {
    (0..<Int.random(in: 1...6, using: &random)).map { _ in words[Int.random(in: 0..<4, using: &random)] }
      .joined(separator: " ")
  }

  @Test(arguments: [false, true])
  func `two logs that differ in what is hidden give the same pages`(isNarrow: Bool) throws {
    let seed = UInt64.random(in: 0..<100_000)
    print("screened searches: seed \(seed)")
    var random = SeededRandom(seed: seed)
    var hits = 0
    for _ in 0..<6 {
      let count = UInt64.random(in: 50...700, using: &random)
      var seen: Set<UInt64> = []
      var one: [TestUnit] = []
      var other: [TestUnit] = []
      let share = Double.random(in: 0...1, using: &random)
      for position in 1...count {
        if Double.random(in: 0..<1, using: &random) < share {
          seen.insert(position)
          let unit = TestUnit(position: position, payload: Self.payload(&random))
          one.append(unit)
          other.append(unit)
        } else {
          // Hidden in one log, and something else, or nothing at all, in the other.
          one.append(TestUnit(position: position, payload: Self.payload(&random)))
          if Bool.random(using: &random) {
            other.append(TestUnit(position: position, payload: Self.payload(&random)))
          }
        }
      }
      let worlds = [
        try World(one, through: count, seen: seen), try World(other, through: count, seen: seen),
      ]
      for order in [SearchQuery.Order.recent, .relevance] {
        for text in ["alpha", "beta gamma", "delt*", "alpha -beta", "\"gamma delta\"", ""] {
          var query = SearchQuery()
          query.order = order
          query.limit = Int.random(in: 1...30, using: &random)
          query.offset = Bool.random(using: &random) ? 0 : Int.random(in: 0...40, using: &random)
          let pages = try worlds.map { try $0.pages(text, query, isNarrow: isNarrow) }
          // With a narrow screen little that matches is hidden: how far is counted may tell how much.
          let areAlike =
            isNarrow ? pages[0].map(\.hits) == pages[1].map(\.hits) : pages[0] == pages[1]
          #expect(areAlike, "seed \(seed): \(text) by \(order)")
          let shown = pages[0].flatMap(\.hits).map(\.position.rawValue)
          let isSound = Set(shown).count == shown.count && Set(shown).isSubset(of: seen)
          #expect(isSound, "seed \(seed): \(text) by \(order)")
          hits += shown.count
        }
      }
    }
    #expect(hits > 100, "seed \(seed)")
  }

  @Test func `all that is seen is found, and nothing else is counted`() throws {
    let units = (1...600).map { TestUnit(position: UInt64($0), payload: "word number \($0)") }
    let seen = Set(stride(from: UInt64(7), through: 600, by: 13))
    let world = try World(units, through: 600, seen: seen)
    for order in [SearchQuery.Order.recent, .relevance] {
      var query = SearchQuery()
      query.order = order
      query.limit = 100
      let page = try world.find("word", query, isNarrow: false)
      #expect(Set(page.hits.map(\.position.rawValue)) == seen)
      #expect(page.total == seen.count && page.isTotalExact && !page.isPartial && page.next == nil)
      query.limit = 10
      let first = try world.find("word", query, isNarrow: false)
      #expect(first.hits.count == 10 && !first.isTotalExact && first.next != nil)
      let all = try world.pages("word", query, isNarrow: false)
      #expect(Set(all.flatMap(\.hits).map(\.position.rawValue)) == seen)
      #expect(all.last?.total == seen.count && all.last?.isTotalExact == true)
    }
  }

  @Test func `a narrow screen counts on behind the page, and no further than others do`() throws {
    let units = (1...3000).map { TestUnit(position: UInt64($0), payload: "word") }
    let few = try World(units, through: 3000, seen: Set(2900...3000), span: 4096)
    var query = SearchQuery()
    query.limit = 10
    let page = try few.find("word", query, isNarrow: true)
    #expect(page.hits.count == 10 && page.next != nil)
    #expect(few.asked.count > 100 && few.asked.count <= 10 + 1 + Limits.searchCountedMax)
    few.asked = []
    _ = try few.find("word", query, isNarrow: false)
    #expect(few.asked.count == 11)
  }

  @Test func `no score tells how frequent a word is among what is hidden`() throws {
    func score(hidden: String) throws -> Double? {
      var units = (2...50).map { TestUnit(position: UInt64($0), payload: hidden) }
      units.insert(TestUnit(position: 1, payload: "zebra and other words"), at: 0)
      let world = try World(units, through: 50, seen: [1])
      var query = SearchQuery()
      query.order = .relevance
      return try world.find("zebra", query, isNarrow: false).hits.first?.score
    }
    let alone = try #require(try score(hidden: "nothing"))
    #expect(try score(hidden: "zebra") == alone && alone > 0)
  }

  @Test func `a cursor of a page that was cut names no position of what is hidden`() throws {
    // Ten units that are seen, a long way apart, and between them what is hidden and matches: it alone takes time.
    let units = (1...4000).map { TestUnit(position: UInt64($0), payload: "word") }
    let seen = Set(stride(from: UInt64(400), through: 4000, by: 400))
    let world = try World(units, through: 4000, seen: seen, span: 1 << 16)
    for order in [SearchQuery.Order.recent, .relevance] {
      var query = SearchQuery()
      query.order = order
      query.limit = 100
      var found: [UInt64] = []
      var cuts = 0
      for _ in 0..<200 {
        // Each look at the screen takes a tick: some hundreds of them are a page.
        let page = try world.find("word", query, isNarrow: false, ticks: 700, costs: 1)
        found += page.hits.map(\.position.rawValue)
        query.resume = page.next
        guard let next = page.next else { break }
        guard page.isPartial else { continue }
        cuts += 1
        for position in [next.position.rawValue, next.floor.rawValue, next.through.rawValue + 1] {
          #expect(
            position == 0 || position % HitSieve.grain == 0 || seen.contains(position) || position == 4001,
            "\(position) by \(order)")
        }
      }
      #expect(cuts > 2 && query.resume == nil)
      #expect(found.sorted() == seen.sorted(), "by \(order)")
    }
  }

  @Test func `a screen that fails ends the search`() throws {
    let world = try World([TestUnit(position: 1, payload: "word")], through: 1, seen: [1])
    let text = try SearchText(Array("word".utf8), tokenizer: Tokenizer())
    let screen = HitScreen(isNarrow: false) { _ throws(SearchError) in
      throw SearchError(.operational, operation: "look", message: "the disk is gone")
    }
    for order in [SearchQuery.Order.recent, .relevance] {
      var query = SearchQuery()
      query.order = order
      #expect(throws: SearchError.self) {
        try world.reader.find(query, text: text, deadline: .max, screen: screen, isCancelled: { false })
      }
    }
  }
}
