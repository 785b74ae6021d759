import EventLoop
import Testing

struct MailboxTests {
  @Test func `what is pushed comes out in order`() {
    let mailbox = Mailbox<Int>(capacity: 4)
    #expect(mailbox.push(1) && mailbox.push(2))
    var out: [Int] = []
    #expect(mailbox.drain { out.append($0) } == 2)
    #expect(out == [1, 2])
    #expect(mailbox.count == 0)
  }

  @Test func `a full one refuses, and takes again after a drain`() {
    let mailbox = Mailbox<Int>(capacity: 3)
    #expect(mailbox.capacity == 4)
    for n in 0..<4 { #expect(mailbox.push(n)) }
    #expect(!mailbox.push(4))
    var first = -1
    #expect(mailbox.drain(max: 1) { first = $0 } == 1)
    #expect(first == 0)
    #expect(mailbox.push(5))
    #expect(!mailbox.push(6))
  }

  @Test func `what is left goes with the mailbox`() {
    final class Token { var gone: () -> Void = {}; deinit { gone() } }
    var released = 0
    do {
      let mailbox = Mailbox<Token>(capacity: 8)
      for _ in 0..<5 {
        let token = Token()
        token.gone = { released += 1 }
        #expect(mailbox.push(token))
      }
      mailbox.drain(max: 2) { _ in }
      #expect(released == 2)
    }
    #expect(released == 5)
  }

  @Test func `two threads pass a million numbers without loss or disorder`() {
    let mailbox = Mailbox<Int>(capacity: 256)
    let total = 1_000_000
    let pusher = TestThread {
      var n = 0
      while n < total { if mailbox.push(n) { n += 1 } else { yieldThread() } }
    }
    var expected = 0
    var inOrder = true
    while expected < total {
      let taken = mailbox.drain(max: 100) {
        inOrder = inOrder && $0 == expected
        expected += 1
      }
      if taken == 0 { yieldThread() }
    }
    pusher.join()
    #expect(inOrder)
  }

  @Test func `pushing and waking never loses a wake`() throws {
    final class Drain: TurnDelegate, @unchecked Sendable {
      let mailbox = Mailbox<Int>(capacity: 16)
      let sum = Shared(0)
      func turnDidReap(_ loop: EventLoop) { mailbox.drain { n in sum.change { $0 += n } } }
      func turnWillSubmit(_ loop: EventLoop) {}
    }
    let drain = Drain()
    let loop = try EventLoop(index: 1)
    loop.delegate = drain
    loop.start()
    for n in 1...2000 {
      while !drain.mailbox.push(n) { loop.wakeIfAsleep() }
      loop.wakeIfAsleep()
      // Every so often, wait until the loop has gone to sleep again.
      if n % 100 == 0 { #expect(eventually { drain.sum.value == n * (n + 1) / 2 }) }
    }
    #expect(eventually { drain.sum.value == 2000 * 2001 / 2 })
    loop.stop()
    loop.join()
  }
}
