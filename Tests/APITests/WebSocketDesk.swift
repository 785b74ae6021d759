import Access
import Bytes
import CIOUring
import Engine
import Glibc
import HTTP
import Model
import Router
import Telemetry

@testable import API
@testable import EventLoop

/// A WebSocket on an engine whose loop doesn't run: nothing that it queues is sent, nothing that it publishes becomes
/// durable, and the test's thread may look at all of it.
final class WebSocketDesk: BodyBudget {
  let services: LoopServices
  let metrics: APIMetrics
  let socket: Socket
  let connection: WebSocketConnection
  private let loop: EventLoop
  private let engine: LiveEngine
  private let directory: TemporaryDirectory
  private let peer: Int32
  /// Bytes that may be charged, and that are.
  var budget = Int.max
  private(set) var charged = 0

  /// - Parameter address: where the connection comes from; its memory is the lease's then.
  init(agent: String = "", caller: Caller = .open, address: ClientAddress? = nil, rest: [UInt8] = []) throws {
    directory = try TemporaryDirectory()
    let registry = Registry()
    loop = try EventLoop(index: 0)
    engine = try LiveEngine.small(directory, loop, registry)
    metrics = APIMetrics(registry)
    services = LoopServices(engine: engine.engines[0], service: Well(), metrics: metrics)
    var pair: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
      throw TestFailure("socketpair: \(errno)")
    }
    peer = pair[1]
    socket = Socket(loop: loop, descriptor: pair[0])
    socket.start()
    let exchange = Exchange(socket: socket, services: services)
    exchange.caller = caller
    exchange.lease = address.flatMap {
      ConnectionLease(Pool(), address: $0, addresses: UsageTable(), agents: UsageTable())
    }
    connection = WebSocketConnection(exchange, agent: Array(agent.utf8), Subscription(), after: nil)
    services.bodies = self
    var rest = rest
    rest.withUnsafeMutableBytes { connection.takeOver($0, isEnded: false) }
  }

  deinit {
    engine.quiesce()
    engine.close()
    loop.join()
    close(peer)
  }

  /// Of a lease: without end.
  private final class Pool: ConnectionPool {
    let answers = AnswerRoom(waiting: 0, most: .max)
    func queued(_ bytes: Int) {}
    func charge(_ count: Int) -> Bool { true }
    func uncharge(_ count: Int) {}
    func leaseEnded() {}
  }

  func charge(_ bytes: Int) -> Bool {
    guard charged + bytes <= budget else { return false }
    charged += bytes
    return true
  }

  func uncharge(_ bytes: Int) { charged -= bytes }

  // MARK: The peer

  /// A frame as a client sends it, masked.
  static func frame(_ opcode: WebSocketOpcode, _ payload: [UInt8], isFinal: Bool = true) -> [UInt8] {
    let key: [UInt8] = [0x37, 0xfa, 0x21, 0x3d]
    var head: [UInt8] = [(isFinal ? 0x80 : 0) | opcode.rawValue]
    if payload.count < 126 {
      head.append(0x80 | UInt8(payload.count))
    } else if payload.count < 65_536 {
      head += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xff)]
    } else {
      head.append(0x80 | 127)
      for shift in stride(from: 56, through: 0, by: -8) { head.append(UInt8(payload.count >> shift & 0xff)) }
    }
    return head + key + payload.enumerated().map { $1 ^ key[$0 & 3] }
  }

  static func text(_ text: String) -> [UInt8] { frame(.text, Array(text.utf8)) }

  static func publish(_ ref: Int, payload: String = "x") -> [UInt8] {
    text(
      #"{"type":"publish","ref":\#(ref),"work_unit":{"context_id":"c","agent_id":"a","type":"MESSAGE","#
        + #""payload":"\#(payload)"}}"#)
  }

  func arrives(_ bytes: [UInt8]) {
    var bytes = bytes
    bytes.withUnsafeMutableBytes {
      _ = connection.socket(socket, received: $0, buffer: ReceiveBufferID(index: 0))
    }
    socket.lastReceiveProgress = loop.now
  }

  /// What of the server's a frame is.
  struct Frame: Equatable {
    var opcode: WebSocketOpcode
    var payload: [UInt8]
    var text: String { String(decoding: payload, as: UTF8.self) }
    /// Of a close frame; nil if it says none.
    var code: Int? { payload.count < 2 ? nil : Int(payload[0]) << 8 | Int(payload[1]) }
  }

  /// Takes what is queued, as whole frames.
  func taken() throws -> [Frame] {
    var bytes: [UInt8] = []
    while let queue = socket.queue, queue.bytes > 0 {
      let message = queue.fillMessage().pointee
      var count = 0
      for place in 0..<Int(message.msg_iovlen) {
        let piece = message.msg_iov[place]
        bytes += UnsafeRawBufferPointer(start: piece.iov_base, count: piece.iov_len)
        count += piece.iov_len
      }
      socket.take(count)
    }
    var frames: [Frame] = []
    var at = 0
    while at < bytes.count {
      guard let opcode = WebSocketOpcode(rawValue: bytes[at] & 0x0f), bytes[at] & 0xf0 == 0x80 else {
        throw TestFailure("no frame at \(at)")
      }
      var length = Int(bytes[at + 1])
      at += 2
      if length > 125 {
        let wide = length == 126 ? 2 : 8
        length = bytes[at..<at + wide].reduce(0) { $0 << 8 | Int($1) }
        at += wide
      }
      frames.append(Frame(opcode: opcode, payload: Array(bytes[at..<at + length])))
      at += length
    }
    return frames
  }

  /// What is queued behind `subscribed`, which is the first frame.
  func begun() throws -> [Frame] {
    let frames = try taken()
    guard frames.first?.text.hasPrefix(#"{"type":"subscribed""#) == true else {
      throw TestFailure("\(frames)")
    }
    return Array(frames.dropFirst())
  }

  /// Another turn of the loop: what was put off to it is done.
  func turn() {
    loop.now &+= 1
    loop.drainInbox()
  }

  /// The kernel takes the first bytes of what is queued.
  func takes(_ count: Int) { socket.take(count) }

  var isPaused: Bool { socket.state.contains(.paused) }
  /// The connection ends behind what is queued.
  var isEnding: Bool { socket.state.contains(.lingering) }

  /// Lets time pass, and with it the timers of the loop.
  func pass(seconds: UInt64) {
    for _ in 0..<seconds * 10 {
      loop.now &+= 100_000_000
      loop.wheel.advance(to: (loop.now - loop.origin) / loop.options.timerTick)
      while let (target, tag) = loop.wheel.popDue() { target.timerFired(tag: tag) }
    }
  }
}
