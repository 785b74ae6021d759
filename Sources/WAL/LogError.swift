public import EventLoop
public import Model

/// The rows of the table in `WAL.md`, "Starting".
public enum RecoveryRow: String, Sendable, CaseIterable {
  case foreignName = "A"
  case blank = "B"
  case unreadable = "C"
  case lostHeader = "D"
  case unsupportedHeader = "E"
  case foreignSegment = "F"
  case newLog = "G"
  case logMissing = "H"
  case segmentMissing = "I"
  case recycled = "J"
  case headerContradicts = "K"
  case sizeDiffers = "L"
  case accepted = "M"
  case unsupportedRecord = "N"
  case batchContradicts = "O"
  case segmentEnd = "P"
  case brokenBeforeEnd = "Q"
  case brokenBeforeLater = "R"
  case tornTail = "S"
  case logEnd = "T"
  case belowWitness = "U"
}

/// Damage that the log found in itself. The start stops; nothing is repaired.
public struct LogDamage: Error, Hashable, Sendable, CustomStringConvertible {
  public var row: RecoveryRow
  public var file: String
  /// Bytes from the start of the file.
  public var offset: UInt64
  /// The position that should stand there.
  public var position: Position
  public var detail: String

  public init(row: RecoveryRow, file: String, offset: UInt64, position: Position, detail: String) {
    self.row = row
    self.file = file
    self.offset = offset
    self.position = position
    self.detail = detail
  }

  public var description: String {
    "\(file), offset \(offset), position \(position.rawValue): \(detail) (row \(row.rawValue))"
  }
}

/// Why the log can't be started or read.
public enum LogError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Integrity: what was durable is not there any more, or not what was written.
  case damage(LogDamage)
  /// The log holds something that only a newer version understands.
  case unsupported(LogDamage)
  /// Operational: the disk refused.
  case disk(DiskError)
  /// The records asked for were trimmed; `first` is the oldest that is left.
  case trimmed(first: Position)

  public var description: String {
    switch self {
    case .damage(let damage): "damaged log: \(damage)"
    case .unsupported(let damage): "log of a newer version: \(damage)"
    case .disk(let error): "\(error.operation) \(error.file): errno \(error.code)"
    case .trimmed(let first): "trimmed: the log begins at position \(first.rawValue)"
    }
  }
}

/// The end of the log that a crash left half-written; none of it was ever acknowledged.
public struct TornTail: Hashable, Sendable {
  public var file: String
  public var offset: UInt64
  /// Of the batch that its header announced; one block where the header is torn too.
  public var bytes: UInt64
  /// Records that the header announced; 0 where the header is torn too.
  public var count: UInt32

  public init(file: String, offset: UInt64, bytes: UInt64, count: UInt32) {
    self.file = file
    self.offset = offset
    self.bytes = bytes
    self.count = count
  }
}
