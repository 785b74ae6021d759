internal import Synchronization

/// A number that only grows: requests, bytes, failures. Any thread; adding is one relaxed atomic operation
/// (about 3 ns) and allocates nothing. Counters that several loops count in should be one per loop, so that
/// cores don't share a cache line: the registry sums those of equal name and labels.
public final class Counter: Sendable {
  private let count = Atomic<UInt64>(0)

  public init() {}

  public func add(_ amount: UInt64 = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

  public var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down: connections, bytes in flight. Any thread, relaxed, no allocation.
public final class Gauge: Sendable {
  private let level = Atomic<Int64>(0)

  public init() {}

  public func set(_ value: Int64) { level.store(value, ordering: .relaxed) }

  public func add(_ amount: Int64 = 1) { level.wrappingAdd(amount, ordering: .relaxed) }

  public func subtract(_ amount: Int64 = 1) { level.wrappingSubtract(amount, ordering: .relaxed) }

  /// Moves the gauge to `value` if that is more: a high-water mark.
  public func raise(to value: Int64) { level.max(value, ordering: .relaxed) }

  public var value: Int64 { level.load(ordering: .relaxed) }
}
