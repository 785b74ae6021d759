internal import CIOUring
internal import Glibc

extension Socket {
  /// From here on the connection speaks TLS, as its server; the delegate sees plaintext. Before `start`; loop thread.
  /// Where all of the loop's places for handshakes are taken, the oldest makes room, so that those who say nothing keep
  /// nobody out. False when memory is short: then the connection is to be dropped.
  public func startTLS(_ context: TLSContext) -> Bool {
    loop.assertOnLoop()
    precondition(!state.contains(.started) && tls == nil, "TLS begins with the connection")
    let desk = loop.tlsDesk()
    if let desk, desk.handshakes >= context.settings.handshakesMax { loop.cutOldestHandshake(desk) }
    guard let desk, let session = TLSSession(context, desk, loop.outputs) else {
      loop.counters.tls.refused.add()
      return false
    }
    tls = session
    return true
  }

  /// Whether the connection speaks TLS.
  public var isSecure: Bool { tls != nil }

  /// The client's verified certificate in DER; nil if it showed none. Makes an array: ask once per connection, after the
  /// first bytes came. Loop thread.
  public var peerCertificate: [UInt8]? {
    loop.assertOnLoop()
    return tls?.peerCertificate
  }

  /// By which authorities that certificate was verified: `TLSContext.authorityGeneration`.
  public var authorityGeneration: UInt64 { tls?.context.authorityGeneration ?? 0 }

  /// The handshake has its time from now on.
  func startHandshake() {
    guard let tls else { return }
    tls.deadline = loop.setTimer(
      after: tls.context.settings.handshakeNanoseconds, self, tag: Socket.handshakeTag)
    loop.forgetEndedHandshakes(tls.desk)
    tls.desk.begun.append(tag(.receive))
  }

  /// Whether its handshake is under way.
  var isShaking: Bool { tls?.isShaking == true && state.isDisjoint(with: .ending) }

  static let handshakeTag: UInt64 = 1

  /// Ends a handshake that may not go on.
  func cutHandshake(_ failure: TLSFailure) {
    guard let tls, isShaking else { return }
    loop.counters.tls.add(failure)
    loop.cancel(tls.deadline)
    tls.end()
    teardown(.failed(ETIMEDOUT))
  }

  // MARK: Receiving

  /// Ciphertext arrived; it is used up, or copied, when this returns.
  func received(_ bytes: UnsafeRawBufferPointer, for tls: TLSSession) {
    guard !bytes.isEmpty, state.isDisjoint(with: .deafToRecords), tls.phase != .over else { return }
    if !tls.isShaking {
      // A record that comes slowly comes.
      lastReceiveProgress = loop.now
      pendingBytes += bytes.count
    }
    // What came earlier comes first.
    guard tls.waitingBytes == 0, !tls.isQueued else { return wait(tls, bytes) }
    if tls.isShaking {
      guard tls.desk.waiting.isEmpty, tls.desk.hasTime else { return wait(tls, bytes) }
      shake(tls, bytes)
    } else {
      tls.feed(bytes)
      read(tls)
    }
    tls.unfeed()
  }

  /// Keeps ciphertext until there is time, or a buffer, for it. Until then no more is received.
  private func wait(_ tls: TLSSession, _ bytes: UnsafeRawBufferPointer) {
    tls.keep(bytes)
    // Nobody says that much before it was answered.
    if tls.phase == .hello, tls.waitingBytes > TLSDesk.helloBytesMax { return fail(tls, .malformed) }
    state.insert(.held)
    cancelReceive()
    guard !tls.isQueued else { return }
    tls.isQueued = true
    if tls.isShaking {
      tls.desk.waiting.append(tag(.receive))
    } else {
      tls.desk.starved.append(tag(.receive))
    }
  }

  /// Its turn has come.
  func takeUpWaiting() {
    guard let tls else { return }
    tls.isQueued = false
    state.remove(.held)
    let bytes = tls.takeWaiting()
    defer { free(bytes.baseAddress) }
    guard state.isDisjoint(with: .deafToRecords), tls.phase != .over else {
      if tls.endsAfterWaiting { return reachedEnd() }
      return armReceive(pollFirst: false)
    }
    let run = UnsafeRawBufferPointer(bytes)
    if tls.isShaking {
      shake(tls, run)
    } else {
      tls.feed(run)
      read(tls)
    }
    tls.unfeed()
    guard !tls.isQueued else { return }
    if tls.endsAfterWaiting { return reachedEnd() }
    armReceive(pollFirst: false)
  }

  private func shake(_ tls: TLSSession, _ bytes: UnsafeRawBufferPointer) {
    tls.feed(bytes)
    switch tls.desk.timed({ tls.shake() }) {
    case nil: break
    case true?:
      loop.cancel(tls.deadline)
      if tls.isResumed { loop.counters.tls.resumed.add() } else { loop.counters.tls.full.add() }
      read(tls)
    case false?: return fail(tls, tls.failure)
    }
    sealedGrew(tls)
  }

  /// Opens what was fed, and hands it to the delegate.
  private func read(_ tls: TLSSession) {
    var reading = TLSSession.Reading.full
    while reading == .full {
      guard let id = tls.desk.plaintext.take() else { return wait(tls, tls.rest) }
      let buffer = tls.desk.plaintext.bytes(id)
      let (count, went) = tls.read(into: buffer)
      reading = went
      hand(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), ReceiveBufferID(index: id))
      if !state.isDisjoint(with: .deafToRecords) { break }
    }
    switch reading {
    case .full, .wantsInput: break
    case .ended: reachedEnd()
    case .failed: return fail(tls, nil)
    }
    // A peer may have its keys changed and ours with them, and not read our word for it.
    if tls.sealedBytes > TLSDesk.unreadAnswersMax { return teardown(.failed(EPROTO)) }
    sealedGrew(tls)
  }

  /// A peer ended that may not have been heard out.
  func peerEnded(_ tls: TLSSession) {
    if tls.isQueued {
      tls.endsAfterWaiting = true
    } else if tls.isShaking {
      if !state.contains(.lingering) { loop.counters.tls.add(.abandoned) }
      tls.end()
      teardown(.closed)
    } else {
      reachedEnd()
    }
  }

  // MARK: Sending

  /// The session has something to say that nobody wrote: of its handshake, or of its keys.
  private func sealedGrew(_ tls: TLSSession) {
    guard queuedBytes > 0, state.isDisjoint(with: .noNewSend), !state.contains(.closing) else { return }
    lastSendProgress = loop.now
    markDirty()
  }

  /// One send of what is sealed, after some more of what was written is.
  func flush(_ tls: TLSSession) {
    guard state.isDisjoint(with: .busySending) else { return }
    if tls.phase == .open {
      if let queue {
        let most = isPatient ? TLSDesk.sealedPatientBytesMax : TLSDesk.sealedBytesMax
        guard tls.seal(queue, until: most) else { return fail(tls, nil) }
        if queue.bytes == 0 { dropQueue() }
      }
      // With the last bytes, not in a packet of its own.
      if queue == nil, state.contains(.finishing) { tls.close() }
    }
    guard let sealed = tls.sealed, sealed.bytes > 0 else { return }
    send(sealed)
  }

  /// What was written is not sent any more, or is sealed.
  func dropQueue() {
    guard let queue else { return }
    self.queue = nil
    loop.outputs.giveBack(queue)
  }

  // MARK: The end

  /// The connection ends before its handshake did: what was written can't be sent.
  func giveUpHandshake() {
    guard let tls, tls.isShaking else { return }
    loop.cancel(tls.deadline)
    tls.end()
    dropQueue()
  }

  /// The session is over. Its alert still leaves, if the peer takes it; the delegate hears of the socket's end only.
  /// - Parameter failure: what the handshake failed of; nil when it was over.
  private func fail(_ tls: TLSSession, _ failure: TLSFailure?) {
    if let failure { loop.counters.tls.add(failure) } else { loop.counters.tls.broken.add() }
    if failure == .plainHTTP { Socket.answerPlainHTTP(tls) }
    if failure == .clientCertificate { delegate?.socket(self, refusedCertificate: tls.lacksCertificate) }
    tls.end(failed: true)
    tls.unfeed()
    loop.cancel(tls.deadline)
    dropQueue()
    guard state.isDisjoint(with: .ending) else { return }
    state.insert(.lingering)
    state.insert(.finishing)
    state.remove(.paused)
    state.remove(.held)
    if linger == .none { linger = loop.setTimer(after: loop.options.lingerTime, self, tag: 0) }
    if tls.sealedBytes == 0 { return finishSending() }
    if state.isDisjoint(with: .noNewSend) { markDirty() }
    armReceive(pollFirst: true)
  }

  /// Somebody forgot the `s` of `https`.
  private static func answerPlainHTTP(_ tls: TLSSession) {
    let answer: StaticString = """
      HTTP/1.1 400 Bad Request\r\n\
      Content-Type: text/plain\r\n\
      Content-Length: 33\r\n\
      Connection: close\r\n\
      \r\n\
      This port speaks TLS: use https.\n
      """
    tls.append(UnsafeRawBufferPointer(start: answer.utf8Start, count: answer.utf8CodeUnitCount))
  }
}

extension EventLoop {
  /// Makes room for one more handshake.
  func cutOldestHandshake(_ desk: TLSDesk) {
    forgetEndedHandshakes(desk)
    if let oldest = desk.begun.popFirst() { socket(oldest)?.cutHandshake(.crowdedOut) }
  }

  /// Those at the front: what stands behind one that is under way began later, and is gone a handshake's time later.
  func forgetEndedHandshakes(_ desk: TLSDesk) {
    while let first = desk.begun.first, socket(first)?.isShaking != true { _ = desk.begun.popFirst() }
  }

  private func socket(_ raw: UInt64) -> Socket? {
    let tag = Tag(raw: raw)
    return slots.resident(tag.slot, tag.generation) as? Socket
  }
}
