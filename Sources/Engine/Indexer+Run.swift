internal import Bytes
internal import EventLoop
internal import Glibc
internal import Model
internal import Search
internal import Storage
internal import Synchronization
internal import Telemetry
internal import WAL

/// What the index thread takes at a time.
private struct IndexShare {
  var batches: [Batch] = []
  /// Above what is reached: the store is to be read up to here.
  var through = Position.zero
  /// Something is durable that isn't applied.
  var isAhead = false
}

extension Indexer {
  private static let second: UInt64 = 1_000_000_000
  /// Between two lines about an index that is made anew.
  private static let tellNanoseconds = 10 * second

  func run() {
    while !isOver() {
      do throws(SearchError) {
        defer { saysFirst() }
        let index = try opened()
        saysFirst()
        try inspect()
        try waitForWork(index)
        if spaceShort.load(ordering: .relaxed), course.reached < head {
          throw SearchError(.full, operation: "index", message: "little room is left, and kept for the log")
        }
        try advance(index)
      } catch {
        if fails(error) { break }
      }
    }
    course.index?.rollback()
    course.index?.close()
    course.index = nil
    openings.store(0, ordering: .releasing)
  }

  /// The end was asked for, and there is nothing left to do or no time to do it.
  private func isOver() -> Bool {
    let (isStopping, head) = queue.withLock { ($0.isStopping, $0.head) }
    guard isStopping else { return false }
    let now = EventLoop.monotonicNanoseconds()
    let ends = course.ends ?? now + limits.endNanoseconds
    course.ends = ends
    if now < ends, course.index != nil, course.reached < min(head, applier.appliedPosition) { return false }
    // A failure is met at the next start.
    if let index = course.index, course.units > 0 { try? commit(index) }
    return true
  }

  /// Lets `start` return: whether the index is open has turned out.
  private func saysFirst() {
    guard !course.hasTried else { return }
    course.hasTried = true
    sem_post(first)
  }

  private func opened() throws(SearchError) -> any UnitIndex {
    if let index = course.index { return index }
    let isNew = files.look().database?.bytes ?? 0 == 0
    let index = try files.open()
    let head = head
    guard index.watermark <= head else {
      index.close()
      throw SearchError(.damaged, operation: "open", message: "it is ahead of the log")
    }
    course.index = index
    course.reached = index.watermark
    course.units = 0
    course.bytes = 0
    course.isUntidy = true
    course.mark = files.look()
    course.openings += 1
    // A server that is new has nothing to make anew, though events may have come meanwhile.
    let reason = course.discarded ?? (isNew && tailAtStart > .zero ? "there is none" : nil)
    if let reason, head > .zero, course.rebuild == nil {
      let now = EventLoop.monotonicNanoseconds()
      course.rebuild = IndexCourse.Rebuild(through: head, begun: now, told: now)
      rebuilding.store(true, ordering: .releasing)
      onNotice?(.rebuilding(reason: reason, through: head))
    } else {
      if course.rebuild == nil { rebuilding.store(false, ordering: .releasing) }
      onNotice?(.opened(index.watermark))
    }
    course.discarded = nil
    show(index.watermark)
    openings.store(course.openings, ordering: .releasing)
    return index
  }

  /// Sees to it that the index is still what it was: readers may have found damage, and people may remove files.
  private func inspect() throws(SearchError) {
    if let damage = queue.withLock({ $0.damage }) {
      throw SearchError(.damaged, operation: "read", message: damage)
    }
    let now = EventLoop.monotonicNanoseconds()
    guard now &- course.looked >= Indexer.second else { return }
    course.looked = now
    let mark = files.look()
    if let earlier = course.mark, !mark.follows(earlier) {
      throw SearchError(.damaged, operation: "look at", message: "its files were changed by someone else")
    }
    course.mark = mark
  }

  // MARK: Waiting

  /// Waits for something to index, then a little longer for more. Puts the index in order meanwhile.
  private func waitForWork(_ index: any UnitIndex) throws(SearchError) {
    while sleeps() {
      if course.isUntidy, !spaceShort.load(ordering: .relaxed) {
        course.isUntidy = try index.tidy()
      } else {
        wait(nanoseconds: Indexer.second)
        break
      }
    }
    let end = EventLoop.monotonicNanoseconds() + limits.nanoseconds
    while gathers() {
      let now = EventLoop.monotonicNanoseconds()
      guard now < end else { break }
      if course.isUntidy, course.units == 0, !spaceShort.load(ordering: .relaxed) {
        course.isUntidy = try index.tidy()
      } else {
        wait(nanoseconds: end - now)
      }
    }
    queue.withLock {
      $0.isAsleep = false
      $0.isGathering = false
    }
  }

  /// Whether there is nothing to do; then the next batch wakes the thread.
  private func sleeps() -> Bool {
    let reached = course.reached
    return queue.withLock { queue in
      queue.isAsleep =
        reached >= queue.head && !queue.isStopping && queue.damage == nil && queue.dropped.isEmpty
      return queue.isAsleep
    }
  }

  /// Whether more is waited for: not while behind, and not while somebody wants to find what is there.
  private func gathers() -> Bool {
    let reached = course.reached
    return queue.withLock { queue in
      queue.isGathering =
        reached < queue.head && queue.isOpen && queue.units < limits.units && !queue.isStopping
        && queue.damage == nil && isNear(queue, reached) && queue.waiters.newest(through: queue.head) == nil
      return queue.isGathering
    }
  }

  /// Whether the queue goes on where the index ends.
  private func isNear(_ queue: borrowing Queue, _ reached: Position) -> Bool {
    queue.batches.first.map { $0.firstPosition <= reached.next } ?? false
  }

  // MARK: Indexing

  private func advance(_ index: any UnitIndex) throws(SearchError) {
    let before = course.reached
    let share = takeShare()
    for batch in share.batches { try add(batch, to: index) }
    course.isBehind = share.batches.isEmpty && share.through > course.reached
    if course.isBehind { try read(through: share.through, to: index) }
    let isDone = course.reached >= min(head, applier.appliedPosition)
    let isFull =
      course.units >= (course.isBehind ? limits.unitsBehind : limits.units)
      || course.bytes >= (course.isBehind ? limits.bytesBehind : limits.bytes)
    if isDone || isFull, course.reached > index.watermark { try commit(index) }
    if failing.load(ordering: .relaxed) {
      failing.store(false, ordering: .relaxed)
      onNotice?(.recovered)
    }
    if share.isAhead, course.reached == before { waitForStore() }
  }

  /// Takes what is next: batches, or the order to read the store.
  private func takeShare() -> IndexShare {
    let reached = course.reached
    let applied = applier.appliedPosition
    var dropped = Ring<Batch>()
    var old: [Batch] = []
    let share = queue.withLock { queue in
      swap(&dropped, &queue.dropped)
      var share = IndexShare()
      share.isAhead = queue.head > reached
      func take() -> Batch? {
        let batch = queue.batches.popFirst()
        queue.bytes -= batch?.paddedBytes ?? 0
        queue.units -= batch?.count ?? 0
        return batch
      }
      while let first = queue.batches.first, first.lastPosition <= reached, let batch = take() {
        old.append(batch)
      }
      guard let first = queue.batches.first else {
        share.through = min(applied, queue.head)
        // From here on batches are kept again: the store has what is before them.
        if queue.head.rawValue - min(reached, queue.head).rawValue <= UInt64(limits.units) {
          queue.isOpen = true
        }
        return share
      }
      guard first.firstPosition <= reached.next else {
        share.through = min(applied, Position(first.firstPosition.rawValue - 1))
        return share
      }
      var bytes = 0
      while let next = queue.batches.first, next.lastPosition <= applied, bytes < limits.shareBytes,
        let batch = take()
      {
        bytes += batch.paddedBytes
        share.batches.append(batch)
      }
      return share
    }
    // What isn't wanted any more is let go of here, outside the lock.
    dropped.removeAll()
    old.removeAll()
    return share
  }

  private func add(_ batch: Batch, to index: any UnitIndex) throws(SearchError) {
    for offset in 0..<batch.count {
      let event = batch.record(offset)
      if event.position > course.reached, event.kind == .unit { try add(event, to: index) }
    }
    course.reached = max(course.reached, batch.lastPosition)
  }

  private func add(_ unit: EventView, to index: any UnitIndex) throws(SearchError) {
    try index.add(unit)
    course.units += 1
    course.bytes += unit.length
    course.rebuild?.units += 1
  }

  private func read(through: Position, to index: any UnitIndex) throws(SearchError) {
    var failure: SearchError?
    let scanned: Position
    do throws(StoreError) {
      scanned = try store.events(
        after: course.reached, through: through, filter: .allUnits, bytesMax: limits.shareBytes
      ) { unit in
        do throws(SearchError) { try add(unit, to: index) } catch { failure = error }
        return failure == nil
      }
    } catch {
      throw SearchError(.operational, operation: "read the store", message: "\(error)")
    }
    if let failure { throw failure }
    course.reached = max(course.reached, scanned)
  }

  /// Something is durable that the store hasn't applied: waits for it, and hurries it if somebody waits.
  private func waitForStore() {
    let wanted = queue.withLock { $0.isStopping ? nil : $0.waiters.newest(through: $0.head) }
    var ticket: PositionWaiters.Ticket?
    if let wanted {
      ticket = applier.whenApplied(wanted) { [self] in sem_post(wake) }
      // Applied since the share was taken: nobody would end the wait.
      if ticket == nil, wanted <= applier.appliedPosition { return }
    }
    wait(nanoseconds: limits.nanoseconds / 4)
    // Or else a store that is stuck would gather waiters.
    if let ticket { _ = applier.cancel(ticket) }
  }

  private func commit(_ index: any UnitIndex) throws(SearchError) {
    let begun = EventLoop.monotonicNanoseconds()
    try index.commit(through: course.reached)
    let now = EventLoop.monotonicNanoseconds()
    metrics.commits.record(now &- begun)
    metrics.units.add(UInt64(course.units))
    course.units = 0
    course.bytes = 0
    course.isUntidy = true
    show(course.reached)
    for body in queue.withLock({ $0.waiters.release(through: indexedPosition) }) { body() }
    tell(now)
  }

  private func show(_ position: Position) {
    committed.store(position.rawValue, ordering: .releasing)
    gauge()
  }

  /// Any thread.
  func gauge() {
    let (position, head) = (indexedPosition, head)
    metrics.indexed.set(Int64(clamping: position.rawValue))
    metrics.lag.set(Int64(clamping: head > position ? head.rawValue - position.rawValue : 0))
  }

  /// Says how far an index is that is made anew.
  private func tell(_ now: UInt64) {
    guard let rebuild = course.rebuild else { return }
    if course.reached >= rebuild.through {
      course.rebuild = nil
      rebuilding.store(false, ordering: .releasing)
      let seconds = Double(now &- rebuild.begun) / Double(Indexer.second)
      onNotice?(.rebuilt(through: course.reached, units: rebuild.units, seconds: seconds))
    } else if now &- rebuild.told >= Indexer.tellNanoseconds {
      course.rebuild?.told = now
      onNotice?(.progress(course.reached, through: rebuild.through, units: rebuild.units))
    }
  }

  // MARK: Failures

  /// Puts right what a failure leaves. True: the end was asked for.
  private func fails(_ error: SearchError) -> Bool {
    metrics.failures.add()
    switch error.kind {
    case .damaged:
      // An index that is damaged as soon as it is made: the disk is at fault, and gets time.
      let now = EventLoop.monotonicNanoseconds()
      let isFresh = course.discardedAt > 0 && now &- course.discardedAt < Indexer.tellNanoseconds
      course.discardedAt = now
      closeIndex()
      // What can't be removed is found damaged again, and tried again then.
      try? files.discard()
      queue.withLock { $0.damage = nil }
      course.rebuild = nil
      course.reached = .zero
      show(.zero)
      metrics.rebuilds.add()
      course.discarded = error.message
      rebuilding.store(true, ordering: .releasing)
      guard isFresh else { return queue.withLock { $0.isStopping } }
    case .full:
      course.index?.rollback()
      rewind()
    case .operational:
      closeIndex()
    }
    if !failing.load(ordering: .relaxed) {
      failing.store(true, ordering: .relaxed)
      onNotice?(.failing("\(error)"))
    }
    return restsUntilStop()
  }

  private func closeIndex() {
    openings.store(0, ordering: .releasing)
    course.index?.rollback()
    course.index?.close()
    course.index = nil
    rewind()
  }

  /// Goes back to what is committed.
  private func rewind() {
    course.reached = course.index?.watermark ?? .zero
    course.units = 0
    course.bytes = 0
  }

  /// Rests after a failure, but no longer than until `stop`. True: stopping.
  private func restsUntilStop() -> Bool {
    let end = EventLoop.monotonicNanoseconds() + limits.restNanoseconds
    while true {
      if queue.withLock({ $0.isStopping }) { return true }
      let now = EventLoop.monotonicNanoseconds()
      guard now < end else { return false }
      wait(nanoseconds: end - now)
    }
  }
}
