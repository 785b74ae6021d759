internal import Model

/// What history says of locks: one holder each, tokens that are positions, nothing expired too early or too late.
extension HistoryModel {
  /// A lock that is held at the end of history.
  struct HeldLock {
    /// As its last event says.
    var recorded: LockState
    /// A restart moves it.
    var expiresAt: LogTime
    /// Microseconds of the monotonic clock of this life; none that counts for what an earlier life granted.
    var deadline: UInt64

    var current: LockState {
      var lock = recorded
      lock.expiresAt = expiresAt
      return lock
    }
  }

  /// What a client may be told of a lock.
  struct LockPromise: Hashable {
    var holder: [UInt8]
    var token: Position
    var expiresAt: LogTime
  }

  /// All that locks have come to.
  struct LockHistory {
    var held: [[UInt8]: HeldLock] = [:]
    /// Tokens that are stale.
    var ended: Set<Position> = []
    var promises: Set<LockPromise> = []
    var ids: Set<UnitID> = []
    /// The start of this life found live locks, and has not said yet that they have their full time again.
    var owesRestart = false

    /// A lock of the path as it is held, in order of path.
    var all: [LockState] {
      held.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value.current)
    }

    mutating func promise(_ lock: LockState) {
      promises.insert(LockPromise(holder: lock.holder, token: lock.token, expiresAt: lock.expiresAt))
    }
  }

  /// A server starts on this history.
  mutating func beginLife() {
    locks.owesRestart = !locks.held.isEmpty
    for path in locks.held.keys { locks.held[path]?.deadline = .max }
  }

  /// Whether a lock as a client is told of it was that of some durable event.
  func knows(_ lock: LockState) -> Bool {
    let promise = LockPromise(holder: lock.holder, token: lock.token, expiresAt: lock.expiresAt)
    guard locks.promises.contains(promise), let record = record(lock.token) else { return false }
    return record.withUnsafeBytes { bytes in
      guard let event = EventView(bytes), let granted = LockState(event) else { return false }
      return granted.path == lock.path && granted.id == lock.id && event.lock?.action == .acquired
    }
  }

  /// - Parameter moment: when the event was decided, on the monotonic clock; nil: in an earlier life.
  mutating func extend(lock event: EventView, at moment: UInt64?) -> String? {
    guard let lock = LockState(event), let action = event.lock?.action else { return "can't be read" }
    let held = locks.held[lock.path]
    switch action {
    case .acquired:
      if let held { return "is granted while token \(held.recorded.token.rawValue) holds the lock" }
      guard lock.token == event.position else { return "has token \(lock.token.rawValue)" }
      guard locks.ids.insert(lock.id).inserted else { return "has the id of an earlier lock" }
      guard lock.acquiredAt == event.logTime,
        lock.expiresAt.microseconds == event.logTime.microseconds + lock.ttlMicroseconds
      else { return "is granted for another time than asked" }
    case .renewed:
      guard let held, HistoryModel.isSame(held.recorded, lock) else { return "renews what isn't held" }
      guard lock.expiresAt.microseconds >= event.logTime.microseconds + lock.ttlMicroseconds else {
        return "is renewed for less than asked"
      }
    case .released, .expired:
      guard let held, held.current == lock else {
        return "\(action.name) \(lock), but held is \(held.map { "\($0.current)" } ?? "nothing")"
      }
      if let moment, let problem = untimely(action, held, moment) { return problem }
      locks.held[lock.path] = nil
      locks.ended.insert(lock.token)
      return nil
    }
    let deadline = moment.map { $0 + lock.ttlMicroseconds } ?? .max
    locks.held[lock.path] = HeldLock(recorded: lock, expiresAt: lock.expiresAt, deadline: deadline)
    locks.promise(lock)
    return nil
  }

  private static func isSame(_ a: LockState, _ b: LockState) -> Bool {
    a.id == b.id && a.token == b.token && a.holder == b.holder && a.acquiredAt == b.acquiredAt
      && a.metadata == b.metadata
  }

  private func untimely(_ action: LockAction, _ held: HeldLock, _ moment: UInt64) -> String? {
    guard action == .expired else { return overdue(moment) }
    guard held.deadline <= moment else { return "expires \(held.deadline - moment) µs too early" }
    return locks.held.values.contains { $0.deadline < held.deadline } ? "expires before its turn" : nil
  }

  /// A command was decided at this moment: nothing may have been due.
  func overdue(_ moment: UInt64?) -> String? {
    guard let moment, let due = locks.held.values.first(where: { $0.deadline <= moment }) else { return nil }
    return "is decided while lock \(String(decoding: due.recorded.path, as: UTF8.self)) is due"
  }

  mutating func extend(restart event: EventView, at moment: UInt64?) -> String? {
    guard locks.owesRestart else { return "a restart that nobody is owed" }
    locks.owesRestart = false
    for (path, held) in locks.held {
      let recorded = held.recorded.expiresAt.microseconds
      let now = event.logTime.microseconds
      let lifetime = max(held.recorded.ttlMicroseconds, recorded - min(recorded, now))
      locks.held[path]?.expiresAt = LogTime(microseconds: now + lifetime)
      locks.held[path]?.deadline = moment.map { $0 + lifetime } ?? .max
      if let lock = locks.held[path]?.current { locks.promise(lock) }
    }
    return nil
  }

  /// What is wrong with the fence that a unit's event names.
  func objection(toFenceOf event: EventView) -> String? {
    guard let fence = event.field(.fence), fence.count > 8 else { return nil }
    let token = UInt64(littleEndian: fence.loadUnaligned(as: UInt64.self))
    let path = [UInt8](fence[8...])
    return locks.held[path]?.recorded.token.rawValue == token
      ? nil : "is appended though its fence \(token) is stale"
  }
}
