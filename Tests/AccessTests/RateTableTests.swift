internal import Testing

@testable import Access

@Suite struct RateTableTests {
  private func key(_ number: Int) -> RateTable.Key { RateTable.Key(high: 0, low: UInt64(number)) }

  private func costs(_ requests: UInt64, bytes: UInt64 = 0) -> RateCosts {
    var costs = RateCosts()
    costs.requests = requests
    costs.bytes = bytes
    return costs
  }

  private static var rates: RateSet {
    var rates = RateSet()
    rates.requests = Rate(perSecond: 2, burst: 4)
    rates.bytes = Rate(perSecond: 100)
    return rates
  }

  @Test func eachNameHasBucketsOfItsOwn() {
    var table = RateTable(RateTableTests.rates, capacity: 10)
    for _ in 0..<4 { #expect(table.admit(key(1), costs(1), now: 0).refusal == nil) }
    let refused = table.admit(key(1), costs(1), now: 0)
    #expect(refused.refusal == .requests)
    #expect(refused.retrySeconds == 1)
    #expect(table.admit(key(2), costs(1), now: 0).refusal == nil)
    #expect(table.admit(key(1), costs(1), now: 500_000_000).refusal == nil)
  }

  @Test func whoIsRefusedByOneBucketPaysIntoNone() {
    var table = RateTable(RateTableTests.rates, capacity: 10)
    #expect(table.admit(key(1), costs(1, bytes: 100), now: 0).refusal == nil)
    for _ in 0..<10 { #expect(table.admit(key(1), costs(1, bytes: 10), now: 0).refusal == .bytes) }
    #expect(table.admit(key(1), costs(1), now: 0).asked[RateKind.requests.rawValue].remaining == 2)
  }

  @Test func theLongestWaitIsTold() {
    var table = RateTable(RateTableTests.rates, capacity: 10)
    for _ in 0..<4 { _ = table.admit(key(1), costs(1), now: 0) }
    table.charge(key(1), costs(0, bytes: 1000), now: 0)
    let refused = table.admit(key(1), costs(1, bytes: 50), now: 0)
    #expect(refused.refusal == .bytes)
    // 900 in debt, 50 wanted, 100 a second.
    #expect(refused.retrySeconds == 10)
  }

  @Test func onlyWhatIsAskedIsTold() {
    var table = RateTable(RateTableTests.rates, capacity: 10)
    let verdict = table.admit(key(1), costs(1), now: 0)
    #expect(verdict.asked[RateKind.requests.rawValue].isAsked)
    #expect(verdict.asked[RateKind.requests.rawValue].remaining == 3)
    #expect(verdict.asked[RateKind.requests.rawValue].seconds == 1)
    #expect(!verdict.asked[RateKind.bytes.rawValue].isAsked)
    // Publishes aren't limited.
    var publish = RateCosts()
    publish.publishes = 1000
    #expect(table.admit(key(1), publish, now: 0) == RateVerdict())
  }

  @Test func lookingTakesNothing() {
    var table = RateTable(RateTableTests.rates, capacity: 10)
    #expect(table.look(key(1), costs(1), now: 0) == RateVerdict())
    #expect(table.count == 0)
    for _ in 0..<4 { _ = table.admit(key(1), costs(1), now: 0) }
    for _ in 0..<3 { #expect(table.look(key(1), costs(1), now: 0).refusal == .requests) }
    for _ in 0..<3 { #expect(table.look(key(1), costs(1), now: 1_000_000_000).refusal == nil) }
    #expect(table.admit(key(1), costs(2), now: 1_000_000_000).refusal == nil)
  }

  /// A hundred thousand names come by while one is at its limit: the table doesn't grow, and the one stays limited.
  @Test func aFloodOfNamesPushesOutItself() {
    var table = RateTable(RateTableTests.rates, capacity: 64)
    for _ in 0..<4 { _ = table.admit(key(-1 & 0xffff), costs(1), now: 0) }
    var now: UInt64 = 0
    for number in 100_000..<200_000 {
      now += 1000
      #expect(table.admit(key(number), costs(1), now: now).refusal == nil)
      if number % 1000 == 0 { #expect(table.look(key(0xffff), costs(4), now: now).refusal == .requests) }
    }
    #expect(table.count == 64)
    #expect(table.checkInvariants())
  }

  @Test func whoseBucketsAreFullIsForgottenFirst() {
    var table = RateTable(RateTableTests.rates, capacity: 4)
    for name in 0..<4 { for _ in 0...name { _ = table.admit(key(name), costs(1), now: 0) } }
    _ = table.admit(key(10), costs(1), now: 0)
    #expect(table.look(key(0), costs(4), now: 0) == RateVerdict())
    for name in 1..<4 { #expect(table.look(key(name), costs(4), now: 0).refusal == .requests) }
    #expect(table.checkInvariants())
  }

  @Test func theLimiterIsNilWithoutLimits() {
    #expect(RateLimiter(RateSettings()) == nil)
    var settings = RateSettings()
    settings.address.requests = Rate(perSecond: 1)
    let limiter = RateLimiter(settings)
    #expect(limiter?.limitsAddresses == true)
    #expect(limiter?.limitsAgents == false)
    #expect("a".withAgent { limiter?.admit(agent: $0, costs(1), now: 0) } == RateVerdict())
  }

  @Test func addressesOfOneNetworkShareTheirBuckets() {
    var settings = RateSettings()
    settings.address.requests = Rate(perSecond: 1, burst: 2)
    settings.address.failures = Rate(perSecond: 1, burst: 1)
    guard let limiter = RateLimiter(settings) else {
      Issue.record("nothing is limited")
      return
    }
    #expect(limiter.admit(ClientAddress(high: 7, low: 1), costs(1), now: 0).refusal == nil)
    #expect(limiter.admit(ClientAddress(high: 7, low: 2), costs(1), now: 0).refusal == nil)
    #expect(limiter.admit(ClientAddress(high: 7, low: 3), costs(1), now: 0).refusal == .requests)
    #expect(limiter.admit(ClientAddress(high: 8, low: 3), costs(1), now: 0).refusal == nil)
    let four = ClientAddress(ipv4: 0x7f00_0001)
    #expect(limiter.mayAuthenticate(four, now: 0).refusal == nil)
    var failure = RateCosts()
    failure.failures = 1
    limiter.charge(four, failure, now: 0)
    #expect(limiter.mayAuthenticate(four, now: 0).refusal == .failures)
    #expect(limiter.mayAuthenticate(ClientAddress(ipv4: 0x7f00_0002), now: 0).refusal == nil)
    #expect(limiter.mayAuthenticate(four, now: 1_000_000_000).refusal == nil)
  }

  @Test func exactlyTheBurstIsAdmittedFromManyThreads() async {
    var settings = RateSettings()
    settings.agent.requests = Rate(perSecond: 1, burst: 5000)
    guard let limiter = RateLimiter(settings) else {
      Issue.record("nothing is limited")
      return
    }
    let costs = costs(1)
    let admitted = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<8 {
        group.addTask {
          "anna".withAgent { agent in
            (0..<2000).count { _ in limiter.admit(agent: agent, costs, now: 0).refusal == nil }
          }
        }
      }
      return await group.reduce(0, +)
    }
    #expect(admitted == 5000)
  }
}

extension String {
  func withAgent<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    Array(utf8).withUnsafeBytes(body)
  }
}
