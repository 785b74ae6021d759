internal import Access
internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Locks
internal import Model

extension LoopServices {
  // MARK: POST /locks

  /// Acquires one lock or several, perhaps after waiting. Who is gone by then holds nothing.
  func acquireLocks(_ exchange: Exchange) async throws(Problem) {
    try noQuery(exchange)
    try requireJSON(exchange)
    let draft = try LockDraft(exchange.body)
    let resource = draft.paths.first.map { AuditResource.lock($0) } ?? .route(.acquireLocks)
    let agent = try Asker.required(try asker(exchange, named: draft.agent, .lockAcquire, resource))
    try allowAll(draft, exchange)
    let request = lockRequest(
      .acquire(
        LockAcquisition(
          paths: draft.paths, agent: agent, ttlMicroseconds: draft.ttlMicroseconds,
          waitNanoseconds: draft.waitNanoseconds, metadata: draft.metadata, random: 0)), exchange)
    exchange.waits(for: request)
    await engine.perform(request)
    exchange.waits(for: nil)
    guard case .granted(let locks, let fresh) = request.outcome else { throw refusal(request) }
    if exchange.isAbandoned {
      await release(fresh)
      throw Problem(.unavailable, "the connection ended before the locks were granted: they are released")
    }
    if draft.waitNanoseconds > 0, let problem = withdrawn(exchange, draft) {
      await release(fresh)
      throw problem
    }
    if draft.isList {
      answer(exchange, "{\"locks\":[", locks, "]}")
    } else {
      answer(exchange, "{\"lock\":", locks, "}")
    }
  }

  /// Gives back what was granted and isn't wanted.
  private func release(_ locks: [LockState]) async {
    for lock in locks {
      await engine.perform(
        LockRequest(
          .release(path: lock.path, id: lock.id, agent: lock.holder, isForced: false),
          loop: engine.loop.index, isOwed: true))
    }
  }

  /// Why the caller may no longer have what it has waited for: meanwhile its credential may have ended, or the
  /// configuration was read again.
  private func withdrawn(_ exchange: Exchange, _ draft: LockDraft) -> Problem? {
    guard let access, let principal = exchange.caller.principal else { return nil }
    guard let renewed = access.authenticator.renew(principal, now: LoopServices.unixSeconds) else {
      return outlived(
        exchange, "the credential ended while the request waited: the locks are released")
    }
    let permissions = access.policy.permissions(of: renewed)
    for path in draft.paths where !path.withUnsafeBytes({ permissions.allows(.lockAcquire, lock: $0) }) {
      return denied(exchange, .lockAcquire, .lock(path))
    }
    return nil
  }

  // MARK: GET /locks

  func locks(_ exchange: Exchange) async throws(Problem) {
    let parameters = try Query(exchange, .locks)
    let prefix = try LoopServices.lockPrefix(try parameters.one("prefix") ?? [], at: "/prefix")
    let agent = try parameters.identifier("agent_id")
    let limit = try parameters.limit()
    let hash = Query.hash(prefix: prefix, agent: agent)
    let after = try parameters.nameCursor(of: hash, nameBytesMax: Limits.resourcePathBytesMax)
    let request = lockRequest(.list(prefix: prefix, agent: agent, after: after, limit: limit), exchange)
    await engine.perform(request)
    guard case .listed(let page) = request.outcome else { throw refusal(request) }
    let cursor =
      try page.next.map { name throws(Problem) in
        try Query.nameCursor(
          name, of: hash, nameBytesMax: Limits.resourcePathBytesMax,
          isSealed: exchange.caller.lockVisibility != nil)
      } ?? []
    try exchange.requireRoom(for: page.locks.reduce(0) { $0 + LockEncoder.jsonBytesMax($1) })
    answer(
      exchange, "{\"locks\":[", page.locks,
      "],\"next_cursor\":\"\(String(decoding: cursor, as: UTF8.self))\"}")
  }

  // MARK: /locks/{path}

  func lock(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    try noQuery(exchange)
    let request = lockRequest(.find(path: try path(exchange, subject)), exchange)
    await engine.perform(request)
    guard case .found(let lock) = request.outcome else { throw refusal(request) }
    answer(exchange, "{\"lock\":", [lock], "}")
  }

  func renewLock(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    try noQuery(exchange)
    let path = try path(exchange, subject)
    try allow(.lockAcquire, path, exchange)
    try requireJSON(exchange)
    let renewal = try LockRenewal(exchange.body)
    let agent = try asker(exchange, named: renewal.agent, .lockAcquire, .lock(path))
    let request = lockRequest(
      .renew(
        path: path, id: renewal.lockID, agent: agent, ttlMicroseconds: renewal.ttlMicroseconds), exchange)
    await engine.perform(request)
    guard case .renewed(let lock) = request.outcome else { throw refusal(request) }
    answer(exchange, "{\"lock\":", [lock], "}")
  }

  func releaseLock(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    let parameters = try Query(exchange, .releaseLock)
    let path = try path(exchange, subject)
    let isForced = try parameters.flag("force")
    let verb = isForced ? Verb.lockForce : .lockAcquire
    try allow(verb, path, exchange)
    let named = try parameters.identifier("agent_id")
    let agent = try asker(exchange, named: named, verb, .lock(path))
    if !isForced { _ = try Asker.required(agent) }
    var id: UnitID?
    if let text = try parameters.one("lock_id") {
      guard let found = text.withUnsafeBytes({ UnitID($0) }) else {
        throw Problem(at: "/lock_id", "is not a UUID of version 7")
      }
      id = found
    }
    let request = lockRequest(.release(path: path, id: id, agent: agent, isForced: isForced), exchange)
    await engine.perform(request)
    guard case .released(let lock) = request.outcome else { throw refusal(request) }
    guard isForced else { return exchange.answer(.ok, .json, "{\"released\":true}") }
    auditForcedRelease(exchange, of: lock)
    let body = ByteWriter.bytes(capacity: 64 + 6 * lock.holder.count) { writer in
      writer.run("{\"released\":true,\"holder_agent\":")
      lock.holder.withUnsafeBytes { JSONText.writeQuoted($0, to: &writer) }
      writer.run("}")
    }
    exchange.answer(.ok, .json, body)
  }

  // MARK: Parts

  private func lockRequest(_ command: LockRequest.Command, _ exchange: Exchange) -> LockRequest {
    LockRequest(command, loop: engine.loop.index, sees: exchange.caller.lockVisibility)
  }

  /// Refuses to do something to a lock that the caller may not, whether it is held or not.
  private func allow(_ verb: Verb, _ path: [UInt8], _ exchange: Exchange) throws(Problem) {
    guard let permissions = exchange.caller.permissions else { return }
    guard path.withUnsafeBytes({ permissions.allows(verb, lock: $0) }) else {
      throw denied(exchange, verb, .lock(path))
    }
  }

  private func allowAll(_ draft: LockDraft, _ exchange: Exchange) throws(Problem) {
    guard let permissions = exchange.caller.permissions else { return }
    for (place, path) in draft.paths.enumerated() {
      guard path.withUnsafeBytes({ permissions.allows(.lockAcquire, lock: $0) }) else {
        auditDenial(exchange, .lockAcquire, .lock(path))
        throw Problem(
          .permissionDenied, at: draft.isList ? "/resource_paths/\(place)" : "/resource_path",
          "is not open to the credential for lock:acquire")
      }
    }
  }

  private func refusal(_ request: LockRequest) -> Problem {
    if case .refused(let problem) = request.outcome { return problem }
    return Problem(.internal, "the request for locks has no outcome")
  }

  /// The canonical path that stands in the request's, decoded once.
  private func path(_ exchange: Exchange, _ subject: ByteRun) throws(Problem) -> [UInt8] {
    let decoded = try Query.decode(exchange.bytes(subject))
    do throws(ResourcePath.Fault) { return try ResourcePath.canonical(decoded) } catch {
      throw Problem(at: "/path", error.detail)
    }
  }

  private func answer(_ exchange: Exchange, _ head: StaticString, _ locks: [LockState], _ tail: String) {
    let capacity = locks.reduce(head.utf8CodeUnitCount + tail.utf8.count) {
      $0 + LockEncoder.jsonBytesMax($1) + 1
    }
    let body = ByteWriter.bytes(capacity: capacity) { writer in
      writer.run(head)
      for (place, lock) in locks.enumerated() {
        if place > 0 { writer.run(",") }
        LockEncoder.writeJSON(lock, to: &writer)
      }
      var tail = tail
      tail.withUTF8 { writer.run(UnsafeRawBufferPointer($0)) }
    }
    exchange.answer(.ok, .json, body)
  }
}
