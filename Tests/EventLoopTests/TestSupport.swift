import EventLoop
import Glibc
import Synchronization
import Testing

/// Tests with a real ring run one after the other: they block the threads of Swift's pool, of which there are
/// few.
@Suite(.serialized) enum WithRing {}

/// Seconds that a test waits for what must happen, before it says that it didn't. Long: a busy machine's disk may
/// stand still for half a minute, and who doesn't fail doesn't wait.
let patience: Int = 120

/// A semaphore that gives up.
final class Gate: @unchecked Sendable {
  private let semaphore: UnsafeMutablePointer<sem_t>

  init() {
    semaphore = .allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func open() { sem_post(semaphore) }

  /// False when nobody opened it in time.
  func wait() -> Bool {
    var end = timespec()
    clock_gettime(CLOCK_REALTIME, &end)
    end.tv_sec += patience
    while sem_timedwait(semaphore, &end) != 0 {
      if errno != EINTR { return false }
    }
    return true
  }
}

/// Polls for a state that another thread brings about.
func eventually(_ condition: () -> Bool) -> Bool {
  var tries = 0
  while !condition() {
    tries += 1
    if tries > patience * 1000 { return false }
    usleep(1000)
  }
  return true
}

/// A value that crosses threads.
final class Shared<Value: Sendable>: Sendable {
  private let mutex: Mutex<Value>

  init(_ value: Value) { mutex = Mutex(value) }

  var value: Value { mutex.withLock { $0 } }

  func set(_ value: Value) { mutex.withLock { $0 = value } }

  func change(_ body: (inout sending Value) -> Void) { mutex.withLock { body(&$0) } }
}

struct Unchecked<Value>: @unchecked Sendable {
  let value: Value
}

extension EventLoop {
  /// Runs `body` on the loop and waits for what it returns.
  func sync<R: Sendable>(_ body: @escaping @Sendable () -> R) -> R? {
    let gate = Gate()
    let result = Shared<R?>(nil)
    perform {
      result.set(body())
      gate.open()
    }
    return gate.wait() ? result.value : nil
  }

  /// A started loop for the length of `body`.
  static func with<R>(_ options: LoopOptions = .init(), _ body: (EventLoop) throws -> R) throws -> R {
    let loop = try EventLoop(index: 0, options: options)
    loop.start()
    defer {
      loop.stop()
      loop.join()
    }
    return try body(loop)
  }
}

/// A thread of the test's own.
final class TestThread: @unchecked Sendable {
  private var thread = pthread_t()
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  init(_ run: @escaping @Sendable () -> Void) {
    pthread_create(
      &thread, nil,
      { argument in
        if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, Unmanaged.passRetained(Body(run)).toOpaque())
  }

  func join() { pthread_join(thread, nil) }
}

/// A blocking TCP client.
final class Client: @unchecked Sendable {
  let descriptor: Int32

  /// Nil when the connection is refused.
  init?(port: UInt16, receiveBuffer: Int32? = nil) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var limit = timeval(tv_sec: patience, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    if var receiveBuffer {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<Int32>.size))
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    // A thread that made a ring may be interrupted when the kernel takes the ring down; the connecting goes
    // on.
    guard result == 0 || (errno == EINTR && isConnected) else {
      Glibc.close(descriptor)
      return nil
    }
  }

  private var isClosed = false

  deinit { close() }

  private var isConnected: Bool {
    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    while poll(&wait, 1, Int32(patience) * 1000) < 0 {
      guard errno == EINTR else { return false }
    }
    var error: Int32 = -1
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
    return error == 0
  }

  @discardableResult func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  /// Up to `count` bytes; fewer when the peer ended or reset the connection, or time is up.
  func receive(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes[done...].withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { break }
      done += got
    }
    return Array(bytes.prefix(done))
  }

  /// The peer has ended its side: a receive says so.
  var isAtEnd: Bool { receive(1).isEmpty }

  func shutdownSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Ends with a RST.
  func reset() {
    var now = Glibc.linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<Glibc.linger>.size))
    close()
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    Glibc.close(descriptor)
  }
}

/// Bytes that differ from offset to offset and from seed to seed, with a period of 64 KiB less one.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
  let period = 65_535
  return [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
    for n in 0..<min(count, period) { bytes[n] = UInt8(truncatingIfNeeded: (n &* 31) ^ (n >> 8) ^ seed) }
    var done = min(count, period)
    while done < count {
      let part = min(count - done, period)
      if let base = bytes.baseAddress { memcpy(base + done, base, part) }
      done += part
    }
    initialized = count
  }
}

/// Compares by memcmp: arrays of megabytes are slow to compare in a debug build.
func same(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  a.count == b.count
    && a.withUnsafeBytes { a in
      b.withUnsafeBytes { b in
        guard let a = a.baseAddress, let c = b.baseAddress else { return true }
        return memcmp(a, c, b.count) == 0
      }
    }
}

/// Raises the soft limit of descriptors to the hard one.
func raiseDescriptorLimit() -> UInt {
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  limit.rlim_cur = min(limit.rlim_max, 65_536)
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  return limit.rlim_cur
}

/// A server on one loop, whose behaviour is a closure per event; it remembers what happened to each
/// connection.
final class Server: ListenerDelegate, SocketDelegate, @unchecked Sendable {
  let loop: EventLoop
  let listener: Listener
  /// Loop-confined.
  var sockets: [Socket] = []
  /// What its connections speak; nil: plain.
  var context: TLSContext?
  var onReceive: (Server, Socket, UnsafeMutableRawBufferPointer, ReceiveBufferID) -> BufferDisposition = {
    _, socket, bytes, _ in
    socket.output.write(UnsafeRawBufferPointer(bytes))
    return .returned
  }
  var onAccept: (Server, Socket) -> Void = { _, _ in }
  var onEnd: (Server, Socket) -> Void = { _, socket in socket.close(after: true) }
  var onDrained: (Server, Socket) -> Void = { _, _ in }
  let accepted = Atomic<Int>(0)
  let received = Atomic<Int>(0)
  let closed = Shared<[SocketCloseReason]>([])
  /// Clients' certificates that the handshake failed of: whether it was for want of one.
  let refused = Shared<[Bool]>([])

  init(_ loop: EventLoop) throws {
    self.loop = loop
    listener = try Listener.bindAll(address: "127.0.0.1", port: 0, loops: [loop])[0]
  }

  var port: UInt16 { listener.port }

  func start() -> Server {
    _ = loop.sync { [self] in
      listener.delegate = self
      listener.start()
    }
    return self
  }

  func listener(_ listener: Listener, accepted socket: Socket) {
    accepted.add(1, ordering: .relaxed)
    if let context, !socket.startTLS(context) { return }
    sockets.append(socket)
    socket.delegate = self
    socket.start()
    onAccept(self, socket)
  }

  func socket(
    _ s: Socket, received bytes: UnsafeMutableRawBufferPointer, buffer: ReceiveBufferID
  ) -> BufferDisposition {
    received.add(bytes.count, ordering: .relaxed)
    return onReceive(self, s, bytes, buffer)
  }

  func socket(_ s: Socket, refusedCertificate isMissing: Bool) { refused.change { $0.append(isMissing) } }

  func socketReachedEnd(_ s: Socket) { onEnd(self, s) }

  func socketDrained(_ s: Socket) { onDrained(self, s) }

  func socketClosed(_ s: Socket, reason: SocketCloseReason) {
    sockets.removeAll { $0 === s }
    closed.change { $0.append(reason) }
  }
}

func yieldThread() { sched_yield() }

/// An actor of its own on the same loop.
actor Neighbour {
  private let loop: EventLoop
  init(_ loop: EventLoop) { self.loop = loop }
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  func touch() -> Bool { loop.isOnLoop }
}
