/// A bucket that fills at a steady rate up to its capacity; what is asked for is taken out of it. A value without a
/// clock: times come in, in nanoseconds of a clock that doesn't go back (if it does, nothing is added meanwhile).
///
/// Counts billionths, so that a rate per second times nanoseconds is exact: however often it is asked, nothing is lost
/// by rounding.
public struct TokenBucket: Sendable, Equatable {
  private static let billion: Int64 = 1_000_000_000
  /// Debts end here: more than any request can cost, and one more of the largest doesn't overflow.
  private static let levelMin = -Int64(Rate.max) * billion

  /// What is in it, in billionths. Below 0: a debt, of a request that was larger than the bucket.
  private(set) var level: Int64
  private var updated: UInt64

  /// A full one.
  public init(_ rate: Rate, now: UInt64) {
    level = TokenBucket.full(rate)
    updated = now
  }

  private static func full(_ rate: Rate) -> Int64 { Int64(min(rate.capacity, Rate.max)) * billion }

  /// Adds what has come since the last time.
  public mutating func refill(_ rate: Rate, now: UInt64) {
    let full = TokenBucket.full(rate)
    guard now > updated else {
      // The rate may have been changed.
      level = min(level, full)
      return
    }
    let (added, isTooMuch) = (now - updated).multipliedReportingOverflow(by: min(rate.perSecond, Rate.max))
    updated = now
    let room = UInt64(full &- min(level, full))
    level = isTooMuch || added >= room ? full : level + Int64(added)
  }

  /// Whether `cost` may be taken: all of it must be there, or for what costs more than a full bucket, a full bucket.
  public func admits(_ cost: UInt64, _ rate: Rate) -> Bool { level >= TokenBucket.needed(cost, rate) }

  /// Takes `cost`, perhaps into debt.
  public mutating func take(_ cost: UInt64) {
    let cost = Int64(min(cost, Rate.max)) * TokenBucket.billion
    level = max(level - cost, TokenBucket.levelMin)
  }

  private static func needed(_ cost: UInt64, _ rate: Rate) -> Int64 {
    min(Int64(min(cost, Rate.max)) * billion, full(rate))
  }

  /// Whole tokens that are there.
  public var remaining: UInt64 { UInt64(max(level, 0) / TokenBucket.billion) }

  /// Seconds until `cost` is admitted, rounded up; 0 if it is.
  public func seconds(until cost: UInt64, _ rate: Rate) -> UInt64 {
    seconds(to: TokenBucket.needed(cost, rate), rate)
  }

  /// Seconds until it is full, rounded up.
  public func secondsToFull(_ rate: Rate) -> UInt64 { seconds(to: TokenBucket.full(rate), rate) }

  /// The part of the bucket that is missing, of 2^16. What is nearest to 0 is forgotten with the least harm.
  func deficit(_ rate: Rate) -> UInt64 {
    let full = TokenBucket.full(rate)
    guard level < full else { return 0 }
    return UInt64(full - level) / max(UInt64(full) >> 16, 1)
  }

  private func seconds(to wanted: Int64, _ rate: Rate) -> UInt64 {
    guard wanted > level else { return 0 }
    let perSecond = UInt64(min(max(rate.perSecond, 1), Rate.max)) * UInt64(TokenBucket.billion)
    let missing = UInt64(wanted - level)
    return missing / perSecond + (missing % perSecond > 0 ? 1 : 0)
  }
}
