internal import Bytes
internal import Model
internal import WAL

extension Home {
  /// Ends the wait of appends whose batch found the storage full, when the server is to end: nothing of that batch was
  /// written (`CommitOutcome.storageFull`), so they are refused like any other write to a full disk, and nothing more
  /// is taken. False: nobody waits for room.
  package func giveUpWaiting() -> Bool {
    guard state != .failed, isWaitingForRoom, log.isIdle, log.isStorageFull else { return false }
    state = .failed
    isWaitingForRoom = false
    inFlight = nil
    let waiting = inFlightRequests + openRequests + locks.takeRequests()
    inFlightRequests.removeAll()
    openRequests.removeAll()
    for request in waiting { refuse(request, Home.storageFull) }
    while let request = backlog.popFirst() { refuse(request, Home.storageFull) }
    while let next = paced.popFirst() { refuse(next.request, Home.storageFull) }
    // Who is refused lets go of its key.
    while let request = released.popFirst() { refuse(request, Home.storageFull) }
    return true
  }
}
