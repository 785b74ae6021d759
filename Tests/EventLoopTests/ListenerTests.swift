import EventLoop
import Glibc
import Synchronization
import Testing

extension WithRing {
  @Suite struct ListenerTests {
    @Test func `a second server on the port is refused`() throws {
      let loop = try EventLoop(index: 0)
      let first = try Listener.bindAll(address: "127.0.0.1", port: 0, loops: [loop, loop])
      #expect(first[0].port > 0 && first[0].port == first[1].port)
      #expect {
        try Listener.bindAll(address: "127.0.0.1", port: first[0].port, loops: [loop])
      } throws: { error in
        (error as? ListenError)?.code == EADDRINUSE
      }
    }

    @Test func `what is no address is refused, with a reason`() throws {
      let loop = try EventLoop(index: 0)
      for text in ["localhost", "", "1.2.3", "[::1]"] {
        #expect {
          try Listener.bindAll(address: text, port: 0, loops: [loop])
        } throws: { error in
          (error as? ListenError).map { "\($0)".contains("not an IPv4 or IPv6 address") } == true
        }
      }
    }

    @Test func `IPv6 literals are listened on`() throws {
      let loop = try EventLoop(index: 0)
      let listener = try Listener.bindAll(address: "::1", port: 0, loops: [loop])[0]
      #expect(listener.port > 0)
    }

    @Test func `the kernel spreads connections over the loops`() throws {
      let loops = try (0..<2).map { try EventLoop(index: $0) }
      for loop in loops { loop.start() }
      let listeners = try Listener.bindAll(address: "127.0.0.1", port: 0, loops: loops)
      let counters = zip(loops, listeners).map { loop, listener in Counter(loop, listener) }
      let clients = (0..<200).compactMap { _ in Client(port: listeners[0].port) }
      #expect(clients.count == 200)
      #expect(eventually { counters.reduce(0) { $0 + $1.count.load(ordering: .relaxed) } == 200 })
      for counter in counters { #expect(counter.count.load(ordering: .relaxed) > 20) }
      for loop in loops { loop.stop() }
      for loop in loops { loop.join() }
    }

    final class Counter: ListenerDelegate, @unchecked Sendable {
      let count = Atomic<Int>(0)

      init(_ loop: EventLoop, _ listener: Listener) {
        _ = loop.sync {
          listener.delegate = self
          listener.start()
        }
      }

      /// Doesn't take the connection: it is closed.
      func listener(_ listener: Listener, accepted socket: Socket) { count.add(1, ordering: .relaxed) }
    }

    @Test func `a connection that nobody takes is closed`() throws {
      try EventLoop.with { loop in
        let listener = try Listener.bindAll(address: "127.0.0.1", port: 0, loops: [loop])[0]
        let counter = Counter(loop, listener)
        let client = try #require(Client(port: listener.port))
        #expect(client.isAtEnd)
        #expect(counter.count.load(ordering: .relaxed) == 1)
      }
    }

    @Test func `one that stopped accepting leaves connections in the backlog until it goes on`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop).start()
        _ = loop.sync { server.listener.stopAccepting() }
        #expect(loop.sync {} != nil && loop.sync {} != nil)
        let client = try #require(Client(port: server.port))
        client.send([5])
        usleep(20_000)
        #expect(server.accepted.load(ordering: .relaxed) == 0)
        _ = loop.sync { server.listener.start() }
        #expect(client.receive(1) == [5])
      }
    }

    @Test func `a closed one refuses connections, and its port is free again`() throws {
      try EventLoop.with { loop in
        let server = try Server(loop).start()
        let gate = Gate()
        _ = loop.sync { server.listener.close { gate.open() } }
        #expect(gate.wait())
        #expect(Client(port: server.port) == nil)
        _ = try Listener.bindAll(address: "127.0.0.1", port: server.port, loops: [loop])
      }
    }

    @Test func `out of descriptors it pauses, without spinning, and goes on when there are some`() async {
      // In a process of its own: the limit holds for the whole process.
      await #expect(processExitsWith: .success) { try exhaustDescriptors() }
    }

    @Test func `connections leave the reserved descriptors to files`() async {
      await #expect(processExitsWith: .success) { try leaveDescriptors() }
    }
  }
}

/// In a process of its own nobody sees what it says: it ends with the number of the line that failed, below 256.
private func demand(_ holds: @autoclosure () -> Bool, _ reason: String = "", line: Int32 = #line) {
  if !holds() {
    print(reason)
    exit(line)
  }
}

/// The lowest free descriptor, with none free below the highest in use: a process may have been born with some, in
/// any order.
private func firstFreeBeyondAll() -> Int32 {
  var free = dup(0)
  while (free + 1...free + 256).contains(where: { fcntl($0, F_GETFD) >= 0 }) { free = dup(0) }
  close(free)
  return free
}

private func exhaustDescriptors() throws {
  try EventLoop.with { loop in
    let server = try Server(loop).start()
    // All clients exist before the descriptors run out; the server's ends are what is missing.
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    _ = loop.sync { server.listener.stopAccepting() }
    let clients = (0..<20).compactMap { _ in Client(port: server.port) }
    demand(clients.count == 20)
    let highest = firstFreeBeyondAll()
    limit.rlim_cur = UInt(highest) + 5
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    _ = loop.sync { server.listener.start() }
    demand(eventually { loop.counters.acceptPauses.value >= 1 })
    let few = server.accepted.load(ordering: .relaxed)
    demand(few >= 1 && few < 20, "accepted \(few)")
    let turns = loop.counters.turns.value
    usleep(250_000)
    demand(loop.counters.turns.value - turns < 50, "spins")
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    demand(eventually { server.accepted.load(ordering: .relaxed) == 20 })
    for client in clients {
      client.send([1])
      demand(client.receive(1) == [1])
    }
  }
}

private func leaveDescriptors() throws {
  let reserved = 12
  var options = LoopOptions()
  options.descriptorsReserved = reserved
  try EventLoop.with(options) { loop in
    let server = try Server(loop).start()
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    _ = loop.sync { server.listener.stopAccepting() }
    let clients = (0..<20).compactMap { _ in Client(port: server.port) }
    demand(clients.count == 20)
    let highest = firstFreeBeyondAll()
    limit.rlim_cur = UInt(highest) + 5 + UInt(reserved)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    _ = loop.sync { server.listener.start() }
    demand(eventually { loop.counters.acceptPauses.value >= 2 })
    let few = server.accepted.load(ordering: .relaxed)
    demand(few >= 1 && few <= 5, "accepted \(few)")
    // What connections were refused, files get; but for the one that the loop takes for a moment when it looks again.
    let files = (0..<reserved - 1).map { _ in open("/dev/null", O_RDONLY) }
    demand(files.allSatisfy { $0 >= 0 }, "no descriptor for a file")
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    demand(limit.rlim_cur == UInt(highest) + 5 + UInt(reserved), "the limit stays lowered")
    let turns = loop.counters.turns.value
    usleep(250_000)
    demand(loop.counters.turns.value - turns < 50, "spins")
    for file in files { close(file) }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    demand(eventually { server.accepted.load(ordering: .relaxed) == 20 })
  }
}
