internal import Synchronization

/// Counts values in fixed buckets. Any thread; recording is two relaxed atomic operations and some shifts, and
/// allocates nothing. A reader may see a value in its bucket before it is in the sum; the counts of one
/// reading always agree with each other.
public final class Histogram: Sendable {
  /// What is measured, which decides the buckets and how they are shown.
  public enum Scale: UInt8, Sendable, CaseIterable {
    /// Durations, recorded in nanoseconds, shown in seconds: two buckets to the octave, 1 µs to 67 s
    /// (1, 1.5, 2, 3, 4, 6, 8 µs ...), so that a quantile is off by less than half.
    case seconds
    /// Sizes in bytes: powers of two from 16 B to 64 MiB.
    case bytes
    /// Numbers of things, such as the units of a batch: powers of two from 1 to 65,536.
    case count
  }

  public let scale: Scale
  // One for each bound and one for all beyond the greatest; never moved, and only touched atomically.
  nonisolated(unsafe) private let buckets: UnsafeMutablePointer<Atomic<UInt64>>
  private let total = Atomic<UInt64>(0)

  public init(_ scale: Scale) {
    self.scale = scale
    buckets = .allocate(capacity: scale.bounds + 1)
    for index in 0...scale.bounds { (buckets + index).initialize(to: Atomic(0)) }
  }

  deinit {
    buckets.deinitialize(count: scale.bounds + 1)
    buckets.deallocate()
  }

  /// Counts one value: nanoseconds, bytes or a number, as the scale says.
  public func record(_ value: UInt64) {
    buckets[scale.bucket(of: value)].wrappingAdd(1, ordering: .relaxed)
    total.wrappingAdd(value, ordering: .relaxed)
  }

  /// How many values lie in bucket `index`, `0 ... scale.bounds` (required).
  public func count(inBucket index: Int) -> UInt64 {
    precondition((0...scale.bounds).contains(index))
    return buckets[index].load(ordering: .relaxed)
  }

  /// How many values have been recorded.
  public var count: UInt64 { (0...scale.bounds).reduce(0) { $0 &+ count(inBucket: $1) } }

  /// Their sum, in the unit that they were recorded in.
  public var sum: UInt64 { total.load(ordering: .relaxed) }

  /// The bound of the bucket in which the `quantile` (0 to 1) lies, or `nil` without values or beyond the
  /// greatest bound: an upper estimate.
  public func upperBound(ofQuantile quantile: Double) -> UInt64? {
    let all = count
    guard all > 0 else { return nil }
    let rank = Double(all) * quantile
    var seen: UInt64 = 0
    for index in 0..<scale.bounds {
      seen &+= count(inBucket: index)
      if seen > 0, Double(seen) >= rank { return scale.bound(index) }
    }
    return nil
  }
}

extension Histogram.Scale {
  /// The number of finite bounds.
  public var bounds: Int {
    switch self {
    case .seconds: 53
    case .bytes: 23
    case .count: 17
    }
  }

  /// The greatest value of bucket `index`, `0 ..< bounds`, in the unit of recording.
  public func bound(_ index: Int) -> UInt64 {
    switch self {
    case .seconds: index == 0 ? 1000 : (index % 2 == 1 ? 1500 : 2000) << UInt64((index - 1) / 2)
    case .bytes: 16 << UInt64(index)
    case .count: 1 << UInt64(index)
    }
  }

  /// The first bucket whose bound is not below `value`.
  func bucket(of value: UInt64) -> Int {
    guard value <= bound(bounds - 1) else { return bounds }
    switch self {
    case .seconds:
      // In steps of 500 ns, rounded up, the bounds are 2, 3, 4, 6, 8, 12 ...; one less turns "at most" into
      // "below", and the bit behind the leading one tells the lower half of an octave from the upper.
      let steps = (value + 499) / 500
      guard steps > 2 else { return 0 }
      let below = steps - 1
      let octave = 63 - below.leadingZeroBitCount
      return 2 * octave - 1 + Int(below >> UInt64(octave - 1) & 1)
    case .bytes: return value <= 16 ? 0 : 60 - (value - 1).leadingZeroBitCount
    case .count: return value <= 1 ? 0 : 64 - (value - 1).leadingZeroBitCount
    }
  }

  /// Whether values are recorded in nanoseconds and shown in seconds.
  var isNanoseconds: Bool { self == .seconds }
}
