import Access
import Bytes
import CIOUring
import EngramTesting
import Glibc
import Model
import Router
import Telemetry
import WAL

@testable import API
@testable import Engine
@testable import EventLoop

/// An engine for all desks, as making one costs tens of MiB of log on the disk. They use nothing of it that changes.
private struct SharedEngine: @unchecked Sendable {
  let engine: LiveEngine
  private let directory: TemporaryDirectory

  private init() throws {
    directory = try TemporaryDirectory()
    engine = try LiveEngine.small(directory, EventLoop(index: 0), Registry())
  }

  private static let made = Result { try SharedEngine() }

  static func get() throws -> LiveEngine {
    let shared = try made.get()
    // Statics have no end: what lies on the disk goes with the process.
    _ = cleanup
    return shared.engine
  }

  private static let cleanup: Int32 = atexit {
    guard case .success(let shared) = SharedEngine.made else { return }
    shared.engine.quiesce()
    shared.engine.close()
    TemporaryDirectory.remove(shared.directory.path)
  }
}

/// A hub of followers whose loop doesn't run: nothing that they queue is sent, and the test's thread may look at it.
final class StreamDesk {
  let hub: StreamHub
  let metrics: APIMetrics
  let window: WindowIndex
  private let loop: EventLoop
  private let engine: LoopEngine
  private let builder = BatchBuilder(
    pool: SlabPool(slabBytes: 4 << 20, keptMax: 2), batchBytesMax: 4 << 20, batchBytesLimit: 8 << 20)
  private var peers: [Int32] = []
  private(set) var position: UInt64 = 0

  init() throws {
    loop = try EventLoop(index: 0)
    window = WindowIndex(head: .zero)
    let shared = try SharedEngine.get()
    engine = LoopEngine(loop: loop, window: window, engine: shared, store: shared.store, isHome: true)
    metrics = APIMetrics(Registry())
    hub = StreamHub(engine: engine, metrics: metrics)
  }

  deinit {
    for peer in peers { Glibc.close(peer) }
  }

  /// What a follower's owner was told.
  final class Owner: FollowerOwner {
    var ends: [StreamEnd] = []
    var refusals: [ErrorCode] = []
    var beats = 0
    var looks = 0

    func followerHasLooked(_ follower: Follower) { looks += 1 }
    func followerBeats(_ follower: Follower) { beats += 1 }
    func follower(_ follower: Follower, ends reason: StreamEnd) { ends.append(reason) }
    func follower(_ follower: Follower, refuses problem: Problem) { refusals.append(problem.code) }
  }

  /// A follower that has begun, and what its owner is told.
  func follower(_ format: StreamFormat = .sse, as caller: Caller = .open) throws -> (
    follower: Follower, owner: Owner
  ) {
    var pair: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
      throw TestFailure("socketpair: \(errno)")
    }
    peers.append(pair[1])
    let socket = Socket(loop: loop, descriptor: pair[0])
    socket.start()
    let follower = Follower(socket: socket, hub: hub, format: format, caller: caller)
    let owner = Owner()
    follower.start(owner)
    return (follower, owner)
  }

  /// One that follows `subscription` from now on, with nothing in its outbox.
  func live(
    _ subscription: Subscription = Subscription(), _ format: StreamFormat = .sse, as caller: Caller = .open
  ) throws -> Follower {
    let (follower, _) = try follower(format, as: caller)
    follower.subscribe(subscription, after: nil)
    follower.socket.letGo()
    return follower
  }

  /// Publishes a batch of the records that are made for the next positions, as an engine does.
  @discardableResult
  func publish(_ records: [(UInt64) -> [UInt8]]) throws -> Batch {
    for make in records {
      position += 1
      let record = make(position)
      guard let memory = builder.reserve(record.count) else { throw TestFailure("no room for a record") }
      memory.copyMemory(from: record, byteCount: record.count)
      builder.commit(record.count)
    }
    guard let batch = builder.seal() else { throw TestFailure("an empty batch") }
    window.append(batch)
    hub.published(batch)
    return batch
  }

  func publish(units: Int, bodyBytes: Int = 40, context: String = "c") throws {
    try publish(Array(repeating: StreamDesk.unit(bodyBytes: bodyBytes, context: context), count: units))
  }

  static func unit(bodyBytes: Int = 40, context: String = "c") -> (UInt64) -> [UInt8] {
    { EventSamples.unit(position: $0, context: Array(context.utf8), sequence: $0, bodyBytes: bodyBytes) }
  }

  /// Lets time pass, and with it the timers of the loop.
  func pass(seconds: UInt64) {
    for _ in 0..<seconds * 10 {
      loop.now &+= 100_000_000
      loop.wheel.advance(to: (loop.now - loop.origin) / loop.options.timerTick)
      while let (target, tag) = loop.wheel.popDue() { target.timerFired(tag: tag) }
    }
  }
}

extension Socket {
  /// The kernel takes `count` bytes of what is queued.
  func take(_ count: Int) {
    state.insert(.sending)
    state.remove(.dirty)
    outstanding += 1
    completed(.send, Int32(count), 0)
  }

  /// It takes all.
  func letGo() {
    if queuedBytes > 0 { take(queuedBytes) }
  }

  /// It was given what is queued, and has not answered.
  func hold() { state.insert(.sending) }

  /// What is queued, as text, if it lies in one piece.
  var queuedText: String? {
    queue?.single.map { String(decoding: $0, as: UTF8.self) } ?? (queuedBytes == 0 ? "" : nil)
  }

  /// What is queued, as text, in however many pieces it lies: of the first that one send would take.
  var queuedPiecesText: String {
    guard let queue, queue.bytes > 0 else { return "" }
    let message = queue.fillMessage().pointee
    var bytes: [UInt8] = []
    for place in 0..<Int(message.msg_iovlen) {
      bytes += UnsafeRawBufferPointer(
        start: message.msg_iov[place].iov_base, count: message.msg_iov[place].iov_len)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Where the only piece lies.
  var queuedAddress: UnsafeRawPointer? { queue?.single?.baseAddress }
  var queuedPieces: Int { queue?.count ?? 0 }
}
