import Bytes
import CEventLoopTesting
import EventLoop
import Synchronization
import Testing

/// In steady state nothing on the path of a request allocates: counted, not estimated.
extension WithRing {
  @Suite struct AllocationTests {
    /// The least of several rounds: in one of them the loop may have come behind, and have taken a second chunk or
    /// grown a queue for once, but what the path of a request allocates is in all of them.
    private func least(_ loop: EventLoop, during body: () throws -> Void) throws -> UInt64 {
      try (0..<4).reduce(UInt64.max) { least, _ in min(least, try allocations(loop, during: body)) }
    }

    /// Allocations of the loop's thread while `body` runs on the test's.
    private func allocations(_ loop: EventLoop, during body: () throws -> Void) throws -> UInt64 {
      let before = try #require(loop.sync { testing_allocations() })
      try body()
      let after = try #require(loop.sync { testing_allocations() })
      // Two calls of `sync` themselves: closures are allocated by the caller, the inbox's arrays are reused.
      return after - before
    }

    @Test func `the counter counts`() {
      guard testing_counts_allocations() == 1 else { return }
      let before = testing_allocations()
      let array = Array(repeating: 1, count: Int.random(in: 1000...2000))
      #expect(testing_allocations() > before)
      #expect(array.count >= 1000)
    }

    @Test func `ten thousand echoes allocate nothing`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop).start()
        let client = try #require(Client(port: server.port))
        let bytes = pattern(1000)
        func echo(_ times: Int) {
          for _ in 0..<times {
            client.send(bytes)
            _ = client.receive(bytes.count)
          }
        }
        echo(100)
        let idle = try least(loop) {}
        let busy = try least(loop) { echo(2500) }
        #expect(busy <= idle)
      }
    }

    @Test func `a task resumed per request, a timer, and a shared slab allocate nothing`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        let handler = Handler(loop)
        server.onReceive = { _, socket, _, _ in
          handler.socket = socket
          handler.requested()
          return .returned
        }
        let client = try #require(Client(port: server.start().port))
        loop.spawn { _ in await handler.run() }
        func request(_ times: Int) {
          for _ in 0..<times {
            client.send([1])
            _ = client.receive(4096)
          }
        }
        request(100)
        let idle = try least(loop) {}
        let before = loop.counters.enqueues.value
        let busy = try least(loop) { request(500) }
        #expect(busy <= idle)
        #expect(loop.counters.enqueues.value - before == 2000)
        _ = loop.sync { handler.end() }
      }
    }

    /// One long-lived task per connection, resumed once per request.
    final class Handler: TimerTarget, @unchecked Sendable {
      let loop: EventLoop
      let slab = Slab(capacity: 4096)
      var socket: Socket?
      private var waiter: Waiter?
      private var ends = false

      init(_ loop: EventLoop) { self.loop = loop }

      func requested() { waiter?.resume(1) }

      func end() {
        ends = true
        waiter?.resume(0)
      }

      nonisolated(nonsending) func run() async {
        while !ends {
          let waiter = Waiter(loop)
          self.waiter = waiter
          let timer = loop.setTimer(after: 1_000_000_000, self, tag: 1)
          guard await waiter.wait() == 1 else { return }
          loop.cancel(timer)
          socket?.output.write(shared: slab, UnsafeRawBufferPointer(start: slab.base, count: 4096))
        }
      }

      func timerFired(tag: UInt64) {}
    }
  }
}
