public import Model
public import WAL

/// A log that lets a test see each batch on its way, and, to show that the tests would notice, breaks the
/// first rule: it can say that a batch is durable before it is.
public final class WatchedLog: CommitLog {
  /// Stands between the log and whoever waits for it: a log that dies in the middle of an operation keeps
  /// this, and not the whole server.
  private final class Relay: CommitCompletion {
    var target: (any CommitCompletion)?
    /// The target was told already that it is done.
    var isAnswered = false

    func commitCompleted(number: UInt64, outcome: CommitOutcome) {
      // The truth, too late: only a failure is passed on.
      if isAnswered, outcome == .ok { return }
      target?.commitCompleted(number: number, outcome: isAnswered ? .unknown : outcome)
    }
  }

  private let log: any CommitLog
  private let relay = Relay()
  /// Sees each batch as it is handed over, and its number.
  public var onAppend: ((Batch, UInt64) -> Void)?
  /// Completes every append at the next `step`, whatever the disk says.
  public var repliesBeforeSync = false
  /// Of the append that is still to be lied about.
  private var early: UInt64?

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
    if repliesBeforeSync { early = number }
    log.append(batch, number: number, term: term, completion: relayed(completion))
  }

  private func relayed(_ completion: any CommitCompletion) -> any CommitCompletion {
    relay.target = completion
    relay.isAnswered = false
    return relay
  }

  /// Tells the lie, if one is due.
  public func step() {
    guard let number = early else { return }
    early = nil
    guard !log.isIdle else { return }
    relay.isAnswered = true
    relay.target?.commitCompleted(number: number, outcome: .ok)
  }

  /// The process is dead: nobody is told anything any more.
  public func sever() {
    relay.target = nil
    onAppend = nil
    log.onRoom = nil
  }

  public func appendWitness(completion: any CommitCompletion) {
    log.appendWitness(completion: relayed(completion))
  }

  public func claim(_ term: UInt64, completion: any CommitCompletion) {
    log.claim(term, completion: relayed(completion))
  }

  public func seal(completion: any CommitCompletion) { log.seal(completion: relayed(completion)) }

  public func tail(after position: Position, _ body: (Batch) -> Void) throws(LogError) -> LogTail {
    try log.tail(after: position, body)
  }
  public func barrier(completion: any CommitCompletion) { log.barrier(completion: completion) }
  public func trim(through position: Position) { log.trim(through: position) }
}
