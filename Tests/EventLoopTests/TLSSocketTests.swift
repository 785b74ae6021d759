import Bytes
import EventLoop
import Glibc
import Synchronization
import Testing

private let versions: [ClientOptions] = [.v12, .v13]

/// TLS on a real ring: what sockets promise holds with it too.
extension WithRing {
  @Suite struct TLSSocketTests {
    private func with(
      _ options: LoopOptions = .init(), _ settings: TLSSettings = Certificates.settings(),
      _ body: (EventLoop, Server) throws -> Void
    ) throws {
      let context = try TLSContext(settings)
      try EventLoop.with(options) { loop in try body(loop, try Server.secure(loop, context)) }
    }

    private func connected(
      _ server: Server, _ options: ClientOptions = .init(), receiveBuffer: Int32? = nil
    ) throws -> TLSClient {
      let client = try TLSClient(port: server.port, options, receiveBuffer: receiveBuffer)
      #expect(client.handshake())
      return client
    }

    @Test(arguments: versions) func `an echo returns what was sent, however it was cut`(
      _ options: ClientOptions
    )
      throws
    {
      try with { loop, server in
        let client = try connected(server.start(), options)
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
        #expect(client.session.version == options.versions.lowerBound)
        #expect(loop.counters.tls.full.value == 1)
      }
    }

    @Test func `megabytes go both ways at once`() throws {
      try with { _, server in
        let client = try connected(server.start())
        let bytes = pattern(8 << 20)
        // The session belongs to one thread at a time: what is sent is sealed beforehand.
        var sealed: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 16_384) {
          #expect(client.session.write(Array(bytes[start..<min(start + 16_384, bytes.count)])))
          sealed += client.session.take()
        }
        let ready = sealed
        let sender = TestThread { client.wire.send(ready) }
        #expect(same(client.receive(bytes.count), bytes))
        sender.join()
      }
    }

    @Test(arguments: versions) func `each byte may come alone`(_ options: ClientOptions) throws {
      try with { _, server in
        _ = server.start()
        let client = try TLSClient(port: server.port, options)
        func drip() {
          for byte in client.session.take() {
            client.wire.send([byte])
            usleep(50)
          }
        }
        while client.session.handshake() == 0 {
          drip()
          client.session.feed(client.wire.receive(1))
        }
        drip()
        #expect(client.session.write(pattern(300)))
        drip()
        #expect(client.receive(300) == pattern(300))
      }
    }

    /// A body that comes slowly comes, though nothing of its record can be read before the last byte.
    @Test(arguments: versions) func `a record that isn't whole is progress`(_ options: ClientOptions) throws {
      try with { loop, server in
        let client = try connected(server.start(), options)
        client.send([1])
        #expect(client.receive(1) == [1])
        func mark() -> (progress: UInt64, pending: Int)? {
          loop.sync { (server.sockets[0].lastReceiveProgress, server.sockets[0].pendingBytes) }
        }
        let before = try #require(mark())
        #expect(before.pending == 0)
        #expect(client.session.write(pattern(1000)))
        let record = client.session.take()
        client.wire.send(Array(record.dropLast()))
        while mark()?.pending != record.count - 1 { usleep(1000) }
        #expect(try #require(mark()).progress > before.progress)
        #expect(server.received.load(ordering: .relaxed) == 1)
        client.wire.send([record[record.count - 1]])
        #expect(client.receive(1000) == pattern(1000))
        #expect(mark()?.pending == 0)
      }
    }

    @Test func `many writes of a turn are few records`() throws {
      // Without tickets, which follow the handshake in their own time.
      try with(.init(), Certificates.settings { $0.resumption = false }) { loop, server in
        server.onReceive = { _, socket, _, _ in
          for n in 0..<1000 { socket.output.write(n % 2 == 0 ? "head " : "body ") }
          return .returned
        }
        let client = try connected(server.start())
        let before = try #require(loop.sync { loop.counters.sentBytes.value })
        client.send([1])
        #expect(client.receive(5000).count == 5000)
        let sent = try #require(loop.sync { loop.counters.sentBytes.value }) - before
        // One record adds 22 bytes.
        #expect(sent <= 5000 + 2 * 22)
      }
    }

    @Test func `pieces of every kind leave in the order they were written`() throws {
      try with { loop, server in
        let slab = Slab(capacity: 100_000)
        let shared = pattern(100_000, seed: 9)
        slab.base.copyMemory(from: shared, byteCount: shared.count)
        server.onReceive = { _, socket, _, _ in
          for n in 0..<200 {
            pattern(n * 10, seed: n).withUnsafeBytes { socket.output.write($0) }
            socket.output.write(shared: slab, UnsafeRawBufferPointer(start: slab.base + n, count: n))
          }
          let big = pattern(50_000, seed: 5)
          socket.output.reserve(big.count).copyMemory(from: big, byteCount: big.count)
          socket.output.commit(big.count)
          return .returned
        }
        var expected: [UInt8] = []
        for n in 0..<200 { expected += pattern(n * 10, seed: n) + shared[n..<n + n] }
        expected += pattern(50_000, seed: 5)
        let client = try connected(server.start())
        client.send([1])
        #expect(same(client.receive(expected.count), expected))
        #expect(eventually { loop.sync { server.sockets[0].queuedBytes } == 0 })
      }
    }

    @Test func `what a slow reader has queued lies where it was written, but for a little`() throws {
      final class Held: @unchecked Sendable { weak var slab: Slab? }
      try with { loop, server in
        let held = Held()
        let bytes = 16 << 20
        server.onReceive = { _, socket, _, _ in
          let slab = Slab(capacity: bytes)
          slab.base.copyMemory(from: pattern(bytes), byteCount: bytes)
          held.slab = slab
          socket.output.write(shared: slab, UnsafeRawBufferPointer(start: slab.base, count: bytes))
          return .returned
        }
        let drained = Atomic<Int>(0)
        server.onDrained = { _, _ in drained.add(1, ordering: .relaxed) }
        let client = try connected(server.start(), receiveBuffer: 65_536)
        client.send([1])
        #expect(eventually { loop.sync { server.sockets[0].queuedBytes } ?? 0 > 1 << 20 })
        let before = drained.load(ordering: .relaxed)
        #expect(same(client.receive(bytes), pattern(bytes)))
        #expect(eventually { loop.sync { held.slab == nil } == true })
        #expect(eventually { drained.load(ordering: .relaxed) == before + 1 })
      }
    }

    @Test func `a server's end is told by a close_notify, after all that was written`() throws {
      try with { _, server in
        server.onReceive = { _, socket, bytes, _ in
          pattern(300_000).withUnsafeBytes { socket.output.write($0) }
          socket.close(after: true)
          return .returned
        }
        let client = try connected(server.start())
        client.send([1])
        let (bytes, end) = client.readToEnd()
        #expect(same(bytes, pattern(300_000)))
        #expect(end == -1)
        client.wire.close()
        #expect(eventually { server.closed.value == [.closed] })
      }
    }

    @Test func `a client that ends its side still gets its answer`() throws {
      try with { _, server in
        let collected = Shared<[UInt8]>([])
        server.onReceive = { _, _, bytes, _ in
          let got = [UInt8](bytes)
          collected.change { $0 += got }
          return .returned
        }
        server.onEnd = { _, socket in
          collected.value.withUnsafeBytes { socket.output.write($0) }
          socket.close(after: true)
        }
        let client = try connected(server.start())
        client.send(pattern(100_000))
        client.close()
        let (bytes, end) = client.readToEnd()
        #expect(same(bytes, pattern(100_000)))
        #expect(end == -1)
        client.wire.close()
        #expect(eventually { server.closed.value == [.closed] })
      }
    }

    @Test func `an end without close_notify is an end, told once`() throws {
      try with { _, server in
        let ends = Atomic<Int>(0)
        server.onEnd = { _, socket in
          ends.add(1, ordering: .relaxed)
          socket.close(after: true)
        }
        let client = try connected(server.start())
        client.send(pattern(100))
        #expect(client.receive(100).count == 100)
        // A record cut in two is never seen.
        #expect(client.session.write(pattern(100, seed: 1)))
        client.wire.send(Array(client.session.take().dropLast()))
        client.wire.shutdownSending()
        #expect(client.readToEnd().bytes == [])
        client.wire.close()
        #expect(eventually { server.closed.value.count == 1 })
        #expect(ends.load(ordering: .relaxed) == 1)
        #expect(server.received.load(ordering: .relaxed) == 100)
      }
    }

    @Test func `close_notify and FIN are one end`() throws {
      try with { _, server in
        let ends = Atomic<Int>(0)
        server.onEnd = { _, _ in ends.add(1, ordering: .relaxed) }
        let client = try connected(server.start())
        client.close()
        client.wire.shutdownSending()
        #expect(eventually { ends.load(ordering: .relaxed) == 1 })
        usleep(20_000)
        #expect(ends.load(ordering: .relaxed) == 1)
      }
    }

    @Test func `a record that was tampered with ends the session, by an alert`() throws {
      try with { loop, server in
        let client = try connected(server.start())
        client.send(pattern(10))
        #expect(client.receive(10).count == 10)
        #expect(client.session.write(pattern(1000)))
        var record = client.session.take()
        record[500] ^= 1
        client.wire.send(record)
        #expect(client.readToEnd().bytes == [])
        #expect(client.session.alert == 20)  // bad_record_mac
        client.wire.close()
        #expect(eventually { server.closed.value == [.failed(EPROTO)] })
        #expect(server.received.load(ordering: .relaxed) == 10)
        #expect(loop.counters.tls.broken.value == 1)
      }
    }

    @Test func `plaintext after the handshake ends the session`() throws {
      try with { loop, server in
        let client = try connected(server.start())
        client.wire.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(client.readToEnd().bytes == [])
        client.wire.close()
        #expect(eventually { server.closed.value == [.failed(EPROTO)] })
        #expect(server.received.load(ordering: .relaxed) == 0)
      }
    }

    @Test(arguments: [false, true]) func `keys change, and bytes flow on`(_ both: Bool) throws {
      try with { _, server in
        let client = try connected(server.start(), .v13)
        for round in 0..<20 {
          #expect(client.session.updateKeys(both: both))
          #expect(client.push())
          client.send(pattern(5000, seed: round))
          #expect(same(client.receive(5000), pattern(5000, seed: round)))
        }
      }
    }

    @Test func `a peer that has keys changed without end, and reads nothing, is cut`() throws {
      try with { _, server in
        let client = try connected(server.start(), .v13, receiveBuffer: 4096)
        var sent = 0
        while sent < 2_000_000, server.closed.value.isEmpty {
          for _ in 0..<100 { _ = client.session.updateKeys(both: true) }
          guard client.push() else { break }
          sent += 100
        }
        #expect(eventually { server.closed.value.count == 1 })
      }
    }

    @Test func `renegotiation is refused, and the session goes on`() throws {
      try with { _, server in
        let client = try connected(server.start(), .v12)
        #expect(client.session.renegotiate())
        client.push()
        #expect(client.receive(1) == [])
        #expect(client.session.alert == 100)  // no_renegotiation
      }
    }

    @Test func `a paused socket receives nothing, and goes on afterwards`() throws {
      try with { loop, server in
        let client = try connected(server.start())
        client.send([1])
        #expect(client.receive(1) == [1])
        _ = loop.sync { server.sockets[0].pauseReceiving() }
        let bytes = pattern(4 << 20)
        let sender = TestThread { client.send(bytes) }
        usleep(50_000)
        #expect(server.received.load(ordering: .relaxed) < bytes.count)
        _ = loop.sync { server.sockets[0].resumeReceiving() }
        sender.join()
        #expect(same(client.receive(bytes.count), bytes))
      }
    }

    @Test func `with every plaintext buffer kept, receiving rests until one is recycled`() throws {
      var options = LoopOptions()
      options.receiveBufferCount = 2
      options.receiveBufferBytes = 512
      try with(options) { loop, server in
        let kept = Shared<[ReceiveBufferID]>([])
        server.onReceive = { _, _, _, buffer in
          kept.change { $0.append(buffer) }
          return .kept
        }
        let client = try connected(server.start())
        client.send(pattern(4000))
        #expect(eventually { kept.value.count == 2 })
        usleep(20_000)
        #expect(kept.value.count == 2)
        #expect(loop.sync { loop.isShortOfReceiveBuffers } == true)
        // A neighbour that needs a buffer waits with it.
        let other = try connected(server)
        other.send([7])
        var freed = 0
        while server.received.load(ordering: .relaxed) < 4001 {
          #expect(eventually { kept.value.count > freed })
          let next = kept.value[freed]
          freed += 1
          _ = loop.sync { loop.recycle(next) }
        }
        #expect(server.received.load(ordering: .relaxed) == 4001)
      }
    }
  }
}
