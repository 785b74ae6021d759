internal import Bytes

/// The body of `POST /search`.
public struct SearchDraft: Hashable, Sendable {
  public enum Order: UInt8, Hashable, Sendable {
    case relevance = 1
    case recent = 2
  }

  /// As a person typed it, UTF-8.
  public private(set) var text: [UInt8] = []
  /// Any of them, distinct and sorted; empty: all.
  public private(set) var contexts: [[UInt8]] = []
  /// Likewise.
  public private(set) var agents: [[UInt8]] = []
  /// Types, metadata and times.
  public private(set) var filter = UnitFilter()
  /// Nil: by relevance if there is text, else the newest first.
  public private(set) var order: Order?
  public private(set) var limit = Limits.searchPageDefault
  public private(set) var offset = 0
  /// The text of a `SearchCursor`.
  public private(set) var cursor: [UInt8]?
  public private(set) var highlights = false
  /// The index must have come so far; zero: it may be as it is.
  public private(set) var minPosition = Position.zero
  /// How long that may be waited for.
  public private(set) var waitNanoseconds: UInt64 = 0

  private static let names: [StaticString] = [
    "query", "context_id", "context_ids", "agent_ids", "types", "metadata", "meta_filters", "since", "until",
    "order",
    "limit", "offset", "cursor", "highlight", "min_position", "wait_seconds",
  ]

  /// Reads a body; throws what is wrong with it (400, or 413 if it is too large).
  public init(_ body: UnsafeRawBufferPointer) throws(Problem) {
    var reader = BodyReader(body)
    // The pairs of members of which one may be given.
    var given: Set<Int> = []
    try reader.readBody(Self.names) { reader, index, pointer throws(JSONError) in
      for (one, other) in [(1, 2), (5, 6), (11, 12)] where [one, other].contains(index) {
        let rival = index == one ? other : one
        if given.contains(rival) {
          throw reader.refuse(pointer, "can't stand beside \(Self.names[rival]): only one may be given")
        }
      }
      given.insert(index)
      try read(&reader, index, pointer)
    }
    guard offset + limit <= Limits.searchOffsetMax else {
      throw Problem(
        at: "/offset", "must be at most \(Limits.searchOffsetMax) together with limit: a cursor goes further")
    }
  }

  private mutating func read(
    _ reader: inout BodyReader, _ index: Int, _ pointer: String
  ) throws(JSONError) {
    switch index {
    case 0: text = try reader.text(pointer, bytesMax: Limits.searchTextBytesMax)
    case 1: contexts = [try reader.identifier(pointer)]
    case 2: contexts = try reader.identifiers(pointer, countMax: Limits.searchContextsMax, of: "contexts")
    case 3: agents = try reader.identifiers(pointer, countMax: Limits.searchAgentsMax, of: "agents")
    case 4:
      try reader.array(pointer, countMax: Limits.subscriptionTypesMax, of: "types") {
        reader, element throws(JSONError) in filter.insert(try reader.unitType(element))
      }
    case 5, 6:
      for pair in try reader.pairs(pointer) { filter.insert(pair) }
    case 7: filter.since = try reader.time(pointer)
    case 8: filter.until = try reader.time(pointer)
    case 9: order = try reader.order(pointer)
    case 10: limit = Int(try reader.whole(pointer, 1...UInt64(Limits.searchPageMax)))
    case 11: offset = Int(try reader.whole(pointer, 0...UInt64(Limits.searchOffsetMax)))
    case 12:
      let text = try reader.text(pointer, bytesMax: Limits.searchCursorBytesMax)
      // As everywhere: that of the last page is empty, and as good as none.
      cursor = text.isEmpty ? nil : text
    case 13: highlights = try reader.flag(pointer)
    case 14: minPosition = Position(try reader.whole(pointer, 0...Limits.integerMax))
    default:
      waitNanoseconds = try reader.seconds(pointer, 0...Limits.searchWaitMicrosecondsMax) * 1000
    }
  }

  /// Stands for what is searched for and in which order, without the page: a cursor is good for this alone.
  public func hash(order: Order) -> UInt64 {
    var bytes: [UInt8] = [order.rawValue]
    func number(_ value: Int) {
      withUnsafeBytes(of: UInt64(value).littleEndian) { bytes.append(contentsOf: $0) }
    }
    func list(_ names: [[UInt8]]) {
      number(names.count)
      for name in names {
        number(name.count)
        bytes.append(contentsOf: name)
      }
    }
    list([text])
    list(contexts)
    list(agents)
    bytes.append(contentsOf: filter.identity)
    return bytes.withUnsafeBytes { Fingerprint.of($0).low }
  }
}

extension BodyReader {
  /// Distinct ids, in order of their bytes.
  fileprivate mutating func identifiers(
    _ pointer: String, countMax: Int, of noun: String
  ) throws(JSONError) -> [[UInt8]] {
    var found: Set<[UInt8]> = []
    try array(pointer, countMax: countMax, of: noun) { reader, element throws(JSONError) in
      found.insert(try reader.identifier(element))
    }
    return found.sorted { $0.lexicographicallyPrecedes($1) }
  }

  fileprivate mutating func unitType(_ pointer: String) throws(JSONError) -> WorkUnitType {
    let found: WorkUnitType?
    switch try scanner.peek() {
    case .string: found = decoded(try scanner.string()).withUnsafeBytes { WorkUnitType(name: $0) }
    case .number: found = try number(pointer).flatMap { WorkUnitType(number: $0) }
    default: throw refuse(pointer, "must be a name or a number")
    }
    guard let found else { throw refuse(pointer, "is not a type of work unit") }
    return found
  }

  fileprivate mutating func pairs(_ pointer: String) throws(JSONError) -> [UnitFilter.Pair] {
    var tokens: [(JSONString, JSONString)] = []
    try metadata(pointer, pairsMax: Limits.metadataPairsMax, allowsNull: false) { key, value in
      if let value { tokens.append((key, value)) }
    }
    return tokens.map { UnitFilter.Pair(key: decoded($0.0), value: decoded($0.1)) }
  }

  fileprivate mutating func time(_ pointer: String) throws(JSONError) -> LogTime {
    let token = try string(pointer)
    guard token.decodedCount <= Limits.timeBytesMax,
      let time = decoded(token).withUnsafeBytes({ LogTime($0) })
    else { throw refuse(pointer, "must be a time as of RFC 3339") }
    return time
  }

  fileprivate mutating func order(_ pointer: String) throws(JSONError) -> SearchDraft.Order {
    let token = try string(pointer)
    if scanner.matches(token, "relevance") { return .relevance }
    if scanner.matches(token, "recent") { return .recent }
    throw refuse(pointer, "must be relevance or recent")
  }

  fileprivate mutating func flag(_ pointer: String) throws(JSONError) -> Bool {
    guard try scanner.peek() == .boolean else { throw refuse(pointer, "must be true or false") }
    return try scanner.boolean()
  }

  /// A whole number within a range.
  fileprivate mutating func whole(_ pointer: String, _ range: ClosedRange<UInt64>) throws(JSONError) -> UInt64
  {
    func outside() -> JSONError {
      refuse(pointer, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    guard try scanner.peek() == .number else { throw outside() }
    guard let value = try number(pointer).flatMap({ UInt64(exactly: $0) }), range.contains(value) else {
      throw outside()
    }
    return value
  }

  /// Nil unless it is a whole number within 64 bits.
  private mutating func number(_ pointer: String) throws(JSONError) -> Int64? {
    do throws(JSONError) { return try scanner.number().integer } catch {
      guard error.reason == .integerTooLarge else { throw error }
      return nil
    }
  }
}
