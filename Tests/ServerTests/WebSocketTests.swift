import CEventLoopTesting
import EventLoop
import Glibc
import Testing

@testable import Server

/// A WebSocket from the upgrade to its end, with a real log behind it.
extension WithServer {
  @Suite struct WebSocketTests {
    private static let upgrade = Request.get(
      "/stream?context=other", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")

    /// A client that is subscribed to a context where nothing happens. `behind` goes out with the request.
    private func open(_ server: Server, behind: [UInt8] = []) throws -> Client {
      let client = try Client(server)
      try client.send(Array(Self.upgrade.utf8) + behind)
      #expect(try client.answer().status == 101)
      let text = try client.frame().text
      guard text.hasPrefix(#"{"type":"subscribed""#) else { throw TestFailure(text) }
      return client
    }

    /// Allocations of one in a debug build, measured: 6.2. A POST has 12.3. A turn of the loop has one or two of its
    /// own; how many publishes share a turn is the machine's affair.
    private static let perPublish = 7.0
    private static let perTurn = 2.0

    private static func publish(_ ref: Int, _ member: String = "") -> [UInt8] {
      Client.masked(
        #"{"type":"publish","ref":\#(ref),"work_unit":{"context_id":"ws","agent_id":"a","type":"MESSAGE","#
          + #""payload":"payload \#(ref)"\#(member)}}"#)
    }

    /// The `ref` and the `sequence` of an ack.
    private func ack(_ client: Client) throws -> [Int] {
      let frame = try client.frame()
      guard frame.text.hasPrefix(#"{"type":"ack","ref":"#) else { throw TestFailure(frame.text) }
      return [frame.number("ref"), frame.number("sequence")]
    }

    @Test func `thousands of publishes are answered in order, however many are on their way`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let count = 3000
        // More than may be in flight, from the segment of the handshake on.
        let client = try open(server, behind: (0..<10).flatMap { Self.publish($0) })
        for first in stride(from: 10, to: count, by: 230) {
          try client.send((first..<first + 230).flatMap { Self.publish($0) })
        }
        for ref in 0..<count { #expect(try ack(client) == [ref, ref + 1]) }
        let loop = try server.loop
        #expect(loop.counters.bufferShortages.value == 0)
      }
    }

    @Test func `a refused publish leaves no gap, and its neighbours alone`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try open(server)
        try client.send(
          Self.publish(1) + Self.publish(2, #","expected_sequence":9"#) + Self.publish(3, #","colour":1"#)
            + Self.publish(4))
        var texts: [String] = []
        for _ in 0..<4 { texts.append(try client.frame().text) }
        #expect(texts.contains { $0.hasPrefix(#"{"type":"error","ref":2,"code":"precondition_failed""#) })
        #expect(
          texts.contains { $0.contains(#""ref":3,"code":"invalid_request","detail":"/work_unit/colour"#) })
        #expect(texts.contains { $0.contains(#""ref":1,"#) && $0.contains(#""sequence":1,"#) })
        #expect(texts.contains { $0.contains(#""ref":4,"#) && $0.contains(#""sequence":2,"#) })
      }
    }

    @Test func `an id that exists is acknowledged with what it stands for`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try open(server)
        let id = #","id":"0190a0b0-0000-7000-8000-000000000001""#
        try client.send(Self.publish(7, id) + Self.publish(7, id))
        let first = try client.frame().text
        #expect(try client.frame().text == first)
        try client.send(Self.publish(7, id))
        #expect(try client.frame().text == first)
        try client.send(Self.publish(8, id))
        #expect(try client.frame().text.hasPrefix(#"{"type":"error","ref":8,"code":"conflict""#))
      }
    }

    @Test func `a close behind publishes comes back behind their acks`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try open(server)
        try client.send((0..<50).flatMap { Self.publish($0) } + Client.masked(opcode: 8, [3, 232]))
        for ref in 0..<50 { #expect(try ack(client) == [ref, ref + 1]) }
        #expect(try client.frame().opcode == 8)
      }
    }

    @Test func `at the end of the server what was taken is acknowledged, then comes 1001`() throws {
      let directory = try TemporaryDirectory()
      let sequences = try sequencesAtEnd(of: Server.make(directory))
      // In order and without a gap, up to where the end came.
      #expect(sequences == Array(2..<2 + sequences.count))
      try Server.with(directory) { server in
        let answer = try Client(server).get("/workunits/ws?reverse=true&limit=1")
        #expect(answer.body.contains(#""sequence":\#(sequences.count + 1),"#))
      }
    }

    /// What a server acknowledges, behind the first, of publishes that are on their way when it ends.
    private func sequencesAtEnd(of server: consuming Server) throws -> [Int] {
      server.start()
      let client = try open(server)
      try client.send((0..<400).flatMap { Self.publish($0) })
      // The first ack says that the server is at it.
      #expect(try ack(client) == [0, 1])
      let polite = Polite(client)
      try polite.start()
      server.stop()
      polite.join()
      #expect(polite.code == 1001)
      return polite.sequences
    }

    @Test func `a handshake that can't be answered says why, and the connection goes on`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try Client(server)
        let old = Request.get(
          "/stream", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8",
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        try client.send(old)
        let refused = try client.answer()
        #expect(refused.status == 426)
        #expect(refused.field("Sec-WebSocket-Version") == "13")
        #expect(refused.field("Upgrade") == "websocket")
        #expect(refused.body.contains("upgrade_required"))
        try client.send(
          Request.get(
            "/stream?after=99", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
        #expect(try client.answer().status == 410)
        #expect(try client.get("/healthz").status == 200)
      }
    }

    @Test func `a warm publish enqueues no job, and allocates next to nothing`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try open(server)
        let loop = try server.loop
        func round(_ count: Int) throws -> (allocations: UInt64, enqueues: UInt64, turns: UInt64) {
          let (enqueues, turns) = (loop.counters.enqueues.value, loop.counters.turns.value)
          let before = try loop.sync { testing_allocations() }
          for _ in 0..<count / 50 {
            try client.send((0..<50).flatMap { Self.publish($0) })
            for _ in 0..<50 { _ = try client.frame() }
          }
          let after = try loop.sync { testing_allocations() }
          return (after - before, loop.counters.enqueues.value - enqueues, loop.counters.turns.value - turns)
        }
        _ = try round(500)
        var least = try round(2000)
        for _ in 0..<2 {
          let next = try round(2000)
          if next.allocations < least.allocations { least = next }
        }
        let each = Double(least.allocations) / 2000
        print("publish: \(each) allocations, \(Double(least.enqueues) / 2000) enqueues, \(least.turns) turns")
        #expect(each <= Self.perPublish + Self.perTurn * Double(least.turns) / 2000)
        #expect(least.enqueues == 0)
      }
    }
  }

  /// A peer that reads on a thread of its own and answers the server's close. Touched by one thread at a time.
  private final class Polite: @unchecked Sendable {
    private let client: Client
    private var thread = pthread_t()
    private(set) var sequences: [Int] = []
    private(set) var code = 0

    init(_ client: Client) { self.client = client }

    func start() throws {
      let box = Unmanaged.passRetained(self)
      let failed = pthread_create(
        &thread, nil,
        { argument in
          if let argument { Unmanaged<Polite>.fromOpaque(argument).takeRetainedValue().read() }
          return nil
        }, box.toOpaque())
      guard failed == 0 else { throw TestFailure("pthread_create: \(failed)") }
    }

    func join() { pthread_join(thread, nil) }

    private func read() {
      while let frame = try? client.frame() {
        guard frame.opcode == 8 else {
          sequences.append(frame.number("sequence"))
          continue
        }
        code = frame.code
        try? client.send(Client.masked(opcode: 8, [3, 233]))
        return
      }
    }
  }
}

/// A frame of the server, which sends whole ones of at most 64 KiB here.
private struct Frame {
  var opcode: UInt8
  var payload: [UInt8]
  var text: String { String(decoding: payload, as: UTF8.self) }
  /// Of a close frame; 0 if it says none.
  var code: Int { payload.count < 2 ? 0 : Int(payload[0]) << 8 | Int(payload[1]) }

  /// The value of a member that is a number; -1 if there is none.
  func number(_ name: String) -> Int {
    let lead = Array("\"\(name)\":".utf8)
    guard let found = payload.firstRange(of: lead) else { return -1 }
    let digits = payload[found.upperBound...].prefix { $0 >= 0x30 && $0 <= 0x39 }
    return Int(String(decoding: digits, as: UTF8.self)) ?? -1
  }
}

extension Client {
  fileprivate func frame() throws -> Frame {
    let head = try bytes(2)
    guard head[0] & 0xf0 == 0x80, head[1] < 127 else { throw TestFailure("a frame of another kind: \(head)") }
    let length = head[1] < 126 ? Int(head[1]) : try bytes(2).reduce(0) { $0 << 8 | Int($1) }
    return Frame(opcode: head[0] & 0x0f, payload: try bytes(length))
  }

  fileprivate static func masked(_ text: String) -> [UInt8] { masked(opcode: 1, Array(text.utf8)) }

  /// A frame of at most 64 KiB as a client sends it.
  fileprivate static func masked(opcode: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let key: [UInt8] = [0x37, 0xfa, 0x21, 0x3d]
    let length: [UInt8] =
      payload.count < 126
      ? [0x80 | UInt8(payload.count)]
      : [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xff)]
    return [0x80 | opcode] + length + key + payload.enumerated().map { $1 ^ key[$0 & 3] }
  }
}
