import CEventLoopTesting
import EventLoop
import Glibc
import Synchronization
import Testing

extension WithRing {
  @Suite struct LoopTests {
    @Test func `work performed from another thread runs on the loop's thread`() throws {
      try EventLoop.with { loop in
        #expect(!loop.isOnLoop)
        #expect(loop.sync { loop.isOnLoop && EventLoop.current === loop } == true)
        #expect(EventLoop.current == nil)
      }
    }

    @Test func `the ring is of the kind that the design asks for`() throws {
      try EventLoop.with { loop in
        #expect(loop.features.defersTaskWork, "missing: \(loop.features.missing)")
        #expect(loop.features.wakesByMessage)
      }
    }

    @Test func `a task stays on the loop's thread across its awaits`() throws {
      try EventLoop.with { loop in
        let gate = Gate()
        let strays = Shared(0)
        loop.spawn { domain in
          for _ in 0..<100 {
            let waiter = Waiter(loop)
            loop.perform { waiter.resume() }
            _ = await waiter.wait()
            if !loop.isOnLoop { strays.change { $0 += 1 } }
            await helper()
            if !loop.isOnLoop { strays.change { $0 += 1 } }
          }
          gate.open()
        }
        #expect(gate.wait())
        #expect(strays.value == 0)
      }
    }

    private func helper() async { await Task.yield() }

    @Test func `an await costs no enqueue when its value is there, and one when it suspends`() throws {
      try EventLoop.with { loop in
        let gate = Gate()
        let counts = Shared<[UInt64]>([])
        loop.spawn { domain in
          let before = loop.counters.enqueues.value
          for _ in 0..<10 {
            let waiter = Waiter(loop)
            waiter.resume(3)
            _ = await waiter.wait()
          }
          let ready = loop.counters.enqueues.value
          let partner = Partner(loop)
          for _ in 0..<10 { _ = await partner.next() }
          let suspended = loop.counters.enqueues.value
          // A hop to another actor of the same loop.
          let neighbour = Neighbour(loop)
          for _ in 0..<10 where await !neighbour.touch() { counts.set([]) }
          let hopped = loop.counters.enqueues.value
          counts.set([
            ready - before, suspended - ready, hopped - suspended, loop.counters.remoteEnqueues.value,
          ])
          gate.open()
        }
        #expect(gate.wait())
        // The only job from another thread was the task's first.
        #expect(counts.value == [0, 10, 0, 1])
      }
    }

    @Test func `a waiter is resumed once, and its slot's next life is another's`() throws {
      try EventLoop.with { loop in
        let gate = Gate()
        let answers = Shared<[Bool]>([])
        let values = Shared<[Int]>([])
        loop.spawn { _ in
          let first = Waiter(loop)
          answers.change { $0.append(first.resume(1)) }
          answers.change { $0.append(first.resume(2)) }
          let value = await first.wait()
          values.change { $0.append(value) }
          let second = Waiter(loop)
          answers.change { $0.append(first.resume(3)) }
          second.abandon()
          answers.change { $0.append(second.resume(4)) }
          gate.open()
        }
        #expect(gate.wait())
        #expect(answers.value == [true, false, false, false])
        #expect(values.value == [1])
      }
    }

    @Test func `timers fire in order, not early, and a cancelled one never`() throws {
      final class Recorder: TimerTarget, @unchecked Sendable {
        let loop: EventLoop
        let gate = Gate()
        var fired: [UInt64] = []
        var begin: UInt64 = 0
        var early = false
        init(_ loop: EventLoop) { self.loop = loop }
        func timerFired(tag: UInt64) {
          fired.append(tag)
          early = early || loop.now - begin < tag * 1_000_000
          if tag == 60 { gate.open() }
        }
      }
      try EventLoop.with { loop in
        let recorder = Recorder(loop)
        _ = loop.sync {
          recorder.begin = loop.now
          for ms in [60, 5, 30] as [UInt64] { loop.setTimer(after: ms * 1_000_000, recorder, tag: ms) }
          loop.cancel(loop.setTimer(after: 10_000_000, recorder, tag: 10))
        }
        #expect(recorder.gate.wait())
        let fired = loop.sync { recorder.fired }
        #expect(fired == [5, 30, 60])
        #expect(loop.sync { recorder.early } == false)
      }
    }

    @Test func `an idle loop sleeps`() throws {
      try EventLoop.with { loop in
        _ = loop.sync {}
        let before = loop.counters.turns.value
        usleep(50_000)
        // One or two that end what woke it. One that spins makes thousands.
        #expect(loop.counters.turns.value - before < 20)
      }
    }

    @Test func `one loop wakes another through its ring, as often as it likes`() throws {
      let a = try EventLoop(index: 0)
      let b = try EventLoop(index: 1)
      a.start()
      b.start()
      let gate = Gate()
      let rounds = Atomic<Int>(0)
      @Sendable func ping(_ from: EventLoop, _ to: EventLoop) {
        if rounds.wrappingAdd(1, ordering: .relaxed).newValue == 2000 { return gate.open() }
        to.perform { ping(to, from) }
      }
      a.perform { ping(a, b) }
      #expect(gate.wait())
      for loop in [a, b] { loop.stop() }
      for loop in [a, b] { loop.join() }
    }

    @Test func `more submissions than the queue holds go out in parts`() throws {
      var options = LoopOptions()
      options.submissionEntries = 8
      options.completionEntries = 32
      try EventLoop.with(options) { loop in
        let server = try Server(loop).start()
        let clients = (0..<64).compactMap { _ in Client(port: server.port) }
        #expect(eventually { server.accepted.load(ordering: .relaxed) == 64 })
        // All of them sent to in one turn.
        _ = loop.sync { for socket in server.sockets { socket.output.write("hello") } }
        for client in clients { #expect(client.receive(5) == Array("hello".utf8)) }
        #expect(loop.counters.sqFull.value > 0)
      }
    }

    @Test func `stop ends operations that are outstanding, and only then the thread`() throws {
      let loop = try EventLoop(index: 0)
      loop.start()
      let server = try Server(loop).start()
      let clients = (0..<20).compactMap { _ in Client(port: server.port) }
      #expect(eventually { server.accepted.load(ordering: .relaxed) == 20 })
      // A send that can't complete: nobody reads it.
      _ = loop.sync {
        let big = [UInt8](repeating: 1, count: 8 << 20)
        big.withUnsafeBytes { server.sockets[0].output.write($0) }
      }
      loop.stop()
      loop.join()
      #expect(server.closed.value == Array(repeating: .loopStopped, count: 20))
      #expect(clients.count == 20)
    }

    @Test func `a loop that never started goes without a trace`() throws {
      for _ in 0..<3 { _ = try EventLoop(index: 0) }
      let loop = try EventLoop(index: 0)
      loop.stop()
      loop.start()
      loop.join()
    }

    @Test(arguments: [EPERM, ENOSYS])
    func `where io_uring is blocked, one line says what and how to allow it`(_ code: Int32) throws {
      let line = Shared("")
      let failed = Shared<Int32>(0)
      let thread = TestThread {
        guard testing_block_io_uring(code) == 0 else { return line.set("no filter") }
        do throws(RingError) {
          _ = try EventLoop(index: 0)
        } catch {
          failed.set(error.code)
          line.set(error.description)
        }
      }
      thread.join()
      #expect(failed.value == code)
      #expect(line.value.contains("io_uring_setup"))
      #expect(line.value.contains("engram-seccomp.json"))
      #expect(!line.value.contains("\n"))
    }
  }
}

/// Resumes its caller from a completion of the loop: what a durable write does for a request.
final class Partner: TimerTarget, @unchecked Sendable {
  private let loop: EventLoop
  private var waiter: Waiter?

  init(_ loop: EventLoop) { self.loop = loop }

  nonisolated(nonsending) func next() async -> Int {
    let waiter = Waiter(loop)
    self.waiter = waiter
    loop.setTimer(after: 0, self, tag: 0)
    return await waiter.wait()
  }

  func timerFired(tag: UInt64) { waiter?.resume(1) }
}
