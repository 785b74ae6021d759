internal import Bytes

extension ContextState {
  /// The context after a context's event. Nil if the record is of another kind, or damaged.
  public init?(_ record: EventView) {
    guard record.kind == .context, record.context != nil, let state = ContextState(json: record.body) else {
      return nil
    }
    self = state
  }

  /// Reads a Context's JSON as `ContextEncoder` writes it. Members that are not known are passed over.
  public init?(json: UnsafeRawBufferPointer) {
    var reader = ContextReader(json)
    guard let state = try? reader.read() else { return nil }
    self = state
  }
}

/// What readers need of a Context's JSON without reading all of it.
public enum ContextJSON {
  private static let lastMember: StaticString = "\"last_sequence\":"

  /// The JSON up to its last number, the context's last sequence when the event was written, which is out of date with
  /// the next unit: the true one and a closing brace go behind it. Nil if it isn't as `ContextEncoder` writes it.
  public static func head(_ json: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    guard var end = json.indices.last, json[end] == UInt8(ascii: "}") else { return nil }
    while end > 0, json[end - 1] >= 0x30, json[end - 1] <= 0x39 { end -= 1 }
    let start = end - lastMember.utf8CodeUnitCount
    guard start > 0, JSONText.same(UnsafeRawBufferPointer(rebasing: json[start..<end]), lastMember.bytes)
    else {
      return nil
    }
    return UnsafeRawBufferPointer(rebasing: json[..<end])
  }

  /// Whether `agent_ids` names the agent.
  public static func lists(_ agent: [UInt8], in json: UnsafeRawBufferPointer) -> Bool {
    var scanner = JSONScanner(json)
    return (try? find(agent, &scanner)) ?? false
  }

  private static func find(_ agent: [UInt8], _ scanner: inout JSONScanner) throws(JSONError) -> Bool {
    var keys = JSONKeys()
    try scanner.beginDocument()
    var more = try scanner.enterObject()
    while more {
      let name = try scanner.key()
      guard scanner.matches(name, "agent_ids") else {
        try scanner.skipValue(&keys)
        more = try scanner.nextMember()
        continue
      }
      more = try scanner.enterArray()
      while more {
        let found = try scanner.string()
        let isSame = JSONText.withDecoded(found, of: scanner.bytes) { found in
          agent.withUnsafeBytes { JSONText.same($0, found) }
        }
        if isSame { return true }
        more = try scanner.nextElement()
      }
      return false
    }
    return false
  }
}

private struct ContextReader: ~Copyable {
  private var scanner: JSONScanner
  private var keys = JSONKeys()
  private var state = ContextState(
    id: UnsafeRawBufferPointer(start: nil, count: 0), createdAt: LogTime(microseconds: 0))

  init(_ json: UnsafeRawBufferPointer) { scanner = JSONScanner(json) }

  mutating func read() throws(JSONError) -> ContextState {
    try scanner.beginDocument()
    var more = try scanner.enterObject()
    while more {
      let name = try scanner.key()
      if scanner.matches(name, "id") {
        state.id = try text()
      } else if scanner.matches(name, "display_name") {
        state.displayName = try text()
      } else if scanner.matches(name, "agent_ids") {
        try readAgents()
      } else if scanner.matches(name, "pinned_units") {
        try readPins()
      } else if scanner.matches(name, "metadata") {
        try readMetadata()
      } else if scanner.matches(name, "created_at") {
        state.createdAt = try time()
      } else if scanner.matches(name, "updated_at") {
        state.updatedAt = try time()
      } else if scanner.matches(name, "revision") {
        state.revision = try count()
      } else if scanner.matches(name, "last_sequence") {
        state.lastSequence = Sequence(try count())
      } else {
        try scanner.skipValue(&keys)
      }
      more = try scanner.nextMember()
    }
    try scanner.endDocument()
    guard !state.id.isEmpty else { throw JSONError(.refused, at: 0) }
    return state
  }

  private mutating func text() throws(JSONError) -> [UInt8] {
    let token = try scanner.string()
    return JSONText.withDecoded(token, of: scanner.bytes) { Array($0) }
  }

  private mutating func time() throws(JSONError) -> LogTime {
    let found = try text().withUnsafeBytes { LogTime($0) }
    guard let found else { throw JSONError(.refused, at: scanner.offset) }
    return found
  }

  private mutating func count() throws(JSONError) -> UInt64 {
    guard let value = try scanner.number().integer, value >= 0 else {
      throw JSONError(.refused, at: scanner.offset)
    }
    return UInt64(value)
  }

  private mutating func readAgents() throws(JSONError) {
    var more = try scanner.enterArray()
    while more {
      let agent = try text()
      guard agent.withUnsafeBytes({ state.addAgent($0) }) else {
        throw JSONError(.refused, at: scanner.offset)
      }
      more = try scanner.nextElement()
    }
  }

  private mutating func readPins() throws(JSONError) {
    var more = try scanner.enterArray()
    while more {
      guard let id = try text().withUnsafeBytes({ UnitID($0) }) else {
        throw JSONError(.refused, at: scanner.offset)
      }
      state.pinnedUnits.append(id)
      more = try scanner.nextElement()
    }
  }

  private mutating func readMetadata() throws(JSONError) {
    var more = try scanner.enterObject()
    while more {
      let name = try scanner.key()
      let key = JSONText.withDecoded(name, of: scanner.bytes) { Array($0) }
      state.metadata.append(ContextState.Pair(key: key, value: try text()))
      more = try scanner.nextMember()
    }
  }
}
