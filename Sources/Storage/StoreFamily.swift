public import Model

/// The column families. Each is rebuilt from events alone, and carries its own mark: the position up to
/// which events have been applied to it. Raw values index `StoreMarks`; names stand on disk.
public enum StoreFamily: Int, CaseIterable, Hashable, Sendable {
  /// Format version and the log's UUID. RocksDB insists on a family called `default`: this one.
  case meta
  /// Context, sequence → unit; context, position → the context's other events.
  case units
  /// Unit id → context, sequence, content hash.
  case ids
  /// Position → the unit's key, or the whole event of another kind.
  case log
  /// Context → head, latest context event.
  case contexts
  /// Agent, context → membership.
  case agents
  /// Agent, idempotency key → the events of the request that came with it.
  case idempotency
  /// Context, sequence → which units from there have which type, agent and pairs of metadata.
  case filters
  /// Path → latest event of a lock that is held; positions of locks' events and restarts; the latest restart.
  case locks
  /// Unit → whom it names; unit → who names it.
  case relations

  public var name: String {
    switch self {
    case .meta: "default"
    case .units: "units"
    case .ids: "ids"
    case .log: "log"
    case .contexts: "contexts"
    case .agents: "agents"
    case .idempotency: "idempotency"
    case .filters: "filters"
    case .locks: "locks"
    case .relations: "relations"
    }
  }
}

/// A position for every family.
public struct StoreMarks: Hashable, Sendable {
  private var positions: [Position]

  public init(_ position: Position = .zero) {
    positions = Array(repeating: position, count: StoreFamily.allCases.count)
  }

  public subscript(family: StoreFamily) -> Position {
    get { positions[family.rawValue] }
    set { positions[family.rawValue] = newValue }
  }

  /// Replay starts after it; the log may be recycled up to it.
  public var lowest: Position { positions.min() ?? .zero }
  /// The log must reach it: a mark above the log's end is corruption.
  public var highest: Position { positions.max() ?? .zero }
}
