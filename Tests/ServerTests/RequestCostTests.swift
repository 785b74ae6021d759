import CEventLoopTesting
import EventLoop
import Testing

@testable import Server

/// What a request costs the loop that serves it: counted, not estimated.
extension WithServer {
  @Suite struct RequestCostTests {
    /// What the loop's thread spent on one round.
    private struct Cost {
      var requests: Int
      var allocations: UInt64
      var enqueues: UInt64
      var turns: UInt64

      func line(_ name: String) -> String {
        func each(_ count: UInt64) -> Double { Double(count) / Double(requests) }
        return
          "\(name): \(each(allocations)) allocations, \(each(enqueues)) enqueues, \(each(turns)) turns per request"
      }
    }

    /// The cheapest of several rounds: timers that fire meanwhile (the date, housekeeping) spend a little of their
    /// own, but not in each round, and what a request spends is in all of them.
    private func cheapest(
      _ server: Server, requests: Int, rounds: Int, _ request: () throws -> Void
    ) throws -> Cost {
      let loop = try server.loop
      func cost(_ times: Int) throws -> Cost {
        let enqueues = loop.counters.enqueues.value
        let turns = loop.counters.turns.value
        let before = try loop.sync { testing_allocations() }
        for _ in 0..<times { try request() }
        let after = try loop.sync { testing_allocations() }
        return Cost(
          requests: times, allocations: after - before, enqueues: loop.counters.enqueues.value - enqueues,
          turns: loop.counters.turns.value - turns)
      }
      _ = try cost(requests / 4)
      var idle = try cost(0).allocations
      var least = try cost(requests)
      for _ in 1..<rounds {
        idle = min(idle, try cost(0).allocations)
        let busy = try cost(requests)
        if busy.allocations < least.allocations { least = busy }
      }
      // What the measuring itself takes is no request's.
      least.allocations -= min(idle, least.allocations)
      return least
    }

    @Test func `a warm GET of healthz allocates nothing and enqueues nothing`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try Client(server)
        let request = Array(Request.get("/healthz").utf8)
        let cost = try cheapest(server, requests: 2000, rounds: 5) {
          try client.send(request)
          guard try client.answer().status == 200 else { throw TestFailure("not healthy") }
        }
        print(cost.line("GET /healthz"))
        #expect(cost.allocations <= Self.timers)
        // At most two are allowed for; it is answered where it arrives, without its task.
        #expect(cost.enqueues == 0)
      }
    }

    @Test func `a warm POST of a unit stays within its measured cost`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try Client(server)
        let request = Array(Request.post(Request.unit("cost", "twenty bytes of text")).utf8)
        let cost = try cheapest(server, requests: 400, rounds: 3) {
          try client.send(request)
          guard try client.answer().status == 201 else { throw TestFailure("not created") }
        }
        print(cost.line("POST /workunit"))
        #expect(cost.allocations <= 400 * Self.perPost + cost.turns * Self.perTurn + Self.timers)
        // One to begin the request in its connection's task, one when it is durable.
        #expect(cost.enqueues <= 400 * 2)
      }
    }

    // Debug: measured, rounded up to the next whole number. Release: what is aimed at.
    #if DEBUG
      private static let perTurn: UInt64 = 2
      private static let perPost: UInt64 = 14
      /// Housekeeping and the date, in a round of seconds on a busy machine.
      private static let timers: UInt64 = 200
    #else
      private static let perTurn: UInt64 = 0
      private static let perPost: UInt64 = 8
      private static let timers: UInt64 = 0
    #endif
  }
}
