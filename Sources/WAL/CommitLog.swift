public import Model

/// Where a log ends.
public struct LogTail: Hashable, Sendable {
  /// The term of the log's owner.
  public var term: UInt64
  /// Number of the last durable batch; 0 in a new log.
  public var number: UInt64
  /// Position of the last durable record; 0 in a new log.
  public var lastPosition: Position
  /// Chain of the last durable batch: it stands for the whole log up to here.
  public var crc: UInt32
  /// The last batch sealed its term: only a newer term can append.
  public var isSealed: Bool

  public init(term: UInt64, number: UInt64, lastPosition: Position, crc: UInt32, isSealed: Bool = false) {
    self.term = term
    self.number = number
    self.lastPosition = lastPosition
    self.crc = crc
    self.isSealed = isSealed
  }

  public static let start = LogTail(term: 1, number: 0, lastPosition: .zero, crc: 0)
}

/// How an operation on the log ended.
public enum CommitOutcome: Hashable, Sendable {
  /// Durable.
  case ok
  /// Not written: the batch isn't the tail's successor, or the term isn't the current one.
  case fenced
  /// The log has failed for good, and the batch may be durable or not: stop, a restart finds out.
  case unknown
  /// Not written, for want of space. The log is sound: append the same batch again once there is room.
  case storageFull
}

/// Told the outcome on the log's home thread, never from within the call that began the operation.
public protocol CommitCompletion: AnyObject {
  /// - Parameter number: of the batch; of the tail for an operation without one.
  func commitCompleted(number: UInt64, outcome: CommitOutcome)
}

/// All that the engine knows of the log. Local segments are one implementation; shared storage and
/// replicated logs can
/// follow behind the same conformance suite.
///
/// Home thread: that of the loop which owns it. One operation at a time (`isIdle`), except `barrier` and
/// `trim`.
public protocol CommitLog: AnyObject {
  var tail: LogTail { get }
  /// Nothing is in flight: an operation may begin.
  var isIdle: Bool { get }
  /// Bytes that are not trimmed yet, to be held against `logBytesMax`.
  var logBytes: UInt64 { get }
  /// No room and none in sight: new writes should be refused (507) until `onRoom`.
  var isStorageFull: Bool { get }
  /// The largest `Batch.paddedBytes` that the log can take.
  var batchBytesLimit: Int { get }
  /// Called when an append that found the storage full is worth another try.
  var onRoom: (() -> Void)? { get set }

  /// Makes `batch` durable as batch `number` of `term`. `fenced` unless `number` follows the tail and `term`
  /// is the
  /// tail's. Repeating the append that the tail already holds is `ok` and writes nothing.
  /// Requires (traps): `isIdle`; positions that follow the tail's, unless it repeats it; `paddedBytes`
  /// within the limit.
  /// The log keeps the batch, and its slab, until completion.
  func append(_ batch: Batch, number: UInt64, term: UInt64, completion: any CommitCompletion)

  /// Appends an empty batch, which proves that the one before it was durable; `ok` without a write if the
  /// tail is
  /// proven already. Call it after 200 ms of idleness and at shutdown. Takes a number.
  func appendWitness(completion: any CommitCompletion)

  /// Reads the durable batches that hold positions above `position`, oldest first. Blocks: not for a loop in
  /// service.
  /// Throws `trimmed` if they are no longer all there.
  func tail(after position: Position, _ body: (Batch) -> Void) throws(LogError) -> LogTail

  /// Becomes the owner: from then on only `term` may append. `fenced` unless it is above the tail's;
  /// claiming one's
  /// own term again is `ok`. Requires `isIdle`.
  func claim(_ term: UInt64, completion: any CommitCompletion)

  /// Completes when all that was appended before it is durable.
  func barrier(completion: any CommitCompletion)

  /// Ends the term: every later append is fenced until a newer term is claimed, also after a restart.
  /// Requires `isIdle`.
  func seal(completion: any CommitCompletion)

  /// The store has persisted everything up to `position`: space below may be used again. Returns at once.
  func trim(through position: Position)
}
