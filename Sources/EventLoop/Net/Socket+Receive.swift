internal import CIOUring
internal import Glibc

extension Socket {
  /// Stops receiving; what the kernel has handed over already still arrives. While paused, neither the peer's
  /// end nor its reset is noticed. Loop thread.
  public func pauseReceiving() {
    loop.assertOnLoop()
    guard !state.contains(.paused) else { return }
    state.insert(.paused)
    cancelReceive()
  }

  func cancelReceive() {
    guard state.contains(.receiveArmed), state.isDisjoint(with: .noCancel) else { return }
    state.insert(.cancellingReceive)
    engram_prep_cancel(loop.ring.submission(), tag(.receive), true, Tag(.ignored).raw)
  }

  /// Receives again. Loop thread.
  public func resumeReceiving() {
    loop.assertOnLoop()
    guard state.contains(.paused) else { return }
    state.remove(.paused)
    armReceive(pollFirst: false)
  }

  /// A multishot receive into the loop's buffers, unless one is there or none is wanted.
  func armReceive(pollFirst: Bool) {
    guard state.contains(.started), state.isDisjoint(with: .noReceive) else { return }
    state.insert(.receiveArmed)
    engram_prep_receive(submission(), descriptor, BufferRing.group, pollFirst, tag(.receive))
  }

  func receiveCompleted(_ result: Int32, _ flags: UInt32) {
    if flags & UInt32(IORING_CQE_F_MORE) == 0 {
      state.remove(.receiveArmed)
      state.remove(.cancellingReceive)
    }
    if flags & UInt32(IORING_CQE_F_BUFFER) != 0 {
      let id = UInt16(truncatingIfNeeded: flags >> UInt32(IORING_CQE_BUFFER_SHIFT))
      loop.counters.receivedBytes.add(UInt64(max(0, result)))
      if let base = loop.ring.buffers.take(id) {
        let bytes = UnsafeMutableRawBufferPointer(start: base, count: max(0, Int(result)))
        if let tls {
          received(UnsafeRawBufferPointer(bytes), for: tls)
          loop.ring.buffers.give(id)
        } else {
          hand(bytes, ReceiveBufferID(index: id))
        }
      }
    }
    guard !state.contains(.closing) else { return }
    switch -result {
    case ..<0, EINTR, EAGAIN: break
    case 0:
      if let tls { return peerEnded(tls) }
      return reachedEnd()
    case ENOBUFS:
      loop.counters.bufferShortages.add()
      state.insert(.starved)
      loop.starved.append(tag(.receive))
      return
    case ECANCELED: break
    default: return teardown(.failed(-result))
    }
    let more = flags & UInt32(IORING_CQE_F_SOCK_NONEMPTY) != 0
    if !state.contains(.receiveArmed) { armReceive(pollFirst: result > 0 && !more) }
  }

  func buffersReturned() {
    state.remove(.starved)
    armReceive(pollFirst: false)
  }

  /// Shows bytes to the delegate, which may keep their buffer.
  func hand(_ bytes: UnsafeMutableRawBufferPointer, _ buffer: ReceiveBufferID) {
    guard !bytes.isEmpty, state.isDisjoint(with: .deaf), let delegate else { return loop.recycle(buffer) }
    lastReceiveProgress = loop.now
    pendingBytes = 0
    switch delegate.socket(self, received: bytes, buffer: buffer) {
    case .returned: loop.recycle(buffer)
    case .kept: break
    }
  }

  /// The peer's end: its FIN, or with TLS its close_notify, behind which the FIN may follow.
  func reachedEnd() {
    let isFirst = !state.contains(.ended)
    state.insert(.ended)
    if state.contains(.lingering) {
      closeWhenDone()
    } else if isFirst {
      delegate?.socketReachedEnd(self)
    }
  }
}
