internal import CIOUring
internal import Glibc
internal import Synchronization

/// What other threads post to a loop: swapped out whole once per turn.
struct Inbox: @unchecked Sendable {
  var jobs: [UnownedJob] = []
  var work: [@Sendable () -> Void] = []

  var isEmpty: Bool { jobs.isEmpty && work.isEmpty }
}

extension EventLoop {
  /// Runs `work` on the loop in its next turn. Any thread; cold (allocates). After the loop has ended it is
  /// dropped.
  public func perform(_ work: @escaping @Sendable () -> Void) {
    inbox.withLock { $0.work.append(work) }
    wakeIfAsleep()
  }

  /// Makes sure that the loop begins a turn after this call: what was pushed to its mailboxes before is
  /// drained. Any thread; one atomic exchange when the loop is awake.
  public func wakeIfAsleep() {
    guard sleep.exchange(SleepState.notified, ordering: .sequentiallyConsistent) == SleepState.sleeping else {
      return
    }
    counters.wakes.addShared()
    if let here = EventLoop.current, here !== self, here.features.wakesByMessage {
      here.sendMessage(to: self)
    } else {
      writeWake()
    }
  }

  func writeWake() {
    var one: UInt64 = 1
    while write(wakeDescriptor, &one, 8) < 0, errno == EINTR {}
  }

  /// Wakes `peer` through its ring, at the end of this turn; by its eventfd if that fails.
  private func sendMessage(to peer: EventLoop) {
    let known = peers.firstIndex { $0 === peer }
    if known == nil { peers.append(peer) }
    let slot = UInt32(known ?? peers.count - 1)
    engram_prep_message(
      ring.submission(), peer.ring.descriptor, Tag(.wakeMessage).raw, Tag(.wakeFailed, slot: slot).raw)
  }

  func drainInbox() {
    inbox.withLock { swap(&$0, &inboxSpare) }
    guard !inboxSpare.isEmpty else { return }
    for job in inboxSpare.jobs { jobs.append(job) }
    inboxSpare.jobs.removeAll(keepingCapacity: true)
    for work in inboxSpare.work { work() }
    inboxSpare.work.removeAll(keepingCapacity: true)
  }

  func armWake() {
    wakeIsArmed = true
    engram_prep_read(ring.submission(), wakeDescriptor, wakeValue, 8, 0, Tag(.wakeRead).raw)
  }
}
