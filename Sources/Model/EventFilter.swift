/// Which events a scan of the log hands over. Events that began a server (`EventKind.restart`) are never among them.
public struct EventFilter: Hashable, Sendable {
  /// Contexts whose units and events are wanted; nil for all. Locks have no context: they are wanted or not.
  public var contexts: [[UInt8]]?
  public var units: Bool
  /// Events of contexts that aren't units, those of kinds this program doesn't know included.
  public var contextEvents: Bool
  public var locks: Bool
  /// What a wanted lock's canonical path begins with, byte by byte; empty: any.
  public var lockPrefix: [UInt8]

  public init(
    contexts: [[UInt8]]? = nil, units: Bool = false, contextEvents: Bool = false, locks: Bool = false,
    lockPrefix: [UInt8] = []
  ) {
    self.contexts = contexts
    self.units = units
    self.contextEvents = contextEvents
    self.locks = locks
    self.lockPrefix = lockPrefix
  }

  /// Units and context events of these contexts; nil for all.
  public static func inContexts(_ contexts: [[UInt8]]?) -> EventFilter {
    EventFilter(contexts: contexts, units: true, contextEvents: true)
  }

  /// Units and context events of all contexts.
  public static let allInContexts = EventFilter(units: true, contextEvents: true)
  public static let allUnits = EventFilter(units: true)
  public static let allContextEvents = EventFilter(contextEvents: true)
  public static let allLocks = EventFilter(locks: true)
  /// All that anyone may follow.
  public static let all = EventFilter(units: true, contextEvents: true, locks: true)

  /// Whether the filter wants an event. Looks through `contexts` from end to end.
  public func admits(_ event: EventView) -> Bool {
    guard admits(kind: event.kind) else { return false }
    if event.kind == .lock { return admitsLock(event.resourcePath) }
    guard let contexts else { return true }
    guard let id = event.contextID else { return false }
    return contexts.contains { $0.elementsEqual(id) }
  }

  /// Whether events of the kind may be wanted; nil: one that this program doesn't know.
  public func admits(kind: EventKind?) -> Bool {
    switch kind {
    case .unit: units
    case .lock: locks
    case .restart: false
    case .context, nil: contextEvents
    }
  }

  /// Whether a lock of this path is wanted, if locks are.
  public func admitsLock(_ path: UnsafeRawBufferPointer?) -> Bool {
    lockPrefix.isEmpty || (path.map { $0.starts(with: lockPrefix) } ?? false)
  }
}
