internal import Bytes
internal import Model
internal import Telemetry
internal import WAL

/// Sequencing: an admitted request becomes events in the open batch, all of it in one.
extension Home {
  /// Turns an admitted request into events. False: there is no room until a batch is sealed.
  func place(_ request: HomeRequest) -> Bool {
    // What is decided of locks stands before it in history.
    settleLocks() && request.place(in: self)
  }

  func place(append request: AppendRequest) -> Bool {
    guard recheckIDs(request) else {
      request.unpin()
      admit(request)
      return true
    }
    defer { command.units.removeAll(keepingCapacity: true) }
    guard let bytes = prepare(request) else { return true }
    guard let memory = reserve(bytes) else {
      guard builder.isEmpty else { return false }
      let what = request.count == 1 ? "the unit is" : "the units are together"
      refuse(request, Problem(.payloadTooLarge, "\(what) larger than a batch of the log can be"))
      return true
    }
    let decision = sequencer.decide(&command)
    request.unpin()
    switch decision {
    case .append:
      encode(request, into: memory, capacity: bytes)
    case .exists(let position):
      request.awaited = .exists
      wait(request, for: position)
    case .idTaken(let unit, let position):
      refuse(request, .conflict, unit, "/id", "stands for another unit", after: position)
    case .idExists(let unit, let position):
      refuse(
        request, .conflict, unit, "/id", "was appended before, and not all units of this request were",
        after: position)
    case .idTwice(let unit):
      refuse(request, .invalidRequest, unit, "/id", "is the id of another unit of this request")
    case .fenceRejected(let unit):
      refuse(
        request, .fenceRejected, unit, "/fence", "names a lock that is not held with this token",
        after: sequencer.lastLockPosition)
    case .unexpectedSequence(let unit, let actual, let position):
      refuse(
        request, .preconditionFailed, unit, "/expected_sequence",
        "is not \(actual.rawValue), the unit's sequence now", after: position)
    }
    return true
  }

  /// Refuses for what is wrong with one unit, once `position` is durable: a refusal must not tell of what a crash
  /// could take back either.
  private func refuse(
    _ request: AppendRequest, _ code: ErrorCode, _ unit: Int, _ member: String, _ detail: String,
    after position: Position = .zero
  ) {
    request.refusal = Problem(code, at: request.draft(unit).pointer(member), detail)
    wait(request, for: position)
  }

  /// Looks for the ids among what was published since they were cleared: another append may have brought one while
  /// this one waited. False: some of that has left the window already, so that they have to be cleared anew.
  private func recheckIDs(_ request: AppendRequest) -> Bool {
    var isSure = true
    for index in request.parts.indices where request.parts[index].storedHash == nil {
      guard let id = request.drafts[index].id else { continue }
      if let view = window.unit(id) {
        request.parts[index].storedHash = view.unit?.hash
      } else if let through = request.parts[index].idClearedThrough, window.lowest > through.next {
        request.parts[index].idClearedThrough = nil
        isSure = false
      }
    }
    return isSure
  }

  /// Makes the command of a request.
  /// - Returns: room that its events need at most, in bytes; nil if it can't be (a programmer's error).
  private func prepare(_ request: AppendRequest) -> Int? {
    let surroundings = surroundings
    command.now = surroundings?.wallClock ?? 0
    var bytes = 0
    var last: (context: ResidentContext, agent: UnsafeRawBufferPointer, change: Sequencer.ContextChange)?
    for index in request.parts.indices {
      let draft = request.drafts[index]
      guard let context = request.parts[index].context, let agent = draft.agentID else {
        refuse(request, Problem(.internal, "the append was not admitted as a whole"))
        return nil
      }
      // Neighbours in a request mostly do the same to their context.
      let change: Sequencer.ContextChange
      if let last, last.context === context, JSONText.same(last.agent, agent) {
        change = last.change
      } else {
        change = sequencer.change(of: context, by: agent)
        last = (context, agent, change)
      }
      bytes += withMark(request, index) { UnitEncoder.bytesMax(for: draft, idempotency: $0) } + 8
      if change != .none {
        bytes += ContextEncoder.bytesMax(joining: agent)
        // The first of a context counts what it lists already.
        if context.planned == 0 { bytes += ContextEncoder.bytesMax(context.state, joined: []) + 8 }
        context.planned = 1
      }
      command.units.append(
        Sequencer.Unit(
          context: context, agent: agent, change: change, chosenID: draft.id, hash: draft.contentHash,
          stored: request.parts[index].storedHash, fence: draft.fence,
          expectedSequence: draft.expectedSequence?.rawValue,
          random: draft.id == nil ? surroundings?.randomBits() ?? 0 : 0))
    }
    for index in command.units.indices { command.units[index].context.planned = 0 }
    return bytes
  }

  /// The request's first unit carries its key.
  private func withMark<Result>(
    _ request: AppendRequest, _ index: Int, _ body: (IdempotencyMark?) -> Result
  ) -> Result {
    guard index == 0, let key = request.key else { return body(nil) }
    return key.name.withUnsafeBytes { name in
      body(
        IdempotencyMark(
          requestHash: key.requestHash, key: UnsafeRawBufferPointer(rebasing: name[key.prefixBytes...])))
    }
  }

  private func encode(_ request: AppendRequest, into memory: UnsafeMutableRawPointer, capacity: Int) {
    var cursor = memory
    let end = memory + capacity
    // A context's event has a position of its own.
    guard let first = command.units.first, let last = command.units.last else { return }
    var left = UInt32(last.position.rawValue - (first.contextEvent ?? first.position).rawValue + 1)
    for index in command.units.indices {
      if let position = command.units[index].contextEvent {
        left -= 1
        let unit = command.units[index]
        var state = unit.context.state
        // The unit is still to come.
        state.lastSequence = Sequence(unit.sequence.rawValue - 1)
        cursor = builder.commit(
          ContextEncoder.encode(
            state, joined: state.agents[unit.context.joinedFrom...], position: position,
            logTime: unit.logTime, requestRemainder: left, into: cursor, capacity: end - cursor))
      }
      left -= 1
      request.parts[index].recordIndex = builder.count
      let facts = UnitFacts(
        id: command.units[index].id, sequence: command.units[index].sequence,
        position: command.units[index].position, logTime: command.units[index].logTime,
        requestRemainder: left, hash: command.units[index].hash)
      let length = withMark(request, index) { mark in
        UnitEncoder.encode(
          request.drafts[index], facts, idempotency: mark, into: cursor, capacity: end - cursor)
      }
      cursor = builder.commit(length)
    }
    request.isEncoded = true
    openRequests.append(request)
    leaveLane(request)
    metrics.units.add(UInt64(command.units.count))
  }

  /// Answers what depends on `position` once that is durable.
  func wait(_ request: HomeRequest, for position: Position) {
    leaveLane(request)
    if position <= window.head {
      finish(request)
    } else if let inFlight, position <= inFlight.lastPosition {
      inFlightRequests.append(request)
    } else {
      openRequests.append(request)
    }
  }

  /// Room for `bytes` in the open batch, which is sealed if need be and if the log is free for it.
  func reserve(_ bytes: Int) -> UnsafeMutableRawPointer? {
    if let memory = builder.reserve(bytes) { return memory }
    guard !builder.isEmpty, canCommit else { return nil }
    commitOpenBatch()
    return builder.reserve(bytes)
  }
}
