internal import Model

/// The decisions of `WAL.md`, "Starting": what was seen goes in, a row comes out. No I/O in here.
enum RecoveryTable {
  /// Whether a place was searched for something written later than what should stand there.
  enum Later: Equatable {
    case notLooked
    case nothing
    case found(offset: UInt64, BatchHeader)
  }

  // MARK: Files

  enum FileVerdict: Equatable {
    /// A segment, unless the chain says otherwise.
    case segment(SegmentHeader)
    case spare(RecoveryRow)
    /// Look for batches of a newer segment: in the first place only, or in the whole file.
    case look(wholeFile: Bool)
    case stop(RecoveryRow, String)
  }

  /// Rows B to E.
  static func file(_ sight: SegmentHeader.Sight, later: Later) -> FileVerdict {
    switch (sight, later) {
    case (.header(let header), _):
      return .segment(header)
    case (.unsupported(let what), _):
      return .stop(.unsupportedHeader, what)
    case (.blank, .notLooked):
      return .look(wholeFile: false)
    case (.unreadable, .notLooked):
      return .look(wholeFile: true)
    case (.blank, .nothing):
      return .spare(.blank)
    case (.unreadable, .nothing):
      return .spare(.unreadable)
    case (.blank, .found(_, let batch)), (.unreadable, .found(_, let batch)):
      return .stop(
        .lostHeader,
        "the segment header is damaged; batch \(batch.number) of segment \(batch.segment) follows it")
    }
  }

  // MARK: The chain

  enum ChainVerdict: Equatable {
    case newLog
    /// Scan the chain from this index of it.
    case scan(from: Int)
    case stop(RecoveryRow, String)
  }

  /// Rows G to J. `chain` holds segments with dense indices, oldest first.
  static func chain(_ chain: [SegmentHeader], after: Position, witness: Position) -> ChainVerdict {
    guard let oldest = chain.first else {
      if witness == .zero { return .newLog }
      return .stop(
        .logMissing, "no segment, but positions up to \(witness.rawValue) were durable")
    }
    let reached = chain.lastIndex { $0.firstPosition.rawValue - 1 <= after.rawValue }
    guard let reached else {
      return .stop(
        .segmentMissing,
        "segment \(oldest.segment - min(1, oldest.segment)) is missing: the log begins at position "
          + "\(oldest.firstPosition.rawValue), the store ends at \(after.rawValue)")
    }
    return .scan(from: reached)
  }

  /// Rows K and L: nil if `header` goes on from `tail`, which is nil for the first segment that is scanned.
  static func segment(
    _ header: SegmentHeader, fileBytes: UInt64, follows tail: LogTail?
  ) -> (row: RecoveryRow, detail: String)? {
    if fileBytes != header.segmentBytes {
      return (.sizeDiffers, "the file has \(fileBytes) bytes, its header says \(header.segmentBytes)")
    }
    guard let tail else { return nil }
    if header.term < tail.term {
      return (.headerContradicts, "term \(header.term) follows term \(tail.term)")
    }
    if tail.isSealed, header.term == tail.term {
      return (.headerContradicts, "term \(header.term) goes on after its seal")
    }
    if header.firstBatch != tail.number + 1 || header.firstPosition.rawValue != tail.lastPosition.rawValue + 1
    {
      return (
        .headerContradicts,
        "segment \(header.segment) begins with batch \(header.firstBatch), position "
          + "\(header.firstPosition.rawValue), its predecessor ends with batch \(tail.number), position "
          + "\(tail.lastPosition.rawValue)"
      )
    }
    return nil
  }

  // MARK: Batches

  /// What stands at a place where a batch may begin.
  enum Seen: Equatable {
    case nothing
    case brokenHeader
    /// The header is intact; records, padding or the end of the file are not.
    case broken(BatchHeader)
    case pastEnd(BatchHeader)
    case unknown(BatchHeader, String)
    case intact(BatchHeader)

    var header: BatchHeader? {
      switch self {
      case .nothing, .brokenHeader: nil
      case .broken(let header), .pastEnd(let header), .unknown(let header, _), .intact(let header): header
      }
    }
  }

  enum BatchVerdict: Equatable {
    case accept
    /// Rows P and T: the segment holds nothing more.
    case end(RecoveryRow)
    /// Row S.
    case torn
    /// Look for an intact header of this life further on.
    case look
    case stop(RecoveryRow, String)
  }

  /// Rows M to T.
  /// - Parameters:
  ///   - tail: what has been accepted so far; its term is the segment's.
  ///   - successor: the header of the next segment; nil for the newest.
  static func batch(
    _ seen: Seen, at offset: UInt64, in segment: SegmentHeader, tail: LogTail, successor: SegmentHeader?,
    later: Later
  ) -> BatchVerdict {
    if let successor, offset >= successor.predecessorLength {
      if offset == successor.predecessorLength, tail.crc == successor.predecessorCRC {
        return .end(.segmentEnd)
      }
      return .stop(
        .brokenBeforeEnd,
        "segment \(successor.segment) names another end of this one: length \(successor.predecessorLength), "
          + "CRC \(hex(successor.predecessorCRC)); found \(offset), \(hex(tail.crc))")
    }
    if let header = seen.header, let detail = contradiction(header, in: segment, tail: tail) {
      return .stop(.batchContradicts, detail)
    }
    switch seen {
    case .intact:
      return .accept
    case .unknown(_, let what):
      return .stop(.unsupportedRecord, what)
    case .pastEnd(let header):
      return .stop(.batchContradicts, "batch \(header.number) passes the end of its segment")
    case .nothing, .brokenHeader, .broken:
      break
    }
    if let successor {
      return .stop(
        .brokenBeforeEnd,
        "\(name(seen)) before the end of the segment at \(successor.predecessorLength)")
    }
    switch later {
    case .notLooked:
      return .look
    case .found(let place, let header):
      return .stop(
        .brokenBeforeLater,
        "\(name(seen)), but batch \(header.number) at offset \(place) was written after it was durable")
    case .nothing:
      return seen == .nothing ? .end(.logEnd) : .torn
    }
  }

  /// Row O: why an intact header doesn't go on from `tail`.
  private static func contradiction(_ header: BatchHeader, in segment: SegmentHeader, tail: LogTail)
    -> String?
  {
    if header.term != tail.term {
      return "batch \(header.number) is of term \(header.term), not \(tail.term)"
    }
    if tail.isSealed { return "batch \(header.number) follows the seal of term \(tail.term)" }
    if header.segment != segment.segment {
      return "batch \(header.number) says segment \(header.segment), not \(segment.segment)"
    }
    if header.number != tail.number + 1 { return "batch \(header.number) follows batch \(tail.number)" }
    if header.previousCRC != tail.crc {
      return "batch \(header.number) follows CRC \(hex(header.previousCRC)), not \(hex(tail.crc))"
    }
    if header.firstPosition.rawValue - 1 != tail.lastPosition.rawValue {
      return "position \(header.firstPosition.rawValue) follows position \(tail.lastPosition.rawValue)"
    }
    if header.durablePosition.rawValue >= header.firstPosition.rawValue {
      return "batch \(header.number) calls itself durable"
    }
    return nil
  }

  private static func name(_ seen: Seen) -> String {
    switch seen {
    case .nothing: "no batch"
    case .brokenHeader: "a broken batch header"
    default: seen.header.map { "batch \($0.number) is broken" } ?? "a broken batch"
    }
  }

  // MARK: The end

  /// Row U: nil if the log reaches `witness`.
  static func end(_ tail: LogTail, witness: Position) -> (row: RecoveryRow, detail: String)? {
    guard tail.lastPosition < witness else { return nil }
    return (
      .belowWitness,
      "the log ends at position \(tail.lastPosition.rawValue), but \(witness.rawValue) was durable"
    )
  }
}

/// `value` in hexadecimal, padded with zeros to its full width.
func hex<T: FixedWidthInteger & UnsignedInteger>(_ value: T) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: T.bitWidth / 4 - digits.count) + digits
}
