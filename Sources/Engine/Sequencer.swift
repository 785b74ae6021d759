internal import Bytes
package import Locks
package import Model

/// Decides commands, one after the other, against the state that the log's events have made, and says which
/// events follow. A value: no I/O, no clock, no randomness (a command brings `now` and random bits with it),
/// so that the same commands give the same history, in a simulation or after a restart.
package struct Sequencer {
  /// A command to append units, all or none, in order. Used again for the next command: its memory stays.
  package struct Append {
    package var units: ContiguousArray<Unit> = []
    /// Wall clock, microseconds since 1970.
    package var now: UInt64 = 0

    package init() {}

    /// By index, as everywhere here: a unit that is copied counts a reference.
    fileprivate var choosesIDs: Bool {
      for unit in units.indices where units[unit].chosenID != nil { return true }
      return false
    }
  }

  /// One unit of a command, by an agent, for a context that is resident; `decide` fills in the rest.
  package struct Unit {
    package var context: ResidentContext
    /// The agent's id; must stay in memory until the command is decided.
    package var agent: UnsafeRawBufferPointer
    /// What `change` says of context and agent.
    package var change: ContextChange
    /// The id that the client chose.
    package var chosenID: UnitID?
    package var hash: ContentHash
    /// The unit that the store or the window has under that id, if any.
    package var stored: ContentHash?
    /// The lock that must be held, canonical path and token; the path must stay in memory until the command is decided.
    package var fence: (path: UnsafeRawBufferPointer, token: UInt64)?
    package var expectedSequence: UInt64?
    package var random: UInt64

    /// Where the event of the context stands that precedes the unit: of the first unit of a command that lets an
    /// agent join its context, for all agents that the command lets join it.
    package internal(set) var contextEvent: Position?
    package internal(set) var position = Position.zero
    package internal(set) var sequence = Sequence.zero
    package internal(set) var id = UnitID(high: 0, low: 0)
    package internal(set) var logTime = LogTime(microseconds: 0)

    package init(
      context: ResidentContext, agent: UnsafeRawBufferPointer, change: ContextChange, chosenID: UnitID?,
      hash: ContentHash, stored: ContentHash?,
      fence: (path: UnsafeRawBufferPointer, token: UInt64)?, expectedSequence: UInt64?, random: UInt64
    ) {
      self.context = context
      self.agent = agent
      self.change = change
      self.chosenID = chosenID
      self.hash = hash
      self.stored = stored
      self.fence = fence
      self.expectedSequence = expectedSequence
      self.random = random
    }
  }

  /// What a unit by this agent does to its context besides growing it.
  package enum ContextChange: Sendable { case none, joins, creates }

  package enum Decision: Equatable {
    /// The units are appended: each says where.
    case append
    /// All units were appended before; the answer waits until `position` is durable (zero: it is).
    case exists(position: Position)
    /// The id of the unit at `unit` stands for another unit; that too is told only once `position` is durable.
    case idTaken(unit: Int, position: Position)
    /// The unit at `unit` was appended before, alike, and others of the command were not.
    case idExists(unit: Int, position: Position)
    /// The id of the unit at `unit` is that of an earlier unit of the command.
    case idTwice(unit: Int)
    case fenceRejected(unit: Int)
    /// The unit's sequence would be `actual`, by a history that is durable when `position` is.
    case unexpectedSequence(unit: Int, actual: Sequence, position: Position)
  }

  /// A unit under an id of the client's that is sequenced and not yet published.
  private struct Pending {
    var position: Position
    var hash: ContentHash
  }

  package internal(set) var tail: Position
  package internal(set) var logTime: LogTime
  package var contexts: ResidentContexts
  package internal(set) var locks = LockTable()
  /// Of the newest event of locks: what a refusal tells of them depends on it.
  package internal(set) var lastLockPosition = Position.zero
  private var ids = UnitIDMaker()
  private var pending: [UnitID: Pending] = [:]
  private var pendingOrder = Ring<(position: Position, id: UnitID)>(capacity: 64)

  package init(
    tail: Position, logTime: LogTime, residentContextsMax: Int, residentAgentsMax: Int = .max
  ) {
    self.tail = tail
    self.logTime = logTime
    contexts = ResidentContexts(countMax: residentContextsMax, agentsMax: residentAgentsMax)
  }

  package func change(of context: ResidentContext, by agent: UnsafeRawBufferPointer) -> ContextChange {
    if context.state.revision == 0 { return .creates }
    if context.state.agents.count >= Limits.contextAgentsMax { return .none }
    return context.state.agentIndex(agent) == nil ? .joins : .none
  }

  /// Decides the checks in api.md's order: ids, fences, expected sequences. (Keys precede them.)
  package mutating func decide(_ command: inout Append) -> Decision {
    if let decision = checkIDs(command) { return decision }
    for unit in command.units.indices {
      guard let fence = command.units[unit].fence, !locks.holds(fence.path, token: fence.token) else { continue }
      return .fenceRejected(unit: unit)
    }
    if let decision = checkSequences(&command) { return decision }
    append(&command)
    return .append
  }

  private func checkIDs(_ command: Append) -> Decision? {
    guard command.choosesIDs else { return nil }
    var known = 0
    var first: Int?
    var position = Position.zero
    for unit in command.units.indices {
      guard let id = command.units[unit].chosenID else { continue }
      var hash = command.units[unit].stored
      if let earlier = pending[id] {
        hash = earlier.hash
        position = max(position, earlier.position)
      }
      guard let hash else { continue }
      guard hash == command.units[unit].hash else { return .idTaken(unit: unit, position: position) }
      known += 1
      first = first ?? unit
    }
    if let twice = idTwice(command) { return .idTwice(unit: twice) }
    guard let first else { return nil }
    return known == command.units.count
      ? .exists(position: position) : .idExists(unit: first, position: position)
  }

  private func idTwice(_ command: Append) -> Int? {
    guard command.units.count > 1 else { return nil }
    var seen: Set<UnitID> = []
    return command.units.firstIndex { unit in
      unit.chosenID.map { !seen.insert($0).inserted } ?? false
    }
  }

  /// Gives out the sequences, which count from here on only if nothing is refused.
  private func checkSequences(_ command: inout Append) -> Decision? {
    var refusal: Decision?
    for unit in command.units.indices {
      let context = command.units[unit].context
      context.planned += 1
      let sequence = Sequence(context.state.lastSequence.rawValue + context.planned)
      command.units[unit].sequence = sequence
      guard let expected = command.units[unit].expectedSequence, expected != sequence.rawValue else {
        continue
      }
      refusal = refusal ?? .unexpectedSequence(unit: unit, actual: sequence, position: context.lastPosition)
    }
    for unit in command.units.indices { command.units[unit].context.planned = 0 }
    return refusal
  }

  private mutating func append(_ command: inout Append) {
    logTime = max(logTime, LogTime(microseconds: command.now))
    for unit in command.units.indices where command.units[unit].change != .none {
      join(command.units[unit], unit)
    }
    for unit in command.units.indices {
      let context = command.units[unit].context
      let id: UnitID
      if let chosen = command.units[unit].chosenID {
        id = chosen
      } else {
        id = ids.make(logTime: logTime, random: command.units[unit].random)
        // Where the clock stands still or was set back, ids run ahead of it. Log time goes with them, so that
        // after a restart the last event's time alone says which ids were used.
        logTime = max(logTime, id.time)
      }
      if context.joiningUnit == unit {
        tail = tail.next
        command.units[unit].contextEvent = tail
        context.state.updatedAt = logTime
        if context.state.revision == 1 { context.state.createdAt = logTime }
        context.joiningUnit = nil
      }
      tail = tail.next
      context.state.lastSequence = command.units[unit].sequence
      context.lastPosition = tail
      if command.units[unit].chosenID != nil {
        pending[id] = Pending(position: tail, hash: command.units[unit].hash)
        pendingOrder.append((tail, id))
      }
      command.units[unit].position = tail
      command.units[unit].id = id
      command.units[unit].logTime = logTime
    }
  }

  /// Lists the unit's agent in its context. One event tells of all agents that a command lets join a context.
  private mutating func join(_ unit: Unit, _ index: Int) {
    let context = unit.context
    let listed = context.state.agents.count
    let hasJoined = context.state.addAgent(unit.agent)
    if hasJoined { contexts.agentsChanged(by: 1) }
    guard context.joiningUnit == nil, hasJoined || unit.change == .creates else { return }
    context.joiningUnit = index
    context.joinedFrom = listed
    context.state.revision += 1
  }

  /// Changes a context to `state`, which is of the same id: its next revision.
  /// - Returns: the position of the event that says so.
  package mutating func change(
    _ context: ResidentContext, to state: ContextState, wallClock: UInt64
  ) -> Position {
    logTime = max(logTime, LogTime(microseconds: wallClock))
    tail = tail.next
    contexts.agentsChanged(by: state.agents.count - context.state.agents.count)
    context.state = state
    context.state.revision += 1
    context.state.updatedAt = logTime
    if context.state.revision == 1 { context.state.createdAt = logTime }
    context.lastPosition = tail
    return tail
  }

  /// Everything up to `position` is published: the window knows those units now.
  package mutating func published(through position: Position) {
    while let first = pendingOrder.first, first.position <= position {
      _ = pendingOrder.popFirst()
      pending[first.id] = nil
    }
  }

  /// Takes in what an event says of the whole log: its end and its time.
  package mutating func observe(_ event: EventView) {
    if event.position > tail { tail = event.position }
    if event.logTime > logTime { logTime = event.logTime }
    ids.observe(UnitID.make(logTime: event.logTime, random: 0), logTime: event.logTime)
  }

  /// Takes in an event that the log already holds, of a context that is resident.
  package mutating func replay(_ event: EventView, in context: ResidentContext) {
    observe(event)
    guard event.position > context.lastPosition else { return }
    context.lastPosition = event.position
    switch event.kind {
    case .unit:
      guard let unit = event.unit else { return }
      context.state.lastSequence = unit.sequence
    case .context:
      guard let state = ContextState(event) else { return }
      contexts.agentsChanged(by: state.agents.count - context.state.agents.count)
      context.state = state
    case .lock, .restart, nil:
      return
    }
  }
}

extension UnitID {
  /// The first microsecond that isn't before the time in the id: 48 bits of milliseconds, and 12 of 1/4096 ms.
  fileprivate var time: LogTime {
    LogTime(microseconds: (high >> 16) * 1000 + ((high & 0xFFF) * 1000 + 4095) / 4096)
  }
}
