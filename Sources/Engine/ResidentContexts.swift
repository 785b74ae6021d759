internal import Bytes
package import Model

/// A context as the sequencer decides against it. Home thread only.
package final class ResidentContext {
  package var state: ContextState
  /// The newest event of this context: until the store has applied it, memory is the only place that knows.
  package var lastPosition: Position
  /// Commands on their way that name this context.
  package var pins = 0

  // While one command is decided and encoded.

  /// Units that the command adds.
  var planned: UInt64 = 0
  /// The command's unit that the event of agents joining stands before.
  var joiningUnit: Int?
  /// Agents from here on joined by that event.
  var joinedFrom = 0

  package init(_ state: ContextState, lastPosition: Position) {
    self.state = state
    self.lastPosition = lastPosition
  }

  /// A context that nothing is known of: its first event makes it revision 1.
  package convenience init(new id: UnsafeRawBufferPointer) {
    var state = ContextState(id: id, createdAt: LogTime(microseconds: 0))
    state.revision = 0
    self.init(state, lastPosition: .zero)
  }
}

/// The contexts in memory, by id: those in use, and as many of the others as fit. One is forgotten only when
/// nothing names it and the store has applied its last event, so that memory always beats the store.
package struct ResidentContexts {
  private var names = ByteTable()
  private var entries: [ResidentContext?] = []
  private var hand = 0
  /// Agents that they list: each costs up to 300 bytes, and a context may list thousands.
  private(set) var listedAgents = 0
  let countMax: Int
  let agentsMax: Int

  package init(countMax: Int, agentsMax: Int = .max) {
    self.countMax = countMax
    self.agentsMax = agentsMax
  }

  package var count: Int { names.count }

  package func find(_ id: UnsafeRawBufferPointer) -> ResidentContext? {
    names.find(id).flatMap { entries[$0] }
  }

  /// Makes a context resident. It must not be already.
  package mutating func insert(_ context: ResidentContext, applied: Position) {
    if names.count >= countMax || listedAgents >= agentsMax { forgetSome(applied: applied) }
    let (slot, isNew) = context.state.id.withUnsafeBytes { names.insert($0) }
    precondition(isNew, "a context is resident once")
    while entries.count <= slot { entries.append(nil) }
    entries[slot] = context
    listedAgents += context.state.agents.count
  }

  /// A resident context lists so many agents more, or less.
  mutating func agentsChanged(by difference: Int) { listedAgents += difference }

  /// Passes over a few entries (the clock algorithm) and forgets those that may go.
  private mutating func forgetSome(applied: Position) {
    for _ in 0..<min(16, entries.count) {
      hand = hand + 1 < entries.count ? hand + 1 : 0
      guard let entry = entries[hand], entry.pins == 0, entry.lastPosition <= applied else { continue }
      entries[hand] = nil
      listedAgents -= entry.state.agents.count
      names.remove(hand)
    }
  }
}
