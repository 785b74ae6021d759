public import Model

/// What the moment of a command is; the caller's clocks.
public struct LockMoment: Hashable, Sendable {
  /// Nanoseconds of the monotonic clock, on which locks expire and waits end.
  public var monotonic: UInt64
  public var logTime: LogTime
  /// Of the next event of the log.
  public var position: Position

  public init(monotonic: UInt64, logTime: LogTime, position: Position) {
    self.monotonic = monotonic
    self.logTime = logTime
    self.position = position
  }
}

/// The caller's name for a request that may wait.
public struct LockTicket: Hashable, Sendable {
  public var rawValue: UInt64
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// A request for locks: for all of its paths, or none.
public struct LockAcquisition: Hashable, Sendable {
  /// Canonical and distinct, in the order given.
  public var paths: [[UInt8]]
  /// The agent's id, UTF-8.
  public var agent: [UInt8]
  public var ttlMicroseconds: UInt64
  /// How long it may wait; 0: not at all.
  public var waitNanoseconds: UInt64
  /// A JSON object, on one line.
  public var metadata: [UInt8]
  /// Random bits, for the ids of its locks.
  public var random: UInt64

  public init(
    paths: [[UInt8]], agent: [UInt8], ttlMicroseconds: UInt64, waitNanoseconds: UInt64, metadata: [UInt8],
    random: UInt64
  ) {
    self.paths = paths
    self.agent = agent
    self.ttlMicroseconds = ttlMicroseconds
    self.waitNanoseconds = waitNanoseconds
    self.metadata = metadata
    self.random = random
  }
}

/// An event of a command: the nth of a call stands at the call's `LockMoment.position` + n.
public struct LockEvent: Hashable, Sendable {
  public var action: LockAction
  /// After the event, or, if it was released or has expired, before it.
  public var lock: LockState

  public init(action: LockAction, lock: LockState) {
    self.action = action
    self.lock = lock
  }
}

/// What stands in the way of a request.
public struct LockObstacle: Hashable, Sendable {
  /// The first of the request's paths that can't be had.
  public var path: [UInt8]
  /// The lock on that path. Or, where the path is free but kept for a request that came before: the lock for which that
  /// request waits, or the one before it. (Each such chain ends at a lock, so this is never nil.)
  public var lock: LockState?
  /// The agent of the request that came before, if it is that which stands in the way.
  public var waiter: [UInt8]?
}

/// The answer to a request for locks.
public enum LockAnswer: Hashable, Sendable {
  /// In the order of the request's paths. `fresh`: those that the agent didn't hold before.
  case granted([LockState], fresh: [LockState])
  /// At once or after waiting (409 `lock_held`).
  case held(LockObstacle)
  /// Agents, each of which waits for the next one, and the last for the first, who asks (409 `deadlock`).
  case deadlock([[UInt8]])
  /// The agent would hold and wait for more than `LockTable.agentLocksMax` paths (429).
  case tooMany
  /// `Limits.locksMax` or `Limits.lockWaitersMax` of the server (503).
  case full
  /// The server stops (503).
  case cancelled
}

/// An answer, perhaps to a request that came long before.
public struct LockReply: Hashable, Sendable {
  public var ticket: LockTicket
  public var answer: LockAnswer
  /// Index in `LockEffects.events` of the answer's first event.
  public var firstEvent: Int
  public var eventCount: Int
}

/// What calls have brought about: each adds to it.
public struct LockEffects: Sendable {
  public var events: [LockEvent] = []
  public var replies: [LockReply] = []

  public init() {}

  /// Forgets everything; keeps the memory.
  public mutating func removeAll() {
    events.removeAll(keepingCapacity: true)
    replies.removeAll(keepingCapacity: true)
  }
}

/// What became of a renewal or a release. If it was done, its own event is the first that the call adds.
public enum LockChange: Hashable, Sendable {
  /// The lock after the renewal, or before the release.
  case done(LockState)
  /// Another agent or another id holds it (409 `lock_not_held`).
  case notHeld(LockState)
  /// Nobody holds it.
  case none
}

/// A page of a list of locks.
public struct LockPage: Hashable, Sendable {
  /// In order of path, compared as bytes.
  public var locks: [LockState]
  /// The path behind which the next page begins; nil at the end.
  public var next: [UInt8]?
}
