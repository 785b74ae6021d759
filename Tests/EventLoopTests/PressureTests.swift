import EventLoop
import Glibc
import Synchronization
import Testing

/// What happens when something runs short: receive buffers, a reader's patience, room for connections.
extension WithRing {
  @Suite struct PressureTests {
    @Test func `a slow reader's bytes queue up while others are served`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        server.onReceive = { _, socket, bytes, _ in
          if bytes[0] == 0 {
            pattern(16 << 20).withUnsafeBytes { socket.output.write($0) }
          } else {
            socket.output.write(UnsafeRawBufferPointer(bytes))
          }
          return .returned
        }
        let slow = try #require(Client(port: server.start().port, receiveBuffer: 65_536))
        slow.send([0])
        #expect(eventually { loop.sync { server.sockets[0].queuedBytes } ?? 0 > 1 << 20 })
        let other = try #require(Client(port: server.port))
        for _ in 0..<200 {
          other.send([1, 2, 3])
          #expect(other.receive(3) == [1, 2, 3])
        }
        #expect(loop.sync { server.sockets[0].queuedBytes } ?? 0 > 1 << 20)
        #expect(same(slow.receive(16 << 20), pattern(16 << 20)))
      }
    }

    @Test func `many senders share four receive buffers`() throws {
      var options = LoopOptions()
      options.receiveBufferCount = 4
      options.receiveBufferBytes = 512
      try EventLoop.with(options) { loop in
        let server = try Server(loop).start()
        let clients = (0..<32).compactMap { _ in Client(port: server.port) }
        let senders = clients.enumerated().map { n, client in
          TestThread { client.send(pattern(100_000, seed: n)) }
        }
        for (n, client) in clients.enumerated() {
          #expect(same(client.receive(100_000), pattern(100_000, seed: n)))
        }
        for sender in senders { sender.join() }
        #expect(loop.counters.bufferShortages.value > 0)
        #expect(server.closed.value == [])
      }
    }

    @Test func `with every buffer kept, receiving rests until one is recycled`() throws {
      var options = LoopOptions()
      options.receiveBufferCount = 2
      options.receiveBufferBytes = 512
      try EventLoop.with(options) { loop in
        let server = try Server(loop)
        let kept = Shared<[ReceiveBufferID]>([])
        server.onReceive = { _, _, _, buffer in
          kept.change { $0.append(buffer) }
          return .kept
        }
        let client = try #require(Client(port: server.start().port))
        client.send(pattern(2048))
        #expect(eventually { loop.counters.bufferShortages.value == 1 })
        #expect(server.received.load(ordering: .relaxed) == 1024)
        let turns = loop.counters.turns.value
        usleep(20_000)
        #expect(loop.counters.turns.value - turns < 20, "a shortage doesn't spin")
        for _ in 0..<2 {
          let buffers = kept.value
          kept.set([])
          _ = loop.sync { for buffer in buffers { loop.recycle(buffer) } }
          #expect(eventually { kept.value.count == 2 || server.received.load(ordering: .relaxed) == 2048 })
        }
        #expect(server.received.load(ordering: .relaxed) == 2048)
      }
    }

    @Test func `two thousand connections come, are served, and go`() throws {
      guard raiseDescriptorLimit() >= 4500 else {
        Issue.record("the hard limit of descriptors is below 4500")
        return
      }
      try EventLoop.with { loop in
        let server = try Server(loop).start()
        var clients = (0..<2000).compactMap { _ in Client(port: server.port) }
        #expect(clients.count == 2000)
        #expect(eventually { server.accepted.load(ordering: .relaxed) == 2000 })
        for round in 0..<3 {
          for client in clients { client.send([UInt8(round), 7]) }
          for client in clients { #expect(client.receive(2) == [UInt8(round), 7]) }
        }
        clients = []
        #expect(eventually { server.closed.value.count == 2000 })
        #expect(loop.sync { server.sockets.count } == 0)
      }
    }

    @Test func `connections of short life leak neither sockets nor descriptors`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        server.onReceive = { _, socket, bytes, _ in
          socket.output.write(UnsafeRawBufferPointer(bytes))
          socket.close(after: true)
          return .returned
        }
        _ = server.start()
        for n in 0..<500 {
          let client = try #require(Client(port: server.port))
          client.send([UInt8(n & 255)])
          #expect(client.receive(2) == [UInt8(n & 255)])
        }
        #expect(eventually { server.closed.value.count == 500 })
        #expect(server.closed.value.allSatisfy { $0 == .closed })
      }
    }
  }
}
