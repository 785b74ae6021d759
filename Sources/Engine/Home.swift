internal import Bytes
public import Model
internal import Storage
internal import Telemetry
public import WAL

/// What the home of the log needs from the world around it: real in the server, simulated in the tests.
/// Every call is made, and every completion delivered, on the home thread.
public protocol HomeSurroundings: AnyObject {
  /// Microseconds since 1970.
  var wallClock: UInt64 { get }
  func randomBits() -> UInt64
  /// Runs a read of the store that may touch the disk, elsewhere, and `done` here. False: too many wait.
  func read<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found, _ done: @escaping (Found) -> Void
  ) -> Bool
  /// A batch is durable: every loop and the store are to learn of it before any reply leaves.
  func publish(_ batch: Batch)
  /// An append has its outcome, and its batch was published before.
  func completed(_ request: AppendRequest)
  /// The oldest batch left the home's window; the others may let it go.
  func evicted(through position: Position)
  /// The log can't be written any more: nothing is acknowledged from here on, and the process must end.
  func logFailed(_ reason: String)
}

/// The home of the log: admission, sequencing and commit, on one thread and without a lock.
///
/// An append is admitted (what it names is brought into memory, or it is refused), sequenced (it becomes
/// events in the open batch), committed (the batch is written and synced as a whole) and published. One batch
/// is in flight at a time; the next one grows meanwhile.
public final class Home {
  enum State { case running, draining, failed }

  let log: any CommitLog
  let store: any EventStore
  public let limits: EngineLimits
  /// Set before the first append; it outlives the home.
  public weak var surroundings: (any HomeSurroundings)?
  let metrics: EngineMetrics
  public let window: WindowIndex
  var state = State.running
  var sequencer: Sequencer
  let builder: BatchBuilder
  var inFlight: Batch?
  var openRequests: [AppendRequest] = []
  var inFlightRequests: [AppendRequest] = []
  var backlog = Ring<AppendRequest>()
  var contextLoads: [[UInt8]: [AppendRequest]] = [:]
  var loadsWaiting = 0
  /// Bytes in the window that the store has not applied.
  public internal(set) var unappliedBytes = 0
  public internal(set) var applied: Position
  var unapplied = Ring<(through: Position, bytes: Int)>(capacity: 64)
  /// Whether the last commit was followed by a batch that names it durable.
  var isWitnessed = true
  /// The batch in flight found the storage full, and is appended again once there is room.
  var isWaitingForRoom = false
  /// Free space is below the limit: reads go on, writes are refused.
  public var isSpaceShort = false

  /// The home of `log`, whose tail is where `sequencer` stands.
  init(
    log: any CommitLog, store: any EventStore, sequencer: Sequencer, window: WindowIndex, applied: Position,
    limits: EngineLimits, metrics: EngineMetrics, pool: SlabPool
  ) {
    self.log = log
    self.store = store
    self.sequencer = sequencer
    self.window = window
    self.applied = applied
    self.limits = limits
    self.metrics = metrics
    builder = BatchBuilder(
      pool: pool, batchBytesMax: limits.slabBytes, batchBytesLimit: log.batchBytesLimit)
    log.onRoom = { [weak self] in self?.retry() }
  }

  public var isIdle: Bool { inFlight == nil && builder.isEmpty && backlog.isEmpty && loadsWaiting == 0 }
  public var tail: Position { sequencer.tail }
  public var isOverloaded: Bool { state == .running && overload() != nil }
  public var waitingCount: Int { backlog.count + loadsWaiting }
  public var residentContexts: Int { sequencer.contexts.count }

  // MARK: Admission

  /// Takes an append whose draft is parsed and valid. Its outcome comes through `completed`, later.
  public func submit(_ request: AppendRequest) {
    if let problem = overload() { return refuse(request, problem) }
    admit(request)
  }

  /// Why no append is taken now.
  private func overload() -> Problem? {
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

  private func admit(_ request: AppendRequest) {
    if let id = request.draft.id, !request.isIDCleared, !clearID(id, request) { return }
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
      request.clearedHead = window.head
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
    // What was evicted from the window while the store was read might be missed by both: then read again.
    let lowest = window.lowest
    let head = window.head
    let store = store
    loadsWaiting += 1
    let taken = surroundings?.read({ Home.find(id, in: store, tier: .disk) }) { [self] found in
      loadsWaiting -= 1
      guard state != .failed else { return refuse(request, Home.stopped) }
      if lowest != window.lowest, case .notFound = found { return admit(request) }
      switch found {
      case .found(let hash): request.storedHash = hash
      case .notFound, .incomplete: break
      case .failed(let problem): return refuse(request, problem)
      }
      request.isIDCleared = true
      request.clearedHead = head
      admit(request)
    }
    if taken != true {
      loadsWaiting -= 1
      refuse(request, Problem(.unavailable, "too many reads wait; try again"))
    }
  }

  /// Looks again for a unit that was published under the append's id while it waited. False: it has to be
  /// admitted anew, because the window may have let that unit go.
  private func isStillClear(_ request: AppendRequest) -> Bool {
    guard let id = request.draft.id, request.storedHash == nil, window.head > request.clearedHead else {
      return true
    }
    if let view = window.unit(id) {
      request.storedHash = view.unit?.hash
      return true
    }
    return window.lowest <= request.clearedHead.next
  }

  /// Makes the append's context resident. False: that happens later.
  private func bringContext(_ request: AppendRequest) -> Bool {
    let id = request.draft.contextID
    if let context = sequencer.contexts.find(id) {
      request.context = context
      return true
    }
    if !contextLoads.isEmpty, contextLoads[[UInt8](id)] != nil {
      // A second copy could grow and be forgotten before the load under way comes back with an old one.
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

  // MARK: Sequencing

  /// Turns an admitted append into events in the open batch. False: there is no room until a batch is sealed.
  func place(_ request: AppendRequest) -> Bool {
    guard let context = request.context else { return true }
    guard isStillClear(request) else {
      context.pins -= 1
      request.context = nil
      request.isIDCleared = false
      admit(request)
      return true
    }
    let draft = request.draft
    guard let agent = draft.agentID else { return true }
    let change = sequencer.change(of: context, by: agent)
    let unitBytes = UnitEncoder.bytesMax(for: draft)
    let contextBytes = change == .none ? 0 : contextRecordBytesMax(context, agent)
    guard let memory = reserve(unitBytes + contextBytes + 8) else {
      if builder.isEmpty {
        context.pins -= 1
        refuse(request, Problem(.payloadTooLarge, "the unit is larger than a batch of the log can be"))
        return true
      }
      return false
    }
    context.pins -= 1
    let decision = sequencer.decide(
      Sequencer.Append(
        context: context, agent: agent, change: change, id: draft.id, hash: draft.contentHash,
        stored: request.storedHash, hasFence: draft.fence != nil,
        expectedSequence: draft.expectedSequence?.rawValue, now: surroundings?.wallClock ?? 0,
        random: surroundings?.randomBits() ?? 0))
    switch decision {
    case .append(let appended):
      encode(request, context, agent, appended, into: memory, contextBytes, unitBytes)
    case .exists(let id, let position):
      request.existing = id
      wait(request, for: position)
    case .idTaken:
      refuse(request, Problem(.conflict, at: "/id", "stands for another unit"))
    case .fenceRejected:
      refuse(request, Problem(.fenceRejected, at: "/fence", "names a lock that is not held with this token"))
    case .unexpectedSequence(let actual):
      refuse(
        request,
        Problem(
          .preconditionFailed, at: "/expected_sequence", "is not \(actual.rawValue), the unit's sequence now"))
    }
    return true
  }

  /// Room for the context's record once the agent is listed in it: at worst six bytes for each of its own.
  private func contextRecordBytesMax(_ context: ResidentContext, _ agent: UnsafeRawBufferPointer) -> Int {
    ContextEncoder.bytesMax(context.state, agent: agent) + 6 * agent.count + 3
  }

  private func encode(
    _ request: AppendRequest, _ context: ResidentContext, _ agent: UnsafeRawBufferPointer,
    _ appended: Sequencer.Appended, into memory: UnsafeMutableRawPointer, _ contextBytes: Int,
    _ unitBytes: Int
  ) {
    var cursor = memory
    if let position = appended.contextEvent {
      cursor = builder.commit(
        ContextEncoder.encode(
          context.state, agent: agent, position: position, logTime: appended.logTime, requestRemainder: 1,
          into: cursor, capacity: contextBytes))
    }
    request.recordIndex = builder.count
    builder.commit(
      UnitEncoder.encode(
        request.draft,
        UnitFacts(
          id: appended.id, sequence: appended.sequence, position: appended.position,
          logTime: appended.logTime),
        into: cursor, capacity: unitBytes))
    openRequests.append(request)
    metrics.units.add()
  }

  /// Answers a repeated append once the first one is durable.
  private func wait(_ request: AppendRequest, for position: Position) {
    if position <= window.head {
      finish(request)
    } else if let inFlight, position <= inFlight.lastPosition {
      inFlightRequests.append(request)
    } else {
      openRequests.append(request)
    }
  }

  /// Room for `bytes` in the open batch, which is sealed if need be and if the log is free for it.
  private func reserve(_ bytes: Int) -> UnsafeMutableRawPointer? {
    if let memory = builder.reserve(bytes) { return memory }
    guard !builder.isEmpty, canCommit else { return nil }
    commitOpenBatch()
    return builder.reserve(bytes)
  }

  // MARK: Commit

  private var canCommit: Bool { state != .failed && inFlight == nil && log.isIdle }

  /// Ends a turn of the loop: what was sequenced in it goes to the disk, unless a batch is on its way.
  public func endOfTurn() {
    if !builder.isEmpty, canCommit { commitOpenBatch() }
  }

  private func commitOpenBatch() {
    guard let batch = builder.seal() else { return }
    swap(&openRequests, &inFlightRequests)
    inFlight = batch
    isWitnessed = false
    metrics.batches.add()
    metrics.batchUnits.record(UInt64(batch.count))
    metrics.batchBytes.record(UInt64(batch.paddedBytes))
    log.append(batch, number: log.tail.number + 1, term: log.tail.term, completion: self)
  }

  /// Appends the batch that found no room once more.
  private func retry() {
    guard isWaitingForRoom, let inFlight, log.isIdle else { return }
    isWaitingForRoom = false
    log.append(inFlight, number: log.tail.number + 1, term: log.tail.term, completion: self)
  }

  /// Writes an empty batch if the last commit has no witness yet. To be called after a time without commits.
  public func bearWitness() {
    guard canCommit, builder.isEmpty, !isWitnessed else { return }
    isWitnessed = true
    log.appendWitness(completion: self)
  }

  // MARK: After the store

  /// The store has applied everything up to `position`: the window may shrink.
  public func applied(through position: Position) {
    guard position > applied else { return }
    applied = position
    while let first = unapplied.first, first.through <= position {
      unappliedBytes -= first.bytes
      _ = unapplied.popFirst()
    }
    shrinkWindow()
  }

  func shrinkWindow() {
    var evicted = false
    while let oldest = window.oldest, oldest.lastPosition <= applied, window.bytes > limits.windowBytesMax {
      window.evictOldest()
      evicted = true
    }
    if evicted { surroundings?.evicted(through: Position(window.lowest.rawValue - 1)) }
  }

  /// Takes in a batch that the log already held at the start, and that the window has.
  func adopt(_ batch: Batch) {
    unapplied.append((batch.lastPosition, batch.paddedBytes))
    unappliedBytes += batch.paddedBytes
  }

  /// Takes no more appends; those under way are answered. `isIdle` says when that is done.
  public func drain() {
    if state == .running { state = .draining }
  }

  // MARK: Outcomes

  static var stopped: Problem { Problem(.unavailable, "the server is stopping") }

  func finish(_ request: AppendRequest, in batch: Batch? = nil) {
    if let existing = request.existing {
      request.outcome = .exists(existing)
    } else if let batch {
      request.batch = batch
      request.outcome = .appended(batch.record(request.recordIndex))
    }
    request.context = nil
    surroundings?.completed(request)
  }

  private func refuse(_ request: AppendRequest, _ problem: Problem) {
    metrics.refusals.add()
    request.outcome = .refused(problem)
    request.context = nil
    surroundings?.completed(request)
  }
}
