internal import EventLoop
internal import Model

/// The name of a segment file.
enum SegmentName {
  static let suffix = ".wal"

  static func make(_ number: UInt64) -> String { hex(number) + suffix }

  /// The number in `name`; nil for another kind of name.
  static func parse(_ name: String) -> UInt64? {
    guard name.hasSuffix(suffix), name.utf8.count == 16 + suffix.utf8.count else { return nil }
    let digits = name.utf8.dropLast(suffix.utf8.count)
    var value: UInt64 = 0
    for digit in digits {
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    return value
  }
}

/// A file that holds no part of the log that is needed.
struct SpareFile {
  var name: String
  var file: DiskFile
  var bytes: UInt64
  /// Of its earlier life, if it had one.
  var salt: UInt64?
}

/// All files of the log, opened, and what their first blocks say: rows A to F of the table, and the chain.
struct LogSurvey {
  struct Segment {
    var name: String
    var file: DiskFile
    var bytes: UInt64
    var header: SegmentHeader
  }

  /// Dense indices, oldest first.
  var chain: [Segment] = []
  /// Readable, but below the chain.
  var stale: [Segment] = []
  var spares: [SpareFile] = []
  var rows: [RecoveryRow] = []
  var findings: [LogError] = []
  var ignored: [String] = []
  var highestName: UInt64 = 0
  /// Files whose first block is accused, with their sizes.
  var refused: [(name: String, bytes: UInt64)] = []
  private(set) var opened: [DiskFile] = []

  /// Closes what it has opened if it throws.
  init(_ disk: any Disk, writable: Bool, synchronize: Bool) throws(DiskError) {
    do {
      try read(disk, writable: writable, synchronize: synchronize)
    } catch {
      for file in opened { disk.close(file) }
      throw error
    }
  }

  private mutating func read(_ disk: any Disk, writable: Bool, synchronize: Bool) throws(DiskError) {
    if synchronize { try disk.synchronizeDirectory() }
    var segments: [Segment] = []
    var unread: [(spare: SpareFile, sight: SegmentHeader.Sight)] = []
    for name in try disk.list().sorted() {
      guard let number = SegmentName.parse(name) else {
        rows.append(.foreignName)
        ignored.append(name)
        continue
      }
      highestName = max(highestName, number)
      let file = try disk.open(name, writable: writable)
      opened.append(file)
      if synchronize { try disk.synchronize(file) }
      let bytes = try disk.size(file)
      let sight = try Self.firstBlock(disk, file)
      if case .segment(let header) = RecoveryTable.file(sight, later: .notLooked) {
        segments.append(Segment(name: name, file: file, bytes: bytes, header: header))
      } else {
        unread.append((SpareFile(name: name, file: file, bytes: bytes), sight))
      }
    }
    link(segments)
    let newest = chain.last?.header.segment ?? 0
    for (spare, sight) in unread { try judge(disk, spare, sight, newest: newest) }
  }

  /// Row F, and the chain from the newest segment down.
  private mutating func link(_ segments: [Segment]) {
    let ordered = segments.sorted { $0.header.segment < $1.header.segment }
    guard let newest = ordered.last else { return }
    for (index, segment) in ordered.enumerated() {
      if segment.header.log != newest.header.log {
        find(.foreignSegment, segment, "a segment of another log than \(newest.name)")
      } else if index > 0, ordered[index - 1].header.segment == segment.header.segment {
        find(
          .foreignSegment, segment,
          "segment \(segment.header.segment) stands in \(ordered[index - 1].name) too")
      }
    }
    var oldest = ordered.count - 1
    while oldest > 0, ordered[oldest - 1].header.segment + 1 == ordered[oldest].header.segment { oldest -= 1 }
    chain = Array(ordered[oldest...])
    stale = Array(ordered[..<oldest])
  }

  private mutating func find(_ row: RecoveryRow, _ segment: Segment, _ detail: String) {
    findings.append(
      .damage(
        LogDamage(
          row: row, file: segment.name, offset: 0, position: segment.header.firstPosition, detail: detail)))
  }

  /// Rows B to E, for a file without a readable header.
  private mutating func judge(
    _ disk: any Disk, _ spare: SpareFile, _ sight: SegmentHeader.Sight, newest: UInt64
  ) throws(DiskError) {
    var verdict = RecoveryTable.file(sight, later: .notLooked)
    var position = Position(1)
    if case .look(let wholeFile) = verdict {
      let first = UInt64(LogFormat.segmentHeaderBytes)
      let later = try SegmentScanner.find(
        disk, spare.file, from: first,
        to: wholeFile ? spare.bytes : min(spare.bytes, first + UInt64(LogFormat.blockBytes)), salt: nil
      ) { $0.segment > newest }
      if case .found(_, let header) = later { position = header.firstPosition }
      verdict = RecoveryTable.file(sight, later: later)
    }
    switch verdict {
    case .spare(let row):
      rows.append(row)
      spares.append(spare)
    case .stop(let row, let detail):
      let damage = LogDamage(row: row, file: spare.name, offset: 0, position: position, detail: detail)
      refused.append((spare.name, spare.bytes))
      findings.append(row == .unsupportedHeader ? .unsupported(damage) : .damage(damage))
    case .segment, .look:
      assertionFailure("decided before")
    }
  }

  private static func firstBlock(_ disk: any Disk, _ file: DiskFile) throws(DiskError) -> SegmentHeader.Sight
  {
    let block = UnsafeMutableRawBufferPointer.allocate(
      byteCount: LogFormat.segmentHeaderBytes, alignment: LogFormat.blockBytes)
    defer { block.deallocate() }
    let got = try disk.read(file, at: 0, into: block)
    return SegmentHeader.decode(UnsafeRawBufferPointer(rebasing: block[0..<got]))
  }
}
