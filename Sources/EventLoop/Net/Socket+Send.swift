internal import CIOUring
internal import Glibc

extension Socket {
  /// Where bytes to send are written.
  public var output: OutputBuffer { OutputBuffer(socket: self) }

  /// Bytes that the kernel has not taken yet, with those that TLS adds to the ones that are sealed.
  public var queuedBytes: Int {
    let written = queue?.bytes ?? 0
    guard let tls else { return written }
    return written + tls.sealedBytes
  }

  /// The kernel has not finished with what it was given in an earlier turn.
  public var isSending: Bool { state.contains(.sending) }

  private var acceptsOutput: Bool {
    state.contains(.started) && state.isDisjoint(with: .silent)
  }

  /// The queue to append to: one that drops everything where nothing is sent any more.
  var openQueue: OutputQueue {
    guard acceptsOutput else { return loop.outputs.discarded }
    if let queue { return queue }
    let taken = loop.outputs.takeQueue()
    queue = taken
    return taken
  }

  /// Bytes were appended: they are sent at the end of the turn, or after what is in flight.
  func outputGrew() {
    guard acceptsOutput else { return loop.outputs.discarded.clear() }
    guard queuedBytes > 0, state.isDisjoint(with: .noNewSend) else { return }
    lastSendProgress = loop.now
    markDirty()
  }

  func markDirty() {
    state.insert(.dirty)
    if isPatient { loop.patient.append(tag(.send)) } else { loop.dirty.append(tag(.send)) }
  }

  /// One send of all that is queued, up to 256 pieces; nothing while one is in flight.
  func flush() {
    state.remove(.dirty)
    if let tls { return flush(tls) }
    guard let queue, queue.bytes > 0, state.isDisjoint(with: .busySending) else { return }
    send(queue)
  }

  /// The queue isn't empty, and nothing is in flight.
  func send(_ queue: OutputQueue) {
    state.insert(.sending)
    loop.preparedSends += 1
    if let run = queue.single {
      let count = min(run.count, Int(Int32.max))
      engram_prep_send(submission(), descriptor, run.baseAddress, count, tag(.send))
    } else {
      engram_prep_send_message(submission(), descriptor, queue.fillMessage(), tag(.send))
    }
  }

  func sendCompleted(_ result: Int32) {
    state.remove(.sending)
    guard !state.contains(.closing), queuedBytes > 0 else { return }
    guard result > 0 || result == -EINTR || result == -EAGAIN else {
      return teardown(.failed(result == 0 ? EPIPE : -result))
    }
    if result > 0 {
      if let tls { tls.consume(Int(result)) } else { queue?.consume(Int(result)) }
      loop.counters.sentBytes.add(UInt64(result))
      sentBytes &+= UInt64(result)
      lastSendProgress = loop.now
    }
    guard queuedBytes == 0 else {
      markDirty()
      return
    }
    dropQueue()
    if !state.contains(.lingering), tls?.isShaking != true { delegate?.socketDrained(self) }
    if state.contains(.finishing) { finishSending() }
  }
}
