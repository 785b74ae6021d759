internal import Access
internal import Glibc
internal import Testing

@testable import Server

/// `API/LIMITS.md` has the numbers that a server without configuration goes by.
@Suite struct LimitsPageTests {
  private static let page: String = {
    let path = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    guard let file = fopen("/\(path)/Sources/API/LIMITS.md", "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    return String(decoding: bytes[..<fread(&bytes, 1, bytes.count, file)], as: UTF8.self)
  }()

  static let numbers: [(String, UInt64)] = {
    let limits = ConnectionLimits()
    let caps = CapSettings()
    return [
      ("first_request_seconds", limits.firstRequestNanoseconds / 1_000_000_000),
      ("head_seconds", limits.headNanoseconds / 1_000_000_000),
      ("body_seconds", limits.bodyNanoseconds / 1_000_000_000),
      ("body_total_seconds", limits.bodyTotalNanoseconds / 1_000_000_000),
      ("body_bytes_per_second_min", limits.bodyBytesPerSecondMin),
      ("idle_seconds", limits.idleNanoseconds / 1_000_000_000),
      ("stall_seconds", limits.stallNanoseconds / 1_000_000_000),
      ("answer_bytes_per_second_min", limits.answerBytesPerSecondMin),
      ("answer_bytes_max", UInt64(limits.answerBytesMax)),
      ("server.connections_max", UInt64(limits.connectionsMax)),
      ("connections_per_address_max", UInt64(caps.connectionsPerAddressMax)),
      ("connections_per_agent_max", UInt64(caps.connectionsPerAgentMax)),
      ("subscriptions_per_agent_max", UInt64(caps.subscriptionsPerAgentMax)),
      ("locks_per_agent_max", UInt64(caps.locksPerAgentMax)),
      ("inflight_bytes_per_address_max", UInt64(caps.inflightBytesPerAddressMax)),
      ("inflight_bytes_per_agent_max", UInt64(caps.inflightBytesPerAgentMax)),
      ("cors_max_age_seconds", BrowserSettings().corsMaxAgeSeconds),
    ]
  }()

  @Test(arguments: numbers) func thePageHasTheNumber(_ name: String, _ number: UInt64) {
    let lines = LimitsPageTests.page.split(separator: "\n").filter { $0.contains("`\(name)`") }
    #expect(lines.contains { $0.split { !$0.isNumber }.contains("\(number)") }, "\(name): \(number)")
  }

  @Test func thePageHasEveryBucket() {
    for name in ["requests", "bytes", "publishes", "searches"] {
      #expect(LimitsPageTests.page.contains("`agent_\(name)_per_second`"))
      #expect(LimitsPageTests.page.contains("`address_\(name)_per_second`"))
    }
    #expect(LimitsPageTests.page.contains("`address_failures_per_second`"))
  }
}
