internal import Bytes
public import Model

#if canImport(Glibc)
  internal import Glibc
#endif

/// Sizes and marks of the log's files. `WAL.md` is the specification.
public enum LogFormat {
  public static let blockBytes = 4096
  public static let segmentHeaderBytes = 4096
  public static let batchHeaderBytes = 128
  /// Records begin at multiples of this.
  public static let recordAlignment = 8
  public static let version: UInt32 = 1
  /// "ENGRAMWL" and "ENGBATCH", as they stand in the file.
  static let segmentMagic: UInt64 = 0x4c57_4d41_5247_4e45
  static let batchMagic: UInt64 = 0x4843_5441_4247_4e45
  static let segmentChecksumOffset = 4092
  static let batchChecksumOffset = 124
  /// The part of a batch header that `chain` covers.
  static let chainRange = 16..<60
  static let flagSealed: UInt32 = 1

  /// `bytes` rounded up to whole blocks.
  public static func padded(_ bytes: Int) -> Int { (bytes + blockBytes - 1) & ~(blockBytes - 1) }
  static func aligned(_ bytes: Int) -> Int { (bytes + recordAlignment - 1) & ~(recordAlignment - 1) }
}

/// The log's UUID: 16 bytes, as two words in the order of the file.
public struct LogID: Hashable, Sendable {
  public var first: UInt64
  public var second: UInt64

  public init(first: UInt64, second: UInt64) {
    self.first = first
    self.second = second
  }
}

/// A segment's first block.
public struct SegmentHeader: Hashable, Sendable {
  public var log: LogID
  /// Index, from 1, dense.
  public var segment: UInt64
  public var term: UInt64
  public var firstBatch: UInt64
  public var firstPosition: Position
  public var salt: UInt64
  public var segmentBytes: UInt64
  public var predecessorLength: UInt64
  public var predecessorCRC: UInt32

  /// What a first block turned out to be.
  enum Sight: Equatable {
    case blank
    case unreadable
    case unsupported(String)
    case header(SegmentHeader)
  }

  /// Fills `block` (one block).
  func encode(to block: UnsafeMutableRawPointer) {
    var out = ByteWriter(block, capacity: LogFormat.segmentHeaderBytes)
    out.integer(LogFormat.segmentMagic)
    out.integer(LogFormat.version)
    out.integer(UInt32(LogFormat.segmentHeaderBytes))
    out.integer(log.first)
    out.integer(log.second)
    out.integer(segment)
    out.integer(term)
    out.integer(firstBatch)
    out.integer(firstPosition.rawValue)
    out.integer(salt)
    out.integer(segmentBytes)
    out.integer(predecessorLength)
    out.integer(predecessorCRC)
    out.integer(UInt32(0))
    out.zeros(LogFormat.segmentChecksumOffset - out.count)
    out.integer(
      CRC32C.checksum(UnsafeRawBufferPointer(start: block, count: LogFormat.segmentChecksumOffset)))
  }

  /// Reads a first block; fewer bytes than a block are blank: the file was never finished.
  static func decode(_ block: UnsafeRawBufferPointer) -> Sight {
    guard block.count >= LogFormat.segmentHeaderBytes else { return .blank }
    var reader = ByteReader(UnsafeRawBufferPointer(rebasing: block[0..<LogFormat.segmentHeaderBytes]))
    if isZero(reader.bytes) { return .blank }
    let covered = UnsafeRawBufferPointer(rebasing: block[0..<LogFormat.segmentChecksumOffset])
    var checksum = ByteReader(block, at: LogFormat.segmentChecksumOffset)
    guard checksum.integer(UInt32.self) == CRC32C.checksum(covered),
      reader.integer(UInt64.self) == LogFormat.segmentMagic, let version: UInt32 = reader.integer()
    else { return .unreadable }
    guard version == LogFormat.version else { return .unsupported("format version \(version)") }
    guard let headerBytes: UInt32 = reader.integer(), headerBytes == LogFormat.segmentHeaderBytes,
      let first: UInt64 = reader.integer(), let second: UInt64 = reader.integer(),
      let segment: UInt64 = reader.integer(), segment > 0, let term: UInt64 = reader.integer(),
      let firstBatch: UInt64 = reader.integer(), firstBatch > 0,
      let firstPosition: UInt64 = reader.integer(), firstPosition > 0,
      let salt: UInt64 = reader.integer(), let segmentBytes: UInt64 = reader.integer(),
      segmentBytes >= 2 * UInt64(LogFormat.blockBytes), segmentBytes < 1 << 62,
      segmentBytes % UInt64(LogFormat.blockBytes) == 0,
      let predecessorLength: UInt64 = reader.integer(), let predecessorCRC: UInt32 = reader.integer(),
      let flags: UInt32 = reader.integer()
    else { return .unreadable }
    guard flags == 0 else { return .unsupported("segment flags \(flags)") }
    return .header(
      SegmentHeader(
        log: LogID(first: first, second: second), segment: segment, term: term, firstBatch: firstBatch,
        firstPosition: Position(firstPosition), salt: salt, segmentBytes: segmentBytes,
        predecessorLength: predecessorLength, predecessorCRC: predecessorCRC))
  }
}

/// The first 128 bytes of a batch.
public struct BatchHeader: Hashable, Sendable {
  public var salt: UInt64
  public var term: UInt64
  public var number: UInt64
  public var firstPosition: Position
  public var count: UInt32
  public var recordBytes: UInt32
  public var recordsCRC: UInt32
  public var previousCRC: UInt32
  public var flags: UInt32
  public var durablePosition: Position
  public var segment: UInt64

  /// The last record's position; of an empty batch the one before its `firstPosition`.
  public var lastPosition: Position { Position(firstPosition.rawValue &+ UInt64(count) &- 1) }
  public var isSealed: Bool { flags & LogFormat.flagSealed != 0 }
  /// Header, records and padding.
  public var paddedBytes: Int { LogFormat.padded(LogFormat.batchHeaderBytes + Int(recordBytes)) }

  /// The number by which two logs are compared: it stands for this batch and all before it.
  public var chain: UInt32 {
    withUnsafeTemporaryAllocation(byteCount: LogFormat.batchHeaderBytes, alignment: 8) { room in
      guard let base = room.baseAddress else { return 0 }
      return encode(to: base)
    }
  }

  /// Fills 128 bytes at `memory`.
  /// - Returns: `chain`.
  @discardableResult
  func encode(to memory: UnsafeMutableRawPointer) -> UInt32 {
    var out = ByteWriter(memory, capacity: LogFormat.batchHeaderBytes)
    out.integer(LogFormat.batchMagic)
    out.integer(salt)
    out.integer(term)
    out.integer(number)
    out.integer(firstPosition.rawValue)
    out.integer(count)
    out.integer(recordBytes)
    out.integer(recordsCRC)
    out.integer(previousCRC)
    out.integer(flags)
    let chained = LogFormat.chainRange
    let chain = CRC32C.checksum(
      UnsafeRawBufferPointer(start: memory + chained.lowerBound, count: chained.count))
    out.integer(chain)
    out.integer(durablePosition.rawValue)
    out.integer(segment)
    out.zeros(LogFormat.batchChecksumOffset - out.count)
    out.integer(CRC32C.checksum(UnsafeRawBufferPointer(start: memory, count: LogFormat.batchChecksumOffset)))
    return chain
  }

  /// What stands where a batch may begin.
  enum Sight: Equatable {
    /// No batch of the life in question.
    case nothing
    /// Magic and salt, but the rest doesn't hold together.
    case broken
    case header(BatchHeader)
  }

  /// Reads a batch header. `salt` nil: of whatever life.
  static func decode(_ memory: UnsafeRawBufferPointer, salt expected: UInt64?) -> Sight {
    guard memory.count >= LogFormat.batchHeaderBytes else { return .nothing }
    let bytes = UnsafeRawBufferPointer(rebasing: memory[0..<LogFormat.batchHeaderBytes])
    var reader = ByteReader(bytes)
    guard reader.integer(UInt64.self) == LogFormat.batchMagic, let salt: UInt64 = reader.integer(),
      expected == nil || salt == expected
    else { return .nothing }
    let covered = UnsafeRawBufferPointer(rebasing: bytes[0..<LogFormat.batchChecksumOffset])
    var checksum = ByteReader(bytes, at: LogFormat.batchChecksumOffset)
    guard checksum.integer(UInt32.self) == CRC32C.checksum(covered), let term: UInt64 = reader.integer(),
      let number: UInt64 = reader.integer(), number > 0,
      let firstPosition: UInt64 = reader.integer(), firstPosition > 0,
      let count: UInt32 = reader.integer(), firstPosition <= UInt64.max - UInt64(count),
      let recordBytes: UInt32 = reader.integer(), let recordsCRC: UInt32 = reader.integer(),
      let previousCRC: UInt32 = reader.integer(), let flags: UInt32 = reader.integer(),
      let chain: UInt32 = reader.integer(), let durable: UInt64 = reader.integer(),
      let segment: UInt64 = reader.integer(),
      chain == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[LogFormat.chainRange]))
    else { return .broken }
    return .header(
      BatchHeader(
        salt: salt, term: term, number: number, firstPosition: Position(firstPosition), count: count,
        recordBytes: recordBytes, recordsCRC: recordsCRC, previousCRC: previousCRC, flags: flags,
        durablePosition: Position(durable), segment: segment))
  }
}

/// Whether all of `bytes` are zero: the first is, and each equals the one before it (memcmp(3)).
func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
  guard let base = bytes.baseAddress, let first = bytes.first else { return true }
  return first == 0 && memcmp(base, base + 1, bytes.count - 1) == 0
}
