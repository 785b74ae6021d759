internal import Bytes

/// The body of `PATCH /contexts/{id}`.
public struct ContextPatch: Hashable, Sendable {
  /// A key's new value; nil deletes it.
  public struct Change: Hashable, Sendable {
    public var key: [UInt8]
    public var value: [UInt8]?
  }

  /// UTF-8; nil: it stays as it is.
  public private(set) var displayName: [UInt8]?
  /// None is in both; each is in its list once.
  public private(set) var addAgents: [[UInt8]] = []
  public private(set) var removeAgents: [[UInt8]] = []
  /// None is in both; each is in its list once.
  public private(set) var pinUnits: [UnitID] = []
  public private(set) var unpinUnits: [UnitID] = []
  /// Keys are distinct.
  public private(set) var metadata: [Change] = []
  /// The body's `agent_id`: `Asker` decides.
  public private(set) var agent: [UInt8]?

  /// Reads a body; throws what is wrong with it (400, or 413 if it is too large).
  public init(_ body: UnsafeRawBufferPointer) throws(Problem) {
    var reader = BodyReader(body)
    let names: [StaticString] = [
      "display_name", "add_agents", "remove_agents", "pin_units", "unpin_units", "metadata", "agent_id",
    ]
    let (agentsMax, pinsMax) = (Limits.contextAgentsMax, Limits.contextPinsMax)
    var add = Places<[UInt8]>()
    var remove = Places<[UInt8]>()
    var pin = Places<UnitID>()
    var unpin = Places<UnitID>()
    try reader.readBody(names) { reader, index, pointer throws(JSONError) in
      switch index {
      case 0: displayName = try reader.text(pointer, bytesMax: Limits.displayNameBytesMax)
      case 1:
        try add.read(&reader, pointer, agentsMax, "agents") { r, p throws(JSONError) in try r.identifier(p) }
      case 2:
        try remove.read(&reader, pointer, agentsMax, "agents") { r, p throws(JSONError) in try r.identifier(p)
        }
      case 3: try pin.read(&reader, pointer, pinsMax, "units") { r, p throws(JSONError) in try r.unitID(p) }
      case 4: try unpin.read(&reader, pointer, pinsMax, "units") { r, p throws(JSONError) in try r.unitID(p) }
      case 5: metadata = try Self.changes(&reader, pointer)
      default: agent = try reader.identifier(pointer)
      }
    }
    if let place = remove.firstPlace(sharedWith: add) {
      throw Problem(at: "/remove_agents/\(place)", "is in add_agents too")
    }
    if let place = unpin.firstPlace(sharedWith: pin) {
      throw Problem(at: "/unpin_units/\(place)", "is in pin_units too")
    }
    (addAgents, removeAgents) = (add.values, remove.values)
    (pinUnits, unpinUnits) = (pin.values, unpin.values)
  }

  private static func changes(
    _ reader: inout BodyReader, _ pointer: String
  ) throws(JSONError) -> [Change] {
    var tokens: [(JSONString, JSONString?)] = []
    // As many may be deleted as there can be, and as many set.
    try reader.metadata(pointer, pairsMax: 2 * Limits.metadataPairsMax, allowsNull: true) {
      tokens.append(($0, $1))
    }
    return tokens.map { key, value in
      Change(key: reader.decoded(key), value: value.map { reader.decoded($0) })
    }
  }
}

/// A list of distinct values, in order, and where in the body's list each stood first.
private struct Places<Value: Hashable> {
  var values: [Value] = []
  private var places: [Value: Int] = [:]

  mutating func read(
    _ reader: inout BodyReader, _ pointer: String, _ countMax: Int, _ noun: String,
    _ value: (inout BodyReader, String) throws(JSONError) -> Value
  ) throws(JSONError) {
    var count = 0
    try reader.array(pointer, countMax: countMax, of: noun) { reader, element throws(JSONError) in
      let value = try value(&reader, element)
      if places[value] == nil {
        places[value] = count
        values.append(value)
      }
      count += 1
    }
  }

  func firstPlace(sharedWith other: Places) -> Int? {
    values.first { other.places[$0] != nil }.flatMap { places[$0] }
  }
}

extension ContextState {
  /// Changes the context as the patch says: takes away first, then adds. Revision and time are the caller's to move.
  /// - Returns: the limit (400) that the context would be beyond; then it is of no further use.
  public mutating func apply(_ patch: ContextPatch) -> Problem? {
    if let name = patch.displayName { displayName = name }
    removeAgents(patch.removeAgents)
    guard addAgents(patch.addAgents) else {
      return Problem(at: "/add_agents", "would list more than \(Limits.contextAgentsMax) agents")
    }
    let unpinned = Set(patch.unpinUnits)
    pinnedUnits.removeAll { unpinned.contains($0) }
    var pinned = Set(pinnedUnits)
    pinnedUnits += patch.pinUnits.filter { pinned.insert($0).inserted }
    guard pinnedUnits.count <= Limits.contextPinsMax else {
      return Problem(at: "/pin_units", "would pin more than \(Limits.contextPinsMax) units")
    }
    let deleted = Set(patch.metadata.lazy.filter { $0.value == nil }.map(\.key))
    metadata.removeAll { deleted.contains($0.key) }
    for change in patch.metadata {
      guard let value = change.value else { continue }
      if let index = metadata.firstIndex(where: { $0.key == change.key }) {
        metadata[index].value = value
      } else {
        metadata.append(Pair(key: change.key, value: value))
      }
    }
    guard metadata.count <= Limits.metadataPairsMax else {
      return Problem(at: "/metadata", "would hold more than \(Limits.metadataPairsMax) pairs")
    }
    return nil
  }
}
