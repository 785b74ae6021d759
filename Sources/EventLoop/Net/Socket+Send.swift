internal import CIOUring
internal import Glibc

extension Socket {
  /// Where bytes to send are written.
  public var output: OutputBuffer { OutputBuffer(socket: self) }

  /// Bytes that the kernel has not taken yet.
  public var queuedBytes: Int { queue?.bytes ?? 0 }

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

  private func markDirty() {
    state.insert(.dirty)
    if isPatient { loop.patient.append(tag(.send)) } else { loop.dirty.append(tag(.send)) }
  }

  /// One send of all that is queued, up to 256 pieces; nothing while one is in flight.
  func flush() {
    state.remove(.dirty)
    guard let queue, queue.bytes > 0, state.isDisjoint(with: .busySending) else { return }
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
    guard !state.contains(.closing), let queue else { return }
    guard result > 0 || result == -EINTR || result == -EAGAIN else {
      return teardown(.failed(result == 0 ? EPIPE : -result))
    }
    if result > 0 {
      queue.consume(Int(result))
      loop.counters.sentBytes.add(UInt64(result))
      sentBytes &+= UInt64(result)
      lastSendProgress = loop.now
    }
    guard queue.bytes == 0 else {
      markDirty()
      return
    }
    self.queue = nil
    loop.outputs.giveBack(queue)
    if !state.contains(.lingering) { delegate?.socketDrained(self) }
    if state.contains(.finishing) { finishSending() }
  }
}
