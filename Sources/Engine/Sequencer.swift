internal import Bytes
package import Model

/// Decides commands, one after the other, against the state that the log's events have made, and says which
/// events follow. A value: no I/O, no clock, no randomness (a command brings `now` and random bits with it),
/// so that the same commands give the same history, in a simulation or after a restart.
package struct Sequencer {
  /// A command to append a unit, by an agent, to a context that is resident.
  package struct Append {
    var context: ResidentContext
    var agent: UnsafeRawBufferPointer
    /// What `change` says of context and agent.
    var change: ContextChange
    /// The id that the client chose.
    var id: UnitID?
    var hash: ContentHash
    /// The unit that the store or the window has under that id, if any.
    var stored: ContentHash?
    var hasFence: Bool
    var expectedSequence: UInt64?
    /// Wall clock, microseconds since 1970.
    var now: UInt64
    var random: UInt64

    package init(
      context: ResidentContext, agent: UnsafeRawBufferPointer, change: ContextChange, id: UnitID?,
      hash: ContentHash, stored: ContentHash?, hasFence: Bool, expectedSequence: UInt64?, now: UInt64,
      random: UInt64
    ) {
      self.context = context
      self.agent = agent
      self.change = change
      self.id = id
      self.hash = hash
      self.stored = stored
      self.hasFence = hasFence
      self.expectedSequence = expectedSequence
      self.now = now
      self.random = random
    }
  }

  /// What a unit by this agent does to its context besides growing it.
  package enum ContextChange: Sendable { case none, joins, creates }

  package enum Decision: Equatable {
    /// The unit is appended; if the context came into being or the agent joined it, that event stands first.
    case append(Appended)
    /// The unit was appended before; the answer waits until `position` is durable (zero: it is).
    case exists(UnitID, position: Position)
    /// The id stands for another unit; that too is told only once `position` is durable.
    case idTaken(position: Position)
    case fenceRejected
    /// The unit's sequence would be `actual`, by a history that is durable when `position` is.
    case unexpectedSequence(actual: Sequence, position: Position)
  }

  package struct Appended: Equatable {
    package var contextEvent: Position?
    package var position: Position
    package var sequence: Sequence
    package var id: UnitID
    package var logTime: LogTime
  }

  /// A unit that is sequenced and not yet published.
  private struct Pending {
    var position: Position
    var id: UnitID
    var hash: ContentHash
  }

  package private(set) var tail: Position
  package private(set) var logTime: LogTime
  package var contexts: ResidentContexts
  private var ids = UnitIDMaker()
  private var pending = Ring<Pending>(capacity: 64)

  package init(tail: Position, logTime: LogTime, residentContextsMax: Int) {
    self.tail = tail
    self.logTime = logTime
    contexts = ResidentContexts(countMax: residentContextsMax)
  }

  package func change(of context: ResidentContext, by agent: UnsafeRawBufferPointer) -> ContextChange {
    if context.state.revision == 0 { return .creates }
    if context.state.agents.count >= Limits.contextAgentsMax { return .none }
    return context.state.agentIndex(agent) == nil ? .joins : .none
  }

  /// Decides the checks in api.md's order: id, fence, expected sequence. (Keys precede them.)
  package mutating func decide(_ command: Append) -> Decision {
    if let id = command.id {
      if let earlier = pendingUnit(id) {
        return earlier.hash == command.hash
          ? .exists(id, position: earlier.position) : .idTaken(position: earlier.position)
      }
      if let stored = command.stored {
        return stored == command.hash ? .exists(id, position: .zero) : .idTaken(position: .zero)
      }
    }
    // A fence names a lock that is held now; nothing in this history grants one.
    if command.hasFence { return .fenceRejected }
    let sequence = command.context.state.lastSequence.next
    if let expected = command.expectedSequence, expected != sequence.rawValue {
      return .unexpectedSequence(actual: sequence, position: command.context.lastPosition)
    }
    return .append(append(command, sequence))
  }

  private mutating func append(_ command: Append, _ sequence: Sequence) -> Appended {
    logTime = max(logTime, LogTime(microseconds: command.now))
    let id = command.id ?? ids.make(logTime: logTime, random: command.random)
    // Where the clock stands still or was set back, ids run ahead of it. Log time goes with them, so that
    // after a restart the last event's time alone says which ids were used.
    if command.id == nil { logTime = max(logTime, id.time) }
    var contextEvent: Position?
    if command.change != .none {
      tail = tail.next
      contextEvent = tail
      join(command.context, command.agent)
    }
    tail = tail.next
    command.context.state.lastSequence = sequence
    command.context.lastPosition = tail
    pending.append(Pending(position: tail, id: id, hash: command.hash))
    return Appended(contextEvent: contextEvent, position: tail, sequence: sequence, id: id, logTime: logTime)
  }

  private func join(_ context: ResidentContext, _ agent: UnsafeRawBufferPointer) {
    if context.state.revision == 0 { context.state.createdAt = logTime }
    context.state.revision += 1
    context.state.updatedAt = logTime
    _ = context.state.addAgent(agent)
  }

  private func pendingUnit(_ id: UnitID) -> Pending? {
    for offset in 0..<pending.count where pending[offset].id == id { return pending[offset] }
    return nil
  }

  /// Everything up to `position` is published: the window knows those units now.
  package mutating func published(through position: Position) {
    while let first = pending.first, first.position <= position { _ = pending.popFirst() }
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
      context.state = state
    case nil:
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
