import HTTP
import Model
import Testing

@testable import API

@Suite(.serialized) struct ExchangeTests {
  private let desk: Desk

  init() throws { desk = try Desk() }

  private func requestID(_ exchange: Exchange) -> String {
    exchange.withRequestID { String(decoding: $0, as: UTF8.self) }
  }

  private func isOwn(_ id: String) -> Bool {
    id.utf8.count == 16 && id.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
  }

  @Test func `a caller's request id comes back as it is`() throws {
    for id in [
      "a", "!", "~", "7f3e-\"quoted\"{}", String(repeating: "x", count: Limits.requestIDBytesMax),
      "0123456789abcdef",
    ] {
      try desk.with("/", fields: ["x-request-ID:  \(id) "]) { exchange in
        #expect(requestID(exchange) == id)
        #expect(requestID(exchange) == id)
      }
    }
  }

  @Test func `one that isn't well-formed is replaced, and stays for its request`() throws {
    var seen: Set<String> = []
    let fields: [[String]] = [
      [], ["X-Request-ID:"], ["X-Request-ID: two words"], ["X-Request-ID: a\tb"], ["X-Request-ID: \u{e9}"],
      ["X-Request-ID: " + String(repeating: "x", count: Limits.requestIDBytesMax + 1)],
    ]
    for fields in fields {
      try desk.with("/", fields: fields) { exchange in
        let id = requestID(exchange)
        #expect(isOwn(id), "\(id)")
        #expect(requestID(exchange) == id)
        #expect(seen.insert(id).inserted)
      }
    }
  }

  @Test func `a field that may stand once is refused twice`() throws {
    try desk.with("/", fields: ["X-Agent-ID: a"]) { exchange in
      let agent = try exchange.field(.xAgentID).map { [UInt8]($0) }
      let range = try exchange.field(.range).map { [UInt8]($0) }
      #expect(agent == Array("a".utf8))
      #expect(range == nil)
    }
    try desk.with("/", fields: ["X-Agent-ID: a", "x-agent-id: a"]) { exchange in
      let problem = #expect(throws: Problem.self) { _ = try exchange.field(.xAgentID) }
      #expect(problem?.code == .invalidRequest)
    }
  }
}

@Suite struct RequestIDsTests {
  @Test func `the server's own ids don't repeat`() {
    var ids = RequestIDs()
    var seen: Set<[UInt8]> = []
    for _ in 0..<10_000 {
      var bytes = [UInt8](repeating: 0, count: 16)
      #expect(bytes.withUnsafeMutableBytes { ids.write($0) } == 16)
      seen.insert(bytes)
    }
    #expect(seen.count == 10_000)
  }
}
