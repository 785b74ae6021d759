import EngramTesting
import Glibc
import Model
import Storage
import Testing

@testable import Engine

/// Walks along relationships, on both stores, against a walk through a list of units from end to end.
@Suite struct GraphWalkTests {
  struct Unit {
    var position: UInt64
    var relationships: [(target: UnitID, type: RelationshipType, metadata: String)]
    var pairs: [(key: String, value: String)] = []
    var payload = "x"

    var id: UnitID { EventSamples.unitID(position) }

    var record: [UInt8] {
      let metadata = pairs.map { "\"\($0.key)\":\"\($0.value)\"" }.joined(separator: ",")
      return EventSamples.relatedUnit(
        position: position, context: Array("c\(position % 3)".utf8), sequence: (position + 2) / 3,
        relationships: relationships, metadata: "{\(metadata)}", payload: payload)
    }
  }

  /// What is said of a unit of the answer.
  struct Found: Hashable, CustomStringConvertible {
    var id: UnitID
    var type: RelationshipType
    var isIncoming: Bool
    var distance: Int
    var metadata: String

    var description: String {
      "\(id.high >> 16): \(type.name) \(isIncoming ? "in" : "out") at \(distance) \(metadata)"
    }
  }

  struct Answer: Hashable {
    var found: [Found] = []
    var isPartial = false
  }

  /// A graph as a list, searched anew for each unit.
  struct Model {
    var units: [Unit]

    private func edges(of id: UnitID, _ directions: RelationDirections) -> [(other: UnitID, Found)] {
      var edges: [(UnitID, Found)] = []
      if directions.contains(.outgoing), let own = units.first(where: { $0.id == id }) {
        for one in own.relationships {
          edges.append(
            (
              one.target,
              Found(id: one.target, type: one.type, isIncoming: false, distance: 0, metadata: one.metadata)
            ))
        }
      }
      guard directions.contains(.incoming) else { return edges }
      for unit in units {
        for one in unit.relationships where one.target == id {
          edges.append(
            (
              unit.id,
              Found(id: unit.id, type: one.type, isIncoming: true, distance: 0, metadata: one.metadata)
            ))
        }
      }
      return edges
    }

    func answer(_ query: GraphQuery, types: Set<RelationshipType>, edgesMax: Int) -> Answer? {
      guard units.contains(where: { $0.id == query.root }) else { return nil }
      var answer = Answer()
      var seen: Set<UnitID> = [query.root]
      var frontier = [query.root]
      var looked = 0
      for distance in 1...query.depth {
        var next: [UnitID] = []
        for near in frontier {
          for (other, edge) in edges(of: near, query.directions) {
            if answer.found.count == query.limit { return answer }
            looked += 1
            if looked > edgesMax {
              answer.isPartial = true
              return answer
            }
            guard types.isEmpty || types.contains(edge.type), seen.insert(other).inserted,
              let unit = units.first(where: { $0.id == other })
            else { continue }
            next.append(other)
            let isWanted = query.filter.metadata.allSatisfy { pair in
              unit.pairs.contains { Array($0.key.utf8) == pair.key && Array($0.value.utf8) == pair.value }
            }
            guard isWanted else { continue }
            var found = edge
            found.distance = distance
            answer.found.append(found)
          }
        }
        frontier = next
      }
      return answer
    }
  }

  /// A store that lies in a directory which goes with it.
  final class Place {
    let store: any EventStore
    private let path: String

    init(isSimulated: Bool) throws {
      var template = Array("/tmp/engram-graph.XXXXXX".utf8CString)
      path = try #require(
        template.withUnsafeMutableBufferPointer { buffer in
          buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        })
      store =
        isSimulated
        ? SimulatedStore(seed: 4)
        : try RocksStore(path: path + "/db", logUUID: [UInt8](1...16), options: .small)
    }

    func apply(_ units: [Unit]) throws {
      try EventSamples.withViews(of: units.map(\.record)) { views throws(StoreError) in
        guard let last = views.last else { return }
        try store.apply(views, upTo: last.position)
      }
    }

    /// What a walk says; nil if there is no root.
    func walk(
      _ query: GraphQuery, _ budget: GraphWalk.Budget = GraphWalk.Budget(),
      visibility: (any Visibility)? = nil
    ) throws -> Answer? {
      var walk = GraphWalk(query, store, budget, visibility: visibility)
      guard try walk.run() else { return nil }
      let views = walk.records.views()
      #expect(views.count == walk.steps.count)
      return Answer(
        found: zip(views, walk.steps).map { view, step in
          Found(
            id: view.unit?.id ?? UnitID(high: 0, low: 0), type: step.type, isIncoming: step.isIncoming,
            distance: step.distance, metadata: String(decoding: step.metadata, as: UTF8.self))
        }, isPartial: walk.isPartial)
    }

    func close() {
      store.close()
      let remover = ["/bin/rm", "-rf", path]
      var arguments = remover.map { strdup($0) } + [nil]
      defer { for argument in arguments { free(argument) } }
      var child = pid_t()
      if posix_spawn(&child, "/bin/rm", nil, nil, &arguments, nil) == 0 { waitpid(child, nil, 0) }
    }
  }

  // MARK: - Random graphs

  /// - Parameter isDense: many units and edges; else it may be any graph, none included.
  static func graph(isDense: Bool, _ random: inout some RandomNumberGenerator) -> [Unit] {
    let count = UInt64.random(in: isDense ? 30...60 : 1...60, using: &random)
    // Few targets and many edges make cycles and duplicates; some come later or never.
    let reach = UInt64.random(in: (isDense ? 25 : 1)...count + 8, using: &random)
    let edgesMax = Int.random(in: isDense ? 3...7 : 0...7, using: &random)
    return (1...count).map { position in
      let relationships = (0..<Int.random(in: 0...edgesMax, using: &random)).map { index in
        (
          target: EventSamples.unitID(
            UInt.random(in: 0..<8, using: &random) == 0
              ? position : UInt64.random(in: 1...reach, using: &random)),
          type: RelationshipType.allCases[Int.random(in: 0..<7, using: &random)],
          metadata: index % 2 == 0 ? "{\"n\":\"\(position).\(index) \\u00e4\"}" : "{}"
        )
      }
      return Unit(
        position: position, relationships: relationships,
        pairs: [("kind", "k\(position % 2)"), ("third", "t\(position % 3)")])
    }
  }

  static func query(_ units: [Unit], _ random: inout some RandomNumberGenerator)
    -> (query: GraphQuery, types: Set<RelationshipType>, edgesMax: Int)
  {
    let root = UInt64.random(in: 1...UInt64(units.count) + 1, using: &random)
    var query = GraphQuery(root: EventSamples.unitID(root))
    let directions: [RelationDirections] = [.outgoing, .incoming, .both]
    query.directions = directions[Int.random(in: 0..<3, using: &random)]
    query.depth = Int.random(in: 1...10, using: &random)
    query.limit = Bool.random(using: &random) ? 1000 : Int.random(in: 1...20, using: &random)
    var types: Set<RelationshipType> = []
    if UInt.random(in: 0..<3, using: &random) == 0 {
      for type in RelationshipType.allCases where Bool.random(using: &random) { types.insert(type) }
    }
    for type in types { query.insert(type) }
    let pairs = [("kind", "k1"), ("third", "t0"), ("third", "none")]
    for (key, value) in pairs where UInt.random(in: 0..<5, using: &random) == 0 {
      query.filter.insert(UnitFilter.Pair(key: Array(key.utf8), value: Array(value.utf8)))
    }
    let edgesMax =
      UInt.random(in: 0..<4, using: &random) == 0 ? Int.random(in: 0...60, using: &random) : 100_000
    return (query, types, edgesMax)
  }

  @Test(arguments: [true, false])
  func `walks are what a walk through a list finds`(isSimulated: Bool) throws {
    let seed = UInt64.random(in: 0..<100_000)
    print("walks: seed \(seed)")
    var random = SeededRandom(seed: seed)
    var found = 0
    var partial = 0
    for turn in 0..<12 {
      let units = Self.graph(isDense: turn % 2 == 0, &random)
      let place = try Place(isSimulated: isSimulated)
      defer { place.close() }
      try place.apply(Array(units[..<(units.count / 2)]))
      try place.apply(Array(units[(units.count / 2)...]))
      if Bool.random(using: &random) { try place.store.flush(wait: true) }
      let model = Model(units: units)
      for _ in 0..<30 {
        let (query, types, edgesMax) = Self.query(units, &random)
        let expected = model.answer(query, types: types, edgesMax: edgesMax)
        var budget = GraphWalk.Budget()
        budget.edges = edgesMax
        let actual = try place.walk(query, budget)
        #expect(actual == expected, "seed \(seed): \(query), at most \(edgesMax) edges")
        found += actual?.found.count ?? 0
        partial += actual?.isPartial == true ? 1 : 0
      }
    }
    // They were about something.
    #expect(found > 300 && partial > 2, "seed \(seed)")
  }

  // MARK: - What a walk is bounded by

  /// More relationships than one request looks at, of few units: each names the root 256 times.
  @Test func `a hundred thousand edges of one unit end in a part`() throws {
    let place = try Place(isSimulated: false)
    defer { place.close() }
    let root = EventSamples.unitID(1)
    let edges = (0..<256).map { _ in (target: root, type: RelationshipType.causes, metadata: "{}") }
    try place.apply([Unit(position: 1, relationships: [])])
    let sources = (2...401).map { Unit(position: UInt64($0), relationships: edges) }
    for start in stride(from: 0, to: 400, by: 50) { try place.apply(Array(sources[start..<start + 50])) }
    var query = GraphQuery(root: root)
    query.limit = 1000
    query.depth = 10
    let answer = try #require(try place.walk(query))
    // 100,000 of 102,400 edges.
    #expect(answer.isPartial)
    #expect(answer.found.map(\.id) == sources.prefix(391).map(\.id))
    query.limit = 100
    let small = try #require(try place.walk(query))
    #expect(!small.isPartial && small.found == Array(answer.found.prefix(100)))
  }

  /// A server that ends, or a client that goes, doesn't wait for a hundred thousand edges.
  @Test func `a walk that nobody waits for ends where it is`() throws {
    let place = try Place(isSimulated: true)
    defer { place.close() }
    let root = EventSamples.unitID(1)
    try place.apply([Unit(position: 1, relationships: [])])
    try place.apply((2...5000).map { Unit(position: $0, relationships: [(root, .causes, "{}")]) })
    var query = GraphQuery(root: root)
    query.limit = 1000
    query.filter.insert(UnitFilter.Pair(key: Array("k".utf8), value: Array("none".utf8)))
    var asked = 0
    var walk = GraphWalk(query, place.store) {
      asked += 1
      return asked > 2
    }
    #expect(try walk.run())
    #expect(walk.isPartial && asked < 5)
  }

  @Test(arguments: [true, false])
  func `records are bounded by their bytes`(isSimulated: Bool) throws {
    let place = try Place(isSimulated: isSimulated)
    defer { place.close() }
    let root = EventSamples.unitID(1)
    var units = [Unit(position: 1, relationships: [])]
    for position in UInt64(2)...30 {
      units.append(
        Unit(
          position: position, relationships: [(root, .references, "{}")],
          pairs: [("even", position % 2 == 0 ? "yes" : "no")], payload: String(repeating: "x", count: 1000)))
    }
    try place.apply(units)
    var query = GraphQuery(root: root)
    query.limit = 1000
    var budget = GraphWalk.Budget()
    budget.pageBytes = units[1...10].reduce(0) { $0 + $1.record.count }
    var answer = try #require(try place.walk(query, budget))
    #expect(answer.isPartial && answer.found.count == 10)
    // One too large for the limit is answered all the same.
    budget.pageBytes = 1
    answer = try #require(try place.walk(query, budget))
    #expect(answer.isPartial && answer.found.count == 1)
    query.limit = 1
    #expect(try place.walk(query, budget)?.isPartial == false)
    query.limit = 1000
    // What the filter refuses is read too.
    query.filter.insert(UnitFilter.Pair(key: Array("even".utf8), value: Array("yes".utf8)))
    budget = GraphWalk.Budget()
    budget.readBytes = 10 * units[5].record.count
    answer = try #require(try place.walk(query, budget))
    #expect(answer.isPartial && (4...6).contains(answer.found.count))
    budget.readBytes = 100 * units[5].record.count
    #expect(try place.walk(query, budget)?.isPartial == false)
  }

  // MARK: - The example of the documentation

  @Test(arguments: [true, false])
  func `a target that comes later is found once it is there`(isSimulated: Bool) throws {
    let place = try Place(isSimulated: isSimulated)
    defer { place.close() }
    let ids = (0...4).map { EventSamples.unitID(UInt64($0)) }
    // 1 causes 2 and 3; 3 isn't there yet, and 2 refers to it.
    try place.apply([
      Unit(position: 1, relationships: [(ids[2], .causes, "{}"), (ids[3], .causes, "{\"a\":\"b\"}")])
    ])
    var query = GraphQuery(root: ids[1])
    query.directions = .outgoing
    query.depth = 3
    #expect(try place.walk(query) == Answer())
    try place.apply([Unit(position: 2, relationships: [(ids[3], .references, "{}")])])
    let second = Found(id: ids[2], type: .causes, isIncoming: false, distance: 1, metadata: "{}")
    #expect(try place.walk(query) == Answer(found: [second]))
    try place.apply([Unit(position: 3, relationships: [(ids[1], .respondsTo, "{}")])])
    let third = Found(id: ids[3], type: .causes, isIncoming: false, distance: 1, metadata: "{\"a\":\"b\"}")
    #expect(try place.walk(query) == Answer(found: [second, third]))
    // From the third: it names the first, and the first and the second name it.
    query.root = ids[3]
    query.directions = .both
    query.depth = 1
    #expect(
      try place.walk(query)?.found == [
        Found(id: ids[1], type: .respondsTo, isIncoming: false, distance: 1, metadata: "{}"),
        Found(id: ids[2], type: .references, isIncoming: true, distance: 1, metadata: "{}"),
      ])
    query.root = ids[4]
    #expect(try place.walk(query) == nil)
  }
}
