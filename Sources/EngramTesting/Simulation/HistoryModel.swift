internal import Bytes
internal import Model
internal import Storage

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
  /// Of agent and key: every request that was appended under it, in order.
  private(set) var keys: [[UInt8]: [KeptAnswer]] = [:]
  private(set) var logTime = LogTime(microseconds: 0)
  var locks = LockHistory()
  /// Changes of contexts that clients have asked for, by number, and those that were made.
  var patches: [UInt64: ContextPatch] = [:]
  var madePatches: Set<UInt64> = []
  /// Ids that clients chose: all others are the server's, and sort in log order.
  var chosen: Set<UnitID> = []
  private var lastServerID: UnitID?
  /// Agents that a context's event let join; the first one's unit stands directly behind it, those of the others
  /// in the same batch.
  private var joined: [(context: [UInt8], agents: [[UInt8]])] = []
  private var isNext = false

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
  /// - Parameter moment: when an event was decided, in microseconds of this life's monotonic clock; nil: in an earlier life.
  /// - Returns: what is wrong with it.
  mutating func extend(_ events: [EventView], decided moment: (Position) -> UInt64?) -> String? {
    let last = events.last?.position ?? head
    for event in events {
      var problem = extend(event, at: moment(event.position))
      // Of a request all events are in one batch, or none is.
      if event.position.rawValue + UInt64(event.requestRemainder) > last.rawValue {
        problem = problem ?? "the rest of its request is in another batch"
      }
      if let problem { return "position \(event.position.rawValue): \(problem)" }
    }
    return joined.isEmpty && !isNext ? nil : "a batch ends between a context's event and its units"
  }

  private mutating func extend(_ event: EventView, at moment: UInt64?) -> String? {
    guard event.position == head.next else { return "follows position \(head.rawValue)" }
    guard event.isIntact else { return "is not intact" }
    guard event.logTime >= logTime else { return "log time falls" }
    logTime = event.logTime
    records.append([UInt8](event.bytes))
    if locks.owesRestart, event.kind != .restart { return "comes before the restart that locks are owed" }
    switch event.kind {
    case .unit:
      guard let name = event.contextID.map({ [UInt8]($0) }), let agent = event.agentID.map({ [UInt8]($0) })
      else { return "names no context or agent" }
      return overdue(moment) ?? objection(toFenceOf: event) ?? extend(unit: event, name, agent)
        ?? extend(key: event, agent)
    case .context:
      guard let name = event.contextID.map({ [UInt8]($0) }) else { return "names no context" }
      return overdue(moment) ?? extend(context: event, name)
    case .lock:
      return isNext ? "comes between a context's event and its unit" : extend(lock: event, at: moment)
    case .restart: return extend(restart: event, at: moment)
    case nil: return "is of a kind that the simulation doesn't make"
    }
  }

  /// A key's request is appended once within the time that the key is kept.
  private mutating func extend(key event: EventView, _ agent: [UInt8]) -> String? {
    guard let mark = event.idempotency else { return nil }
    let name = agent.withUnsafeBytes { IdempotencyName.make(agent: $0, key: mark.key) }
    let answer = KeptAnswer(requestHash: mark.requestHash, firstUnit: event)
    if let last = keys[name]?.last,
      answer.logTime.microseconds - last.logTime.microseconds < Limits.idempotencyMicroseconds
    {
      return "its key was used at position \(last.first.rawValue)"
    }
    keys[name, default: []].append(answer)
    return nil
  }

  private mutating func extend(unit event: EventView, _ name: [UInt8], _ agent: [UInt8]) -> String? {
    guard let unit = event.unit else { return "has no unit header" }
    if isNext, joined.last?.context != name || joined.last?.agents.first != agent {
      return "comes between a context's event and its unit"
    }
    isNext = false
    for place in joined.indices where joined[place].context == name {
      joined[place].agents.removeAll { $0 == agent }
    }
    joined.removeAll { $0.agents.isEmpty }
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

  private mutating func extend(context event: EventView, _ name: [UInt8]) -> String? {
    guard !isNext else { return "comes between a context's event and its unit" }
    if contexts[name] == nil {
      var state = name.withUnsafeBytes { ContextState(id: $0, createdAt: event.logTime) }
      state.revision = 0
      contexts[name] = Context(state: state)
      contextNames.append(name)
    }
    guard var context = contexts.removeValue(forKey: name) else { return nil }
    if event.requestRemainder == 0 {
      replace(context)
      return extend(patch: event, of: context)
    }
    context.state.revision += 1
    context.state.updatedAt = event.logTime
    var agents: [[UInt8]] = []
    var isTwice = false
    event.forEachAgent { agent in
      agents.append([UInt8](agent))
      if !context.state.addAgent(agent) { isTwice = true }
    }
    guard !isTwice else { return "an agent joins twice" }
    guard ContextState(event) == context.state else {
      return "the context is told as \(ContextState(event) as Any), not \(context.state)"
    }
    contexts[name] = context
    joined.append((name, agents))
    isNext = true
    return nil
  }

  mutating func replace(_ context: Context) { contexts[context.state.id] = context }
}
