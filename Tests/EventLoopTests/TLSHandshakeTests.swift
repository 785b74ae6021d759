import EventLoop
import Glibc
import Synchronization
import Testing

/// Who gets in, and what becomes of those who don't.
extension WithRing {
  @Suite struct TLSHandshakeTests {
    private func with(
      _ settings: TLSSettings = Certificates.settings(), _ options: LoopOptions = .init(),
      _ body: (EventLoop, Server) throws -> Void
    ) throws {
      let context = try TLSContext(settings)
      try EventLoop.with(options) { loop in try body(loop, try Server.secure(loop, context)) }
    }

    /// Makes a connection, has a byte echoed, and ends it in order. Nil: refused.
    private func visit(_ server: Server, _ options: ClientOptions = .init()) throws -> TLSClient? {
      let client = try TLSClient(port: server.port, options)
      guard client.handshake(), client.send([42]), client.receive(1) == [42] else { return nil }
      client.close()
      #expect(client.readToEnd().end == -1)
      return client
    }

    @Test(arguments: [0x0301, 0x0302] as [Int32]) func `old versions are refused`(_ version: Int32) throws {
      try with { loop, server in
        let client = try TLSClient(port: server.start().port, ClientOptions(versions: version...version))
        #expect(!client.handshake())
        #expect(client.session.alert == 70)  // protocol_version
        #expect(eventually { loop.counters.tls.failures(.nothingInCommon) == 1 })
        #expect(server.received.load(ordering: .relaxed) == 0)
      }
    }

    @Test func `a server of TLS 1.3 alone refuses 1.2`() throws {
      try with(Certificates.settings { $0.minimumVersion = .v13 }) { _, server in
        _ = server.start()
        try #expect(visit(server, .v12) == nil)
        try #expect(visit(server, .v13) != nil)
      }
    }

    @Test(arguments: [
      ("ECDHE-ECDSA-AES128-GCM-SHA256", true), ("ECDHE-ECDSA-AES256-GCM-SHA384", true),
      ("ECDHE-ECDSA-CHACHA20-POLY1305", true), ("ECDHE-ECDSA-AES128-SHA", false),
      ("ECDHE-ECDSA-AES256-SHA384", false), ("AES128-GCM-SHA256", false),
      ("DHE-RSA-AES128-GCM-SHA256", false),
    ])
    func `only suites with fresh keys and AEAD are spoken`(_ suite: String, _ isSpoken: Bool) throws {
      try with { _, server in
        _ = server.start()
        var options = ClientOptions.v12
        options.suites = suite
        try #expect((visit(server, options) != nil) == isSpoken)
      }
    }

    @Test(
      arguments: [
        (["http/1.1"], true), (["h2", "http/1.1"], true), (["h2"], false), (["http/1.10"], false), ([], nil),
      ] as [([String], Bool?)])
    func `the protocol is http/1.1, or not negotiated`(_ offered: [String], _ isChosen: Bool?) throws {
      try with { loop, server in
        _ = server.start()
        let client = try visit(server, ClientOptions(protocols: offered))
        #expect((client != nil) == (isChosen != false))
        if let client { #expect(client.session.hasProtocol == (isChosen == true)) }
        #expect(eventually { loop.counters.tls.failures(.noProtocol) == (isChosen == false ? 1 : 0) })
      }
    }

    @Test func `plain HTTP gets an answer that says what is wrong`() throws {
      try with { loop, server in
        let client = try #require(Client(port: server.start().port))
        client.send(Array("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        let answer = String(decoding: client.receive(1000), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 400 "))
        #expect(
          answer.hasSuffix(
            "Content-Length: 33\r\nConnection: close\r\n\r\nThis port speaks TLS: use https.\n"))
        #expect(loop.counters.tls.failures(.plainHTTP) == 1)
        #expect(server.received.load(ordering: .relaxed) == 0)
      }
    }

    @Test func `garbage ends the connection`() throws {
      try with { loop, server in
        _ = server.start()
        var ended: UInt64 = 0
        for seed in 0..<100 {
          let client = try #require(Client(port: server.port))
          var bytes = (0..<(1 + seed * 7 % 200)).map { _ in UInt8.random(in: 0...255) }
          // A handshake record whose content is garbage, now and then.
          if seed % 3 == 0 { bytes = [22, 3, 1, 0, UInt8(bytes.count)] + bytes }
          client.send(bytes)
          client.shutdownSending()
          _ = client.receive(100)
          client.close()
          ended += 1
        }
        #expect(eventually { server.closed.value.count == 100 })
        #expect(
          loop.counters.tls.failures(.malformed) + loop.counters.tls.failures(.abandoned)
            + loop.counters.tls.failures(.nothingInCommon) == ended)
        #expect(loop.counters.tls.failures(.malformed) > 20)
        #expect(server.received.load(ordering: .relaxed) == 0)
        try #expect(visit(server) != nil)
      }
    }

    @Test func `a hello that was tampered with at any byte lets nobody in wrongly`() throws {
      try with { _, server in
        _ = server.start()
        let hello = try { () throws in
          let session = try ClientSession(.v13)
          _ = session.handshake()
          return session.take()
        }()
        for place in 0..<hello.count {
          var bytes = hello
          bytes[place] ^= 0x55
          let client = try #require(Client(port: server.port))
          client.send(bytes)
          client.shutdownSending()
          _ = client.receive(10_000)
        }
        #expect(eventually { server.closed.value.count == hello.count })
        #expect(server.received.load(ordering: .relaxed) == 0)
        try #expect(visit(server) != nil)
      }
    }

    @Test func `a handshake cut at any byte leaves nothing behind`() throws {
      // A reset that comes together with bytes isn't noticed (EVENTLOOP.md): the handshake's time ends such a one.
      let context = try TLSContext(Certificates.settings { $0.handshakeNanoseconds = 500_000_000 })
      try EventLoop.with { loop in
        let server = try Server.secure(loop, context).start()
        for version in [ClientOptions.v12, .v13] {
          let hello = try { () throws in
            let session = try ClientSession(version)
            _ = session.handshake()
            return session.take()
          }()
          for length in stride(from: 0, to: hello.count, by: 3) {
            let client = try #require(Client(port: server.port))
            client.send(Array(hello[..<length]))
            if length % 2 == 0 { client.reset() } else { client.close() }
          }
        }
        #expect(eventually { context.handshakesUnderWay == 0 && loop.sync { server.sockets.count } == 0 })
      }
    }

    @Test func `a slow handshake is cut`() throws {
      try with(Certificates.settings { $0.handshakeNanoseconds = 50_000_000 }) { loop, server in
        let silent = try #require(Client(port: server.start().port))
        #expect(silent.isAtEnd)
        let slow = try TLSClient(port: server.port)
        _ = slow.session.handshake()
        let hello = slow.session.take()
        for byte in hello.prefix(100) {
          if !slow.wire.send([byte]) { break }
          usleep(2000)
        }
        #expect(eventually { loop.counters.tls.failures(.timedOut) == 2 })
        #expect(server.closed.value == [.failed(ETIMEDOUT), .failed(ETIMEDOUT)])
        // Once the handshake is over, its time doesn't matter.
        let client = try TLSClient(port: server.port)
        #expect(client.handshake())
        usleep(120_000)
        client.send([1])
        #expect(client.receive(1) == [1])
      }
    }

    @Test func `who says nothing keeps nobody out: the oldest handshake makes room for a new one`() throws {
      try with(Certificates.settings { $0.handshakesMax = 3 }) { loop, server in
        _ = server.start()
        let waiting = try (0..<3).map { _ in try #require(Client(port: server.port)) }
        #expect(eventually { server.sockets.count == 3 })
        let first = try TLSClient(port: server.port)
        #expect(waiting[0].isAtEnd)
        #expect(eventually { loop.counters.tls.failures(.crowdedOut) == 1 })
        #expect(loop.counters.tls.refused.value == 0)
        #expect(first.handshake())
        // It has its session now, and left its place to others.
        first.send([1])
        #expect(first.receive(1) == [1])
        try #expect(visit(server) != nil)
        #expect(loop.counters.tls.failures(.crowdedOut) == 1)
        // The two that wait still have their places; of a hundred silent ones the newest three keep theirs.
        let silent = try (0..<100).map { _ in try #require(Client(port: server.port)) }
        #expect(eventually { loop.counters.tls.failures(.crowdedOut) == 1 + 2 + 97 })
        #expect(waiting[1].isAtEnd && waiting[2].isAtEnd && silent[0].isAtEnd)
        #expect(loop.counters.tls.refused.value == 0)
        try #expect(visit(server) != nil)
        withExtendedLifetime((waiting, silent)) {}
      }
    }

    @Test func `who takes all places of one loop keeps nobody out of another`() throws {
      let context = try TLSContext(Certificates.settings { $0.handshakesMax = 2 })
      try EventLoop.with { one in
        try EventLoop.with { other in
          let (besieged, free) = try (Server.secure(one, context), Server.secure(other, context))
          _ = (besieged.start(), free.start())
          let silent = try (0..<5).map { _ in try #require(Client(port: besieged.port)) }
          #expect(eventually { one.counters.tls.failures(.crowdedOut) == 3 })
          for _ in 0..<3 { try #expect(visit(free) != nil) }
          try #expect(visit(besieged) != nil)
          #expect(other.counters.tls.failures(.crowdedOut) == 0)
          #expect(one.counters.tls.refused.value + other.counters.tls.refused.value == 0)
          withExtendedLifetime(silent) {}
        }
      }
    }

    @Test func `a flood of handshakes takes its time, and everybody gets in`() throws {
      var options = LoopOptions()
      options.handshakeNanosecondsPerTurn = 1
      try with(Certificates.settings(), options) { loop, server in
        let clients = try (0..<60).map { n in
          try TLSClient(port: server.start().port, n % 2 == 0 ? .v12 : .v13)
        }
        for client in clients {
          _ = client.session.handshake()
          client.push()
        }
        for (n, client) in clients.enumerated() {
          #expect(client.handshake())
          client.send(pattern(50_000, seed: n))
          #expect(same(client.receive(50_000), pattern(50_000, seed: n)))
        }
        #expect(loop.counters.tls.full.value == 60)
      }
    }

    @Test func `a hello without end is cut while it waits for its turn`() throws {
      var options = LoopOptions()
      options.handshakeNanosecondsPerTurn = 1
      try with(Certificates.settings(), options) { loop, server in
        let floods = try (0..<8).map { _ in try #require(Client(port: server.start().port)) }
        let senders = floods.map { client in
          TestThread {
            client.send([22, 3, 1, 0x40, 0] + [1, 0xFF, 0xFF, 0xFF])
            client.send([UInt8](repeating: 22, count: 1 << 20))
          }
        }
        for sender in senders { sender.join() }
        for client in floods { client.close() }
        #expect(eventually { server.closed.value.count == 8 })
        try #expect(visit(server) != nil)
      }
    }

    // MARK: Tickets

    @Test(arguments: [ClientOptions.v12, .v13]) func `a ticket spares the signature`(_ options: ClientOptions)
      throws
    {
      let context = try TLSContext(Certificates.settings())
      try EventLoop.with { loop in
        let server = try Server.secure(loop, context).start()
        var options = options
        // A client uses each ticket once, and gets another one by it.
        func returns() throws -> Bool {
          let client = try #require(try visit(server, options))
          options.session = client.session.ticket ?? options.session
          return client.session.isResumed
        }
        try #expect(!returns())
        try #expect(returns())
        #expect(loop.counters.tls.resumed.value == 1)
        context.rotateTicketKeys()
        // By the key before this one, and then by a ticket of this one.
        try #expect(returns())
        context.rotateTicketKeys()
        try #expect(returns())
        context.rotateTicketKeys()
        context.rotateTicketKeys()
        try #expect(!returns())
      }
    }

    @Test func `a new certificate is for new connections, and tickets stay good`() throws {
      let first = try TLSContext(Certificates.settings())
      let second = try TLSContext(Certificates.settings("other"), succeeding: first)
      try EventLoop.with { loop in
        let server = try Server.secure(loop, first).start()
        var options = ClientOptions.v13
        let kept = try TLSClient(port: server.port, options)
        #expect(kept.handshake())
        options.session = try #require(try visit(server, options)?.session.ticket)
        _ = loop.sync { server.context = second }
        let later = try #require(try visit(server))
        #expect(kept.session.serverName == "server")
        #expect(later.session.serverName == "other")
        try #expect(visit(server, options)?.session.isResumed == true)
        kept.send([9])
        #expect(kept.receive(1) == [9])
      }
    }

    @Test func `without resumption there are no tickets`() throws {
      try with(Certificates.settings { $0.resumption = false }) { _, server in
        _ = server.start()
        try #expect(visit(server, .v12).map { $0.session.ticket == nil } == true)
        try #expect(visit(server, .v13).map { $0.session.ticket == nil } == true)
      }
    }
  }
}
