import EngramTesting
import Model
import Search
import Storage
import Testing

@testable import Engine

@Suite struct RestrictedSearchTests {
  /// Units of contexts `names`, in turn, behind a context event of each.
  private static func store(_ names: [String], units: Int) throws -> SimulatedStore {
    let store = SimulatedStore(seed: 5)
    var records: [[UInt8]] = []
    for (place, name) in names.enumerated() {
      records.append(EventSamples.context(position: UInt64(place + 1), context: Array(name.utf8)))
    }
    for number in 0..<units {
      records.append(
        EventSamples.unit(
          position: UInt64(names.count + number + 1), context: Array(names[number % names.count].utf8),
          sequence: UInt64(number / names.count + 1)))
    }
    try EventSamples.withViews(of: records) { views throws(StoreError) in
      guard let last = views.last else { return }
      try store.apply(views, upTo: last.position)
    }
    return store
  }

  private static func names(_ names: [String]) -> [[UInt8]] { names.map { Array($0.utf8) } }

  private func restrict(
    _ asked: [String], _ visibility: NamedVisibility, _ store: SimulatedStore
  ) throws -> (contexts: [[UInt8]], search: RestrictedSearch) {
    var query = SearchQuery()
    query.contexts = Self.names(asked)
    let search = try RestrictedSearch(&query, visibility, store, indexed: Position(9))
    return (query.contexts, search)
  }

  private func admitted(_ search: RestrictedSearch, _ positions: ClosedRange<UInt64>) throws -> [UInt64] {
    try positions.filter { try search.screen.admits(Position($0)) }
  }

  @Test func `contexts that are hidden are left out, and all hidden is none`() throws {
    let store = try Self.store(["a", "b", "c"], units: 9)
    let visibility = NamedVisibility(contexts: ["a", "c"])
    let some = try restrict(["a", "b", "missing"], visibility, store)
    #expect(some.contexts == Self.names(["a"]))
    #expect(some.search.screen.isNarrow && some.search.known == nil)
    // 4, 7 and 10 stand in a.
    #expect(try admitted(some.search, 1...13) == [4, 7, 10])
    let none = try restrict(["b"], visibility, store)
    #expect(none.contexts == [[]] && none.search.screen.isNarrow)
    #expect(try admitted(none.search, 1...13) == [])
    #expect(try restrict(["missing"], visibility, store).contexts == [[]])
  }

  @Test func `who names none is asked for all that are seen, as far as they can be found out`() throws {
    let store = try Self.store(["a", "b", "c"], units: 9)
    let found = try restrict([], NamedVisibility(contexts: ["a", "c"]), store)
    #expect(Set(found.contexts) == Set(Self.names(["a", "c"])) && found.search.known == Position(9))
    #expect(try admitted(found.search, 1...13) == [4, 6, 7, 9, 10, 12])
    #expect(try restrict([], NamedVisibility(), store).contexts == [[]])
    // Only what begins so is looked at: whatever else there is.
    let visibility = NamedVisibility(contexts: ["c"], prefixes: ["c", "x"])
    #expect(try restrict([], visibility, store).contexts == Self.names(["c"]))
    #expect(visibility.asked == 1)
  }

  @Test func `more contexts than can be looked at: each hit is looked up`() throws {
    let names = (0..<600).map { "c\($0)" }
    let store = try Self.store(names, units: 600)
    let visibility = NamedVisibility(contexts: ["c7", "c599"])
    let found = try restrict([], visibility, store)
    #expect(found.contexts.isEmpty && !found.search.screen.isNarrow && found.search.known == nil)
    #expect(visibility.asked <= RestrictedSearch.contextsLookedAtMax)
    #expect(try admitted(found.search, 600...1200) == [608, 1200])
    // More than one search may name.
    let many = NamedVisibility(contexts: Array(names.prefix(300)))
    #expect(try restrict([], many, store).contexts.isEmpty)
  }

  @Test func `a store that fails fails the search`() throws {
    let store = try Self.store(["a"], units: 1)
    let search = try restrict(["a"], NamedVisibility(contexts: ["a"]), store).search
    store.close()
    #expect(throws: SearchError.self) { try search.screen.admits(Position(2)) }
    #expect(throws: SearchError.self) { try restrict([], NamedVisibility(), store) }
  }
}
