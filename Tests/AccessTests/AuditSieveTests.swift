internal import Testing

@testable import Access

@Suite struct AuditSieveTests {
  private let anna = ClientAddress(ipv4: 1)

  @Test func aFewLinesOfAnAddressAndTheRestCounted() {
    var sieve = AuditSieve()
    let admitted = (0..<1000).count { _ in sieve.admit(anna, now: 0) }
    #expect(admitted == AuditSieve.linesMax)
    let isOther = sieve.admit(ClientAddress(ipv4: 2), now: 0)
    #expect(isOther)
    #expect(sieve.summaries(now: AuditSieve.windowNanoseconds - 1).isEmpty)
    #expect(
      sieve.summaries(now: AuditSieve.windowNanoseconds)
        == [AuditSieve.Summary(address: anna, count: UInt64(1000 - AuditSieve.linesMax))])
    #expect(sieve.isIdle)
    let isAdmittedAgain = sieve.admit(anna, now: AuditSieve.windowNanoseconds)
    #expect(isAdmittedAgain)
  }

  @Test func addressesBeyondTheTableShareOneWindow() {
    var sieve = AuditSieve()
    var admitted = 0
    for number in 0..<100_000 where sieve.admit(ClientAddress(ipv4: UInt32(number)), now: 0) { admitted += 1 }
    #expect(admitted == AuditSieve.addressesMax + AuditSieve.linesMax)
    let summaries = sieve.summaries(now: .max)
    #expect(summaries.map(\.address) == [nil])
    #expect(summaries.map(\.count) == [UInt64(100_000 - admitted)])
  }

  @Test func aClockThatGoesBackEndsNoWindow() {
    var sieve = AuditSieve()
    for _ in 0..<100 { _ = sieve.admit(anna, now: 1000) }
    #expect(sieve.summaries(now: 0).isEmpty)
    #expect(!sieve.isIdle)
  }
}
