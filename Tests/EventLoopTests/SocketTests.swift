import Bytes
import CEventLoopTesting
import EventLoop
import Glibc
import Synchronization
import Testing

extension WithRing {
  @Suite struct SocketTests {
    @Test func `an echo returns what was sent, however it was cut`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop).start()
        let client = try #require(Client(port: server.port))
        let bytes = pattern(3000)
        for size in [1, 2, 7, 100, 1448, 3000] {
          var sent = 0
          while sent < bytes.count {
            let end = min(sent + size, bytes.count)
            #expect(client.send(Array(bytes[sent..<end])))
            sent = end
          }
          #expect(same(client.receive(bytes.count), bytes))
        }
      }
    }

    @Test func `megabytes go both ways at once`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop).start()
        let client = try #require(Client(port: server.port))
        let bytes = pattern(20 << 20)
        let sender = TestThread { client.send(bytes) }
        #expect(same(client.receive(bytes.count), bytes))
        sender.join()
      }
    }

    @Test func `pieces of every kind leave in the order they were written`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        let slab = Slab(capacity: 100_000)
        let shared = pattern(100_000, seed: 9)
        slab.base.copyMemory(from: shared, byteCount: shared.count)
        server.onAccept = { _, socket in
          for n in 0..<200 {
            let bytes = pattern(n * 10, seed: n)
            bytes.withUnsafeBytes { socket.output.write($0) }
            socket.output.write(shared: slab, UnsafeRawBufferPointer(start: slab.base + n, count: n))
          }
          let big = pattern(50_000, seed: 5)
          socket.output.reserve(big.count).copyMemory(from: big, byteCount: big.count)
          socket.output.commit(big.count)
          socket.output.write("end")
        }
        var expected: [UInt8] = []
        for n in 0..<200 { expected += pattern(n * 10, seed: n) + shared[n..<n + n] }
        expected += pattern(50_000, seed: 5) + Array("end".utf8)
        let client = try #require(Client(port: server.start().port))
        #expect(same(client.receive(expected.count), expected))
        #expect(eventually { loop.sync { server.sockets[0].queuedBytes } == 0 })
      }
    }

    @Test func `runs of one slab that follow one another arrive as they were, and hold it`() throws {
      final class Held: @unchecked Sendable { weak var slab: Slab? }
      try EventLoop.with { loop in
        let server = try Server(loop)
        let held = Held()
        let (runs, bytes) = (500, 20_000)
        server.onAccept = { _, socket in
          let slab = Slab(capacity: runs * bytes)
          slab.base.copyMemory(from: pattern(runs * bytes, seed: 4), byteCount: runs * bytes)
          held.slab = slab
          for n in 0..<runs {
            // Now and then something else comes between, or the same again.
            if n % 100 == 50 { socket.output.write("-") }
            if n % 100 == 70 {
              socket.output.write(shared: slab, UnsafeRawBufferPointer(start: slab.base, count: 3))
            }
            socket.output.write(
              shared: slab, UnsafeRawBufferPointer(start: slab.base + n * bytes, count: bytes))
          }
        }
        let whole = pattern(runs * bytes, seed: 4)
        var expected: [UInt8] = []
        for n in 0..<runs {
          if n % 100 == 50 { expected += Array("-".utf8) }
          if n % 100 == 70 { expected += whole[..<3] }
          expected += whole[n * bytes..<(n + 1) * bytes]
        }
        let client = try #require(Client(port: server.start().port, receiveBuffer: 65_536))
        #expect(same(client.receive(expected.count), expected))
        #expect(eventually { loop.sync { held.slab == nil } == true })
      }
    }

    @Test func `patient sockets are sent to a few in a turn, and all of them in the end`() throws {
      var options = LoopOptions()
      options.patientSendsPerTurnMax = 2
      try EventLoop.with(options) { loop in
        let server = try Server(loop)
        server.onAccept = { server, socket in socket.isPatient = server.sockets.count > 1 }
        let clients = try (0..<41).map { _ in try #require(Client(port: server.port)) }
        _ = server.start()
        #expect(eventually { server.accepted.load(ordering: .relaxed) == clients.count })
        let before = loop.counters.turns.value
        _ = loop.sync {
          for (n, socket) in server.sockets.enumerated() {
            let bytes = pattern(100, seed: n)
            bytes.withUnsafeBytes { socket.output.write($0) }
          }
          return true
        }
        var seen: Set<[UInt8]> = []
        for client in clients { seen.insert(client.receive(100)) }
        #expect(seen == Set((0..<41).map { pattern(100, seed: $0) }))
        #expect(loop.counters.turns.value - before >= 20)
      }
    }

    @Test func `a slab is held until its bytes were sent`() throws {
      final class Held: @unchecked Sendable { weak var slab: Slab? }
      try EventLoop.with { loop in
        let server = try Server(loop)
        let held = Held()
        let count = 8 << 20
        server.onAccept = { _, socket in
          let slab = Slab(capacity: count)
          memset(slab.base, 7, count)
          held.slab = slab
          socket.output.write(shared: slab, UnsafeRawBufferPointer(start: slab.base, count: count))
        }
        let client = try #require(Client(port: server.start().port, receiveBuffer: 65_536))
        #expect(eventually { server.accepted.load(ordering: .relaxed) == 1 })
        #expect(loop.sync { held.slab != nil } == true)
        #expect(same(client.receive(count), Array(repeating: 7, count: count)))
        #expect(eventually { loop.sync { held.slab == nil } == true })
      }
    }

    @Test func `runs of one slab leave with what stands between them, and hold it until the last is sent`()
      throws
    {
      final class Held: @unchecked Sendable { weak var slab: Slab? }
      try EventLoop.with { loop in
        let server = try Server(loop)
        let held = Held()
        let (runs, bytes) = (700, 10_000)
        server.onAccept = { _, socket in
          let slab = Slab(capacity: runs * bytes)
          slab.base.copyMemory(from: pattern(runs * bytes, seed: 3), byteCount: runs * bytes)
          held.slab = slab
          let parts = (0..<runs).map { UnsafeRawBufferPointer(start: slab.base + $0 * bytes, count: bytes) }
          socket.output.write("[")
          socket.output.write(shared: slab, parts, between: ", ")
          socket.output.write("]")
        }
        let whole = pattern(runs * bytes, seed: 3)
        var expected = Array("[".utf8)
        for n in 0..<runs {
          expected += (n == 0 ? [] : Array(", ".utf8)) + whole[n * bytes..<(n + 1) * bytes]
        }
        expected += Array("]".utf8)
        let client = try #require(Client(port: server.start().port, receiveBuffer: 65_536))
        #expect(eventually { server.accepted.load(ordering: .relaxed) == 1 })
        #expect(loop.sync { held.slab != nil } == true)
        #expect(same(client.receive(expected.count), expected))
        #expect(eventually { loop.sync { held.slab == nil } == true })
      }
    }

    @Test func `after the peer's end the other direction lives on`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        server.onReceive = { _, _, _, _ in .returned }
        server.onEnd = { _, socket in
          socket.output.write("late reply")
          socket.close(after: true)
        }
        let client = try #require(Client(port: server.start().port))
        client.send([1, 2, 3])
        client.shutdownSending()
        #expect(client.receive(10) == Array("late reply".utf8))
        #expect(client.isAtEnd)
        #expect(eventually { server.closed.value == [.closed] })
      }
    }

    @Test func `closing after the drain doesn't destroy the last reply, though the peer still sends`() throws
    {
      try EventLoop.with { loop in
        let server = try Server(loop)
        let reply = pattern(4 << 20)
        server.onReceive = { _, socket, _, _ in
          if socket.queuedBytes == 0 { reply.withUnsafeBytes { socket.output.write($0) } }
          socket.close(after: true)
          return .returned
        }
        let client = try #require(Client(port: server.start().port))
        client.send(pattern(200_000))
        #expect(same(client.receive(reply.count), reply))
        #expect(client.isAtEnd)
        client.send([1])
        client.close()
        #expect(eventually { server.closed.value == [.closed] })
      }
    }

    @Test func `a peer that never ends its side is closed when its time is up`() throws {
      var options = LoopOptions()
      options.lingerTime = 30_000_000
      try EventLoop.with(options) { loop in
        let server = try Server(loop)
        server.onReceive = { _, socket, _, _ in
          socket.close(after: true)
          return .returned
        }
        let client = try #require(Client(port: server.start().port))
        client.send([1])
        #expect(client.isAtEnd)
        #expect(eventually { server.closed.value == [.closed] })
      }
    }

    @Test func `a peer that resets in the middle of a send ends only its own connection`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        server.onReceive = { _, socket, bytes, _ in
          if bytes.count == 1 {
            pattern(16 << 20).withUnsafeBytes { socket.output.write($0) }
          } else {
            socket.output.write(UnsafeRawBufferPointer(bytes))
          }
          return .returned
        }
        let doomed = try #require(Client(port: server.start().port))
        let other = try #require(Client(port: server.port))
        doomed.send([1])
        #expect(doomed.receive(1000).count == 1000)
        doomed.reset()
        #expect(eventually { server.closed.value.count == 1 })
        guard case .failed(let code) = server.closed.value[0] else {
          Issue.record("closed as \(server.closed.value)")
          return
        }
        #expect(code == ECONNRESET || code == EPIPE)
        other.send([1, 2, 3])
        #expect(other.receive(3) == [1, 2, 3])
      }
    }

    @Test func `abort resets, close without drain just closes, and each says so once`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        server.onReceive = { _, socket, bytes, _ in
          if bytes[0] == 0 { socket.abort() } else { socket.close(after: false) }
          socket.abort()
          socket.close(after: true)
          socket.output.write("never")
          return .returned
        }
        let first = try #require(Client(port: server.start().port))
        first.send([0])
        #expect(first.receive(1) == [])
        #expect(eventually { server.closed.value == [.aborted] })
        let second = try #require(Client(port: server.port))
        second.send([1])
        #expect(second.isAtEnd)
        #expect(eventually { server.closed.value == [.aborted, .closed] })
      }
    }

    @Test func `shutdownSending ends one direction after the drain`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        server.onAccept = { _, socket in
          pattern(1 << 20).withUnsafeBytes { socket.output.write($0) }
          socket.shutdownSending()
          socket.output.write("dropped")
        }
        server.onReceive = { _, _, _, _ in .returned }
        let client = try #require(Client(port: server.start().port))
        #expect(same(client.receive((1 << 20) + 100), pattern(1 << 20)))
        client.send([1, 2, 3])
        #expect(eventually { server.received.load(ordering: .relaxed) == 3 })
        client.close()
        #expect(eventually { server.closed.value == [.closed] })
      }
    }

    @Test func `a paused socket leaves the bytes with the peer until it resumes`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        server.onAccept = { _, socket in socket.pauseReceiving() }
        let client = try #require(Client(port: server.start().port))
        #expect(eventually { server.accepted.load(ordering: .relaxed) == 1 })
        // Once the cancellation is through, nothing arrives.
        #expect(loop.sync {} != nil && loop.sync {} != nil)
        client.send([1, 2, 3])
        usleep(20_000)
        #expect(server.received.load(ordering: .relaxed) == 0)
        _ = loop.sync { server.sockets[0].resumeReceiving() }
        #expect(client.receive(3) == [1, 2, 3])
      }
    }

    @Test func `pausing and resuming in a storm loses no byte`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        var turn = 0
        server.onReceive = { _, socket, bytes, _ in
          socket.output.write(UnsafeRawBufferPointer(bytes))
          turn += 1
          socket.pauseReceiving()
          if turn % 3 == 0 { socket.resumeReceiving() }
          let kept = Unchecked(value: socket)
          loop.perform { kept.value.resumeReceiving() }
          return .returned
        }
        let client = try #require(Client(port: server.start().port))
        let bytes = pattern(2 << 20)
        let sender = TestThread { client.send(bytes) }
        #expect(same(client.receive(bytes.count), bytes))
        sender.join()
      }
    }

    @Test func `an idle connection costs little more than its object`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop).start()
        let client = try #require(Client(port: server.port))
        client.send([1])
        #expect(client.receive(1) == [1])
        let bytes = loop.sync {
          testing_allocated_bytes(Unmanaged.passUnretained(server.sockets[0]).toOpaque())
        }
        #expect(try #require(bytes) <= 256)
        // Its output queue and chunk went back to the pool.
        #expect(loop.sync { server.sockets[0].queuedBytes } == 0)
      }
    }

    @Test func `the peer's address is told`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop)
        let text = Shared("")
        server.onAccept = { _, socket in text.set(socket.peerAddress) }
        let client = try #require(Client(port: server.start().port))
        #expect(eventually { text.value.hasPrefix("127.0.0.1:") })
        client.close()
      }
    }

    @Test func `progress is dated`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop).start()
        let client = try #require(Client(port: server.port))
        client.send([1])
        #expect(client.receive(1) == [1])
        let times = loop.sync { [server.sockets[0].lastReceiveProgress, server.sockets[0].lastSendProgress] }
        let now = try #require(loop.sync { loop.now })
        for time in try #require(times) { #expect(time > 0 && time <= now) }
      }
    }
  }
}
