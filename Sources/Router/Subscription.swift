public import Model

/// Kinds of events that a subscriber may ask for.
public struct EventKinds: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let units = EventKinds(rawValue: 1 << 0)
  public static let contexts = EventKinds(rawValue: 1 << 1)
  public static let locks = EventKinds(rawValue: 1 << 2)

  /// The kind of one event; empty for events that nobody may follow.
  public init(of kind: EventKind?) {
    switch kind {
    case .unit: self = .units
    case .context: self = .contexts
    case .lock: self = .locks
    case .restart, nil: self = []
    }
  }

  /// One kind by its name on the wire: `workunit`, `context` or `lock`.
  public init?(name: some Collection<UInt8>) {
    if name.elementsEqual("workunit".utf8) {
      self = .units
    } else if name.elementsEqual("context".utf8) {
      self = .contexts
    } else if name.elementsEqual("lock".utf8) {
      self = .locks
    } else {
      return nil
    }
  }
}

/// What a subscriber wants to see.
///
/// `types` and `agents` filter work units alone: a context's event is of several agents or none, and whose locks
/// somebody wants to see is said by `lockPrefix`. Locks have no context: their events ignore `contexts`.
public struct Subscription: Hashable, Sendable {
  /// Names of contexts, each once; `nil` stands for all.
  public var contexts: [[UInt8]]?
  /// Unit types; empty stands for all.
  public var types: Set<UInt8>
  /// Agents of units, each once; empty stands for all.
  public var agents: [[UInt8]]
  public var kinds: EventKinds
  /// What the canonical path of a lock begins with, byte by byte; empty stands for all.
  public var lockPrefix: [UInt8]

  public init(
    contexts: [[UInt8]]? = nil, types: Set<UInt8> = [], agents: [[UInt8]] = [], kinds: EventKinds = .units,
    lockPrefix: [UInt8] = []
  ) {
    self.contexts = contexts
    self.types = types
    self.agents = agents
    self.kinds = kinds
    self.lockPrefix = lockPrefix
  }

  /// What history is read by: all of this but types and agents, which `admits` looks at.
  public var filter: EventFilter {
    EventFilter(
      contexts: contexts, units: kinds.contains(.units), contextEvents: kinds.contains(.contexts),
      locks: kinds.contains(.locks), lockPrefix: lockPrefix)
  }

  /// Whether the event is wanted. Looks through all lists: the router finds who wants a published event without it.
  public func admits(_ event: EventView) -> Bool {
    switch event.kind {
    case .unit: admitsUnit(event)
    case .context: kinds.contains(.contexts) && admits(context: event.contextID)
    case .lock:
      kinds.contains(.locks) && (event.resourcePath.map { $0.starts(with: lockPrefix) } ?? false)
    case .restart, nil: false
    }
  }

  private func admitsUnit(_ event: EventView) -> Bool {
    guard kinds.contains(.units), admits(context: event.contextID) else { return false }
    return admitsOrigin(ofUnit: event)
  }

  /// Whether a unit of a wanted context is wanted.
  public func admitsOrigin(ofUnit event: EventView) -> Bool {
    if !types.isEmpty {
      guard let unit = event.unit, types.contains(unit.type) else { return false }
    }
    if agents.isEmpty { return true }
    guard let agent = event.agentID else { return false }
    return agents.contains { $0.elementsEqual(agent) }
  }

  private func admits(context: UnsafeRawBufferPointer?) -> Bool {
    guard let contexts else { return true }
    guard let context else { return false }
    return contexts.contains { $0.elementsEqual(context) }
  }
}
