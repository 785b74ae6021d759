public import EventLoop
public import Model

/// A log that a start has read and found sound; `LocalLog` goes on from here.
public struct RecoveredLog {
  public internal(set) var tail: LogTail
  /// What was cut, if the last write was torn.
  public internal(set) var tornTail: TornTail?
  /// Batches and records handed to the caller.
  public internal(set) var batches = 0
  public internal(set) var records = 0
  /// Of segments that were read.
  public internal(set) var scannedBytes: UInt64 = 0
  /// The rows of the decision table that were met, in order.
  public internal(set) var rows: [RecoveryRow] = []

  /// The log's UUID; nil for a log without segments.
  public internal(set) var log: LogID?
  var segments: [LiveSegment] = []
  var spares: [SpareFile] = []
  var highestName: UInt64 = 0
  /// Chain before the tail's batch, if that batch was read.
  var previousCRC: UInt32?
  /// Something durable follows the last records: a witness, a seal, or a segment header.
  var isTailProven = true
}

/// A segment that the log needs.
struct LiveSegment {
  var name: String
  var file: DiskFile
  var header: SegmentHeader
  /// Where its last batch ends.
  var end: UInt64
}

/// Reads the log at a start, by the table in `WAL.md`, and decides: go on, cut, or stop.
public enum LogRecovery {
  /// Reads every batch that holds positions above `after`, oldest first.
  ///
  /// Blocks, for start-up: 1 s per 256 MiB at most. Syncs what it reads; writes nothing.
  /// - Parameters:
  ///   - after: what every family of the store has persisted.
  ///   - witness: the highest position that anything outside the log knows to have been durable: the highest
  ///     of
  ///     the store's marks and the search watermark. `after` counts as a witness too.
  ///   - each: given each batch as soon as it is accepted. Batches share their slabs. If the call throws in
  ///     the
  ///     end, none of them counts.
  /// - Throws: `damage` and `unsupported` with file, offset and position; `disk`.
  public static func run(
    _ disk: any Disk, configuration: LogConfiguration, after: Position = .zero, witness: Position = .zero,
    _ each: (Batch) -> Void = { _ in }
  ) throws(LogError) -> RecoveredLog {
    let faults = configuration.faults
    let survey: LogSurvey
    do {
      survey = try LogSurvey(disk, writable: true, synchronize: !faults.skipsSynchronize)
    } catch {
      throw .disk(error)
    }
    do throws(LogError) {
      if let finding = survey.findings.first { throw finding }
      return try read(
        disk, survey, configuration: configuration, after: after,
        witness: faults.skipsWitness ? .zero : max(after, witness), each)
    } catch {
      for file in survey.opened { disk.close(file) }
      throw error
    }
  }

  private static func read(
    _ disk: any Disk, _ survey: LogSurvey, configuration: LogConfiguration, after: Position,
    witness: Position,
    _ each: (Batch) -> Void
  ) throws(LogError) -> RecoveredLog {
    var recovered = RecoveredLog(tail: .start)
    recovered.rows = survey.rows
    recovered.spares = survey.spares
    recovered.highestName = survey.highestName
    let from: Int
    switch RecoveryTable.chain(survey.chain.map(\.header), after: after, witness: witness) {
    case .newLog:
      recovered.rows.append(.newLog)
      return recovered
    case .stop(let row, let detail):
      let oldest = survey.chain.first
      throw .damage(
        LogDamage(
          row: row, file: oldest?.name ?? SegmentName.make(0), offset: 0,
          position: Position(after.rawValue &+ 1),
          detail: detail))
    case .scan(let index):
      from = index
    }
    for segment in survey.stale + survey.chain[..<from] {
      recovered.rows.append(.recycled)
      recovered.spares.append(
        SpareFile(
          name: segment.name, file: segment.file, bytes: segment.bytes, salt: segment.header.salt))
    }
    var scan = ChainScan(disk: disk, scanBytes: configuration.scanBytes, after: after)
    for index in from..<survey.chain.count {
      let successor = index + 1 < survey.chain.count ? survey.chain[index + 1].header : nil
      try scan.read(survey.chain[index], successor: successor, isFirst: index == from, each)
    }
    recovered.log = survey.chain.last?.header.log
    recovered.rows += scan.rows
    scan.fill(&recovered)
    if let (row, detail) = RecoveryTable.end(scan.tail, witness: witness), let last = scan.segments.last {
      throw .damage(
        LogDamage(
          row: row, file: last.name, offset: last.end,
          position: Position(scan.tail.lastPosition.rawValue + 1),
          detail: detail))
    }
    return recovered
  }
}

/// Goes through segments in order, and carries the chain from one to the next.
struct ChainScan {
  let disk: any Disk
  let scanBytes: Int
  let after: Position
  var tail = LogTail.start
  var tornTail: TornTail?
  var segments: [LiveSegment] = []
  var rows: [RecoveryRow] = []
  var batches = 0
  var records = 0
  var scannedBytes: UInt64 = 0
  var previousCRC: UInt32?
  var isTailProven = true

  init(disk: any Disk, scanBytes: Int, after: Position) {
    self.disk = disk
    self.scanBytes = scanBytes
    self.after = after
  }

  /// Rows K to T for one segment.
  /// - Parameter isFirst: nothing was read of the segment before: its header alone says what the chain is.
  mutating func read(
    _ segment: LogSurvey.Segment, successor: SegmentHeader?, isFirst: Bool, _ each: (Batch) -> Void
  ) throws(LogError) {
    let header = segment.header
    var offset = UInt64(LogFormat.segmentHeaderBytes)
    if let (row, detail) = RecoveryTable.segment(
      header, fileBytes: segment.bytes, follows: isFirst ? nil : tail)
    {
      throw damage(row, segment, at: 0, detail, position: header.firstPosition)
    }
    if isFirst {
      tail = LogTail(
        term: header.term, number: header.firstBatch - 1,
        lastPosition: Position(header.firstPosition.rawValue - 1),
        crc: header.predecessorCRC)
    }
    tail.term = header.term
    tail.isSealed = false
    isTailProven = true
    var scanner = SegmentScanner(
      disk: disk, file: segment.file, fileBytes: segment.bytes, salt: header.salt, scanBytes: scanBytes)
    walk: while true {
      let (seen, batch) = try reading { () throws(DiskError) in try scanner.look(at: offset) }
      var verdict = RecoveryTable.batch(
        seen, at: offset, in: header, tail: tail, successor: successor, later: .notLooked)
      if verdict == .look {
        let further = offset + UInt64(seen.header?.paddedBytes ?? LogFormat.blockBytes)
        let later = try reading { () throws(DiskError) in try scanner.later(from: further) }
        verdict = RecoveryTable.batch(
          seen, at: offset, in: header, tail: tail, successor: successor, later: later)
      }
      switch verdict {
      case .accept:
        guard let batch, let found = seen.header else { break walk }
        accept(batch, found, each)
        offset += UInt64(batch.paddedBytes)
      case .end(let row):
        rows.append(row)
        break walk
      case .torn:
        rows.append(.tornTail)
        tornTail = TornTail(
          file: segment.name, offset: offset, bytes: UInt64(seen.header?.paddedBytes ?? LogFormat.blockBytes),
          count: seen.header?.count ?? 0)
        break walk
      case .stop(let row, let detail):
        throw damage(row, segment, at: offset, detail, position: Position(tail.lastPosition.rawValue + 1))
      case .look:
        assertionFailure("looked already")
        break walk
      }
    }
    scannedBytes += offset
    segments.append(LiveSegment(name: segment.name, file: segment.file, header: header, end: offset))
  }

  private mutating func accept(_ batch: Batch, _ header: BatchHeader, _ each: (Batch) -> Void) {
    if rows.last != .accepted { rows.append(.accepted) }
    previousCRC = tail.crc
    tail.number = header.number
    tail.lastPosition = header.lastPosition
    tail.crc = header.chain
    tail.isSealed = header.isSealed
    isTailProven = batch.count == 0
    guard batch.count > 0, batch.lastPosition > after else { return }
    batches += 1
    records += batch.count
    each(batch)
  }

  func fill(_ recovered: inout RecoveredLog) {
    recovered.tail = tail
    recovered.tornTail = tornTail
    recovered.batches = batches
    recovered.records = records
    recovered.scannedBytes = scannedBytes
    recovered.segments = segments
    recovered.previousCRC = previousCRC
    recovered.isTailProven = isTailProven
  }

  private func damage(
    _ row: RecoveryRow, _ segment: LogSurvey.Segment, at offset: UInt64, _ detail: String, position: Position
  ) -> LogError {
    let damage = LogDamage(row: row, file: segment.name, offset: offset, position: position, detail: detail)
    return row == .unsupportedRecord ? .unsupported(damage) : .damage(damage)
  }
}

/// A disk's error, as the log's.
func reading<T>(_ body: () throws(DiskError) -> T) throws(LogError) -> T {
  do { return try body() } catch { throw .disk(error) }
}
