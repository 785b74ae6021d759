internal import CIOUring
internal import Glibc

/// What the delegate did with the bytes it was shown.
public enum BufferDisposition: Sendable {
  /// It is done with them: the loop lends the buffer to the kernel again at once.
  case returned
  /// It keeps the buffer, and calls `loop.recycle` later. Kept buffers are missing for all sockets of the
  /// loop.
  case kept
}

/// Why a socket closed.
public enum SocketCloseReason: Equatable, Sendable {
  /// `close` was called, and did what it was asked to.
  case closed
  /// `abort` was called.
  case aborted
  /// Receiving or sending failed with this `errno`: ECONNRESET, EPIPE, ETIMEDOUT, …
  case failed(Int32)
  /// The loop ends.
  case loopStopped
}

/// Told what happens to a socket. Loop thread, never inside a call to the socket.
public protocol SocketDelegate: AnyObject {
  /// The handshake fails of the client's certificate; nothing was received, and the end follows. By default nothing.
  /// - Parameter isMissing: none was shown where one is demanded; else one was that isn't good.
  func socket(_ s: Socket, refusedCertificate isMissing: Bool)
  /// `bytes` arrived. They are lent: valid until this returns, or until `buffer` is recycled if it is kept.
  func socket(
    _ s: Socket, received bytes: UnsafeMutableRawBufferPointer, buffer: ReceiveBufferID
  ) -> BufferDisposition
  /// The peer sent its FIN: nothing more arrives; sending may go on.
  func socketReachedEnd(_ s: Socket)
  /// The kernel took everything that was queued.
  func socketDrained(_ s: Socket)
  /// The last call, exactly once: all operations have completed and the descriptor is closed.
  func socketClosed(_ s: Socket, reason: SocketCloseReason)
}

extension SocketDelegate {
  public func socket(_ s: Socket, refusedCertificate isMissing: Bool) {}
}

/// One connection, confined to its loop. Holds no buffers while idle: received bytes lie in the loop's buffer
/// ring, bytes to send in chunks of the loop's pool until they are sent.
///
/// Life: made (by a listener, or from a descriptor) → `start` → receiving and sending → `close`, `abort` or a
/// failure → all operations cancelled and completed → descriptor closed → `socketClosed`.
public final class Socket: Resident, @unchecked Sendable {
  struct State: OptionSet {
    let rawValue: UInt16
    static let started = State(rawValue: 1 << 0)
    static let receiveArmed = State(rawValue: 1 << 1)
    static let paused = State(rawValue: 1 << 2)
    static let cancellingReceive = State(rawValue: 1 << 3)
    static let starved = State(rawValue: 1 << 4)
    static let ended = State(rawValue: 1 << 5)
    static let sending = State(rawValue: 1 << 6)
    static let dirty = State(rawValue: 1 << 7)
    /// No more is taken to be sent; when all is, the sending side is shut down.
    static let finishing = State(rawValue: 1 << 8)
    static let shutDown = State(rawValue: 1 << 9)
    /// Closing gracefully: what still arrives is discarded, until the peer's end or the time for it is up.
    static let lingering = State(rawValue: 1 << 10)
    /// Being torn down: nothing is started any more.
    static let closing = State(rawValue: 1 << 11)
    static let descriptorClosing = State(rawValue: 1 << 12)
    static let closed = State(rawValue: 1 << 13)
    /// Ciphertext waits for its turn: no more is received until then.
    static let held = State(rawValue: 1 << 14)

    // Sums by number: a literal of several would be an array first in a debug build, and allocate.
    static let ending = State(rawValue: closing.rawValue | closed.rawValue)
    static let noDescriptor = State(rawValue: descriptorClosing.rawValue | closed.rawValue)
    static let silent = State(rawValue: finishing.rawValue | ending.rawValue)
    static let busySending = State(rawValue: sending.rawValue | closing.rawValue)
    static let noNewSend = State(rawValue: sending.rawValue | dirty.rawValue)
    static let deaf = State(rawValue: lingering.rawValue | closing.rawValue)
    static let noCancel = State(rawValue: cancellingReceive.rawValue | closing.rawValue)
    static let deafToRecords = State(rawValue: lingering.rawValue | ended.rawValue | ending.rawValue)
    static let resting = State(rawValue: paused.rawValue | starved.rawValue | held.rawValue)
    static let noReceive = State(
      rawValue: receiveArmed.rawValue | ended.rawValue | resting.rawValue | ending.rawValue)
  }

  public let loop: EventLoop
  /// Held until `socketClosed` was called.
  public var delegate: (any SocketDelegate)?
  /// When bytes last arrived, with TLS of any record behind the handshake, in ns of the loop's clock; before that, when the
  /// socket was made.
  public internal(set) var lastReceiveProgress: UInt64
  /// Bytes that arrived since some were last handed over: with TLS, of a record that is not whole.
  public internal(set) var pendingBytes = 0
  /// When bytes were last taken by the kernel, or first queued behind nothing: a sender is stalled when bytes
  /// are queued and this is long ago.
  public internal(set) var lastSendProgress: UInt64
  /// Bytes that the kernel has taken, since the socket was made.
  public internal(set) var sentBytes: UInt64 = 0

  /// Whether its sends come after those of other sockets, and only some in a turn: for one of many that are sent the
  /// same. Loop thread.
  public var isPatient = false
  /// What was written; with TLS, what is not sealed yet.
  var queue: OutputQueue?
  /// Nil: the connection is plain.
  var tls: TLSSession?
  var linger = TimerID.none
  let descriptor: Int32
  var slot: UInt32 = 0
  var generation: UInt32 = 0
  var outstanding: UInt16 = 0
  var state: State = []
  var reason = SocketCloseReason.closed

  /// Takes over `descriptor`, a connected stream socket without O_NONBLOCK (the kernel waits for it).
  public init(loop: EventLoop, descriptor: Int32) {
    self.loop = loop
    self.descriptor = descriptor
    lastReceiveProgress = loop.now
    lastSendProgress = loop.now
  }

  deinit {
    if !state.contains(.started) { Glibc.close(descriptor) }
  }

  /// Begins to receive. The loop holds the socket from now on until it is closed. Loop thread.
  public func start() {
    loop.assertOnLoop()
    guard !state.contains(.started) else { return }
    guard let place = loop.slots.insert(self) else { return }
    (slot, generation) = place
    state.insert(.started)
    if loop.isStopping { return teardown(.loopStopped) }
    startHandshake()
    armReceive(pollFirst: true)
  }

  /// A listener's connection that nobody took.
  func closeUnlessStarted() {
    guard !state.contains(.started) else { return }
    delegate = nil
  }

  /// Nothing can be sent or received any more; `socketClosed` comes or has come.
  public var isClosing: Bool { !state.isDisjoint(with: .ending) }

  /// The peer's address and port; "unknown" when it has gone. Makes a String: cold.
  public var peerAddress: String {
    guard state.isDisjoint(with: .noDescriptor) else { return "unknown" }
    return SocketAddress(of: descriptor, peer: true)?.text ?? "unknown"
  }

  func tag(_ kind: Tag.Kind) -> UInt64 { Tag(kind, slot: slot, generation: generation).raw }

  /// A submission that this socket, and the loop, wait for before they end.
  func submission() -> Ring.Submission {
    outstanding += 1
    return loop.countedSubmission()
  }

  func completed(_ kind: Tag.Kind, _ result: Int32, _ flags: UInt32) {
    if flags & UInt32(IORING_CQE_F_MORE) == 0 { outstanding -= 1 }
    switch kind {
    case .receive: receiveCompleted(result, flags)
    case .send: sendCompleted(result)
    case .socketClose: return finishClose()
    default: break
    }
    closeDescriptorIfQuiet()
  }

  func loopIsStopping() { teardown(.loopStopped) }
}
