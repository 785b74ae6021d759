public import EventLoop
public import Model

/// What stands in the log of a stopped server: every segment is read, nothing is written, nothing repaired.
/// Unlike a start it goes on behind damage, and it can't know what the store holds: only the log's own word
/// counts.
public struct LogInspection: Sendable {
  public struct Segment: Sendable {
    public enum State: String, Sendable {
      case live, recycled, spare, unreadable
    }
    public var file: String
    public var state: State
    /// Of the file.
    public var bytes: UInt64
    /// Up to the end of the last batch.
    public var usedBytes: UInt64 = 0
    public var index: UInt64 = 0
    public var term: UInt64 = 0
    public var firstBatch: UInt64 = 0
    public var lastBatch: UInt64 = 0
    public var firstPosition = Position.zero
    public var lastPosition = Position.zero
    public var batches = 0
    public var records = 0
    public var isSealed = false
  }

  public var segments: [Segment] = []
  public var ignored: [String] = []
  public var tail: LogTail?
  /// Of the newest segment.
  public var log: LogID?
  public var tornTail: TornTail?
  /// Damage and unsupported contents, in the order of the log.
  public var findings: [LogError] = []

  public var isDamaged: Bool { !findings.isEmpty }
  /// For `engram inspect`.
  public var exitCode: Int32 { isDamaged ? 1 : 0 }

  /// Reads the whole log. Blocks. Throws where the disk refuses.
  /// - Parameter each: given every intact batch, oldest first. Batches share their slabs.
  public static func run(
    _ disk: any Disk, scanBytes: Int = 1 << 20, _ each: (Batch) -> Void = { _ in }
  ) throws(DiskError) -> LogInspection {
    let survey = try LogSurvey(disk, writable: false, synchronize: false)
    defer { for file in survey.opened { disk.close(file) } }
    var inspection = LogInspection()
    inspection.ignored = survey.ignored
    inspection.findings = survey.findings
    for segment in survey.stale { inspection.segments.append(describe(segment, .recycled)) }
    inspection.log = survey.chain.last?.header.log
    try inspection.read(disk, survey, scanBytes: scanBytes, each)
    for spare in survey.spares {
      inspection.segments.append(Segment(file: spare.name, state: .spare, bytes: spare.bytes))
    }
    for (name, bytes) in survey.refused {
      inspection.segments.append(Segment(file: name, state: .unreadable, bytes: bytes))
    }
    return inspection
  }

  private mutating func read(_ disk: any Disk, _ survey: LogSurvey, scanBytes: Int, _ each: (Batch) -> Void)
    throws(DiskError)
  {
    var scan: ChainScan?
    for (index, segment) in survey.chain.enumerated() {
      let successor = index + 1 < survey.chain.count ? survey.chain[index + 1].header : nil
      var next = scan ?? ChainScan(disk: disk, scanBytes: scanBytes, after: .zero)
      var line = Self.describe(segment, .live)
      do throws(LogError) {
        try next.read(segment, successor: successor, isFirst: scan == nil) { batch in
          line.batches += 1
          line.records += batch.count
          each(batch)
        }
        scan = next
        line.usedBytes = next.segments.last?.end ?? 0
        line.lastBatch = next.tail.number
        line.lastPosition = next.tail.lastPosition
        line.isSealed = next.tail.isSealed
        tornTail = next.tornTail
      } catch {
        if case .disk(let refusal) = error { throw refusal }
        findings.append(error)
        // What follows is read by its own header's word.
        scan = nil
      }
      segments.append(line)
    }
    tail = scan?.tail
  }

  private static func describe(_ segment: LogSurvey.Segment, _ state: Segment.State) -> Segment {
    let header = segment.header
    return Segment(
      file: segment.name, state: state, bytes: segment.bytes, index: header.segment, term: header.term,
      firstBatch: header.firstBatch, lastBatch: header.firstBatch - 1, firstPosition: header.firstPosition,
      lastPosition: Position(header.firstPosition.rawValue - 1))
  }

  /// What `engram inspect` prints, line by line.
  public var text: String {
    var lines: [String] = []
    for segment in segments {
      var line = "\(segment.file)  \(segment.state.rawValue)  \(segment.bytes) bytes"
      if segment.state == .live || segment.state == .recycled {
        line += ", segment \(segment.index), term \(segment.term)"
      }
      if segment.state == .live {
        line += ", \(segment.usedBytes) used, \(segment.batches) batches with \(segment.records) records"
        if segment.lastPosition >= segment.firstPosition {
          line += ", positions \(segment.firstPosition.rawValue) to \(segment.lastPosition.rawValue)"
        }
        if segment.lastBatch >= segment.firstBatch {
          line += ", batches \(segment.firstBatch) to \(segment.lastBatch)"
        }
        if segment.isSealed { line += ", sealed" }
      }
      lines.append(line)
    }
    for name in ignored { lines.append("\(name)  not a segment") }
    if let tail {
      lines.append(
        "tail: term \(tail.term), batch \(tail.number), position \(tail.lastPosition.rawValue), "
          + "CRC \(hex(tail.crc))"
      )
    }
    if let tornTail {
      lines.append(
        "torn tail: \(tornTail.file), offset \(tornTail.offset), \(tornTail.bytes) bytes, "
          + "\(tornTail.count) records, never acknowledged")
    }
    lines += findings.map(\.description)
    if findings.isEmpty { lines.append(segments.contains { $0.state == .live } ? "no damage" : "no log") }
    return lines.joined(separator: "\n") + "\n"
  }
}
