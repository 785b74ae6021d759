internal import Bytes
internal import Model
public import WAL

extension Home: CommitCompletion {
  /// The log says what became of the batch in flight. Durable, then visible: only here does anyone learn of it.
  public func commitCompleted(number: UInt64, outcome: CommitOutcome) {
    switch outcome {
    case .ok:
      // Without a batch in flight it was a witness.
      if let batch = inFlight { publish(batch) }
    case .storageFull:
      isWaitingForRoom = inFlight != nil
      if isRoomFound { retry() }
      // A witness is tried again, except at the end, which must not wait for space.
      if inFlight == nil { isWitnessed = state != .running }
    case .fenced:
      fail("another owner has claimed the log")
    case .unknown:
      fail("a write to the log failed or fell short; what it held may or may not be on disk")
    }
  }

  private func publish(_ batch: Batch) {
    inFlight = nil
    window.append(batch)
    sequencer.published(through: batch.lastPosition)
    adopt(batch)
    surroundings?.publish(batch)
    for request in inFlightRequests { finish(request, in: batch) }
    inFlightRequests.removeAll(keepingCapacity: true)
    shrinkWindow()
    payDebt(window.head)
    drainBacklog()
  }

  private func drainBacklog() {
    guard settleLocks() else { return }
    while let request = backlog.first, place(request) { _ = backlog.popFirst() }
  }

  /// Ends the writer: what is in flight may or may not be on disk, so nobody is answered.
  private func fail(_ reason: String) {
    state = .failed
    inFlightRequests.removeAll()
    openRequests.removeAll()
    backlog.removeAll()
    paced.removeAll()
    locks.removeAll()
    surroundings?.logFailed(reason)
  }
}
