internal import Bytes
internal import Model

/// The naive model of the one history: every event that was ever shown, in order, and what follows from it.
/// It only grows; whatever contradicts it is a violation.
struct HistoryModel {
  struct Unit {
    var position: Position
    var context: [UInt8]
    var sequence: Sequence
    var hash: ContentHash
  }

  struct Context {
    var state: ContextState
    /// Of its units, by sequence − 1.
    var units: [Position] = []
  }

  /// By position − 1.
  private(set) var records: [[UInt8]] = []
  private(set) var units: [UnitID: Unit] = [:]
  /// In order of creation.
  private(set) var contextNames: [[UInt8]] = []
  private(set) var contexts: [[UInt8]: Context] = [:]
  private(set) var logTime = LogTime(microseconds: 0)
  /// Ids that clients chose: all others are the server's, and sort in log order.
  var chosen: Set<UnitID> = []
  private var lastServerID: UnitID?
  /// A context event stands directly before the unit that caused it, in the same batch.
  private var joining: (context: [UInt8], agent: [UInt8])?

  var head: Position { Position(UInt64(records.count)) }

  func record(_ position: Position) -> [UInt8]? {
    guard position > .zero, position <= head else { return nil }
    return records[Int(position.rawValue) - 1]
  }

  /// Whether history has exactly this event at its position.
  func holds(_ event: EventView) -> Bool {
    record(event.position).map { $0.withUnsafeBytes { $0.isSame(as: event.bytes) } } ?? false
  }

  /// Takes in a batch that has just become history.
  /// - Returns: what is wrong with it.
  mutating func extend(_ events: [EventView]) -> String? {
    for event in events {
      if let problem = extend(event) { return "position \(event.position.rawValue): \(problem)" }
    }
    return joining == nil ? nil : "a batch ends between a context's event and its unit"
  }

  private mutating func extend(_ event: EventView) -> String? {
    guard event.position == head.next else { return "follows position \(head.rawValue)" }
    guard event.isIntact else { return "is not intact" }
    guard event.logTime >= logTime else { return "log time falls" }
    guard let name = event.contextID.map({ [UInt8]($0) }), let agent = event.agentID.map({ [UInt8]($0) })
    else { return "names no context or agent" }
    logTime = event.logTime
    records.append([UInt8](event.bytes))
    switch event.kind {
    case .unit: return extend(unit: event, name, agent)
    case .context: return extend(context: event, name, agent)
    case nil: return "is of an unknown kind"
    }
  }

  private mutating func extend(unit event: EventView, _ name: [UInt8], _ agent: [UInt8]) -> String? {
    guard let unit = event.unit else { return "has no unit header" }
    if let joining, joining != (name, agent) { return "comes between a context's event and its unit" }
    joining = nil
    guard var context = contexts.removeValue(forKey: name) else { return "its context doesn't exist" }
    guard context.state.agentIndex(UnsafeRawBufferPointer(event.agentID ?? event.bytes)) != nil else {
      return "its agent isn't listed in its context"
    }
    guard unit.sequence == context.state.lastSequence.next else {
      return "sequence \(unit.sequence.rawValue) follows \(context.state.lastSequence.rawValue)"
    }
    guard units[unit.id] == nil else { return "id \(unit.id) is appended twice" }
    if !chosen.contains(unit.id) {
      guard unit.id.isVersion7 else { return "the server's id \(unit.id) is no UUIDv7" }
      if let lastServerID, unit.id <= lastServerID { return "id \(unit.id) sorts before \(lastServerID)" }
      lastServerID = unit.id
    }
    units[unit.id] = Unit(position: event.position, context: name, sequence: unit.sequence, hash: unit.hash)
    context.state.lastSequence = unit.sequence
    context.units.append(event.position)
    contexts[name] = context
    return nil
  }

  private mutating func extend(context event: EventView, _ name: [UInt8], _ agent: [UInt8]) -> String? {
    guard joining == nil else { return "comes between a context's event and its unit" }
    joining = (name, agent)
    if contexts[name] == nil {
      var state = name.withUnsafeBytes { ContextState(id: $0, createdAt: event.logTime) }
      state.revision = 0
      contexts[name] = Context(state: state)
      contextNames.append(name)
    }
    guard var context = contexts.removeValue(forKey: name) else { return nil }
    context.state.revision += 1
    context.state.updatedAt = event.logTime
    guard agent.withUnsafeBytes({ context.state.addAgent($0) }) else { return "an agent joins twice" }
    // The event tells the state behind the whole request: the unit that follows is counted.
    var told = context.state
    told.lastSequence = told.lastSequence.next
    guard ContextState(event) == told else {
      return "the context is told as \(ContextState(event) as Any), not \(told)"
    }
    contexts[name] = context
    return nil
  }
}
