public import Bytes

/// A context as the sequencer decides against it and as clients see it. A value; its memory grows with its agents.
public struct ContextState: Hashable, Sendable {
  public struct Pair: Hashable, Sendable {
    public var key: [UInt8]
    public var value: [UInt8]
    public init(key: [UInt8], value: [UInt8]) {
      self.key = key
      self.value = value
    }
  }

  /// UTF-8, 1 to 256 bytes.
  public internal(set) var id: [UInt8]
  /// UTF-8; empty until a client names the context.
  public var displayName: [UInt8] = []
  /// UTF-8 ids, in the order in which they joined.
  public private(set) var agents: [[UInt8]] = []
  public var pinnedUnits: [UnitID] = []
  /// Keys are distinct.
  public var metadata: [Pair] = []
  public var createdAt: LogTime
  /// Of the last change that counts in `revision`.
  public var updatedAt: LogTime
  public var revision: UInt64
  /// 0 before the first unit.
  public var lastSequence = Sequence.zero

  /// One per agent: telling a new agent from a known one reads 8 bytes of each, not 256.
  private var agentPrints: [UInt64] = []

  /// A new context, without agents, of revision 1.
  public init(id: UnsafeRawBufferPointer, createdAt: LogTime) {
    self.id = Array(id)
    self.createdAt = createdAt
    updatedAt = createdAt
    revision = 1
  }

  /// Where this agent stands in `agents`.
  public func agentIndex(_ agent: UnsafeRawBufferPointer) -> Int? {
    let print = Fingerprint.of(agent).low
    for n in agentPrints.indices where agentPrints[n] == print {
      if agents[n].withUnsafeBytes({ JSONText.same($0, agent) }) { return n }
    }
    return nil
  }

  /// Lists an agent, unless it is listed or the list is full.
  /// - Returns: whether the context changed. Revision and time are the caller's to move.
  public mutating func addAgent(_ agent: UnsafeRawBufferPointer) -> Bool {
    guard agents.count < Limits.contextAgentsMax, agentIndex(agent) == nil else { return false }
    agents.append(Array(agent))
    agentPrints.append(Fingerprint.of(agent).low)
    return true
  }

  /// - Returns: whether the agent was listed.
  public mutating func removeAgent(_ agent: UnsafeRawBufferPointer) -> Bool {
    guard let index = agentIndex(agent) else { return false }
    agents.remove(at: index)
    agentPrints.remove(at: index)
    return true
  }

  /// Lists those who are not listed yet. In the time of one pass, however many they are.
  /// - Returns: false if the list would be too long; then some are listed.
  mutating func addAgents(_ new: [[UInt8]]) -> Bool {
    var known = Set(agentPrints)
    for agent in new {
      let print = agent.withUnsafeBytes { Fingerprint.of($0).low }
      if !known.insert(print).inserted, agent.withUnsafeBytes({ agentIndex($0) }) != nil { continue }
      guard agents.count < Limits.contextAgentsMax else { return false }
      agents.append(agent)
      agentPrints.append(print)
    }
    return true
  }

  /// Takes those who are listed from the list, in one pass.
  mutating func removeAgents(_ old: [[UInt8]]) {
    guard !old.isEmpty else { return }
    let gone = Set(old)
    let left = agents.indices.filter { !gone.contains(agents[$0]) }
    agentPrints = left.map { agentPrints[$0] }
    agents = left.map { agents[$0] }
  }
}

/// A context's JSON, and the record of its event.
public enum ContextEncoder {
  /// All that is the same for every context: brackets, names, times, numbers of 20 digits.
  private static let fixedBytesMax = 260

  /// Room that `writeJSON` needs at most, in bytes.
  public static func jsonBytesMax(_ state: ContextState) -> Int {
    func quoted(_ text: [UInt8]) -> Int { text.withUnsafeBytes { JSONText.quotedCount($0) } + 1 }
    var bytes = fixedBytesMax + quoted(state.id) + quoted(state.displayName)
    bytes += state.agents.reduce(0) { $0 + quoted($1) }
    bytes += state.pinnedUnits.count * (UnitID.textBytes + 3)
    return state.metadata.reduce(bytes) { $0 + quoted($1.key) + quoted($1.value) }
  }

  /// Writes the Context on one line, members in the order of the wire contract.
  public static func writeJSON(_ state: ContextState, to out: inout ByteWriter) {
    out.run("{\"id\":")
    quoted(state.id, &out)
    out.run(",\"display_name\":")
    quoted(state.displayName, &out)
    out.run(",\"agent_ids\":[")
    for (n, agent) in state.agents.enumerated() {
      if n > 0 { out.byte(UInt8(ascii: ",")) }
      quoted(agent, &out)
    }
    out.run("],\"pinned_units\":[")
    for (n, unit) in state.pinnedUnits.enumerated() {
      out.run(n == 0 ? "\"" : ",\"")
      unit.write(to: &out)
      out.run("\"")
    }
    out.run("],\"metadata\":{")
    for (n, pair) in state.metadata.enumerated() {
      if n > 0 { out.byte(UInt8(ascii: ",")) }
      quoted(pair.key, &out)
      out.byte(UInt8(ascii: ":"))
      quoted(pair.value, &out)
    }
    out.run("},\"created_at\":\"")
    state.createdAt.write(to: &out)
    out.run("\",\"updated_at\":\"")
    state.updatedAt.write(to: &out)
    out.run("\",\"revision\":")
    out.decimal(state.revision)
    out.run(",\"last_sequence\":")
    out.decimal(state.lastSequence.rawValue)
    out.run("}")
  }

  private static func quoted(_ text: [UInt8], _ out: inout ByteWriter) {
    text.withUnsafeBytes { JSONText.writeQuoted($0, to: &out) }
  }

  /// Room that `encode` needs at most, in bytes, when the agents that join are listed in `state` already.
  public static func bytesMax(_ state: ContextState, joined: ArraySlice<[UInt8]>) -> Int {
    let header = EventRecord.fieldHeaderBytes
    return joined.reduce(fixedRecordBytes(state)) { $0 + header + $1.count }
  }

  /// Room that one more agent takes at most in list and header: at worst six bytes for each of its own.
  public static func bytesMax(joining agent: UnsafeRawBufferPointer) -> Int {
    7 * agent.count + 3 + EventRecord.fieldHeaderBytes
  }

  private static func fixedRecordBytes(_ state: ContextState) -> Int {
    let header = EventRecord.fieldHeaderBytes
    return EventRecord.headerBytes + EventRecord.checksumBytes + header + EventRecord.contextHeadBytes
      + header + state.id.count + header + 4 + jsonBytesMax(state)
  }

  /// Writes the record of the event after which the context is `state`.
  /// - Parameters:
  ///   - joined: the agents that joined by it, which `state` lists.
  ///   - requestRemainder: events of the same request that follow this one.
  ///   - capacity: at least `bytesMax`; requires it.
  /// - Returns: the record's length in bytes.
  public static func encode(
    _ state: ContextState, joined: ArraySlice<[UInt8]>, position: Position, logTime: LogTime,
    requestRemainder: UInt32 = 0, into base: UnsafeMutableRawPointer, capacity: Int
  ) -> Int {
    var writer = EventRecordWriter(
      at: base, capacity: capacity, kind: .context, position: position, logTime: logTime)
    writer.contextHead(
      ContextHead(revision: state.revision, lastSequence: state.lastSequence, createdAt: state.createdAt))
    state.id.withUnsafeBytes { writer.field(.contextID, $0) }
    for agent in joined { agent.withUnsafeBytes { writer.field(.agentID, $0) } }
    if requestRemainder > 0 {
      writer.beginField(.requestRemainder, bytes: 4)
      writer.out.integer(requestRemainder)
    }
    writer.beginBody()
    writeJSON(state, to: &writer.out)
    return writer.finish()
  }
}
