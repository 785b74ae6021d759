package import Locks
package import Model

extension Sequencer {
  /// The moment of a command.
  private func moment(wallClock: UInt64, monotonic: UInt64) -> LockMoment {
    LockMoment(
      monotonic: monotonic, logTime: max(logTime, LogTime(microseconds: wallClock)), position: tail.next)
  }

  /// Decides a command on locks; the events that it adds to `effects` have the positions behind the tail.
  /// - Parameters:
  ///   - wallClock: microseconds since 1970.
  ///   - monotonic: nanoseconds.
  package mutating func changeLocks<Result>(
    wallClock: UInt64, monotonic: UInt64, _ effects: inout LockEffects,
    _ body: (inout LockTable, LockMoment, inout LockEffects) -> Result
  ) -> Result {
    let moment = moment(wallClock: wallClock, monotonic: monotonic)
    let known = effects.events.count
    let result = body(&locks, moment, &effects)
    let added = effects.events.count - known
    if added > 0 {
      logTime = moment.logTime
      tail = Position(tail.rawValue + UInt64(added))
      lastLockPosition = tail
    }
    return result
  }

  /// Every lock has its full time again.
  /// - Returns: the event that says so: its position and time.
  package mutating func restartLocks(wallClock: UInt64, monotonic: UInt64) -> (Position, LogTime) {
    let moment = moment(wallClock: wallClock, monotonic: monotonic)
    locks.restart(moment)
    logTime = moment.logTime
    tail = moment.position
    lastLockPosition = tail
    return (tail, logTime)
  }

  /// Takes in a lock's event that the log or the store already holds.
  package mutating func replayLock(_ event: EventView) {
    guard let lock = LockState(event), let action = event.lock?.action else { return }
    locks.restore(action, lock)
    lastLockPosition = max(lastLockPosition, event.position)
  }
}
