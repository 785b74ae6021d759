import Bytes
import EventLoop
import HTTP
import Model
import Telemetry
import Testing

@testable import API

/// One connection, its peer and its clock in the test's hands.
@Suite struct WebSocketConnectionTests {
  typealias Desk = WebSocketDesk

  @Test func `it begins with subscribed, and answers what came behind the handshake`() throws {
    let desk = try Desk(rest: Desk.text(#"{"type":"ping"}"#) + Desk.frame(.ping, [1, 2, 3]))
    let frames = try desk.begun()
    #expect(
      frames == [
        .init(opcode: .text, payload: Array(#"{"type":"pong"}"#.utf8)),
        .init(opcode: .pong, payload: [1, 2, 3]),
      ])
  }

  @Test func `what is refused is answered with code, detail and the ref as it was written`() throws {
    let desk = try Desk(agent: "ann")
    _ = try desk.begun()
    desk.arrives(Desk.text("{") + Desk.text(#"{"type":"fly","ref":"a\u00e9"}"#) + Desk.publish(7))
    let texts = try desk.taken().map(\.text)
    #expect(
      texts == [
        #"{"type":"error","code":"invalid_request","detail":"The body is not valid JSON: the JSON text ends too early at byte 1"}"#,
        #"{"type":"error","ref":"a\u00e9","code":"invalid_request","#
          + #""detail":"/type must be subscribe, unsubscribe, publish or ping"}"#,
        #"{"type":"error","ref":7,"code":"invalid_request","detail":"/work_unit/agent_id differs from X-Agent-ID"}"#,
      ])
    #expect(!desk.isEnding)
  }

  @Test func `a cursor ahead of history is gone; what was followed goes on`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    desk.arrives(Desk.text(#"{"type":"subscribe","ref":1,"after":"1000000"}"#))
    let answer = try #require(desk.taken().first).text
    #expect(answer.hasPrefix(#"{"type":"error","ref":1,"code":"gone","#))
    desk.arrives(Desk.text(#"{"type":"subscribe","contexts":["c"]}"#))
    #expect(
      try desk.taken().map(\.text).first?.hasPrefix(#"{"type":"subscribed","position":0,"contexts":["c"]"#)
        == true)
  }

  // MARK: Limits

  @Test func `beyond 1024 publishes in flight nothing is read`() throws {
    let desk = try Desk()
    for ref in 0..<Limits.publishesInFlightMax - 1 { desk.arrives(Desk.publish(ref)) }
    #expect(!desk.isPaused)
    desk.arrives(Desk.publish(0) + Desk.frame(.ping, []))
    #expect(desk.isPaused)
    desk.arrives(Desk.frame(.ping, []))
    // What came all the same is held: neither ping is answered.
    #expect(try desk.begun().isEmpty)
    #expect(desk.metrics.publishesInFlight.value == Int64(Limits.publishesInFlightMax))
  }

  @Test func `a peer that takes no pongs is no longer read`() throws {
    let desk = try Desk()
    let ping = Desk.frame(.ping, [UInt8](repeating: 1, count: 125))
    var sent = 0
    while !desk.isPaused, sent < 10_000 {
      desk.arrives(ping)
      sent += 1
    }
    #expect(desk.socket.queuedBytes > Limits.outboxBytesMax)
    #expect(desk.socket.queuedBytes < Limits.outboxBytesMax + 256)
    #expect(try desk.begun().count == sent)
  }

  @Test func `a subscribe is the last message of its turn`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    let subscribe = Desk.text(#"{"type":"subscribe"}"#)
    desk.arrives(subscribe + subscribe + Desk.text(#"{"type":"ping"}"#))
    desk.arrives(Desk.frame(.ping, [7]))
    #expect(desk.isPaused)
    #expect(try desk.taken().map { $0.text.prefix(20) } == [#"{"type":"subscribed""#])
    desk.turn()
    #expect(try desk.taken().map { $0.text.prefix(20) } == [#"{"type":"subscribed""#])
    #expect(desk.isPaused)
    desk.turn()
    #expect(try desk.taken().map(\.payload) == [Array(#"{"type":"pong"}"#.utf8), [7]])
    #expect(!desk.isPaused)
  }

  @Test func `many messages at a time are acted upon in several turns`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    let max = Limits.messagesPerTurnMax
    desk.arrives((0..<2 * max + 1).flatMap { Desk.frame(.ping, [UInt8($0 & 0x7f)]) })
    var answered: [[UInt8]] = []
    for expected in [max, max, 1] {
      let pongs = try desk.taken()
      #expect(pongs.count == expected)
      answered += pongs.map(\.payload)
      desk.turn()
    }
    #expect(answered == (0..<2 * max + 1).map { [UInt8($0 & 0x7f)] })
    #expect(!desk.isPaused)
  }

  @Test func `a message for which there is no memory ends the connection with 1013`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    desk.budget = 100_000
    let whole = Desk.frame(.text, [UInt8](repeating: 0x20, count: 200_000))
    desk.arrives(Array(whole[..<80_000]))
    #expect(desk.charged >= 80_000 - 14)
    #expect(try desk.taken().isEmpty)
    desk.arrives(Array(whole[80_000..<150_000]))
    #expect(try desk.taken().map(\.code) == [1013])
  }

  @Test func `memory of a message is charged while it is gathered`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    let whole = Desk.frame(.text, [UInt8](repeating: 0x20, count: 50_000))
    desk.arrives(Array(whole[..<20_000]))
    #expect((20_000 - 14...50_000).contains(desk.charged))
    desk.arrives(Array(whole[20_000...]))
    #expect(desk.charged == 0)
    #expect(try desk.taken().count == 1)
  }

  // MARK: The end

  @Test func `the peer's close is answered once nothing is owed`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    desk.arrives(Desk.frame(.close, [3, 232]) + Desk.frame(.ping, []))
    #expect(try desk.taken() == [.init(opcode: .close, payload: [3, 232])])
    #expect(desk.isEnding)
  }

  @Test func `a close behind publishes in flight waits for them, five seconds at most`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    desk.arrives(Desk.publish(1) + Desk.frame(.close, [3, 232]))
    #expect(try desk.taken().isEmpty)
    desk.pass(seconds: 4)
    #expect(try desk.taken().isEmpty)
    desk.pass(seconds: 2)
    #expect(try desk.taken().map(\.code) == [1000])
    #expect(desk.isEnding)
  }

  @Test(arguments: [
    (Desk.frame(.binary, [1]), 1003), (Desk.frame(.text, [0xff]), 1007), ([0x81, 0x01, 0x20], 1002),
    (Desk.frame(.continuation, []), 1002), ([0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0], 1009),
  ])
  func `a rule that is broken closes at once`(bytes: [UInt8], code: Int) throws {
    let desk = try Desk()
    _ = try desk.begun()
    desk.arrives(bytes)
    #expect(try desk.taken().map(\.code) == [code])
    #expect(desk.isEnding)
  }

  @Test func `at shutdown the peer is told 1001, and has five seconds to answer`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    desk.services.streams.closeAll()
    #expect(try desk.taken().map(\.code) == [1001])
    desk.arrives(Desk.text(#"{"type":"ping"}"#))
    #expect(try desk.taken().isEmpty)
    #expect(!desk.isEnding)
    desk.pass(seconds: 6)
    #expect(desk.isEnding)
  }

  @Test func `at shutdown publishes in flight come first, and no more are taken`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    desk.arrives(Desk.publish(1))
    desk.services.streams.closeAll()
    desk.arrives(Desk.publish(2))
    #expect(desk.metrics.publishesInFlight.value == 1)
    #expect(try desk.taken().isEmpty)
  }

  // MARK: Time

  @Test func `each 15 s there is progress and a ping, while bytes come`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    var beats = 0
    for _ in 0..<120 {
      desk.pass(seconds: 1)
      let frames = try desk.taken()
      guard !frames.isEmpty else { continue }
      beats += 1
      // Both leave in one send.
      #expect(frames.map(\.opcode) == [.text, .ping])
      #expect(frames.first?.text == #"{"type":"progress","cursor":"0"}"#)
      desk.arrives(Desk.frame(.pong, []))
    }
    #expect((7...8).contains(beats))
    desk.arrives(Desk.text(#"{"type":"unsubscribe"}"#))
    desk.pass(seconds: 16)
    let beatsOfNothing = try desk.taken().map(\.opcode)
    #expect(beatsOfNothing == [.ping] || beatsOfNothing == [.ping, .ping])
  }

  @Test func `a peer of which nothing is heard for 45 s is closed then`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    for _ in 0..<44 {
      desk.pass(seconds: 1)
      #expect(try desk.taken().allSatisfy { $0.opcode != .close })
    }
    desk.pass(seconds: 2)
    #expect(try desk.taken().last?.code == 1008)
    desk.pass(seconds: 6)
    #expect(desk.isEnding)
  }

  @Test func `a peer that still takes what is queued is not silent`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    desk.arrives(Desk.frame(.ping, [UInt8](repeating: 1, count: 125)))
    for _ in 0..<10 {
      desk.socket.hold()
      desk.pass(seconds: 10)
      desk.takes(1)
      #expect(!desk.isEnding)
    }
    desk.takes(desk.socket.queuedBytes)
    // It was last seen taking some at one of the beats before.
    var seconds = 0
    while seconds < 46, try desk.taken().last?.code != 1008 {
      desk.pass(seconds: 1)
      seconds += 1
    }
    #expect((29...46).contains(seconds))
  }

  @Test func `a peer that takes nothing for 30 s is told to come back later`() throws {
    let desk = try Desk()
    desk.pass(seconds: 32)
    let frames = try desk.taken()
    #expect(frames.last?.code == 1013)
  }

  @Test func `a message that never ends is ended`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    desk.arrives(Desk.frame(.text, [0x20], isFinal: false))
    for _ in 0..<11 {
      desk.pass(seconds: 10)
      desk.arrives(Desk.frame(.continuation, [0x20], isFinal: false))
      #expect(try desk.taken().allSatisfy { $0.opcode != .close })
    }
    desk.pass(seconds: 26)
    #expect(try desk.taken().last?.code == 1008)
  }

  @Test func `messages one after the other may take as long as they like`() throws {
    let desk = try Desk()
    _ = try desk.begun()
    let ping = Desk.text(#"{"type":"ping"}"#)
    // Each time the end of one and the beginning of the next.
    desk.arrives(Array(ping[..<12]))
    for _ in 0..<20 {
      desk.pass(seconds: 10)
      desk.arrives(Array(ping[12...] + ping[..<12]))
      let frames = try desk.taken()
      #expect(frames.last?.text == #"{"type":"pong"}"#)
      #expect(frames.allSatisfy { $0.opcode != .close })
    }
  }
}
