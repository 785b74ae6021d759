internal import CIOUring
internal import Glibc

/// Takes over accepted connections. Loop thread of the listener.
public protocol ListenerDelegate: AnyObject {
  /// A connection was accepted: set its delegate and `start` it. One that is not started when this returns is
  /// closed.
  func listener(_ listener: Listener, accepted socket: Socket)
}

/// Accepts connections on one loop: one multishot accept on a listening socket of its own. Loop-confined once
/// started.
public final class Listener: Resident, @unchecked Sendable {
  /// Pending connections that the kernel keeps (it takes no more than net.core.somaxconn).
  static let backlog: Int32 = 4096

  public let loop: EventLoop
  /// The port it is bound to: the kernel's choice when 0 was asked for.
  public let port: UInt16
  /// Set before `start`. Held until the listener is closed.
  public var delegate: (any ListenerDelegate)?

  private let descriptor: Int32
  private var slot: UInt32 = 0
  private var generation: UInt32 = 0
  private var outstanding = 0
  private var isResident = false
  private var isArmed = false
  private var isAccepting = false
  private var isClosing = false
  private var isClosed = false
  private var pause = TimerID.none
  private var closed: (() -> Void)?

  private init(_ loop: EventLoop, descriptor: Int32, port: UInt16) {
    self.loop = loop
    self.descriptor = descriptor
    self.port = port
  }

  deinit {
    if !isClosed { Glibc.close(descriptor) }
  }

  /// One listener for each loop, all on the same port, between which the kernel spreads connections.
  /// Blocking, cold.
  ///
  /// The first is bound without SO_REUSEPORT, so that a port which another process listens on is an error
  /// (socket(7)).
  /// - Parameters:
  ///   - address: an IPv4 or IPv6 literal; "::" takes IPv4 too unless net.ipv6.bindv6only says otherwise.
  ///   - port: 0 lets the kernel choose; see `port` of the listeners.
  public static func bindAll(
    address: String, port: UInt16, loops: [EventLoop]
  ) throws(ListenError) -> [Listener] {
    guard var wanted = SocketAddress(literal: address, port: port) else {
      throw ListenError(code: EINVAL, operation: "getaddrinfo", address: address, port: port)
    }
    var listeners: [Listener] = []
    for loop in loops {
      let first = listeners.isEmpty
      let bound = try bind(wanted, sharing: !first, address: address, asked: port)
      guard let own = SocketAddress(of: bound, peer: false) else {
        let code = errno
        Glibc.close(bound)
        throw ListenError(code: code, operation: "getsockname", address: address, port: port)
      }
      if first { wanted = own }
      listeners.append(Listener(loop, descriptor: bound, port: own.port))
    }
    for listener in listeners where listen(listener.descriptor, backlog) != 0 {
      throw ListenError(code: errno, operation: "listen", address: address, port: listener.port)
    }
    return listeners
  }

  private static func bind(
    _ wanted: SocketAddress, sharing: Bool, address: String, asked: UInt16
  ) throws(ListenError) -> Int32 {
    // Not SOCK_NONBLOCK: see engram_prep_accept.
    let descriptor = socket(wanted.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var operation = "socket"
    var failed = descriptor < 0
    func set(_ level: Int32, _ option: Int32, _ name: String) {
      guard !failed else { return }
      var one: Int32 = 1
      operation = "setsockopt(\(name))"
      failed = setsockopt(descriptor, level, option, &one, socklen_t(MemoryLayout<Int32>.size)) != 0
    }
    set(SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR")
    // Accepted sockets inherit it.
    set(Int32(IPPROTO_TCP), TCP_NODELAY, "TCP_NODELAY")
    if sharing { set(SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT") }
    if !failed {
      operation = "bind"
      failed = wanted.with { Glibc.bind(descriptor, $0, $1) } != 0
    }
    // The others join the first one's port: from here on it shares, with sockets of the same user only.
    if !sharing { set(SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT") }
    guard failed else { return descriptor }
    let code = errno
    if descriptor >= 0 { Glibc.close(descriptor) }
    throw ListenError(code: code, operation: operation, address: address, port: asked)
  }

  /// Begins to accept, or goes on after `stopAccepting`. Loop thread, or any before the loop is started.
  public func start() {
    loop.assertOnLoop()
    guard !isClosing, !isAccepting else { return }
    if !isResident {
      guard let place = loop.slots.insert(self) else { return }
      (slot, generation) = place
      isResident = true
    }
    isAccepting = true
    arm()
  }

  /// Accepts no more; connections wait in the kernel's backlog until `start` or `close`. Loop thread.
  public func stopAccepting() {
    loop.assertOnLoop()
    isAccepting = false
    loop.cancel(pause)
    cancelAccept()
  }

  /// Stops accepting, closes the listening socket, then calls `done`, on the loop. Loop thread.
  public func close(_ done: (() -> Void)? = nil) {
    loop.assertOnLoop()
    guard !isClosing else { return }
    closed = done
    isClosing = true
    stopAccepting()
    finishIfQuiet()
  }

  func loopIsStopping() { close() }

  // MARK: - Operations

  private func arm() {
    guard isAccepting, !isArmed, !isClosing, !loop.isStopping else { return }
    let reserved = loop.isOnLoop ? loop.options.descriptorsReserved : 0
    guard reserved == 0 || DescriptorLimit.hasRoom(beyond: reserved, descriptor) else { return rest() }
    isArmed = true
    outstanding += 1
    engram_prep_accept(
      loop.countedSubmission(), descriptor, Tag(.accept, slot: slot, generation: generation).raw)
    // An accept keeps the limit that holds when it is submitted (io_accept_prep in the kernel's io_uring/net.c).
    if reserved > 0 { DescriptorLimit.lowered(by: reserved) { loop.ring.submit() } }
  }

  /// Out of descriptors or memory: trying at once would spin until somebody closes something.
  private func rest() {
    guard isAccepting else { return }
    loop.counters.acceptPauses.add()
    pause = loop.setTimer(after: loop.options.acceptPause, self, tag: 0)
  }

  private func cancelAccept() {
    guard isArmed else { return }
    outstanding += 1
    engram_prep_cancel(
      loop.countedSubmission(), Tag(.accept, slot: slot, generation: generation).raw, false,
      Tag(.listenerCancel, slot: slot, generation: generation).raw)
  }

  func completed(_ kind: Tag.Kind, _ result: Int32, _ flags: UInt32) {
    let isLast = flags & UInt32(IORING_CQE_F_MORE) == 0
    if isLast { outstanding -= 1 }
    if kind == .accept {
      if isLast { isArmed = false }
      accepted(result)
    }
    finishIfQuiet()
  }

  private func accepted(_ result: Int32) {
    if result >= 0 {
      loop.counters.accepted.add()
      let socket = Socket(loop: loop, descriptor: result)
      if !isClosing { delegate?.listener(self, accepted: socket) }
      socket.closeUnlessStarted()
      arm()
      return
    }
    switch -result {
    case ECANCELED:
      arm()  // only if `start` came after the cancellation
    case ECONNABORTED, EINTR, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH:
      arm()  // a pending error of that one connection (accept(2)); the next one is another
    default: rest()  // EMFILE, ENFILE, ENOBUFS, ENOMEM
    }
  }

  private func finishIfQuiet() {
    guard isClosing, outstanding == 0, !isClosed else { return }
    isClosed = true
    Glibc.close(descriptor)
    if isResident { loop.slots.remove(slot) }
    delegate = nil
    closed?()
    closed = nil
  }
}

extension Listener: TimerTarget {
  public func timerFired(tag: UInt64) { arm() }
}
