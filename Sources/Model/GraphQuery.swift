internal import Bytes

/// Which way relationships are followed.
public struct RelationDirections: OptionSet, Hashable, Sendable {
  public var rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// To whom a unit names.
  public static let outgoing = RelationDirections(rawValue: 1)
  /// To who names a unit.
  public static let incoming = RelationDirections(rawValue: 2)
  public static let both: RelationDirections = [.outgoing, .incoming]

  /// As the wire spells it.
  public init?(name: UnsafeRawBufferPointer) {
    switch String(decoding: name, as: UTF8.self) {
    case "outgoing": self = .outgoing
    case "incoming": self = .incoming
    case "both": self = .both
    default: return nil
    }
  }
}

/// What is asked of the graph around a unit. A value; thread-free.
public struct GraphQuery: Hashable, Sendable {
  /// Where the walk begins.
  public var root: UnitID
  public var directions = RelationDirections.both
  /// Bit n: relationships of the type with number n. 0: of any type.
  public private(set) var types: UInt16 = 0
  /// Steps, from 1 to `Limits.graphDepthMax`.
  public var depth = 1
  /// Units of the answer, from 1 to `Limits.graphPageMax`.
  public var limit = Limits.graphPageDefault
  /// What units of the answer must satisfy. The walk goes through those that don't.
  public var filter = UnitFilter()

  public init(root: UnitID) { self.root = root }

  public mutating func insert(_ type: RelationshipType) { types |= 1 << UInt16(type.rawValue) }

  /// Whether the walk follows relationships of the type with this number: none of a type that isn't known.
  public func follows(type: UInt8) -> Bool {
    RelationshipType(rawValue: type) != nil && (types == 0 || types & (1 << UInt16(type)) != 0)
  }
}

extension GraphQuery {
  private static let names: [StaticString] = [
    "target_id", "relationship_types", "direction", "depth", "limit", "meta_filters", "metadata",
  ]

  /// Reads the body of `POST /search/relationships`; throws what is wrong with it (400, or 413 if it is too large).
  public init(_ body: UnsafeRawBufferPointer) throws(Problem) {
    var reader = BodyReader(body)
    var query = GraphQuery(root: UnitID(high: 0, low: 0))
    var hasRoot = false
    var pairs = 0
    try reader.readBody(Self.names) { reader, index, pointer throws(JSONError) in
      switch index {
      case 0:
        query.root = try reader.unitID(pointer)
        hasRoot = true
      case 1:
        try reader.array(pointer, countMax: Limits.graphTypesMax, of: "types") {
          reader, element throws(JSONError) in
          query.insert(try reader.relationshipType(element))
        }
      case 2: query.directions = try reader.directions(pointer)
      case 3: query.depth = try reader.whole(pointer, 1...Limits.graphDepthMax)
      case 4: query.limit = try reader.whole(pointer, 1...Limits.graphPageMax)
      default:
        pairs += 1
        guard pairs == 1 else {
          throw reader.refuse(pointer, "can't stand beside meta_filters, of which it is another name")
        }
        query.filter = try reader.metadataFilter(pointer)
      }
    }
    guard hasRoot else { throw Problem(at: "/target_id", "is required") }
    self = query
  }
}

extension BodyReader {
  fileprivate mutating func directions(_ pointer: String) throws(JSONError) -> RelationDirections {
    let name = decoded(try string(pointer))
    guard let found = name.withUnsafeBytes({ RelationDirections(name: $0) }) else {
      throw refuse(pointer, "must be incoming, outgoing or both")
    }
    return found
  }

  /// By name or number.
  fileprivate mutating func relationshipType(_ pointer: String) throws(JSONError) -> RelationshipType {
    var found: RelationshipType?
    switch try scanner.peek() {
    case .string: found = decoded(try scanner.string()).withUnsafeBytes { RelationshipType(name: $0) }
    case .number: found = try integer().flatMap { RelationshipType(number: $0) }
    default: break
    }
    guard let found else { throw refuse(pointer, "must be a type of relationship") }
    return found
  }

  fileprivate mutating func whole(_ pointer: String, _ range: ClosedRange<Int>) throws(JSONError) -> Int {
    guard try scanner.peek() == .number, let number = try integer(), let found = Int(exactly: number),
      range.contains(found)
    else {
      throw refuse(pointer, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return found
  }

  /// Nil for one that isn't whole, or too large for anything.
  private mutating func integer() throws(JSONError) -> Int64? {
    do throws(JSONError) { return try scanner.number().integer } catch {
      guard error.reason == .integerTooLarge else { throw error }
      return nil
    }
  }

  /// Pairs that all must hold.
  fileprivate mutating func metadataFilter(_ pointer: String) throws(JSONError) -> UnitFilter {
    var pairs: [(JSONString, JSONString)] = []
    try metadata(pointer, pairsMax: Limits.metadataPairsMax, allowsNull: false) { key, value in
      if let value { pairs.append((key, value)) }
    }
    var filter = UnitFilter()
    for (key, value) in pairs {
      filter.insert(UnitFilter.Pair(key: decoded(key), value: decoded(value)))
    }
    return filter
  }
}
