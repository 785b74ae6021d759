internal import Testing

@testable import Access

@Suite struct TokenBucketTests {
  private static let second: UInt64 = 1_000_000_000

  @Test func aFullBucketGivesItsBurstAndNoMore() {
    let rate = Rate(perSecond: 10, burst: 25)
    var bucket = TokenBucket(rate, now: 5)
    for _ in 0..<25 {
      #expect(bucket.admits(1, rate))
      bucket.take(1)
    }
    #expect(!bucket.admits(1, rate))
    #expect(bucket.remaining == 0)
    #expect(bucket.seconds(until: 1, rate) == 1)
    #expect(bucket.seconds(until: 25, rate) == 3)
    #expect(bucket.secondsToFull(rate) == 3)
  }

  @Test func withoutABurstItHoldsASecond() {
    #expect(Rate(perSecond: 7).capacity == 7)
    #expect(TokenBucket(Rate(perSecond: 7), now: 0).remaining == 7)
  }

  /// Asked in whatever steps, exactly as many come out as the rate gives.
  @Test(arguments: [1, 3, 7, 999, 1_000_003, 999_999_999] as [UInt64])
  func nothingIsLostByRounding(_ step: UInt64) {
    let rate = Rate(perSecond: 7, burst: 7)
    var bucket = TokenBucket(rate, now: 0)
    bucket.take(7)
    let steps = min(TokenBucketTests.second / step, 200_000)
    for count in 1...steps { bucket.refill(rate, now: count * step) }
    #expect(bucket.level == Int64(min(steps * step * 7, 7 * TokenBucketTests.second)))
  }

  @Test func itFillsUpToItsCapacityOnly() {
    let rate = Rate(perSecond: 10, burst: 20)
    var bucket = TokenBucket(rate, now: 0)
    bucket.take(20)
    bucket.refill(rate, now: 1_500_000_000)
    #expect(bucket.remaining == 15)
    bucket.refill(rate, now: .max)
    #expect(bucket.remaining == 20)
  }

  @Test func aClockThatGoesBackGivesNothing() {
    let rate = Rate(perSecond: 10)
    var bucket = TokenBucket(rate, now: 100 * TokenBucketTests.second)
    bucket.take(10)
    bucket.refill(rate, now: 0)
    #expect(bucket.remaining == 0)
    bucket.refill(rate, now: 100 * TokenBucketTests.second)
    #expect(bucket.remaining == 0)
    bucket.refill(rate, now: 101 * TokenBucketTests.second)
    #expect(bucket.remaining == 10)
  }

  @Test func whatIsLargerThanTheBucketTakesAllOfItAndADebt() {
    let rate = Rate(perSecond: 100, burst: 100)
    var bucket = TokenBucket(rate, now: 0)
    #expect(bucket.admits(1000, rate))
    bucket.take(1000)
    #expect(!bucket.admits(1, rate))
    #expect(bucket.seconds(until: 1, rate) == 10)
    bucket.refill(rate, now: 9 * TokenBucketTests.second)
    #expect(!bucket.admits(1, rate))
    bucket.refill(rate, now: 9 * TokenBucketTests.second + 10_000_000)
    #expect(bucket.admits(1, rate))
    // Not full: what needs all of it waits.
    #expect(!bucket.admits(1000, rate))
  }

  @Test func theLargestNumbersDontOverflow() {
    let rate = Rate(perSecond: .max, burst: .max)
    var bucket = TokenBucket(rate, now: 0)
    #expect(bucket.remaining == Rate.max)
    for _ in 0..<10 { bucket.take(.max) }
    #expect(!bucket.admits(.max, rate))
    #expect(bucket.seconds(until: .max, rate) > 0)
    bucket.refill(rate, now: .max)
    #expect(bucket.remaining == Rate.max)
    var small = TokenBucket(Rate(perSecond: 1, burst: 1), now: 0)
    for _ in 0..<10 { small.take(.max) }
    #expect(small.seconds(until: 1, Rate(perSecond: 1, burst: 1)) > 1_000_000_000)
  }

  @Test func aRateThatIsLoweredHoldsAtOnce() {
    var bucket = TokenBucket(Rate(perSecond: 100), now: 0)
    bucket.refill(Rate(perSecond: 5), now: 0)
    #expect(bucket.remaining == 5)
  }
}
