public import Bytes
public import Model

/// The open batch: records are composed in place, in the memory that is later written to disk and sent to
/// readers.
///
/// Home thread only. `reserve`, compose with `EventRecordWriter`, `commit`; then `seal`, which begins the
/// next batch
/// behind the sealed one in the same slab, or in a new slab.
public final class BatchBuilder {
  private let pool: SlabPool
  private let batchBytesMax: Int
  private let batchBytesLimit: Int
  private var slab: Slab
  /// Of the open batch in the slab, a multiple of 4 KiB.
  private var start = 0
  /// Bytes of header and records, so far; a multiple of 8.
  private var used = LogFormat.batchHeaderBytes
  private var recordsCRC: UInt32 = 0
  public private(set) var recordOffsets: ContiguousArray<UInt32> = []
  /// Of the first record; zero while the batch is empty.
  public private(set) var firstPosition = Position.zero
  public private(set) var lastPosition = Position.zero

  /// - Parameters:
  ///   - pool: slabs, registered where memory allows. At least `batchBytesMax` each serves best.
  ///   - batchBytesMax: an open batch of more than one request stays below it; header and padding included.
  ///   - batchBytesLimit: the log's `batchBytesLimit`; a single request may use all of it.
  public init(pool: SlabPool, batchBytesMax: Int, batchBytesLimit: Int) {
    precondition(batchBytesLimit >= LogFormat.blockBytes)
    self.pool = pool
    self.batchBytesMax = min(batchBytesMax, batchBytesLimit)
    self.batchBytesLimit = batchBytesLimit
    slab = pool.take()
  }

  public var count: Int { recordOffsets.count }
  public var isEmpty: Bool { recordOffsets.isEmpty }
  /// Header, records and padding, were it sealed now.
  public var paddedBytes: Int { LogFormat.padded(used) }
  /// The most that one request may reserve.
  public var reservationMax: Int {
    batchBytesLimit - LogFormat.batchHeaderBytes - LogFormat.recordAlignment
  }

  /// Room for the records of one request, `bytes` in all, with 7 bytes added for each record but the last.
  ///
  /// The memory is the builder's, aligned to 8, good until the next call of `reserve` or `seal`; compose the
  /// first
  /// record there. What isn't committed is not part of the batch.
  /// - Returns: nil when the batch has to be sealed first, or when `bytes` passes `reservationMax`.
  public func reserve(_ bytes: Int) -> UnsafeMutableRawPointer? {
    precondition(bytes >= 0)
    guard bytes <= reservationMax else { return nil }
    let needed = LogFormat.padded(used + bytes)
    if !isEmpty, needed > batchBytesMax { return nil }
    if needed > slab.capacity - start { move(to: needed) }
    return slab.base + start + used
  }

  /// Takes over the record of `length` bytes that was composed at the cursor.
  /// Requires: a frame written by `EventRecordWriter` within the reserved room; a position that follows the
  /// last one's.
  /// - Returns: the cursor for the request's next record.
  @discardableResult
  public func commit(_ length: Int) -> UnsafeMutableRawPointer {
    let record = slab.base + start + used
    let end = used + length
    precondition(end <= slab.capacity - start, "committed more than was reserved")
    let view = EventView(trusted: record)
    assert(view.length == length)
    assert(isEmpty || view.position == lastPosition.next)
    if isEmpty { firstPosition = view.position }
    lastPosition = view.position
    recordOffsets.append(UInt32(used))
    let checksum = UnsafeRawBufferPointer(
      start: record + length - EventRecord.checksumBytes, count: EventRecord.checksumBytes)
    recordsCRC = CRC32C.checksum(checksum, continuing: recordsCRC)
    used = LogFormat.aligned(end)
    (slab.base + start + end).initializeMemory(as: UInt8.self, repeating: 0, count: used - end)
    return slab.base + start + used
  }

  /// A record of the open batch.
  public func record(_ index: Int) -> EventView {
    EventView(trusted: UnsafeRawPointer(slab.base) + start + Int(recordOffsets[index]))
  }

  /// Ends the open batch and begins the next one.
  /// - Returns: nil while the batch is empty.
  public func seal() -> Batch? {
    guard !isEmpty else { return nil }
    let padded = paddedBytes
    (slab.base + start + used).initializeMemory(as: UInt8.self, repeating: 0, count: padded - used)
    let batch = Batch(
      slab: slab, offset: start, recordBytes: used - LogFormat.batchHeaderBytes, firstPosition: firstPosition,
      recordOffsets: recordOffsets, recordsCRC: recordsCRC)
    start += padded
    if slab.capacity - start < LogFormat.blockBytes {
      slab = pool.take()
      start = 0
    }
    used = LogFormat.batchHeaderBytes
    recordsCRC = 0
    recordOffsets = []
    recordOffsets.reserveCapacity(batch.count)
    firstPosition = .zero
    lastPosition = .zero
    return batch
  }

  /// Moves the open batch to a slab with room for `bytes`: at most once per slab, and then mostly a short
  /// run.
  private func move(to bytes: Int) {
    let next = bytes <= pool.slabBytes ? pool.take() : Slab(capacity: bytes)
    (next.base + LogFormat.batchHeaderBytes).copyMemory(
      from: slab.base + start + LogFormat.batchHeaderBytes, byteCount: used - LogFormat.batchHeaderBytes)
    slab = next
    start = 0
  }
}
