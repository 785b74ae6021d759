internal import Bytes
internal import Testing

@testable import Access

@Suite struct RateFieldsTests {
  private static func limiter() -> RateLimiter? {
    var settings = RateSettings()
    settings.agent.requests = Rate(perSecond: 100)
    settings.agent.bytes = Rate(perSecond: 1000, burst: 2500)
    settings.address.requests = Rate(perSecond: 3, burst: 10)
    return RateLimiter(settings)
  }

  private func text(_ fields: RateFields, _ limiter: RateLimiter) -> String {
    String(
      decoding: ByteWriter.bytes(capacity: RateFields.bytesMax) { fields.write(limiter, to: &$0) },
      as: UTF8.self)
  }

  @Test func bothFieldsNameTheBucketsThatWereAsked() {
    guard let limiter = RateFieldsTests.limiter() else {
      Issue.record("nothing is limited")
      return
    }
    var fields = RateFields()
    #expect(text(fields, limiter) == "")
    var costs = RateCosts()
    costs.requests = 1
    costs.bytes = 500
    fields.set(.address, limiter.admit(ClientAddress(ipv4: 1), costs, now: 0))
    fields.set(.agent, "a".withAgent { limiter.admit(agent: $0, costs, now: 0) })
    #expect(
      text(fields, limiter)
        == #"RateLimit-Policy: "agent-requests";q=100;w=1, "agent-bytes";q=2500;w=3;qu="content-bytes", "#
        + #""address-requests";q=10;w=4"# + "\r\n"
        + #"RateLimit: "agent-requests";r=99;t=1, "agent-bytes";r=2000;t=1, "address-requests";r=9;t=1"#
        + "\r\n")
  }

  /// The room that is promised is enough for the longest that can be said: a write beyond it would trap.
  @Test func theBoundHolds() {
    var settings = RateSettings()
    for path in [\RateSet.requests, \.bytes, \.publishes, \.searches, \.failures] {
      settings.agent[keyPath: path] = Rate(perSecond: 1, burst: Rate.max)
      settings.address[keyPath: path] = Rate(perSecond: 1, burst: Rate.max)
    }
    guard let limiter = RateLimiter(settings) else {
      Issue.record("nothing is limited")
      return
    }
    var verdict = RateVerdict()
    for place in verdict.asked.indices { verdict.asked[place] = (true, .max, .max) }
    var fields = RateFields()
    fields.set(.agent, verdict)
    fields.set(.address, verdict)
    let all = text(fields, limiter)
    #expect(all.utf8.count <= RateFields.bytesMax)
    #expect(all.contains(#""address-failures";q=4000000000;w=4000000000"#))
  }
}
