public import Model
public import WAL

/// A log that lets a test see each batch on its way, and, to show that the tests would notice, breaks the first
/// rule: it can say that a batch is durable before it is.
public final class WatchedLog: CommitLog, CommitCompletion {
  private let log: any CommitLog
  /// Sees each batch as it is handed over, and its number.
  public var onAppend: ((Batch, UInt64) -> Void)?
  /// Completes every append at the next `step`, whatever the disk says.
  public var repliesBeforeSync = false
  private var early: (number: UInt64, completion: any CommitCompletion)?
  private var forward: (any CommitCompletion)?

  public init(_ log: any CommitLog) { self.log = log }

  public var tail: LogTail { log.tail }
  /// While a lie is out, the true write goes on, and the log takes the next one when it ends.
  public var isIdle: Bool { early == nil && log.isIdle }
  public var logBytes: UInt64 { log.logBytes }
  public var isStorageFull: Bool { log.isStorageFull }
  public var batchBytesLimit: Int { log.batchBytesLimit }
  public var onRoom: (() -> Void)? {
    get { log.onRoom }
    set { log.onRoom = newValue }
  }

  public func append(_ batch: Batch, number: UInt64, term: UInt64, completion: any CommitCompletion) {
    onAppend?(batch, number)
    guard repliesBeforeSync else {
      return log.append(batch, number: number, term: term, completion: completion)
    }
    early = (number, completion)
    forward = completion
    log.append(batch, number: number, term: term, completion: self)
  }

  /// Tells the lie, if one is due.
  public func step() {
    guard let early else { return }
    self.early = nil
    early.completion.commitCompleted(number: early.number, outcome: .ok)
  }

  /// The truth, too late: only a failure is passed on.
  public func commitCompleted(number: UInt64, outcome: CommitOutcome) {
    if early != nil { step() }
    if outcome != .ok { forward?.commitCompleted(number: number, outcome: .unknown) }
  }

  public func appendWitness(completion: any CommitCompletion) { log.appendWitness(completion: completion) }
  public func tail(after position: Position, _ body: (Batch) -> Void) throws(LogError) -> LogTail {
    try log.tail(after: position, body)
  }
  public func claim(_ term: UInt64, completion: any CommitCompletion) {
    log.claim(term, completion: completion)
  }
  public func barrier(completion: any CommitCompletion) { log.barrier(completion: completion) }
  public func seal(completion: any CommitCompletion) { log.seal(completion: completion) }
  public func trim(through position: Position) { log.trim(through: position) }
}
