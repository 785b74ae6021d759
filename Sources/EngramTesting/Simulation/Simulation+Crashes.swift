internal import Engine
internal import EventLoop
internal import Model
internal import Storage
internal import WAL

/// Deaths and starts.
extension Simulation {
  /// Starts that may be cut short in a row.
  private static let cutStartsMax = 3

  func crash() {
    counts.crashes += 1
    if process?.failure != nil { counts.logFailures += 1 }
    let isKill = draw.oneIn(3)
    trace.note(isKill ? .kill : .crash, model.head.rawValue)
    if isKill { disk.kill() } else { disk.crash() }
    store.setFaults(SimulatedStore.Faults())
    store.crash()
    // Its memory was lent to the disk until now.
    end()
    for index in clients.indices { clients[index].request = nil }
    for index in lockClients.indices {
      // A peer that is gone comes back as another.
      lockClients[index].request = nil
      lockClients[index].owed = []
    }
    for index in patchClients.indices { patchClients[index].request = nil }
    granted = []
  }

  /// Forgets the process, and what it would have done yet.
  func end() {
    process?.watched.sever()
    process = nil
  }

  /// Starts the server, now and then with a crash in the middle, and compares what it finds with the model.
  func start() {
    var cuts = 0
    while isSound {
      let isCut = cuts < Self.cutStartsMax && draw.oneIn(3)
      if isCut {
        cuts += 1
        disk.cutPower(atCall: disk.calls + 1 + draw.below(24))
      }
      trace.note(.start, store.marksAtOpen.lowest.rawValue, store.marksAtOpen.highest.rawValue)
      do {
        try recover()
        return
      } catch {
        guard disk.isDead || isOutOfSpace(error) else {
          return violate("a start refuses after a crash: \(error)")
        }
        counts.cutStarts += 1
        trace.note(.cutStart, UInt64(disk.calls))
        disk.capacityBytes = .max
        crash()
      }
    }
  }

  private func isOutOfSpace(_ error: any Error) -> Bool {
    (error as? DiskError)?.code == SimulatedDisk.noSpace
  }

  private func recover() throws {
    var batches: [Batch] = []
    let marks = store.marksAtOpen
    let recovered = try LogRecovery.run(
      disk, configuration: configuration, after: marks.lowest, witness: marks.highest
    ) { batches.append($0) }
    let log = try LocalLog(disk, recovered: recovered, configuration: configuration) { [unowned self] in
      draw.next()
    }
    if recovered.tornTail != nil { counts.tornTails += 1 }
    compare(batches, end: recovered.tail.lastPosition, after: marks.lowest)
    guard isSound else { return }
    newest = batches.last
    inFlight = []
    // The monotonic clock of each life begins anew.
    elapsed = draw.next() % 1_000_000_000
    decisions = [(model.head, elapsed)]
    model.beginLife()
    for index in followers.indices { followers[index].resume() }
    let next = try SimulatedProcess(
      log: log, batches: batches, store: store, limits: limits, readsMax: readsMax,
      broken: broken, witness: self)
    next.watched.onAppend = { [unowned self] batch, number in
      inFlight = (0..<batch.count).map { [UInt8](batch.record($0).bytes) }
      trace.note(.sealed, number, UInt64(batch.paddedBytes))
    }
    process = next
    checkRecoveredLocks()
    next.home.begin()
    noteDecisions()
    trace.note(.recovered, recovered.tail.lastPosition.rawValue, UInt64(batches.count))
    verify()
  }

  /// What the log holds is history, and at most the one batch more that was in flight.
  private func compare(_ batches: [Batch], end: Position, after: Position) {
    guard end >= model.head else {
      return violate("history reached position \(model.head.rawValue), the log ends at \(end.rawValue)")
    }
    let added = Int(end.rawValue - model.head.rawValue)
    guard added == 0 || added == inFlight.count else {
      return violate("\(added) of \(inFlight.count) records in flight were taken")
    }
    var position = after
    for batch in batches {
      let events = (0..<batch.count).map { batch.record($0) }
      for event in events where event.position > after {
        guard event.position == position.next else {
          return violate("position \(event.position.rawValue) follows \(position.rawValue) in the log")
        }
        position = event.position
      }
      if batch.firstPosition > model.head {
        let isSame = zip(events, inFlight).allSatisfy { event, sent in
          sent.withUnsafeBytes { $0.isSame(as: event.bytes) }
        }
        guard isSame else { return violate("the batch in flight has changed in the crash") }
        if let problem = model.extend(events, decided: { _ in nil }) { return violate(problem) }
      } else if let wrong = events.first(where: { !model.holds($0) }) {
        return violate("position \(wrong.position.rawValue) has changed in the crash")
      }
    }
    if position != max(end, after) {
      violate("the log ends at \(end.rawValue), and was read to \(position.rawValue)")
    }
  }

  /// After a quiet while the last batch has its witness: if a bit of it flips then, the next start must
  /// say so.
  func rotAfterWitness() {
    quiesce()
    guard isSound, let process, process.failure == nil, !disk.isDead else { return crash() }
    process.home.bearWitness()
    disk.drain()
    guard process.failure == nil, !disk.isDead, process.home.isWitnessed, let newest,
      newest.lastPosition > store.persistedMarks().lowest,
      let place = disk.durablePlace(of: newest.bytes)
    else { return crash() }
    let marks = store.persistedMarks()
    // Padding between records may flip unseen; no reader ever sees it either.
    let index = draw.below(newest.count)
    let offset =
      place.offset + UInt64(newest.recordOffsets[index]) + UInt64(draw.below(newest.record(index).length))
    crash()
    disk.rot(place.name, at: offset, mask: 1 << UInt8(draw.below(8)))
    trace.note(.rot, offset)
    counts.damaged += 1
    do {
      let recovered = try LogRecovery.run(
        disk, configuration: configuration, after: marks.lowest, witness: marks.highest)
      violate(
        "damage to position \(newest.lastPosition.rawValue), which was proven durable, passes: "
          + "the log ends at \(recovered.tail.lastPosition.rawValue)")
    } catch {
      if case .damage = error {
        isOver = true
      } else {
        violate("damage is reported as \(error)")
      }
    }
  }
}
