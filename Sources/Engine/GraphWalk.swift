internal import Bytes
public import Model
internal import Storage

/// Units that a walk along relationships found, nearest first, each with the relationship by which it was reached first.
public struct GraphPage {
  public struct Step: Hashable, Sendable {
    public var type: RelationshipType
    /// The unit found names the nearer one; else the nearer one names it.
    public var isIncoming: Bool
    /// Steps from the root.
    public var distance: Int
    /// The relationship's metadata, a JSON object.
    public var metadata: [UInt8]
  }

  public internal(set) var units: [EventView] = []
  /// As many as there are units.
  public internal(set) var steps: [Step] = []
  /// A limit ended the walk, other than the one that the client gave.
  public internal(set) var isPartial = false
  /// Keeps the units' memory.
  var records = StoredRecords()
}

/// A breadth-first walk along the relationships of a store. One thread; waits for the disk.
///
/// Edges come in portions, in order: of the nearer unit first, of each what it names, then who names it, oldest first. What
/// an edge leads to is looked up with its whole portion, first in `ids`, then in `units`: a unit that isn't there (yet) is
/// no result, and nothing leads on from it. Records are read only of units that are answered, or must be asked whether they
/// are.
///
/// For a reader who may not see everything, a unit of a context that is hidden isn't there: no result, no way on, no root.
/// An edge to it costs what an edge to nothing costs; edges that come in from who knows where have a budget of their own,
/// of which those are given back that come from a unit that is seen.
struct GraphWalk {
  /// Bounds of one walk.
  struct Budget {
    /// Relationships that are looked at.
    var edges = Limits.graphEdgesMax
    /// The same, for a reader who may not see everything: of those that come in from no unit that is seen.
    var strayEdges = Limits.graphEdgesMax
    /// Bytes of records that are read.
    var readBytes = Limits.scannedBytesMax
    /// Bytes of records that are answered.
    var pageBytes = Limits.pageBytesMax
  }

  /// A unit that the walk goes on from.
  private struct Node {
    var id: UnitID
    /// Its relationships, as its record has them; empty if it names none, or its edges aren't followed that way.
    var list: [UInt8] = []
  }

  /// Edges of one portion, at most: what is looked up together without being needed is bounded by it.
  private static let portionMax = 1024

  private let store: any EventStore
  private let query: GraphQuery
  /// What the reader may see; nil: everything.
  private let visibility: (any Visibility)?
  /// Nobody is there to be answered: the walk ends where it is.
  private let isCancelled: () -> Bool
  private var budget: Budget
  private var seen: Set<UnitID>
  private var frontier: [Node] = []
  private var next: [Node] = []
  /// Metadata of the relationships of one unit of the frontier, by their place in its list.
  private var listed: (unit: Int, metadata: [Range<Int>])?
  private(set) var steps: [GraphPage.Step] = []
  private(set) var isPartial = false
  let records = StoredRecords()

  init(
    _ query: GraphQuery, _ store: any EventStore, _ budget: Budget = Budget(),
    visibility: (any Visibility)? = nil, isCancelled: @escaping () -> Bool = { false }
  ) {
    self.isCancelled = isCancelled
    self.query = query
    self.visibility = visibility
    self.store = store
    self.budget = budget
    seen = [query.root]
  }

  /// - Returns: false if there is no unit to begin at.
  mutating func run() throws(StoreError) -> Bool {
    guard case .some(.some(let place)) = try store.locations(of: [query.root]).first, sees(place) else {
      return false
    }
    frontier = [Node(id: query.root)]
    if query.directions.contains(.outgoing) {
      var list: [UInt8] = []
      try store.units(at: [place]) { _, unit in
        list = GraphWalk.list(of: unit)
        return false
      }
      frontier[0].list = list
    }
    for distance in 1...query.depth where !frontier.isEmpty && !isDone {
      try expand(distance)
      frontier = next
      next = []
    }
    return true
  }

  private func sees(_ place: UnitLocation) -> Bool {
    visibility.map { visibility in place.context.withUnsafeBytes { visibility.sees(context: $0) } } ?? true
  }

  private var isDone: Bool { isPartial || steps.count >= query.limit }

  /// Follows all edges of the frontier, as far as the limits go.
  private mutating func expand(_ distance: Int) throws(StoreError) {
    listed = nil
    let units = frontier.map(\.id)
    var after: Relation?
    var end = ScanEnd.stopped
    while end == .stopped, !isDone {
      // More than are missing, since some lead nowhere; but not many more.
      let wanted = min(GraphWalk.portionMax, (query.limit - steps.count) * 5 / 4 + 16)
      var portion: [Relation] = []
      var isOut = false
      end = try store.relations(of: units, query.directions, after: after) { edge in
        isOut =
          budget.edges <= 0 || budget.strayEdges <= 0
          || (budget.edges % GraphWalk.portionMax == 0 && isCancelled())
        if isOut { return false }
        if edge.isIncoming, visibility != nil { budget.strayEdges -= 1 } else { budget.edges -= 1 }
        after = edge
        if query.follows(type: edge.type), seen.insert(edge.other).inserted { portion.append(edge) }
        return portion.count < wanted
      }
      try take(portion, distance)
      // What came in from units that are seen was given back.
      let goesOn = visibility != nil && budget.edges > 0 && budget.strayEdges > 0 && !isCancelled()
      if isOut, !goesOn, steps.count < query.limit { isPartial = true }
    }
  }

  /// Looks up what the edges lead to.
  private mutating func take(_ portion: [Relation], _ distance: Int) throws(StoreError) {
    guard !portion.isEmpty else { return }
    if isCancelled() {
      isPartial = true
      return
    }
    var edges: [Relation] = []
    var places: [UnitLocation] = []
    var isOut = false
    for (edge, place) in zip(portion, try store.locations(of: portion.map(\.other))) {
      guard let place, sees(place) else { continue }
      if edge.isIncoming, visibility != nil {
        isOut = budget.edges <= 0
        if isOut { break }
        budget.strayEdges += 1
        budget.edges -= 1
      }
      edges.append(edge)
      places.append(place)
    }
    try store.units(at: places) { index, unit in
      take(unit, by: edges[index], distance)
      return !isDone
    }
    if isOut, steps.count < query.limit { isPartial = true }
  }

  private mutating func take(_ unit: EventView, by edge: Relation, _ distance: Int) {
    budget.readBytes -= unit.length
    if distance < query.depth {
      let leadsOn = query.directions.contains(.outgoing)
      next.append(Node(id: edge.other, list: leadsOn ? GraphWalk.list(of: unit) : []))
    }
    if let type = RelationshipType(rawValue: edge.type), query.filter.isEmpty || query.filter.admits(unit) {
      records.append(unit)
      steps.append(
        GraphPage.Step(
          type: type, isIncoming: edge.isIncoming, distance: distance, metadata: metadata(of: edge, unit)))
      budget.pageBytes -= unit.length
    }
    // What passes a limit is still answered, so that some unit always is.
    if budget.readBytes <= 0 || budget.pageBytes <= 0, steps.count < query.limit { isPartial = true }
  }

  // MARK: - Relationships of records

  private static func list(of unit: EventView) -> [UInt8] {
    unit.unit.flatMap { UnitRelationships.list(unit, $0) }.map { Array($0) } ?? []
  }

  /// The metadata of an edge, which stand in the record of the unit that names the other.
  private mutating func metadata(of edge: Relation, _ found: EventView) -> [UInt8] {
    var metadata = Array("{}".utf8)
    if edge.isIncoming {
      UnitRelationships.forEach(found) { one in
        if one.index == edge.index { metadata = Array(one.metadata) }
        return one.index < edge.index
      }
      return metadata
    }
    guard frontier.indices.contains(edge.unit) else { return metadata }
    let list = frontier[edge.unit].list
    if listed?.unit != edge.unit { listed = (edge.unit, GraphWalk.metadata(in: list)) }
    if let ranges = listed?.metadata, Int(edge.index) < ranges.count {
      metadata = Array(list[ranges[Int(edge.index)]])
    }
    return metadata
  }

  /// Where the metadata stand of each element of a list.
  private static func metadata(in list: [UInt8]) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    list.withUnsafeBytes { memory in
      guard let base = memory.baseAddress else { return }
      UnitRelationships.forEach(in: memory) { one in
        let start = one.metadata.baseAddress.map { $0 - base } ?? 0
        ranges.append(start..<start + one.metadata.count)
        return true
      }
    }
    return ranges
  }
}
