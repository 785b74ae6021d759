internal import Bytes
public import EventLoop
internal import Model

/// The log in segment files of one directory (`WAL.md`).
///
/// Home thread: that of the loop which owns it; every call and every callback runs there. Same disk and same
/// randomness: same bytes. Randomness is drawn twice for the UUID of a new log, and once for the salt of
/// each segment.
public final class LocalLog: CommitLog, DiskCompletion {
  /// What one durable write took; `nanoseconds` is 0 without a clock.
  public struct WriteSample: Sendable {
    public var bytes: Int
    public var nanoseconds: UInt64
  }

  public internal(set) var tail: LogTail
  /// Set once, by the first write that didn't become durable as a whole. The log takes nothing after it.
  public private(set) var failure: DiskError?
  /// Called once, after the completion of the operation that failed: stop acknowledging, exit non-zero.
  public var onFailure: ((DiskError) -> Void)?
  public var onRoom: (() -> Void)?
  /// For metrics: each durable write.
  public var onWrite: ((WriteSample) -> Void)?
  /// For metrics: monotonic nanoseconds.
  public var clock: (() -> UInt64)?

  let disk: any Disk
  let configuration: LogConfiguration
  let random: () -> UInt64
  let log: LogID
  /// Oldest first.
  var segments: [LiveSegment]
  /// The newest segment was begun by this process: batches may go there.
  var isOpen: Bool
  var spares: [SpareFile] = []
  var highestName: UInt64
  var isCreating = false
  var creationFailed = false
  /// An append found no spare, and `onRoom` was not called since.
  var isStarved = false

  private var operation: Operation?
  private var generation: UInt64 = 0
  private var began: UInt64 = 0
  private var barriers: [any CommitCompletion] = []
  private var previousCRC: UInt32?
  private var isTailProven: Bool
  private let headerBlock = Slab(capacity: LogFormat.segmentHeaderBytes)

  /// What is in flight: up to two writes, one after the other.
  private struct Operation {
    enum Step { case header, batch, reply }
    var step: Step
    var batch: Batch?
    /// The batch's header, complete once its segment is known.
    var header: BatchHeader?
    var number: UInt64
    var term: UInt64
    var completion: any CommitCompletion
    /// The segment whose header is being written.
    var opening: LiveSegment?
    var outcome = CommitOutcome.ok
    var expected = 0
  }

  /// Goes on from a recovered log. Blocks if there is no spare: makes the first one, so that a log that is
  /// ready can be
  /// written. If space for it is lacking, the log starts with its storage full.
  /// Throws: any other refusal of the disk.
  public init(
    _ disk: any Disk, recovered: RecoveredLog, configuration: LogConfiguration, random: @escaping () -> UInt64
  ) throws(DiskError) {
    self.disk = disk
    self.configuration = configuration
    self.random = random
    tail = recovered.tail
    log = recovered.log ?? LogID(first: random(), second: random())
    segments = recovered.segments
    previousCRC = recovered.previousCRC
    isTailProven = recovered.isTailProven
    highestName = recovered.highestName
    isOpen = false
    recycle(recovered.spares)
    if spares.isEmpty { try createFirstSpare() }
    replenish()
  }

  public var isIdle: Bool { operation == nil }
  public var batchBytesLimit: Int {
    Int(min(configuration.segmentBytes, 1 << 30)) - LogFormat.segmentHeaderBytes
  }
  public var segmentCount: Int { segments.count }
  public var spareCount: Int { spares.count }
  public var logBytes: UInt64 { segments.reduce(0) { $0 + $1.end } }
  public var isStorageFull: Bool { spares.isEmpty && creationFailed }

  // MARK: Operations

  public func append(_ batch: Batch, number: UInt64, term: UInt64, completion: any CommitCompletion) {
    if let outcome = refusal(batch, number: number, term: term) {
      return reply(outcome, number: number, completion)
    }
    precondition(
      batch.firstPosition.rawValue == tail.lastPosition.rawValue + 1, "positions follow the tail's")
    begin(batch, flags: 0, completion)
  }

  public func appendWitness(completion: any CommitCompletion) {
    if failure != nil { return reply(.unknown, number: tail.number, completion) }
    if isTailProven || tail.isSealed || configuration.faults.skipsWitness {
      return reply(.ok, number: tail.number, completion)
    }
    begin(Batch.empty(at: Position(tail.lastPosition.rawValue + 1)), flags: 0, completion)
  }

  public func seal(completion: any CommitCompletion) {
    if failure != nil { return reply(.unknown, number: tail.number, completion) }
    if tail.isSealed { return reply(.ok, number: tail.number, completion) }
    begin(Batch.empty(at: Position(tail.lastPosition.rawValue + 1)), flags: LogFormat.flagSealed, completion)
  }

  public func claim(_ term: UInt64, completion: any CommitCompletion) {
    if failure != nil { return reply(.unknown, number: tail.number, completion) }
    if term == tail.term, !tail.isSealed { return reply(.ok, number: tail.number, completion) }
    if term <= tail.term { return reply(.fenced, number: tail.number, completion) }
    precondition(operation == nil, "one operation at a time")
    openSegment(
      Operation(step: .header, number: tail.number, term: term, completion: completion))
  }

  public func barrier(completion: any CommitCompletion) {
    if operation != nil, failure == nil {
      barriers.append(completion)
    } else {
      let outcome: CommitOutcome = failure == nil ? .ok : .unknown
      let log = Confined(self)
      let told = Confined(completion)
      disk.background({ nil }) { _ in
        told.value.commitCompleted(number: log.value.tail.number, outcome: outcome)
      }
    }
  }

  /// Why `batch` isn't written; nil if it may be.
  private func refusal(_ batch: Batch, number: UInt64, term: UInt64) -> CommitOutcome? {
    if failure != nil { return .unknown }
    if term != tail.term { return .fenced }
    if number == tail.number, let previousCRC,
      batch.chain(term: term, number: number, previousCRC: previousCRC) == tail.crc
    {
      return .ok
    }
    return tail.isSealed || number != tail.number + 1 ? .fenced : nil
  }

  // MARK: Writing

  private func begin(_ batch: Batch, flags: UInt32, _ completion: any CommitCompletion) {
    precondition(operation == nil, "one operation at a time")
    precondition(batch.paddedBytes <= batchBytesLimit, "the batch fits into no segment")
    let number = tail.number + 1
    let header = batch.header(term: tail.term, number: number, previousCRC: tail.crc, flags: flags)
    let operation = Operation(
      step: .batch, batch: batch, header: header, number: number, term: tail.term, completion: completion)
    if isOpen, let segment = segments.last,
      UInt64(batch.paddedBytes) <= segment.header.segmentBytes - min(segment.end, segment.header.segmentBytes)
    {
      writeBatch(operation, into: segment)
    } else {
      openSegment(operation)
    }
  }

  /// Makes a segment of a spare: its header is durable before anything else goes there.
  private func openSegment(_ operation: Operation) {
    guard !spares.isEmpty else {
      isStarved = true
      replenish()
      return reply(.storageFull, number: operation.number, operation.completion)
    }
    let spare = spares.removeFirst()
    let salt = random()
    let header = SegmentHeader(
      log: log, segment: (segments.last?.header.segment ?? 0) + 1, term: operation.term,
      firstBatch: tail.number + 1, firstPosition: Position(tail.lastPosition.rawValue + 1),
      salt: configuration.faults.keepsSalt ? spare.salt ?? salt : salt, segmentBytes: spare.bytes,
      predecessorLength: segments.last?.end ?? 0, predecessorCRC: tail.crc)
    header.encode(to: headerBlock.base)
    var operation = operation
    operation.step = .header
    operation.opening = LiveSegment(
      name: spare.name, file: spare.file, header: header, end: UInt64(LogFormat.segmentHeaderBytes))
    let block = UnsafeRawBufferPointer(start: headerBlock.base, count: LogFormat.segmentHeaderBytes)
    write(operation, spare.file, at: 0, block, registration: headerBlock.registration)
    replenish()
  }

  private func writeBatch(_ operation: Operation, into segment: LiveSegment) {
    guard let batch = operation.batch, var header = operation.header else { return }
    header.salt = segment.header.salt
    header.segment = segment.header.segment
    header.durablePosition = tail.lastPosition
    _ = batch.stamp(header)
    var operation = operation
    operation.step = .batch
    operation.header = header
    write(operation, segment.file, at: segment.end, batch.bytes, registration: batch.slab.registration)
  }

  private func write(
    _ next: Operation, _ file: DiskFile, at offset: UInt64, _ bytes: UnsafeRawBufferPointer,
    registration: Int32
  ) {
    var next = next
    next.expected = bytes.count
    operation = next
    generation += 1
    began = clock?() ?? 0
    disk.writeDurably(file, at: offset, from: bytes, registration: registration, self, tag: generation)
  }

  public func diskWriteCompleted(tag: UInt64, result: Int32) {
    guard tag == generation, let done = operation, done.step != .reply else { return }
    guard Int(result) == done.expected || (configuration.faults.ignoresShortWrites && result > 0) else {
      return fail(done, result)
    }
    onWrite?(WriteSample(bytes: done.expected, nanoseconds: (clock?() ?? 0) &- began))
    if done.step == .header, let opened = done.opening {
      segments.append(opened)
      isOpen = true
      isTailProven = true
      tail.term = opened.header.term
      if done.batch != nil { return writeBatch(done, into: opened) }
      tail.isSealed = false
    } else if let batch = done.batch, let header = done.header {
      segments[segments.count - 1].end += UInt64(batch.paddedBytes)
      previousCRC = tail.crc
      tail.number = header.number
      tail.lastPosition = header.lastPosition
      tail.crc = header.chain
      tail.isSealed = header.isSealed
      isTailProven = batch.count == 0
    }
    finish(done, .ok)
  }

  /// The end of the writer: what was in flight may be on the disk or not, and only a restart can tell.
  private func fail(_ done: Operation, _ result: Int32) {
    let name = done.opening?.name ?? segments.last?.name ?? ""
    let error = DiskError(code: result < 0 ? -result : DiskError.shortWrite, operation: "write", file: name)
    failure = error
    finish(done, .unknown)
    onFailure?(error)
  }

  private func finish(_ done: Operation, _ outcome: CommitOutcome) {
    operation = nil
    let waiting = barriers
    barriers = []
    done.completion.commitCompleted(number: done.number, outcome: outcome)
    for barrier in waiting {
      barrier.commitCompleted(number: tail.number, outcome: outcome == .unknown ? .unknown : .ok)
    }
  }

  /// An outcome without a write, told as a later event: callbacks never run inside the call that they answer.
  private func reply(_ outcome: CommitOutcome, number: UInt64, _ completion: any CommitCompletion) {
    precondition(operation == nil, "one operation at a time")
    let pending = Operation(
      step: .reply, number: number, term: tail.term, completion: completion, outcome: outcome)
    operation = pending
    let log = Confined(self)
    disk.background({ nil }) { _ in
      guard let done = log.value.operation, done.step == .reply else { return }
      log.value.finish(done, done.outcome)
    }
  }

  /// Closes the files. Requires `isIdle`; nothing may be called afterwards.
  public func close() {
    precondition(operation == nil, "something is in flight")
    for segment in segments { disk.close(segment.file) }
    for spare in spares { disk.close(spare.file) }
    segments = []
    spares = []
  }
}

extension DiskError {
  /// EIO: how a write that came back short is reported.
  static let shortWrite: Int32 = 5
  /// ENOSPC.
  static let noSpace: Int32 = 28
}

/// Carries a value of the home thread through a callback that comes back to the home thread.
struct Confined<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
