internal import Bytes
internal import Model
internal import Storage
internal import WAL

/// Admission: what an append names is brought into memory, or the append is refused.
extension Home {
  /// Takes an append whose draft is parsed and valid. Its outcome comes through `completed`, later.
  public func submit(_ request: AppendRequest) {
    if let problem = overload() { return refuse(request, problem) }
    admit(request)
  }

  /// Why no append is taken now.
  func overload() -> Problem? {
    guard state == .running else {
      return Problem(.unavailable, "the server is stopping")
    }
    if isSpaceShort || log.isStorageFull {
      return Problem(.storageFull, "too little free space for the log; reads go on")
    }
    if unappliedBytes > limits.unappliedBytesMax {
      return Problem(.unavailable, "the store is behind the log; try again")
    }
    if log.logBytes > limits.logBytesMax {
      return Problem(.unavailable, "the log waits for the store to persist it; try again")
    }
    if loadsWaiting >= limits.loadsWaitingMax || backlog.count >= limits.backlogMax {
      return Problem(.unavailable, "too many writes wait; try again")
    }
    return nil
  }

  func admit(_ request: AppendRequest) {
    if let id = request.draft.id, request.idClearedThrough == nil, request.storedHash == nil,
      !clearID(id, request)
    {
      return
    }
    if request.context == nil, !bringContext(request) { return }
    request.context?.pins += 1
    if !backlog.isEmpty || !place(request) { backlog.append(request) }
  }

  /// Learns whether the id is taken in window or store. False: the answer comes later.
  private func clearID(_ id: UnitID, _ request: AppendRequest) -> Bool {
    if let view = window.unit(id) {
      request.storedHash = view.unit?.hash
      return true
    }
    switch find(id, tier: .cacheOnly) {
    case .found(let hash):
      request.storedHash = hash
      return true
    case .notFound:
      request.idClearedThrough = window.head
      return true
    case .failed(let problem):
      refuse(request, problem)
      return false
    case .incomplete:
      loadID(id, request)
      return false
    }
  }

  private func loadID(_ id: UnitID, _ request: AppendRequest) {
    // The window doesn't have it, and the store will be asked for all that is below the window now.
    let head = window.head
    let store = store
    loadsWaiting += 1
    let taken = surroundings?.read({ Home.find(id, in: store, tier: .disk) }) { [self] found in
      loadsWaiting -= 1
      guard state != .failed else { return refuse(request, Home.stopped) }
      switch found {
      case .found(let hash): request.storedHash = hash
      case .notFound: request.idClearedThrough = head
      case .incomplete: return refuse(request, Problem(.unavailable, "the store can't tell; try again"))
      case .failed(let problem): return refuse(request, problem)
      }
      admit(request)
    }
    if taken != true {
      loadsWaiting -= 1
      refuse(request, Problem(.unavailable, "too many reads wait; try again"))
    }
  }

  /// Makes the append's context resident. False: that happens later.
  private func bringContext(_ request: AppendRequest) -> Bool {
    let id = request.draft.contextID
    if let context = sequencer.contexts.find(id) {
      request.context = context
      return true
    }
    // One load at a time: were the context made resident, appended to and forgotten while an earlier read is
    // under way, that read would bring back its past.
    if !contextLoads.isEmpty, contextLoads[[UInt8](id)] != nil {
      loadContext([UInt8](id), request)
      return false
    }
    switch Home.load(id, from: store, tier: .cacheOnly) {
    case .found(let loaded):
      let context = ResidentContext(loaded.state, lastPosition: loaded.lastPosition)
      sequencer.contexts.insert(context, applied: applied)
      request.context = context
      return true
    case .notFound:
      let context = ResidentContext(new: id)
      sequencer.contexts.insert(context, applied: applied)
      request.context = context
      return true
    case .failed(let problem):
      refuse(request, problem)
      return false
    case .incomplete:
      loadContext([UInt8](id), request)
      return false
    }
  }

  /// Loads a context once for all the appends that wait for it.
  private func loadContext(_ id: [UInt8], _ request: AppendRequest) {
    loadsWaiting += 1
    if contextLoads[id] != nil {
      contextLoads[id]?.append(request)
      return
    }
    contextLoads[id] = [request]
    let store = store
    let taken = surroundings?.read({
      id.withUnsafeBytes { Home.load($0, from: store, tier: .disk) }
    }) { [self] loaded in contextLoaded(id, loaded) }
    if taken != true {
      contextLoads[id] = nil
      loadsWaiting -= 1
      refuse(request, Problem(.unavailable, "too many reads wait; try again"))
    }
  }

  private func contextLoaded(_ id: [UInt8], _ loaded: Loaded<LoadedContext>) {
    let waiting = contextLoads.removeValue(forKey: id) ?? []
    loadsWaiting -= waiting.count
    guard state != .failed else {
      for request in waiting { refuse(request, Home.stopped) }
      return
    }
    if case .failed(let problem) = loaded {
      for request in waiting { refuse(request, problem) }
      return
    }
    if id.withUnsafeBytes({ sequencer.contexts.find($0) }) == nil {
      var context = id.withUnsafeBytes { ResidentContext(new: $0) }
      if case .found(let found) = loaded {
        context = ResidentContext(found.state, lastPosition: found.lastPosition)
      }
      sequencer.contexts.insert(context, applied: applied)
    }
    for request in waiting { admit(request) }
  }
}
