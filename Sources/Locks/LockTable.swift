internal import Bytes
public import Model

/// Who holds and who waits for which path. (Interface; bodies follow.)
public struct LockTable: Sendable {
  public private(set) var heldCount = 0
  public private(set) var waiterCount = 0

  public init() {}

  /// Nanoseconds of the monotonic clock at which `expire` next has something to do.
  public var nextDeadline: UInt64? { nil }

  public mutating func expire(_ moment: LockMoment, _ effects: inout LockEffects) {}
  public mutating func acquire(
    _ request: LockAcquisition, _ ticket: LockTicket, _ moment: LockMoment, _ effects: inout LockEffects
  ) {}
  public mutating func renew(
    _ path: UnsafeRawBufferPointer, lockID: UnitID, agent: [UInt8]?, ttlMicroseconds: UInt64,
    _ moment: LockMoment, _ effects: inout LockEffects
  ) -> LockChange { .none }
  public mutating func release(
    _ path: UnsafeRawBufferPointer, agent: [UInt8]?, lockID: UnitID?, isForced: Bool, _ moment: LockMoment,
    _ effects: inout LockEffects
  ) -> LockChange { .none }
  public mutating func forget(_ ticket: LockTicket, _ moment: LockMoment, _ effects: inout LockEffects) {}
  public mutating func cancelWaiters(_ effects: inout LockEffects) {}

  public func lock(_ path: UnsafeRawBufferPointer) -> LockState? { nil }
  public func holds(_ path: UnsafeRawBufferPointer, token: UInt64) -> Bool { false }
  public func list(prefix: [UInt8], agent: [UInt8]?, after: [UInt8]?, limit: Int) -> LockPage {
    LockPage(locks: [], next: nil)
  }

  public mutating func restore(_ action: LockAction, _ lock: LockState) {}
  public mutating func restart(_ moment: LockMoment) {}
}
