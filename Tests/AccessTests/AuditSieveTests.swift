internal import Testing

@testable import Access

@Suite struct AuditSieveTests {
  private let here = ClientAddress(ipv4: 1)
  private let anna = Array("anna".utf8)

  @Test func aFewLinesOfAnAddressAndTheRestCounted() {
    var sieve = AuditSieve()
    let admitted = (0..<1000).count { _ in sieve.admit(here, now: 0) }
    #expect(admitted == AuditSieve.linesMax)
    let isOther = sieve.admit(ClientAddress(ipv4: 2), now: 0)
    #expect(isOther)
    #expect(sieve.summaries(now: AuditSieve.windowNanoseconds - 1).isEmpty)
    #expect(
      sieve.summaries(now: AuditSieve.windowNanoseconds)
        == [AuditSieve.Summary(address: here, count: UInt64(1000 - AuditSieve.linesMax))])
    #expect(sieve.isIdle)
    let isAdmittedAgain = sieve.admit(here, now: AuditSieve.windowNanoseconds)
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

  @Test func noiseWithoutACredentialHidesNoAgent() {
    var sieve = AuditSieve()
    for number in 0..<100_000 {
      _ = sieve.admit(ClientAddress(ipv4: UInt32(number)), now: 0)
      _ = sieve.admit(here, now: 0)
    }
    let admitted = (0..<100).count { _ in sieve.admit(here, agent: anna, now: 0) }
    #expect(admitted == AuditSieve.linesMax)
    let ofAnna = sieve.summaries(now: .max).filter { !$0.agent.isEmpty }
    #expect(
      ofAnna == [AuditSieve.Summary(agent: anna, address: here, count: UInt64(100 - AuditSieve.linesMax))])
    #expect(sieve.isIdle)
  }

  @Test func oneAgentHidesNoOther() {
    var sieve = AuditSieve()
    for number in 0..<100_000 { _ = sieve.admit(ClientAddress(ipv4: UInt32(number)), agent: anna, now: 0) }
    let isOther = sieve.admit(here, agent: Array("bob".utf8), now: 0)
    let isUnknown = sieve.admit(here, now: 0)
    #expect(isOther && isUnknown)
  }

  /// Its machines from what somebody does with its credential elsewhere; but not without end.
  @Test func addressesOfAnAgentAreToldApart() {
    var sieve = AuditSieve()
    for _ in 0..<100 { _ = sieve.admit(here, agent: anna, now: 0) }
    let isElsewhere = sieve.admit(ClientAddress(ipv4: 2), agent: anna, now: 0)
    #expect(isElsewhere)
    var admitted = 0
    for number in 3..<100_000 where sieve.admit(ClientAddress(ipv4: UInt32(number)), agent: anna, now: 0) {
      admitted += 1
    }
    #expect(admitted == AuditSieve.addressesPerAgentMax - 2 + AuditSieve.linesMax)
    let summaries = sieve.summaries(now: .max)
    #expect(summaries.count == 2 && summaries.allSatisfy { $0.agent == anna })
    #expect(Set(summaries.map(\.address)) == [here, nil])
  }

  @Test func agentsBeyondTheTableShareOneWindowOfAnAddress() {
    var sieve = AuditSieve()
    let admitted = (0..<100_000).count { sieve.admit(here, agent: Array("\($0)".utf8), now: 0) }
    #expect(admitted == AuditSieve.agentsMax + AuditSieve.linesMax)
    #expect(
      sieve.summaries(now: .max) == [AuditSieve.Summary(address: here, count: UInt64(100_000 - admitted))])
    #expect(sieve.isIdle)
  }

  @Test func aClockThatGoesBackEndsNoWindow() {
    var sieve = AuditSieve()
    for _ in 0..<100 { _ = sieve.admit(here, now: 1000) }
    #expect(sieve.summaries(now: 0).isEmpty)
    #expect(!sieve.isIdle)
  }
}
