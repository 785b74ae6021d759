import EngramTesting
import Engine
import Locks
import Model
import Storage
import WAL

/// Requests for locks and changes of contexts, and what the log says afterwards.
extension ManualHome {
  /// How a request for locks ended, in a word.
  enum LockTold: Equatable {
    /// Tokens in the order asked for, and those that are new.
    case granted([UInt64], fresh: [UInt64])
    case renewed
    /// By whom it was held.
    case released(String)
    /// Under this token.
    case found(UInt64)
    case listed([String])
    case refused(ErrorCode)
  }

  /// How a change of a context ended, in a word.
  enum ContextTold: Equatable {
    case changed(revision: UInt64)
    case created
    case refused(ErrorCode)
  }

  private static let second: UInt64 = 1_000_000

  @discardableResult
  func acquire(
    _ paths: String..., by agent: String = "a", ttl: UInt64 = 60, wait: UInt64 = 0, metadataBytes: Int = 2,
    lane: RequestLane? = nil
  ) -> LockRequest {
    let padding = String(repeating: "m", count: max(0, metadataBytes - 7))
    return submit(
      .acquire(
        LockAcquisition(
          paths: paths.map { Array($0.utf8) }, agent: Array(agent.utf8),
          ttlMicroseconds: ttl * Self.second, waitNanoseconds: wait * Self.second * 1000,
          metadata: Array((metadataBytes > 2 ? "{\"k\":\"\(padding)\"}" : "{}").utf8), random: 0)), lane)
  }

  @discardableResult
  func release(_ path: String, by agent: String? = "a", isForced: Bool = false) -> LockRequest {
    submit(.release(path: Array(path.utf8), id: nil, agent: agent.map { Array($0.utf8) }, isForced: isForced))
  }

  @discardableResult
  func renew(_ lock: LockState?, ttl: UInt64 = 60) -> LockRequest {
    submit(
      .renew(
        path: lock?.path ?? [], id: lock?.id ?? UnitID(high: 0, low: 0), agent: nil,
        ttlMicroseconds: ttl * Self.second))
  }

  @discardableResult
  func find(_ path: String, lane: RequestLane? = nil) -> LockRequest {
    submit(.find(path: Array(path.utf8)), lane)
  }

  @discardableResult
  func list() -> LockRequest { submit(.list(prefix: [], agent: nil, after: nil, limit: 100)) }

  private func submit(_ command: LockRequest.Command, _ lane: RequestLane? = nil) -> LockRequest {
    let request = LockRequest(command, loop: 0)
    request.lane = lane
    home.submit(request)
    return request
  }

  /// Submits a PATCH with this body.
  @discardableResult
  func patch(
    _ context: String, _ body: String = "{}", if precondition: ContextRequest.Precondition = .none,
    lane: RequestLane? = nil
  ) throws -> ContextRequest {
    let patch = try Array(body.utf8).withUnsafeBytes { try ContextPatch($0) }
    let request = ContextRequest(patch, of: Array(context.utf8), if: precondition, loop: 0)
    request.lane = lane
    home.submit(request)
    return request
  }

  func told(_ request: LockRequest) -> LockTold? {
    switch request.outcome {
    case .granted(let locks, let fresh):
      .granted(locks.map(\.token.rawValue), fresh: fresh.map(\.token.rawValue))
    case .renewed: .renewed
    case .released(let lock): .released(String(decoding: lock.holder, as: UTF8.self))
    case .found(let lock): .found(lock.token.rawValue)
    case .listed(let page): .listed(page.locks.map { String(decoding: $0.path, as: UTF8.self) })
    case .refused(let problem): .refused(problem.code)
    case nil: nil
    }
  }

  func told(_ request: ContextRequest) -> ContextTold? {
    switch request.outcome {
    case .changed(let event, let isNew):
      isNew ? .created : .changed(revision: event.context?.revision ?? 0)
    case .refused(let problem): .refused(problem.code)
    case nil: nil
    }
  }

  /// The first lock that a request was granted.
  func lock(_ request: LockRequest) -> LockState? {
    guard case .granted(let locks, _) = request.outcome else { return nil }
    return locks.first
  }

  /// What is published, event by event: position, kind, and what it is about.
  var history: [String] {
    published.flatMap { batch in (0..<batch.count).map { ManualHome.line(batch.record($0)) } }
  }

  private static func line(_ event: EventView) -> String {
    func text(_ bytes: UnsafeRawBufferPointer?) -> String {
      String(decoding: bytes ?? .init(start: nil, count: 0), as: UTF8.self)
    }
    let what =
      switch event.kind {
      case .unit: "unit \(text(event.contextID))"
      case .context: "context \(text(event.contextID))"
      case .lock: "\(event.lock?.action.name ?? "nothing") \(text(event.resourcePath)) \(text(event.agentID))"
      case .restart: "restart"
      case nil: "unknown"
      }
    return "\(event.position.rawValue) \(what)"
  }

  /// Another life over the same log and store, which has lost what it had not flushed.
  func successor(_ change: (inout EngineLimits) -> Void = { _ in }) throws -> ManualHome {
    store.crash()
    let through = store.marksAtOpen.lowest
    return try ManualHome(
      log: log, store: store, batches: log.batches.filter { $0.count > 0 && $0.lastPosition > through },
      change)
  }
}
