internal import COpenSSL
internal import Glibc

/// One connection's TLS: ciphertext that was received goes in, plaintext comes out, and the other way round. It sends and
/// receives nothing itself. Loop thread.
final class TLSSession {
  enum Phase {
    /// Nothing has come of the client's hello.
    case hello
    case handshake
    case open
    /// Failed, or given up: nothing is read or sealed any more.
    case over
  }

  /// How far reading came.
  enum Reading: Equatable {
    /// The buffer is full, and there is more.
    case full
    /// All that was fed is used up.
    case wantsInput
    /// The peer's close_notify.
    case ended
    case failed
  }

  let context: TLSContext
  let desk: TLSDesk
  private let raw: OpaquePointer
  private unowned(unsafe) let outputs: OutputPool
  private(set) var phase = Phase.hello
  /// Ciphertext to send.
  private(set) var sealed: OutputQueue?
  /// Ciphertext that waits: for the handshake's turn, or for a buffer to open it into.
  private var waiting: UnsafeMutableRawPointer?
  private(set) var waitingBytes = 0
  private var waitingCapacity = 0
  /// It stands in one of the desk's queues.
  var isQueued = false
  /// The peer ended, and what waits comes before that.
  var endsAfterWaiting = false
  /// Our close_notify is sealed.
  private(set) var isClosed = false
  var deadline = TimerID.none
  /// It ended by a failure, not by anybody's wish.
  private(set) var hasFailed = false
  private var holdsPlace = true

  /// Counts as a handshake from now on. Nil when memory is short.
  init?(_ context: TLSContext, _ desk: TLSDesk, _ outputs: OutputPool) {
    guard let raw = engram_tls_session_new(context.raw) else { return nil }
    context.beginHandshake()
    desk.handshakes += 1
    self.context = context
    self.desk = desk
    self.raw = raw
    self.outputs = outputs
    engram_tls_session_attach(raw, TLSSession.sink, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit {
    engram_tls_session_free(raw)
    if let sealed { outputs.giveBack(sealed) }
    free(waiting)
    giveUpPlace()
  }

  private static let sink: engram_tls_sink = { owner, bytes, count in
    guard let owner else { return }
    Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
      .append(UnsafeRawBufferPointer(start: bytes, count: count))
  }

  /// Appends to what is sent, as it is.
  func append(_ bytes: UnsafeRawBufferPointer) {
    let queue = sealed ?? outputs.takeQueue()
    sealed = queue
    queue.write(bytes)
  }

  var isShaking: Bool { phase == .hello || phase == .handshake }
  var sealedBytes: Int { sealed?.bytes ?? 0 }

  /// The kernel took the first `sent` bytes of what is sealed.
  func consume(_ sent: Int) {
    guard let sealed else { return }
    sealed.consume(sent)
    guard sealed.bytes == 0 else { return }
    self.sealed = nil
    outputs.giveBack(sealed)
  }

  // MARK: Receiving

  /// Lends ciphertext, until it is used up or `unfeed`.
  func feed(_ bytes: UnsafeRawBufferPointer) { engram_tls_session_feed(raw, bytes.baseAddress, bytes.count) }

  func unfeed() { engram_tls_session_feed(raw, nil, 0) }

  /// What was fed and isn't used up.
  var rest: UnsafeRawBufferPointer {
    var base: UnsafeRawPointer?
    let count = engram_tls_session_rest(raw, &base)
    return UnsafeRawBufferPointer(start: base, count: count)
  }

  /// Goes on with the handshake by what was fed. Nil while it needs more; then whether it succeeded.
  func shake() -> Bool? {
    switch engram_tls_handshake(raw) {
    case ENGRAM_TLS_DONE:
      phase = .open
      giveUpPlace()
      return true
    case ENGRAM_TLS_WANTS_INPUT:
      phase = .handshake
      return nil
    default:
      return false
    }
  }

  /// Opens records into `buffer` until it is full or nothing is left. Returns how many bytes.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> (count: Int, reading: Reading) {
    guard let base = buffer.baseAddress else { return (0, .wantsInput) }
    var count = 0
    while count < buffer.count {
      var got = 0
      switch engram_tls_read(raw, base + count, buffer.count - count, &got) {
      case ENGRAM_TLS_DONE: count += got
      case ENGRAM_TLS_WANTS_INPUT: return (count, .wantsInput)
      case ENGRAM_TLS_ENDED: return (count, .ended)
      default: return (count, .failed)
      }
      // Another look would find nothing, and costs a tenth of a small request's.
      guard engram_tls_session_has_input(raw) else { return (count, .wantsInput) }
    }
    return (count, .full)
  }

  /// Keeps a copy of ciphertext for later.
  func keep(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    if waitingBytes + bytes.count > waitingCapacity {
      let capacity = max(2048, 2 * waitingCapacity, waitingBytes + bytes.count)
      guard let larger = realloc(waiting, capacity) else {
        fatalError("out of memory: \(capacity) bytes of TLS")
      }
      waiting = larger
      waitingCapacity = capacity
    }
    waiting.map { $0 + waitingBytes }?.copyMemory(from: source, byteCount: bytes.count)
    waitingBytes += bytes.count
  }

  /// Hands over what was kept; the caller frees it.
  func takeWaiting() -> UnsafeMutableRawBufferPointer {
    let taken = UnsafeMutableRawBufferPointer(start: waiting, count: waitingBytes)
    waiting = nil
    waitingBytes = 0
    waitingCapacity = 0
    return taken
  }

  // MARK: Sending

  /// Seals from `queue` into records until so many bytes are sealed. False: the session is over.
  func seal(_ queue: OutputQueue, until bytes: Int) -> Bool {
    while queue.bytes > 0, sealedBytes < bytes {
      let run = queue.run(upTo: TLSDesk.recordBytesMax, scratch: desk.scratch)
      guard engram_tls_write(raw, run.baseAddress, run.count) else { return false }
      queue.consume(run.count)
    }
    return true
  }

  /// Seals our close_notify, once.
  func close() {
    guard phase == .open, !isClosed else { return }
    isClosed = true
    engram_tls_close(raw)
  }

  // MARK: The end

  /// Nothing is read or sealed any more.
  func end(failed: Bool = false) {
    phase = .over
    if failed { hasFailed = true }
    giveUpPlace()
  }

  private func giveUpPlace() {
    guard holdsPlace else { return }
    holdsPlace = false
    desk.handshakes -= 1
    context.endHandshake()
  }

  /// What a failed handshake failed of.
  var failure: TLSFailure {
    switch engram_tls_session_failure(raw) {
    case ENGRAM_TLS_PLAIN_HTTP: .plainHTTP
    case ENGRAM_TLS_NOTHING_IN_COMMON: .nothingInCommon
    case ENGRAM_TLS_NO_PROTOCOL: .noProtocol
    case ENGRAM_TLS_NO_CLIENT_CERTIFICATE, ENGRAM_TLS_CLIENT_CERTIFICATE: .clientCertificate
    case ENGRAM_TLS_PEER_ALERT: .refusedByPeer
    case ENGRAM_TLS_INTERNAL: .internal
    default: .malformed
    }
  }

  /// Whether what the handshake failed of is that the client showed no certificate, rather than a bad one.
  var lacksCertificate: Bool { engram_tls_session_failure(raw) == ENGRAM_TLS_NO_CLIENT_CERTIFICATE }

  var isResumed: Bool { engram_tls_session_is_resumed(raw) }

  /// The certificate that the client showed, and that was verified, in DER; nil if it showed none. Cold.
  var peerCertificate: [UInt8]? {
    guard phase == .open, context.settings.clientCertificates != .off else { return nil }
    var der: [UInt8] = []
    let isThere = withUnsafeMutablePointer(to: &der) { der in
      engram_tls_session_peer(
        raw,
        { owner, bytes, count in
          owner?.assumingMemoryBound(to: [UInt8].self).pointee = [UInt8](
            UnsafeRawBufferPointer(start: bytes, count: count))
        }, der)
    }
    return isThere ? der : nil
  }
}
