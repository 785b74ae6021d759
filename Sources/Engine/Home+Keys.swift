internal import Bytes
internal import Model
internal import Storage
internal import Telemetry
internal import WAL

/// Idempotency keys: one request at a time works under a key, and what it appended is the answer to all others
/// with the same body, for 24 h of log time, also after a restart: the key is in the event of its first unit.
extension Home {
  /// Makes the request the one at work under its key, if it has one. False: it was answered from what is kept, or
  /// waits for the one at work, or for the store.
  func claimKey(_ request: AppendRequest) -> Bool {
    guard let key = request.key, !request.hasLookedUpKey else { return true }
    if !request.holdsKey {
      switch keys.find(key.name) {
      case .held:
        keys.wait(request, for: key.name)
        return false
      case .kept(let answer) where !isExpired(answer):
        answerAgain(request, answer)
        return false
      case .kept:
        // What is expired in memory is what the store has.
        request.hasLookedUpKey = true
        fallthrough
      case nil:
        keys.hold(key.name)
        request.holdsKey = true
      }
      if request.hasLookedUpKey { return true }
    }
    return lookUpKey(request, key.name)
  }

  /// Asks the store for the key's answer. False: there is one, or the store will say later.
  private func lookUpKey(_ request: AppendRequest, _ name: [UInt8]) -> Bool {
    switch Home.keptAnswer(name, in: store, tier: .cacheOnly) {
    case .incomplete:
      let store = store
      load(request) {
        Home.keptAnswer(name, in: store, tier: .disk)
      } done: { [self] found in
        if take(found, request) { admit(request) }
      }
      return false
    case let found:
      return take(found, request)
    }
  }

  /// Takes in what the store says of the request's key. False: the request is answered.
  private func take(_ found: Loaded<KeptAnswer>, _ request: AppendRequest) -> Bool {
    request.hasLookedUpKey = true
    switch found {
    case .found(let answer) where !isExpired(answer):
      answerAgain(request, answer)
      return false
    case .found, .notFound:
      return true
    case .incomplete:
      refuse(request, Home.storeUnsure)
    case .failed(let problem):
      refuse(request, problem)
    }
    return false
  }

  /// By log time, which a new event would have now.
  private func isExpired(_ answer: KeptAnswer) -> Bool {
    let now = max(sequencer.logTime.microseconds, surroundings?.wallClock ?? 0)
    return now >= answer.logTime.microseconds
      && now - answer.logTime.microseconds >= Limits.idempotencyMicroseconds
  }

  /// What is kept is durable: nothing has to be waited for.
  private func answerAgain(_ request: AppendRequest, _ answer: KeptAnswer) {
    if request.key?.requestHash == answer.requestHash {
      metrics.keyHits.add()
      request.awaited = .answered(answer.first...max(answer.first, answer.last))
    } else {
      metrics.keyMismatches.add()
      request.refusal = Problem(
        .idempotencyMismatch, "this Idempotency-Key was used for another request within the last 24 hours")
    }
    finish(request)
  }

  /// The request is done; who waited for it goes on at the end of the turn.
  func releaseKey(_ request: AppendRequest) {
    request.holdsKey = false
    guard let key = request.key else { return }
    let answer = answer(of: request, key.requestHash)
    var going = keys.release(key.name, keeping: answer)
    while let next = going?.popFirst() {
      next.holdsKey = answer == nil
      released.append(next)
    }
  }

  /// What a request that has just become durable is answered with from now on.
  private func answer(of request: AppendRequest, _ hash: ContentHash) -> KeptAnswer? {
    request.unit(0).map { KeptAnswer(requestHash: hash, firstUnit: $0) }
  }

  /// Takes in the keys of a batch that the log already held at the start.
  func adoptKeys(_ batch: Batch) {
    for index in 0..<batch.count {
      let event = batch.record(index)
      guard let mark = event.idempotency, let agent = event.agentID else { continue }
      keys.keep(
        IdempotencyName.make(agent: agent, key: mark.key),
        KeptAnswer(requestHash: mark.requestHash, firstUnit: event))
    }
  }

  /// Any thread for `.disk`.
  private static func keptAnswer(
    _ name: [UInt8], in store: any EventStore, tier: ReadTier
  ) -> Loaded<KeptAnswer> {
    ask({ () throws(StoreError) in try store.keptAnswer(name, tier: tier) }) { .found($0) }
  }
}
