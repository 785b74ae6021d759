internal import Bytes
public import Model
public import WAL

/// The log's twin in memory: the same rules, without files. Outcomes are told when the test calls `step`.
public final class SimulatedLog: CommitLog {
  public private(set) var tail = LogTail.start
  public var onRoom: (() -> Void)?
  public var batchBytesLimit: Int
  /// Batches that can still be taken; below 1 appends find the storage full.
  public var room = Int.max {
    didSet { if oldValue <= 0, room > 0 { onRoom?() } }
  }
  /// What became of a batch whose write ended unknown.
  public enum Failure: Sendable { case kept, lost }
  /// The next write ends unknown, and the log with it.
  public var failNextWrite: Failure?
  public private(set) var hasFailed = false
  public private(set) var batches: [Batch] = []

  private struct Operation {
    var number: UInt64
    var outcome: CommitOutcome
    var completion: any CommitCompletion
    var effect: (() -> Void)?
  }
  private var operation: Operation?
  private var waiting: [(outcome: CommitOutcome, completion: any CommitCompletion)] = []
  private var previousCRC: UInt32?
  private var trimmed = Position.zero
  private var isTailProven = true

  public init(batchBytesLimit: Int = 60 << 10) { self.batchBytesLimit = batchBytesLimit }

  public var isIdle: Bool { operation == nil }
  public var logBytes: UInt64 { batches.reduce(0) { $0 + UInt64($1.paddedBytes) } }
  public var isStorageFull: Bool { room <= 0 }

  /// Ends what is in flight, and tells.
  /// - Returns: false if there was nothing.
  @discardableResult
  public func step() -> Bool {
    if let done = operation {
      operation = nil
      done.effect?()
      done.completion.commitCompleted(number: done.number, outcome: done.outcome)
    } else if waiting.isEmpty {
      return false
    }
    let barriers = waiting
    waiting = []
    for barrier in barriers {
      barrier.completion.commitCompleted(number: tail.number, outcome: hasFailed ? .unknown : barrier.outcome)
    }
    return true
  }

  public func append(_ batch: Batch, number: UInt64, term: UInt64, completion: any CommitCompletion) {
    if hasFailed { return reply(.unknown, number, completion) }
    if term != tail.term { return reply(.fenced, number, completion) }
    if number == tail.number, let previousCRC,
      batch.chain(term: term, number: number, previousCRC: previousCRC) == tail.crc
    {
      return reply(.ok, number, completion)
    }
    if tail.isSealed || number != tail.number + 1 { return reply(.fenced, number, completion) }
    precondition(batch.firstPosition == tail.lastPosition.next, "positions follow the tail's")
    write(batch, isSeal: false, completion)
  }

  public func appendWitness(completion: any CommitCompletion) {
    if hasFailed { return reply(.unknown, tail.number, completion) }
    if isTailProven || tail.isSealed { return reply(.ok, tail.number, completion) }
    write(Batch.empty(at: tail.lastPosition.next), isSeal: false, completion)
  }

  public func seal(completion: any CommitCompletion) {
    if hasFailed { return reply(.unknown, tail.number, completion) }
    if tail.isSealed { return reply(.ok, tail.number, completion) }
    write(Batch.empty(at: tail.lastPosition.next), isSeal: true, completion)
  }

  public func claim(_ term: UInt64, completion: any CommitCompletion) {
    if hasFailed { return reply(.unknown, tail.number, completion) }
    if term == tail.term, !tail.isSealed { return reply(.ok, tail.number, completion) }
    if term <= tail.term { return reply(.fenced, tail.number, completion) }
    reply(.ok, tail.number, completion) { [unowned self] in
      tail.term = term
      tail.isSealed = false
      isTailProven = true
    }
  }

  public func barrier(completion: any CommitCompletion) { waiting.append((.ok, completion)) }

  public func trim(through position: Position) {
    // The newest records stay, as the newest segment does.
    guard position < tail.lastPosition else { return }
    trimmed = max(trimmed, position)
    batches.removeAll { $0.lastPosition <= position }
  }

  public func tail(after position: Position, _ body: (Batch) -> Void) throws(LogError) -> LogTail {
    guard position < tail.lastPosition else { return tail }
    if position < trimmed {
      throw .trimmed(first: batches.first?.firstPosition ?? trimmed.next)
    }
    for batch in batches where batch.count > 0 && batch.lastPosition > position { body(batch) }
    return tail
  }

  private func write(_ batch: Batch, isSeal: Bool, _ completion: any CommitCompletion) {
    precondition(batch.paddedBytes <= batchBytesLimit, "the batch is too large")
    let number = tail.number + 1
    if room <= 0 { return reply(.storageFull, number, completion) }
    let failure = failNextWrite
    failNextWrite = nil
    reply(failure == nil ? .ok : .unknown, number, completion) { [unowned self] in
      hasFailed = failure != nil
      if failure == .lost { return }
      room -= room == Int.max ? 0 : 1
      batch.place(term: tail.term, number: number)
      previousCRC = tail.crc
      tail.crc = batch.chain(term: tail.term, number: number, previousCRC: tail.crc, isSeal: isSeal)
      tail.number = number
      tail.lastPosition = batch.lastPosition
      tail.isSealed = isSeal
      isTailProven = batch.count == 0
      batches.append(batch)
    }
  }

  private func reply(
    _ outcome: CommitOutcome, _ number: UInt64, _ completion: any CommitCompletion,
    _ effect: (() -> Void)? = nil
  ) {
    precondition(operation == nil, "one operation at a time")
    operation = Operation(number: number, outcome: outcome, completion: completion, effect: effect)
  }
}
