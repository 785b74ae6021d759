internal import Bytes
internal import Model
internal import Storage
internal import Telemetry
internal import WAL

/// Changes of contexts by their clients. Home thread.
extension Home {
  // MARK: Admission

  func admit(context request: ContextRequest) -> Bool {
    lookUpUnits(request) && bringContext(request)
  }

  private func bringContext(_ request: ContextRequest) -> Bool {
    guard request.context == nil else { return true }
    var missing: [[UInt8]] = []
    let context = request.id.withUnsafeBytes { residentContext($0, request, &missing) }
    loadContexts(missing, request)
    guard request.loads == 0 else { return false }
    if let refusal = request.refusal {
      refuse(request, refusal)
      return false
    }
    context?.pins += 1
    request.context = context
    return context != nil
  }

  /// Makes sure that the units to be pinned are the context's. False: the answer comes later.
  private func lookUpUnits(_ request: ContextRequest) -> Bool {
    guard !request.hasLookedUpUnits else { return true }
    var missing: [UnitID] = []
    for id in request.patch.pinUnits {
      if let view = window.unit(id) {
        guard isOf(request, view.contextID) else { return refusePin(id, request) }
        continue
      }
      switch Home.context(of: id, in: store, tier: .cacheOnly) {
      case .found(let context): guard context == request.id else { return refusePin(id, request) }
      case .notFound: return refusePin(id, request)
      case .incomplete: missing.append(id)
      case .failed(let problem):
        refuse(request, problem)
        return false
      }
    }
    request.hasLookedUpUnits = true
    guard !missing.isEmpty else { return true }
    let store = store
    let ids = missing
    load(request) {
      ids.map { ($0, Home.context(of: $0, in: store, tier: .disk)) }
    } done: { [self] found in
      for (id, loaded) in found {
        switch loaded {
        case .found(let context) where context == request.id: break
        case .found, .notFound:
          _ = refusePin(id, request)
          return
        case .incomplete: return refuse(request, Home.storeUnsure)
        case .failed(let problem): return refuse(request, problem)
        }
      }
      admit(request)
    }
    return false
  }

  private func isOf(_ request: ContextRequest, _ context: UnsafeRawBufferPointer?) -> Bool {
    guard let context else { return false }
    return request.id.withUnsafeBytes { JSONText.same($0, context) }
  }

  private func refusePin(_ id: UnitID, _ request: ContextRequest) -> Bool {
    let place = request.patch.pinUnits.firstIndex(of: id) ?? 0
    refuse(request, Problem(at: "/pin_units/\(place)", "is not a unit of this context"))
    return false
  }

  /// Any thread for `.disk`.
  private static func context(
    of id: UnitID, in store: any EventStore, tier: ReadTier
  ) -> Loaded<[UInt8]> {
    ask({ () throws(StoreError) in try store.location(of: id, tier: tier) }) { .found($0.context) }
  }

  // MARK: Sequencing

  func place(context request: ContextRequest) -> Bool {
    guard let context = request.context else {
      refuse(request, Problem(.internal, "the change was not admitted as a whole"))
      return true
    }
    if let problem = objection(request, context) {
      request.unpin()
      request.refusal = problem
      wait(request, for: context.lastPosition)
      return true
    }
    var state = context.state
    if let problem = state.apply(request.patch) {
      request.unpin()
      request.refusal = problem
      wait(request, for: context.lastPosition)
      return true
    }
    // Of those whom the patch names, not of all: each search looks at the whole list.
    let joined = request.patch.addAgents.filter { agent in
      agent.withUnsafeBytes { context.state.agentIndex($0) } == nil
    }
    let bytes = ContextEncoder.bytesMax(state, joined: joined[...])
    guard let memory = reserve(bytes) else {
      guard builder.isEmpty else { return false }
      request.unpin()
      refuse(request, Problem(.payloadTooLarge, "the context is larger than a batch of the log can be"))
      return true
    }
    request.isNew = context.state.revision == 0
    let position = sequencer.change(context, to: state, wallClock: surroundings?.wallClock ?? 0)
    request.unpin()
    request.recordIndex = builder.count
    builder.commit(
      ContextEncoder.encode(
        context.state, joined: joined[...], position: position, logTime: sequencer.logTime, into: memory,
        capacity: bytes))
    openRequests.append(request)
    leaveLane(request)
    metrics.contextChanges.add()
    return true
  }

  /// Why the change may not be made to this context.
  private func objection(_ request: ContextRequest, _ context: ResidentContext) -> Problem? {
    let revision = context.state.revision
    switch request.precondition {
    case .none: return nil
    case .exists:
      return revision > 0 ? nil : Problem(.preconditionFailed, "there is no context with this id")
    case .revision(let wanted):
      if revision > 0, wanted.contains(revision) { return nil }
      return Problem(
        .preconditionFailed,
        revision > 0 ? "the context's revision is \(revision)" : "there is no context with this id")
    }
  }
}
