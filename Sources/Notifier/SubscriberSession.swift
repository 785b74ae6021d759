public import Model

/// Limits of a subscriber's outbox.
public struct OutboxLimits: Sendable {
  /// Queued bytes above which a live subscriber is switched to catching up (api.md: 1 MiB).
  public var liveBytesMax = Limits.outboxBytesMax
  /// The same while all outboxes of the loop together are over their budget.
  public var strainedBytesMax = Limits.outboxSharedBytesMax
  /// Queued bytes up to which catching up reads ahead.
  public var catchUpBytes = 256 << 10
  /// Nanoseconds for which a subscriber may take nothing of what is queued for it, before it is closed (api.md: 30 s).
  public var stallNanosecondsMax: UInt64 = 30_000_000_000

  public init() {}
}

/// One subscriber's place in history, as a value: told what was published, read and sent, it says what to do
/// next. Its promise: every matching event behind the start is offered once, in log order, whether it comes
/// from the store, from the window or live; what history no longer has is said by one `gap`.
///
/// | state | goes on to |
/// |---|---|
/// | joining: has begun, nothing was looked at | live at the head; else catchingUp |
/// | catchingUp: reads history, from its start | live at the head |
/// | live: is offered events as they are published | lagging when the outbox is full |
/// | lagging: fell behind, reads history | live at the head |
/// | closing: ended, from any state; nothing is framed any more | |
public struct SubscriberSession: Sendable {
  public enum State: Hashable, Sendable, CaseIterable { case joining, catchingUp, live, lagging, closing }

  public enum Step: Equatable, Sendable {
    /// Nothing to do until something is published or sent.
    case wait
    /// Frame the window's matching events behind this position; report with `delivered` and `scanned`.
    case readWindow(after: Position)
    /// Read the store's matching events in this range; report with `kept`, `delivered`, then `scanned`.
    case readStore(after: Position, through: Position)
  }

  public let limits: OutboxLimits
  public private(set) var state = State.joining
  /// All matching events up to here have been framed.
  public private(set) var cursor: Position
  private var reading = false

  /// A session that begins behind `start`.
  public init(after start: Position, limits: OutboxLimits = OutboxLimits()) {
    self.limits = limits
    cursor = start
  }

  /// What to do now. `head` is the newest published position, `lowest` the window's lowest, `queuedBytes` what
  /// waits to be sent.
  public mutating func next(head: Position, lowest: Position, queuedBytes: Int) -> Step {
    switch state {
    case .live, .closing: return .wait
    case .joining: state = .catchingUp
    case .catchingUp, .lagging: break
    }
    guard !reading else { return .wait }
    if cursor >= head {
      state = .live
      return .wait
    }
    guard queuedBytes < limits.catchUpBytes else { return .wait }
    if cursor.next >= lowest { return .readWindow(after: cursor) }
    reading = true
    return .readStore(after: cursor, through: Position(lowest.rawValue - 1))
  }

  /// What a read of the store found: its history begins at `oldest`.
  /// - Returns: where the next event is that there may be, if some behind the cursor are gone: the subscriber must be
  ///   told. What was read goes on behind it.
  public mutating func kept(from oldest: Position) -> Position? {
    guard state != .closing, oldest > cursor.next else { return nil }
    cursor = Position(oldest.rawValue - 1)
    return oldest
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
  /// - Parameter isStrained: all outboxes together are over their budget.
  public mutating func offers(_ position: Position, queuedBytes: Int, isStrained: Bool = false) -> Bool {
    // A subscriber may name a start that history has not reached.
    guard state == .live, position > cursor else { return false }
    guard queuedBytes < (isStrained ? limits.strainedBytesMax : limits.liveBytesMax) else {
      state = .lagging
      cursor = max(cursor, Position(position.rawValue - 1))
      return false
    }
    cursor = position
    return true
  }

  /// The position up to which this subscriber has been shown all that matches: what it may resume from.
  public func progress(head: Position) -> Position { state == .live ? max(head, cursor) : cursor }

  /// Whether history is being read, instead of events being offered.
  public var isBehind: Bool { state == .catchingUp || state == .lagging }

  /// Nothing is framed from now on.
  public mutating func close() { state = .closing }
}
