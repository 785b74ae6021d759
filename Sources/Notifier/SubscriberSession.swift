public import Model

/// What a subscriber wants to see.
public struct Subscription: Sendable {
  /// Names of contexts, each once; `nil` stands for all.
  public var contexts: [[UInt8]]?
  /// Unit types; empty stands for all.
  public var types: Set<UInt8>
  /// Agents; empty stands for all.
  public var agents: [[UInt8]]

  public init(contexts: [[UInt8]]? = nil, types: Set<UInt8> = [], agents: [[UInt8]] = []) {
    self.contexts = contexts
    self.types = types
    self.agents = agents
  }

  /// Whether a unit of one of the contexts passes the filters on type and agent.
  public func admits(_ event: EventView) -> Bool {
    guard event.kind == .unit else { return false }
    if !types.isEmpty {
      guard let unit = event.unit, types.contains(unit.type) else { return false }
    }
    if agents.isEmpty { return true }
    guard let agent = event.agentID else { return false }
    return agents.contains { $0.elementsEqual(agent) }
  }
}

/// Limits of a subscriber's outbox.
public struct OutboxLimits: Sendable {
  /// Queued bytes above which a live subscriber is switched to catching up (api.md: 1 MiB).
  public var liveBytesMax = Limits.outboxBytesMax
  /// Queued bytes up to which catching up reads ahead.
  public var catchUpBytes = 256 << 10
  /// Nanoseconds without progress of a full outbox after which the subscriber is closed (api.md: 30 s).
  public var stallNanosecondsMax: UInt64 = 30_000_000_000

  public init() {}
}

/// One subscriber's place in history, as a value: told what was published, read and sent, it says what to do
/// next. Its promise: every matching event behind the start is offered once, in log order, whether it comes
/// from the store, from the window or live.
public struct SubscriberSession: Sendable {
  public enum Mode: Sendable { case catchingUp, live }

  public enum Step: Equatable, Sendable {
    /// Nothing to do until something is published or sent.
    case wait
    /// Frame the window's matching events behind this position; report with `delivered` and `scanned`.
    case readWindow(after: Position)
    /// Read the store's matching events in this range; report with `delivered`, then `scanned`.
    case readStore(after: Position, through: Position)
  }

  public let subscription: Subscription
  public let limits: OutboxLimits
  public private(set) var mode = Mode.catchingUp
  /// All matching events up to here have been framed.
  public private(set) var cursor: Position
  private var reading = false

  /// A session that begins behind `start`.
  public init(_ subscription: Subscription, after start: Position, limits: OutboxLimits = OutboxLimits()) {
    self.subscription = subscription
    self.limits = limits
    cursor = start
  }

  /// What to do now. `head` is the newest published position, `lowest` the window's lowest, `queuedBytes` what
  /// waits to be sent.
  public mutating func next(head: Position, lowest: Position, queuedBytes: Int) -> Step {
    guard mode == .catchingUp, !reading else { return .wait }
    if cursor >= head {
      mode = .live
      return .wait
    }
    guard queuedBytes < limits.catchUpBytes else { return .wait }
    if cursor.next >= lowest { return .readWindow(after: cursor) }
    reading = true
    return .readStore(after: cursor, through: Position(lowest.rawValue - 1))
  }

  /// An event was framed.
  public mutating func delivered(_ position: Position) {
    assert(position > cursor, "an event is framed once")
    cursor = position
  }

  /// A read ended: everything that matches up to `position` has been delivered.
  public mutating func scanned(through position: Position) {
    reading = false
    if position > cursor { cursor = position }
  }

  /// A matching event was just published: whether to frame it now. If not, it is met again in catching up.
  public mutating func offers(_ position: Position, queuedBytes: Int) -> Bool {
    // A subscriber may name a start that history has not reached.
    guard mode == .live, position > cursor else { return false }
    guard queuedBytes < limits.liveBytesMax else {
      mode = .catchingUp
      cursor = max(cursor, Position(position.rawValue - 1))
      return false
    }
    cursor = position
    return true
  }

  /// The position up to which this subscriber has been shown all that matches: what it may resume from.
  public func progress(head: Position) -> Position { mode == .live ? max(head, cursor) : cursor }
}
