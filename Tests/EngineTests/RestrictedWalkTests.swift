import EngramTesting
import Model
import Storage
import Testing

@testable import Engine

/// Walks of readers who may not see everything.
@Suite struct RestrictedWalkTests {
  private typealias Unit = GraphWalkTests.Unit
  private typealias Place = GraphWalkTests.Place

  /// The units' contexts are c0, c1 and c2, by position.
  @Test(arguments: [true, false])
  func `a walk finds what it would if there were only what is seen`(isSimulated: Bool) throws {
    let seed = UInt64.random(in: 0..<100_000)
    print("restricted walks: seed \(seed)")
    var random = SeededRandom(seed: seed)
    var found = 0
    var rootless = 0
    for turn in 0..<12 {
      let units = GraphWalkTests.graph(isDense: turn % 2 == 0, &random)
      let place = try Place(isSimulated: isSimulated)
      defer { place.close() }
      try place.apply(units)
      let contexts = [["c0", "c1"], ["c2"], ["c1", "c2"], []][turn % 4]
      let visibility = NamedVisibility(contexts: contexts)
      let model = GraphWalkTests.Model(
        units: units.filter { contexts.contains("c\($0.position % 3)") })
      for _ in 0..<30 {
        let (query, types, _) = GraphWalkTests.query(units, &random)
        let expected = model.answer(query, types: types, edgesMax: .max)
        let actual = try place.walk(query, visibility: visibility)
        #expect(actual == expected, "seed \(seed): \(query)")
        found += actual?.found.count ?? 0
        rootless += actual == nil ? 1 : 0
      }
    }
    #expect(found > 100 && rootless > 20, "seed \(seed)")
  }

  @Test(arguments: [true, false])
  func `no way leads through what is hidden`(isSimulated: Bool) throws {
    let place = try Place(isSimulated: isSimulated)
    defer { place.close() }
    let ids = (0...6).map { EventSamples.unitID(UInt64($0)) }
    // 1 and 4 stand in c1, 2 and 5 in c2, 3 in c0: 1 → 2 → 4, 5 → 1, 5 → 4, and 1 names one that isn't there.
    try place.apply([
      Unit(position: 1, relationships: [(ids[2], .causes, "{}"), (ids[6], .causes, "{}")]),
      Unit(position: 2, relationships: [(ids[4], .causes, "{}")]),
      Unit(position: 3, relationships: []),
      Unit(position: 4, relationships: []),
      Unit(position: 5, relationships: [(ids[1], .references, "{}"), (ids[4], .references, "{}")]),
    ])
    var query = GraphQuery(root: ids[1])
    query.depth = 10
    let all = try #require(try place.walk(query))
    #expect(Set(all.found.map(\.id)) == [ids[2], ids[4], ids[5]])
    let seen = NamedVisibility(contexts: ["c1"])
    #expect(try place.walk(query, visibility: seen) == GraphWalkTests.Answer())
    // A root that is hidden, and one that isn't there.
    query.root = ids[2]
    #expect(try place.walk(query, visibility: seen) == nil)
    query.root = ids[6]
    #expect(try place.walk(query, visibility: seen) == nil)
  }

  /// Whoever names a unit from a hidden context can't make the walk of its reader partial, short of a hundred thousand
  /// times; and the walk is bounded all the same.
  @Test func `what leads in from hidden units has a budget of its own`() throws {
    let place = try Place(isSimulated: true)
    defer { place.close() }
    let root = EventSamples.unitID(3)
    // c0: the root, and every third unit behind; the rest is hidden. All name the root.
    var units = [Unit(position: 3, relationships: [])]
    for position in UInt64(4)...303 {
      units.append(Unit(position: position, relationships: [(root, .causes, "{}")]))
    }
    try place.apply(units)
    var query = GraphQuery(root: root)
    query.limit = 1000
    let visibility = NamedVisibility(contexts: ["c0"])
    var budget = GraphWalk.Budget()
    budget.edges = 100
    var answer = try #require(try place.walk(query, budget, visibility: visibility))
    #expect(answer.found.count == 100 && !answer.isPartial)
    budget.edges = 99
    answer = try #require(try place.walk(query, budget, visibility: visibility))
    #expect(answer.isPartial)
    // 200 lead in from what is hidden; of each portion those that are seen are given back.
    budget = GraphWalk.Budget()
    budget.strayEdges = 150
    answer = try #require(try place.walk(query, budget, visibility: visibility))
    #expect(answer.isPartial && answer.found.count < 100)
    budget.strayEdges = 1000
    answer = try #require(try place.walk(query, budget, visibility: visibility))
    #expect(!answer.isPartial && answer.found.count == 100)
  }
}
