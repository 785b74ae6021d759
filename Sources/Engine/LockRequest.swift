public import Locks
public import Model
internal import WAL

/// What became of a request for locks.
public enum LockOutcome {
  /// In the order in which they were asked for; `fresh` are those of them that nobody held before.
  case granted([LockState], fresh: [LockState])
  case renewed(LockState)
  /// It was held so.
  case released(LockState)
  case found(LockState)
  case listed(LockPage)
  case refused(Problem)
}

/// One request for locks: to acquire some, to renew or release one, or to look at them.
public final class LockRequest: HomeRequest, @unchecked Sendable {
  public enum Command: Sendable {
    case acquire(LockAcquisition)
    /// `agent`: who must hold it; nil for whoever knows its id. `ttlMicroseconds`: nil for the lock's own.
    case renew(path: [UInt8], id: UnitID, agent: [UInt8]?, ttlMicroseconds: UInt64?)
    /// `id`: of the lock, if it matters. By force: whoever holds it.
    case release(path: [UInt8], id: UnitID?, agent: [UInt8]?, isForced: Bool)
    case find(path: [UInt8])
    case list(prefix: [UInt8], agent: [UInt8]?, after: [UInt8]?, limit: Int)
  }

  public internal(set) var outcome: LockOutcome?
  public let command: Command
  /// Its name in the table while it waits.
  var ticket: LockTicket?
  /// Its connection went before it was decided: it must not begin to wait.
  var isAbandoned = false
  /// It is not to wait any longer: what it can't have at once it is refused.
  var endsWait = false
  /// A release that the server owes, of what was granted to a connection that was gone by then: not refused where
  /// writes are, since nobody would ask again.
  private let isOwed: Bool
  /// What it is answered with once that is durable.
  var awaited: LockOutcome?
  /// Of what locks the answer may tell; nil: all.
  let visibility: (any Visibility)?

  public init(_ command: Command, loop: Int, isOwed: Bool = false, sees visibility: (any Visibility)? = nil) {
    self.command = command
    self.isOwed = isOwed
    self.visibility = visibility
    super.init(loop: loop)
  }

  func sees(_ path: [UInt8]) -> Bool {
    guard let visibility else { return true }
    return path.withUnsafeBytes { visibility.sees(lock: $0) }
  }

  override var isWrite: Bool {
    switch command {
    case .find, .list: false
    case .acquire, .renew, .release: !isOwed
    }
  }
  override var keepsPace: Bool { false }

  override func place(in home: Home) -> Bool { home.place(lock: self) }
  override func settle(in batch: Batch?) { outcome = awaited }
  override func refuse(_ problem: Problem) { outcome = .refused(problem) }
}
