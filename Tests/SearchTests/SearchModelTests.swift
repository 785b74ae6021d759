import Bytes
import EngramTesting
import Glibc
import Model
import Testing

@testable import Search

/// The same sequence for the same seed (SplitMix64, Steele et al. 2014).
struct SearchRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ count: Int) -> Int { Int.random(in: 0..<max(1, count), using: &self) }
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
  /// Small numbers more often than large ones.
  mutating func skewed(_ count: Int) -> Int { below(below(count) + 1) }
}

/// The index as a list of units that is read from end to end.
struct NaiveIndex {
  struct Entry {
    var unit: TestUnit
    /// Tokens at each position of the body.
    var words: [Set<[UInt8]>]
    /// All of them.
    var all: Set<[UInt8]>
  }

  private(set) var entries: [Entry] = []
  private let tokenizer: Tokenizer

  init() throws { tokenizer = try Tokenizer() }

  mutating func add(_ unit: TestUnit) throws {
    var words: [Set<[UInt8]>] = []
    // Payload and metadata values, one behind the other, with nothing of a phrase between two of them.
    for text in (unit.base64 == nil ? [unit.payload] : []) + unit.metadata.map({ $0[1] }) {
      words.append([])
      try Array(text.utf8).withUnsafeBytes { text in
        try tokenizer.forEachToken(of: text) { flags, token, _ in
          if !flags.contains(.colocated) { words.append([]) }
          words[words.count - 1].insert([UInt8](token))
          return true
        }
      }
    }
    entries.append(Entry(unit: unit, words: words, all: words.reduce(into: []) { $0.formUnion($1) }))
  }

  /// Positions of all units that match, newest first.
  func matches(_ query: SearchQuery, _ text: SearchText) -> [UInt64] {
    if text.hasNoWords, !text.isBlank { return [] }
    return entries.reversed().filter { admits($0, query, text) }.map(\.unit.position)
  }

  private func admits(_ entry: Entry, _ query: SearchQuery, _ text: SearchText) -> Bool {
    let unit = entry.unit
    guard query.positions.contains(unit.position) else { return false }
    guard query.contexts.isEmpty || query.contexts.contains(Array(unit.context.utf8)) else { return false }
    guard query.agents.isEmpty || query.agents.contains(Array(unit.agent.utf8)) else { return false }
    guard query.filter.types == 0 || query.filter.types & (1 << UInt16(unit.type.rawValue)) != 0 else {
      return false
    }
    for pair in query.filter.metadata {
      guard
        unit.metadata.contains(where: { Array($0[0].utf8) == pair.key && Array($0[1].utf8) == pair.value })
      else { return false }
    }
    return text.phrases.allSatisfy { phrase in
      let isThere = phrase.alternatives.contains { alternative in
        let mayStand = alternative.dropLast(phrase.isPrefix ? 1 : 0).allSatisfy(entry.all.contains)
        return mayStand
          && entry.words.indices.contains { stands(alternative, at: $0, phrase.isPrefix, in: entry.words) }
      }
      return isThere != phrase.isExcluded
    }
  }

  private func stands(_ tokens: [[UInt8]], at start: Int, _ isPrefix: Bool, in words: [Set<[UInt8]>]) -> Bool
  {
    guard start + tokens.count <= words.count else { return false }
    return tokens.indices.allSatisfy { n in
      let isLast = n == tokens.count - 1
      return isPrefix && isLast
        ? words[start + n].contains { $0.starts(with: tokens[n]) } : words[start + n].contains(tokens[n])
    }
  }
}

/// Units and queries as agents might make them, of so few words that they often meet.
struct SearchWorld {
  static let words = [
    "error", "the", "build", "failed", "test", "in", "file", "Swift", "compiler", "warning", "getUserName",
    "snake_case_name", "/etc/hosts", "E1234", "a.b.c", "café", "cafe", "東京タワー", "北京", "go", "C++", "retry",
    "timeout", "connection", "refused", "lock", "agent", "plan", "step", "done", "index", "query", "x", "y1",
    "ไทย", "été", "naïve", "🚀", "--flag", "node_modules", "main.swift", "HTTPServer2", "404",
  ]
  static let contexts = (0..<10).map { "context-\($0)" }
  static let agents = ["planner", "coder", "reviewer", "tester", "操作", "a\"b"]
  static let keys = ["model", "repo", "status", "k\"; x"]
  static let values = ["gpt build", "engram", "done", "", "東京 go"]

  var random: SearchRandom

  mutating func word() -> String { Self.words[random.skewed(Self.words.count)] }

  mutating func unit(_ position: UInt64) -> TestUnit {
    var unit = TestUnit(position: position)
    unit.context = Self.contexts[random.skewed(Self.contexts.count)]
    unit.agent = Self.agents[random.skewed(Self.agents.count)]
    unit.type = WorkUnitType.allCases[random.skewed(8)]
    for key in Self.keys where random.chance(25) {
      unit.metadata.append([key, Self.values[random.below(Self.values.count)]])
    }
    if random.chance(5) {
      unit.base64 = "ZXJyb3I="
    } else {
      unit.payload = (0..<random.skewed(25)).map { _ in word() }.joined(
        separator: random.chance(80) ? " " : ", ")
    }
    return unit
  }

  mutating func text() -> String {
    (0..<random.skewed(4)).map { _ in
      var term = word()
      if random.chance(15) { term = "\"\(term) \(word())\"" }
      if random.chance(15) { term = String(term.unicodeScalars.prefix(1 + random.below(3))) + "*" }
      if random.chance(15) { term = "-" + term }
      return term
    }.joined(separator: " ")
  }

  mutating func query(through last: UInt64) -> SearchQuery {
    var query = SearchQuery()
    if random.chance(30) {
      query.contexts = (0...random.below(3)).map { _ in Array(Self.contexts[random.below(10)].utf8) }
    }
    if random.chance(20) {
      query.agents = (0...random.below(2)).map { _ in Array(Self.agents[random.below(6)].utf8) }
    }
    if random.chance(20) {
      for _ in 0...random.below(3) { query.filter.insert(WorkUnitType.allCases[random.below(8)]) }
    }
    for key in Self.keys where random.chance(8) {
      let value = Self.values[random.below(Self.values.count)]
      query.filter.insert(UnitFilter.Pair(key: Array(key.utf8), value: Array(value.utf8)))
    }
    if random.chance(20) {
      let lower = 1 + UInt64(random.below(Int(last)))
      query.positions = lower...lower + UInt64(random.below(Int(last)))
    }
    query.order = random.chance(50) ? .relevance : .recent
    query.limit = random.chance(50) ? 1 + random.below(40) : 1000
    return query
  }
}

@Suite struct SearchModelTests {
  /// 1000 queries, or as many as `ENGRAM_QUERIES` says.
  @Test func randomQueriesFindWhatANaiveModelFinds() throws {
    let seed = getenv("ENGRAM_SEED").flatMap { UInt64(String(cString: $0)) } ?? UInt64.random(in: 1...1 << 48)
    let queries = getenv("ENGRAM_QUERIES").flatMap { Int(String(cString: $0)) } ?? 1000
    print("search model: ENGRAM_SEED=\(seed), \(queries) queries")
    var world = SearchWorld(random: SearchRandom(state: seed))
    let directory = try SearchDirectory()
    var options = SearchOptions.small
    options.partPositions = 512
    let index = try SearchIndex(directory: directory.path, log: testLog, options: options)
    var model = try NaiveIndex()
    var last: UInt64 = 0
    func add(_ world: inout SearchWorld) throws {
      last += 1 + UInt64(world.random.skewed(3))
      let unit = world.unit(last)
      try index.add(unit)
      try model.add(unit)
    }
    for _ in 0..<2000 {
      try add(&world)
      if world.random.chance(3) { try index.commit(through: Position(last)) }
      if world.random.chance(1) {
        try index.commit(through: Position(last))
        _ = try index.tidy(pages: 8)
      }
    }
    try index.commit(through: Position(last))

    let reader = try SearchReader(directory: directory.path)
    let tokenizer = try Tokenizer()
    var partial = 0
    for number in 0..<queries {
      let typed = world.text()
      let text = try SearchText(Array(typed.utf8), tokenizer: tokenizer)
      let query = world.query(through: last)
      // Every fifth is out of time again and again.
      let isHurried = world.random.chance(20)
      let ticks = UInt64(1 + world.random.below(30))
      let expected = model.matches(query, text)
      var walk = PageWalk(reader: reader, query: query, text: text, ticks: isHurried ? ticks : nil)
      while try walk.turn() {
        if model.entries.count < 2300, world.random.chance(5) {
          try add(&world)
          try index.commit(through: Position(last))
        }
      }
      if let problem = walk.problem(expected) {
        Issue.record("seed \(seed), query \(number) '\(typed)' \(query): \(problem)")
        return
      }
      partial += walk.partialPages
    }
    #expect(partial > queries / 50, "too few pages were out of time to prove anything: \(partial)")
  }
}

extension SearchQuery {
  fileprivate var isUnfiltered: Bool { contexts.isEmpty && agents.isEmpty && filter.isEmpty }
}

/// Follows a query's cursors to the end.
private struct PageWalk {
  let reader: SearchReader
  var query: SearchQuery
  let text: SearchText
  /// Questions after which the time is over; nil: no limit.
  let ticks: UInt64?
  private var hits: [SearchHit] = []
  private var pages: [SearchPage] = []

  init(reader: SearchReader, query: SearchQuery, text: SearchText, ticks: UInt64?) {
    self.reader = reader
    self.query = query
    self.text = text
    self.ticks = ticks
  }

  /// - Returns: whether there is another page.
  mutating func turn() throws -> Bool {
    var time: UInt64 = 0
    reader.clock = {
      time += 1
      return time
    }
    let page = try reader.find(query, text: text, deadline: ticks ?? .max, isCancelled: { false })
    pages.append(page)
    hits += page.hits
    // As a client brings it back.
    query.resume = try page.next.map {
      try SearchCursor(SearchCursor(queryHash: 1, resume: $0).text(), of: 1).resume
    }
    return page.next != nil && pages.count < 10_000
  }

  var partialPages: Int { pages.count(where: \.isPartial) }

  /// What is wrong with the pages.
  func problem(_ expected: [UInt64]) -> String? {
    let found = hits.map(\.position.rawValue)
    let isRelevance = query.order == .relevance && text.phrases.contains { !$0.isExcluded }
    if Set(found).count != found.count { return "a hit stands twice: \(found)" }
    if isRelevance ? found.sorted(by: >) != expected : found != expected {
      return "found \(found), expected \(expected), pages \(pages.map { ($0.hits.count, $0.isPartial) })"
    }
    if isRelevance, pages.allSatisfy({ !$0.isPartial }) {
      for (a, b) in zip(hits, hits.dropFirst())
      where (a.score, a.position.rawValue) <= (b.score, b.position.rawValue) {
        return "\(b) stands behind \(a)"
      }
    }
    if let first = pages.first {
      if first.isTotalExact, first.total != expected.count {
        return "\(first.total) counted, \(expected.count) expected"
      }
      // Several lists that are walked at once may be long where few units match.
      let isOneWord =
        text.phrases.count == 1
        && text.phrases.allSatisfy {
          !$0.isExcluded && !$0.isPrefix && $0.alternatives.allSatisfy { $0.count == 1 }
        }
      if ticks == nil, isOneWord, query.isUnfiltered, expected.count <= 100, !first.isTotalExact {
        return "not exact"
      }
    }
    if isRelevance, let wrong = pages.first(where: { $0.isTotalExact && $0.total != expected.count }) {
      return "\(wrong.total) counted on a later page, \(expected.count) expected"
    }
    if ticks == nil, pages.contains(where: \.isPartial) { return "partial for no reason" }
    return nil
  }
}
