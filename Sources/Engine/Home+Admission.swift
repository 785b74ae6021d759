internal import Bytes
internal import Model
internal import Storage
internal import WAL

/// Admission: what an append names is brought into memory, or the append is refused.
extension Home {
  /// Takes a command that is parsed and valid. Its outcome comes through `completed`, later.
  public func submit(_ request: HomeRequest) {
    request.submittedSecond = second
    if let lane = request.lane {
      // Who waits goes on at the end of the turn, and comes first, also where nobody is before it any more.
      guard lane.current == nil, lane.waiting.isEmpty else {
        lane.waiting.append(request)
        laneWaiting += 1
        return
      }
      lane.current = request
    }
    begin(request)
  }

  private func begin(_ request: HomeRequest) {
    // After the end nobody would be answered.
    if request.isWrite || state == .failed, let problem = overload() { return refuse(request, problem) }
    guard request.keepsPace, isPaced || !paced.isEmpty else { return admit(request) }
    // Behind others of its lane it may have waited before.
    guard second - request.submittedSecond <= limits.pacedSecondsMax else {
      return refuse(request, Home.storeBehind)
    }
    paced.append((request, request.submittedSecond))
  }

  // MARK: Lanes

  /// The request is sequenced or answered: the next one of its lane may go on.
  func leaveLane(_ request: HomeRequest) {
    guard let lane = request.lane, lane.current === request else { return }
    lane.current = nil
    if !lane.waiting.isEmpty { openLanes.append(lane) }
  }

  /// At the end of a turn.
  func resumeLanes() {
    while let lane = openLanes.popFirst() {
      while lane.current == nil, let next = lane.waiting.popFirst() {
        laneWaiting -= 1
        lane.current = next
        begin(next)
      }
    }
  }

  // MARK: Pace

  /// The store is so far behind that appends wait for it.
  var isPaced: Bool { unappliedBytes > limits.unappliedBytesPaced }

  /// Goes on with what waited for the store, now that it has caught up. At the end of a turn.
  func resumePaced() {
    guard !isPaced else { return }
    while let next = paced.popFirst() { admit(next.request) }
  }

  /// A second has passed: who has waited too long for the store is refused.
  public func secondPassed() {
    second += 1
    while let next = paced.first, second - next.second > limits.pacedSecondsMax {
      _ = paced.popFirst()
      refuse(next.request, Home.storeBehind)
    }
  }

  /// Why no append is taken now.
  func overload() -> Problem? {
    guard state == .running else { return Home.stopped }
    if isSpaceShort || log.isStorageFull { return Home.storageFull }
    if unappliedBytes > limits.unappliedBytesMax { return Home.storeBehind }
    if log.logBytes > limits.logBytesMax {
      return Problem(.unavailable, "the log waits for the store to persist it; try again")
    }
    if loadsWaiting + keys.waitingCount >= limits.loadsWaitingMax
      || backlog.count + paced.count >= limits.backlogMax
    {
      return Problem(.unavailable, "too many writes wait; try again")
    }
    return nil
  }

  /// Goes on with a request until it is sequenced, or waits for something.
  func admit(_ request: HomeRequest) {
    guard request.admit(to: self) else { return }
    if !backlog.isEmpty || !place(request) { backlog.append(request) }
  }

  func admit(append request: AppendRequest) -> Bool {
    claimKey(request) && clearIDs(request) && bringContexts(request)
  }

  // MARK: Ids

  /// Learns which of the request's ids are taken in window or store. False: the answer comes later.
  private func clearIDs(_ request: AppendRequest) -> Bool {
    var missing: [UnitID] = []
    for index in request.parts.indices {
      guard let id = request.drafts[index].id, request.parts[index].storedHash == nil,
        request.parts[index].idClearedThrough == nil
      else { continue }
      if let view = window.unit(id) {
        request.parts[index].storedHash = view.unit?.hash
        continue
      }
      switch Home.find(id, in: store, tier: .cacheOnly) {
      case .found(let hash): request.parts[index].storedHash = hash
      case .notFound: request.parts[index].idClearedThrough = window.head
      case .incomplete: missing.append(id)
      case .failed(let problem):
        refuse(request, problem)
        return false
      }
    }
    guard !missing.isEmpty else { return true }
    loadIDs(missing, request)
    return false
  }

  private func loadIDs(_ ids: [UnitID], _ request: AppendRequest) {
    // The window doesn't have them, and the store will be asked for all that is below the window now.
    let head = window.head
    let store = store
    load(request) {
      ids.map { ($0, Home.find($0, in: store, tier: .disk)) }
    } done: { [self] found in
      var hashes: [UnitID: ContentHash] = [:]
      for (id, loaded) in found {
        switch loaded {
        case .found(let hash): hashes[id] = hash
        case .notFound: break
        case .incomplete: return refuse(request, Home.storeUnsure)
        case .failed(let problem): return refuse(request, problem)
        }
      }
      let asked = Set(ids)
      for index in request.parts.indices {
        guard let id = request.drafts[index].id, asked.contains(id) else { continue }
        request.parts[index].storedHash = hashes[id]
        if hashes[id] == nil { request.parts[index].idClearedThrough = head }
      }
      admit(request)
    }
  }

  /// Has `work` done where the disk may be waited for, then `done` here; refuses the request if too much waits.
  func load<Found: Sendable>(
    _ request: HomeRequest, _ work: @escaping @Sendable () -> Found, done: @escaping (Found) -> Void
  ) {
    loadsWaiting += 1
    let taken = surroundings?.read(work) { [self] found in
      loadsWaiting -= 1
      guard state != .failed else { return refuse(request, Home.stopped) }
      done(found)
    }
    if taken != true {
      loadsWaiting -= 1
      refuse(request, Home.readsFull)
    }
  }

  // MARK: Contexts

  /// Makes the request's contexts resident, and pins them. False: that happens later.
  private func bringContexts(_ request: AppendRequest) -> Bool {
    var missing: [[UInt8]] = []
    var last: (id: UnsafeRawBufferPointer, context: ResidentContext)?
    for index in request.parts.indices where request.parts[index].context == nil {
      let id = request.drafts[index].contextID
      // Neighbours in a request are mostly of one context.
      if let last, JSONText.same(last.id, id) {
        last.context.pins += 1
        request.parts[index].context = last.context
        continue
      }
      guard request.refusal == nil, let context = residentContext(id, request, &missing) else { continue }
      context.pins += 1
      request.parts[index].context = context
      last = (id, context)
    }
    loadContexts(missing, request)
    guard request.loads == 0 else { return false }
    guard let refusal = request.refusal else { return true }
    refuse(request, refusal)
    return false
  }

  /// A context that memory has or can get at once. Nil: the request waits for it to be loaded (`missing`, if nobody
  /// did before), or the request's `refusal` says why not.
  func residentContext(
    _ id: UnsafeRawBufferPointer, _ request: HomeRequest, _ missing: inout [[UInt8]]
  ) -> ResidentContext? {
    if let context = sequencer.contexts.find(id) { return context }
    // One load at a time: were the context made resident, appended to and forgotten while an earlier read is
    // under way, that read would bring back its past.
    if !contextLoads.isEmpty, contextLoads[[UInt8](id)] != nil {
      awaitContext([UInt8](id), request)
      return nil
    }
    switch Home.load(id, from: store, tier: .cacheOnly) {
    case .found(let loaded): return makeResident(id, loaded)
    case .notFound: return makeResident(id, nil)
    case .failed(let problem):
      request.refusal = problem
      return nil
    case .incomplete:
      missing.append([UInt8](id))
      awaitContext([UInt8](id), request)
      return nil
    }
  }

  /// Takes a context into memory as the store has it; nil: it is new.
  @discardableResult
  private func makeResident(_ id: UnsafeRawBufferPointer, _ loaded: LoadedContext?) -> ResidentContext {
    let context =
      loaded.map { ResidentContext($0.state, lastPosition: $0.lastPosition) } ?? ResidentContext(new: id)
    sequencer.contexts.insert(context, applied: applied)
    return context
  }

  /// Has the request wait for a context that is, or is about to be, loaded once for all who wait for it.
  private func awaitContext(_ id: [UInt8], _ request: HomeRequest) {
    // A request that names it twice waits once.
    guard contextLoads[id]?.last !== request else { return }
    contextLoads[id, default: []].append(request)
    loadsWaiting += 1
    request.loads += 1
  }

  /// Loads contexts that only this request waits for, some with each read: a batch that names a thousand must not
  /// fill the queue of reads alone.
  func loadContexts(_ ids: [[UInt8]], _ request: HomeRequest) {
    var rest = ids[...]
    while !rest.isEmpty {
      let group = Array(rest.prefix(limits.contextsPerRead))
      rest = rest.dropFirst(group.count)
      if request.refusal == nil, read(group) { continue }
      for id in group {
        contextLoads[id] = nil
        loadsWaiting -= 1
        request.loads -= 1
      }
      request.refusal = request.refusal ?? Home.readsFull
    }
  }

  /// False: too many reads wait.
  private func read(_ ids: [[UInt8]]) -> Bool {
    let store = store
    let taken = surroundings?.read({
      ids.map { id in id.withUnsafeBytes { Home.load($0, from: store, tier: .disk) } }
    }) { [self] found in
      for (id, loaded) in zip(ids, found) { contextLoaded(id, loaded) }
    }
    return taken == true
  }

  private func contextLoaded(_ id: [UInt8], _ loaded: Loaded<LoadedContext>) {
    let waiting = contextLoads.removeValue(forKey: id) ?? []
    loadsWaiting -= waiting.count
    var problem: Problem?
    var context: LoadedContext?
    if case .failed(let found) = loaded { problem = found }
    if case .found(let found) = loaded { context = found }
    if state == .failed { problem = Home.stopped }
    id.withUnsafeBytes { id in
      if problem == nil, sequencer.contexts.find(id) == nil { makeResident(id, context) }
    }
    for request in waiting {
      request.loads -= 1
      if let problem { request.refusal = problem }
      // Those that wait for more are looked at when the last of it is there.
      guard request.loads == 0 else { continue }
      if let refusal = request.refusal { refuse(request, refusal) } else { admit(request) }
    }
  }
}
