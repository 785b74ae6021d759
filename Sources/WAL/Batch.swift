public import Bytes
public import Model

/// A sealed batch: what one durable write holds, and what window, apply thread and loops share afterwards.
///
/// Its bytes don't change after `append` has completed; the log writes the header before that, on the home
/// thread.
/// Safe on any thread once it is durable.
public final class Batch: @unchecked Sendable {
  public let slab: Slab
  /// Of the batch's header in the slab: a multiple of 4 KiB.
  public let offset: Int
  /// Header, records and padding: a multiple of 4 KiB.
  public let paddedBytes: Int
  /// From the end of the header to the end of the last record, padded to 8.
  public let recordBytes: Int
  public let firstPosition: Position
  public let count: Int
  /// Of each record, from the batch's start.
  public let recordOffsets: ContiguousArray<UInt32>
  public let recordsCRC: UInt32
  /// Given by the log at `append`; 0 before.
  public internal(set) var number: UInt64 = 0
  public internal(set) var term: UInt64 = 0

  init(
    slab: Slab, offset: Int, recordBytes: Int, firstPosition: Position,
    recordOffsets: ContiguousArray<UInt32>,
    recordsCRC: UInt32
  ) {
    self.slab = slab
    self.offset = offset
    self.recordBytes = recordBytes
    self.firstPosition = firstPosition
    self.count = recordOffsets.count
    self.recordOffsets = recordOffsets
    self.recordsCRC = recordsCRC
    paddedBytes = LogFormat.padded(LogFormat.batchHeaderBytes + recordBytes)
  }

  /// A batch without records: a witness, or a seal.
  public static func empty(at position: Position) -> Batch {
    let slab = Slab(capacity: LogFormat.blockBytes)
    slab.base.initializeMemory(as: UInt8.self, repeating: 0, count: slab.capacity)
    return Batch(
      slab: slab, offset: 0, recordBytes: 0, firstPosition: position, recordOffsets: [], recordsCRC: 0)
  }

  /// Of an empty batch the position before `firstPosition`.
  public var lastPosition: Position { Position(firstPosition.rawValue &+ UInt64(count) &- 1) }

  /// The record at `index` (0 ..< count; traps beyond). The view lives as long as the batch's slab.
  public func record(_ index: Int) -> EventView {
    EventView(trusted: UnsafeRawPointer(slab.base) + offset + Int(recordOffsets[index]))
  }

  /// Brings the head of a record near that will be looked at soon. Nothing for an index behind the last.
  public func prefetch(_ index: Int) {
    guard index < count else { return }
    Prefetch.twoLines(slab.base + offset + Int(recordOffsets[index]))
  }

  /// Header, records and padding, as they stand in the file. Lives as long as the slab.
  public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: slab.base + offset, count: paddedBytes)
  }

  /// For implementations of `CommitLog`: the chain that this batch would have behind `previousCRC`.
  public func chain(term: UInt64, number: UInt64, previousCRC: UInt32, isSeal: Bool = false) -> UInt32 {
    header(
      term: term, number: number, previousCRC: previousCRC, flags: isSeal ? LogFormat.flagSealed : 0
    ).chain
  }

  /// For implementations of `CommitLog`: gives the batch its place, before it is shared.
  public func place(term: UInt64, number: UInt64) {
    self.term = term
    self.number = number
  }

  /// What the header says apart from where it lies.
  func header(term: UInt64, number: UInt64, previousCRC: UInt32, flags: UInt32 = 0) -> BatchHeader {
    BatchHeader(
      salt: 0, term: term, number: number, firstPosition: firstPosition, count: UInt32(count),
      recordBytes: UInt32(recordBytes), recordsCRC: recordsCRC, previousCRC: previousCRC, flags: flags,
      durablePosition: .zero, segment: 0)
  }

  /// Writes the header into the slab: home thread, before the batch is shared.
  /// - Returns: the chain up to and with this batch.
  func stamp(_ header: BatchHeader) -> UInt32 {
    place(term: header.term, number: header.number)
    return header.encode(to: slab.base + offset)
  }
}
