internal import CIOUring
internal import Glibc

extension Socket {
  /// Ends the sending side once everything queued was sent (shutdown(2), SHUT_WR): the peer sees the end, and
  /// may go on sending. What is written from now on is dropped. Loop thread.
  public func shutdownSending() {
    loop.assertOnLoop()
    guard state.contains(.started), state.isDisjoint(with: .silent) else { return }
    state.insert(.finishing)
    giveUpHandshake()
    if queuedBytes == 0 { finishSending() }
  }

  /// Closes the connection. Nothing is delivered any more but `socketClosed`. Loop thread.
  ///
  /// - Parameter drain: send what is queued, end the sending side, discard what still arrives until the
  ///   peer's end or for `lingerTime`, then close: closing at once, with bytes unread, would reset the
  ///   connection and could destroy the last reply on its way (RFC 9112, section 9.6). Otherwise unsent bytes
  ///   are dropped.
  public func close(after drain: Bool) {
    loop.assertOnLoop()
    guard state.contains(.started), state.isDisjoint(with: .ending) else { return }
    guard drain else { return teardown(.closed) }
    guard !state.contains(.lingering) else { return }
    state.insert(.lingering)
    state.remove(.paused)
    armReceive(pollFirst: true)
    if state.contains(.finishing) { closeWhenDone() } else { shutdownSending() }
  }

  /// Resets the connection (SO_LINGER 0): unsent and unread bytes are dropped on both sides. Loop thread.
  public func abort() {
    loop.assertOnLoop()
    guard state.contains(.started), state.isDisjoint(with: .ending) else { return }
    var now = Glibc.linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<Glibc.linger>.size))
    teardown(.aborted)
  }

  /// All was sent: tell the peer so. With TLS, by a close_notify first: a bare end could be anybody's (RFC 8446,
  /// section 6.1).
  func finishSending() {
    guard !state.contains(.shutDown), state.isDisjoint(with: .ending), queuedBytes == 0 else { return }
    if let tls, tls.phase == .open, !tls.isClosed {
      tls.close()
      if tls.sealedBytes > 0 {
        if state.isDisjoint(with: .noNewSend) { markDirty() }
        return
      }
    }
    state.insert(.shutDown)
    shutdown(descriptor, Int32(SHUT_WR))
    closeWhenDone()
  }

  /// A lingering socket closes when both sides have ended; from its own end on, the peer's time runs.
  func closeWhenDone() {
    guard state.contains(.lingering), state.contains(.shutDown) else { return }
    if state.contains(.ended) { return teardown(.closed) }
    guard linger == .none else { return }
    linger = loop.setTimer(after: loop.options.lingerTime, self, tag: 0)
  }

  /// Starts the end, once: cancels what is in flight. The descriptor is closed only when all of it has
  /// completed, because closing it would not end it (io_uring_cancelation(7)).
  func teardown(_ reason: SocketCloseReason) {
    guard state.isDisjoint(with: .ending) else { return }
    state.insert(.closing)
    self.reason = reason
    loop.cancel(linger)
    if let tls {
      if tls.hasFailed, reason == .closed { self.reason = .failed(EPROTO) }
      loop.cancel(tls.deadline)
      tls.end()
    }
    if outstanding > 0 {
      engram_prep_cancel_descriptor(submission(), descriptor, tag(.socketCancel))
    } else {
      closeDescriptorIfQuiet()
    }
  }

  func closeDescriptorIfQuiet() {
    guard state.contains(.closing), outstanding == 0, !state.contains(.descriptorClosing) else { return }
    state.insert(.descriptorClosing)
    engram_prep_close(submission(), descriptor, tag(.socketClose))
  }

  func finishClose() {
    state.insert(.closed)
    if let queue { loop.outputs.giveBack(queue) }
    queue = nil
    tls = nil
    let delegate = delegate
    self.delegate = nil
    loop.slots.remove(slot)
    delegate?.socketClosed(self, reason: reason)
  }
}

extension Socket: TimerTarget {
  /// The peer had its time to end the connection, or for its handshake.
  public func timerFired(tag: UInt64) {
    if tag == Socket.handshakeTag { return cutHandshake(.timedOut) }
    linger = .none
    teardown(.closed)
  }
}
