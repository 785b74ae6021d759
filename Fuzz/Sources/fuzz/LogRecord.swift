internal import Bytes
internal import EngramTesting
internal import EventLoop
@testable internal import Model
@testable internal import WAL

/// The log and its records. The first byte of an input chooses:
/// - 0: views over bytes as they come, and over the same bytes with their lengths and checksum made right;
/// - 1: a good log, changed: what a start reads of it is a prefix of what was there, or it says damage;
/// - 2: a batch whose checksums are right and whose records are the input: a start takes it or not, and nothing traps.
enum LogRecord {
  static func run(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let rest = Array(input[1...])
    switch first % 3 {
    case 0:
      view(rest, isForged: false)
      view(forged(rest), isForged: true)
    case 1: changed(rest)
    default: forgedBatch(rest)
    }
  }

  static func prove() {
    changed([0])
    demand(good.bodies.count == 10, "\(good.bodies.count) records")
  }

  // MARK: Records

  private static func view(_ bytes: [UInt8], isForged: Bool) {
    let memory = UnsafeRawBufferPointer(Fenced.copy(bytes))
    guard let view = EventView(memory) else {
      return demand(!isForged, "a frame that is right isn't seen")
    }
    demand(view.length <= bytes.count, "a view beyond its memory")
    demand(!isForged || view.isIntact, "a checksum that is right is refused")
    look(view)
  }

  /// Lengths and checksum as they should be for a record of these bytes.
  private static func forged(_ bytes: [UInt8]) -> [UInt8] {
    let least = EventRecord.headerBytes + EventRecord.checksumBytes
    var record = bytes + [UInt8](repeating: 0, count: max(0, least - bytes.count))
    let inner = record.count - least
    // The input says how much of it are fields.
    let fields = Int(number(UInt32.self, in: record, at: 24)) % (inner + 1)
    store(UInt32(record.count), at: 0, in: &record)
    store(UInt32(fields), at: 24, in: &record)
    store(UInt32(inner - fields), at: 28, in: &record)
    let checksum = record[..<(record.count - 4)].withUnsafeBytes { CRC32C.checksum($0) }
    store(checksum, at: record.count - 4, in: &record)
    return record
  }

  /// Everything that a view can be asked.
  static func look(_ view: EventView) {
    _ = (view.kind, view.flags, view.namespace, view.position, view.requestRemainder, view.unitID)
    _ = view.idempotency?.key.count
    view.forEachAgent { demand($0.count <= view.fieldsLength, "an agent beyond the fields") }
    for run in [view.contextID, view.agentID, view.resourcePath, view.body].compactMap({ $0 }) {
      demand(run.count <= view.length, "a run beyond its record")
      _ = run.reduce(0 as UInt8, ^)
    }
    payload(view)
    UnitRelationships.forEach(view) { relationship in
      demand(relationship.metadata.count <= view.bodyLength, "metadata beyond the body")
      return true
    }
    if let state = ContextState(view) {
      let json = ByteWriter.bytes(capacity: ContextEncoder.jsonBytesMax(state)) {
        ContextEncoder.writeJSON(state, to: &$0)
      }
      json.withUnsafeBytes { demand(ContextState(json: $0) == state, "a context read again") }
    }
    _ = ContextJSON.head(view.body)
    _ = ContextJSON.lists(Array("a".utf8), in: view.body)
    if let lock = LockState(view) {
      demand(lock.metadata.count <= view.bodyLength, "a lock's metadata beyond the body")
    }
  }

  private static func payload(_ view: EventView) {
    guard let count = PayloadDecoder.decodedCount(view) else { return }
    demand(count <= view.bodyLength, "a payload larger than its record")
    let room = Fenced.copy([UInt8](repeating: 0, count: count))
    demand(PayloadDecoder.decode(view, into: room) == count, "decoded to another length")
    if count > 0 {
      let less = UnsafeMutableRawBufferPointer(rebasing: room[..<(count - 1)])
      demand(PayloadDecoder.decode(view, into: less) == nil, "more is decoded than there is room")
    }
  }

  // MARK: Logs

  private static let name = "0000000000000001.wal"
  private static let fileBytes = 64 << 10

  /// A segment of seven batches, of which one is a witness, some of two blocks; and the bodies by position.
  private static let good: (file: [UInt8], bodies: [UInt64: [UInt8]], end: Int) = {
    var file = header()
    var tail = LogTail.start
    var bodies: [UInt64: [UInt8]] = [:]
    let sizes = [[40, 50], [4_500], [7], [], [300, 300, 300], [6_000], [60, 5_000]]
    for (index, sizes) in sizes.enumerated() {
      var records: [UInt8] = []
      var crc: UInt32 = 0
      for size in sizes {
        let position = UInt64(bodies.count) + 1
        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(position) &* 7) }
        bodies[position] = body
        append(record(position, body), to: &records, &crc)
      }
      file += batch(
        records, count: sizes.count, crc: crc, number: UInt64(index + 1), first: tail.lastPosition.next,
        previous: tail.crc, &tail)
    }
    let end = file.count
    return (file + [UInt8](repeating: 0, count: fileBytes - end), bodies, end)
  }()

  private static func header() -> [UInt8] {
    let header = SegmentHeader(
      log: LogID(first: 1, second: 2), segment: 1, term: 1, firstBatch: 1, firstPosition: Position(1),
      salt: 77,
      segmentBytes: UInt64(fileBytes), predecessorLength: 0, predecessorCRC: 0)
    var block = [UInt8](repeating: 0, count: LogFormat.segmentHeaderBytes)
    block.withUnsafeMutableBytes { $0.baseAddress.map(header.encode(to:)) }
    return block
  }

  private static func record(_ position: UInt64, _ body: [UInt8]) -> [UInt8] {
    let room = body.count + 64
    return [UInt8](unsafeUninitializedCapacity: room) { memory, count in
      guard let base = memory.baseAddress else { return }
      var writer = EventRecordWriter(
        at: base, capacity: room, kind: .unit, position: Position(position),
        logTime: LogTime(microseconds: 1_000 + position))
      Array("context".utf8).withUnsafeBytes { writer.field(.contextID, $0) }
      writer.beginBody()
      body.withUnsafeBytes { writer.out.run($0) }
      count = writer.finish()
    }
  }

  private static func append(_ record: [UInt8], to records: inout [UInt8], _ crc: inout UInt32) {
    crc = record.suffix(EventRecord.checksumBytes).withUnsafeBytes { CRC32C.checksum($0, continuing: crc) }
    records += record
    records += [UInt8](repeating: 0, count: LogFormat.aligned(records.count) - records.count)
  }

  /// Header, records and padding; `tail` is moved behind it.
  private static func batch(
    _ records: [UInt8], count: Int, crc: UInt32, number: UInt64, first: Position, previous: UInt32,
    _ tail: inout LogTail
  ) -> [UInt8] {
    let header = BatchHeader(
      salt: 77, term: 1, number: number, firstPosition: first, count: UInt32(count),
      recordBytes: UInt32(records.count), recordsCRC: crc, previousCRC: previous, flags: 0,
      durablePosition: Position(first.rawValue - 1), segment: 1)
    var bytes = [UInt8](repeating: 0, count: LogFormat.batchHeaderBytes)
    tail.crc = bytes.withUnsafeMutableBytes { $0.baseAddress.map(header.encode(to:)) ?? 0 }
    tail.number = number
    tail.lastPosition = header.lastPosition
    bytes += records
    return bytes + [UInt8](repeating: 0, count: header.paddedBytes - bytes.count)
  }

  /// Four bytes make a change: a place (16 bits), what to do there, and with what.
  private static func changed(_ edits: [UInt8]) {
    var file = good.file
    let witness = UInt64(edits.first ?? 0) % UInt64(good.bodies.count + 1)
    for at in stride(from: 1, to: edits.count - 3, by: 4) {
      let place = Int(edits[at]) | Int(edits[at + 1]) << 8
      let value = edits[at + 3]
      switch edits[at + 2] % 5 {
      case 0: file[place] ^= value
      case 1: file[place] = value
      case 2: file.replaceSubrange(place..., with: repeatElement(0, count: file.count - place))
      case 3:
        // A block that stands where another belongs, as after a write that went astray.
        let from = place / LogFormat.blockBytes * LogFormat.blockBytes
        let to = Int(value) % (fileBytes / LogFormat.blockBytes) * LogFormat.blockBytes
        file.replaceSubrange(to..<to + LogFormat.blockBytes, with: file[from..<from + LogFormat.blockBytes])
      default:
        // A sector of an earlier life, in which the salt was another.
        let from = place / 512 * 512
        for byte in from..<min(from + 512, file.count) {
          file[byte] = good.file[byte] ^ (byte % 8 == 0 ? value : 0)
        }
      }
    }
    let disk = SimulatedDisk(seed: 1)
    disk.install(name, file)
    var read: [UInt64: [UInt8]] = [:]
    do throws(LogError) {
      let log = try start(disk, witness: witness) { read[$0.position.rawValue] = Array($0.body) }
      let end = log.tail.lastPosition.rawValue
      demand(end >= witness, "the log ends at \(end), below the witness \(witness)")
      demand(read.count == Int(end), "\(read.count) records up to position \(end)")
      if file == good.file { demand(read.count == good.bodies.count, "a good log isn't read whole") }
    } catch {
      demand(file != good.file, "a good log is refused: \(error)")
      if case .disk = error { demand(false, "a disk in memory fails: \(error)") }
    }
    for (position, body) in read { demand(good.bodies[position] == body, "position \(position) is invented") }
    inspect(disk)
  }

  /// Records as the input has them, a frame each as long as there are some, in a batch that is right otherwise.
  private static func forgedBatch(_ input: [UInt8]) {
    var records: [UInt8] = []
    var crc: UInt32 = 0
    var count = 0
    var rest = input[...]
    while rest.count > 2, records.count < 40 << 10 {
      let size = Int(rest[rest.startIndex]) + 1
      var bytes = forged(Array(rest.dropFirst().prefix(size)))
      rest = rest.dropFirst(1 + size)
      count += 1
      // Now and then the input says the position itself.
      if size % 8 != 0 { store(UInt64(count), at: 8, in: &bytes) }
      store(
        bytes[..<(bytes.count - 4)].withUnsafeBytes { CRC32C.checksum($0) }, at: bytes.count - 4, in: &bytes)
      append(bytes, to: &records, &crc)
    }
    var tail = LogTail.start
    var file = header()
    file += batch(records, count: count, crc: crc, number: 1, first: Position(1), previous: 0, &tail)
    guard file.count <= fileBytes else { return }
    file += [UInt8](repeating: 0, count: fileBytes - file.count)
    let disk = SimulatedDisk(seed: 1)
    disk.install(name, file)
    var next: UInt64 = 1
    do throws(LogError) {
      _ = try start(disk, witness: 0) { view in
        demand(
          view.position.rawValue == next && view.isIntact, "position \(view.position.rawValue), not \(next)")
        next += 1
        look(view)
      }
    } catch {
      if case .disk = error { demand(false, "a disk in memory fails: \(error)") }
    }
    inspect(disk)
  }

  private static func start(
    _ disk: SimulatedDisk, witness: UInt64, _ each: (EventView) -> Void
  ) throws(LogError) -> RecoveredLog {
    var configuration = LogConfiguration(segmentBytes: UInt64(fileBytes))
    // Small, so that batches cross the memory that a segment is read in.
    configuration.scanBytes = 8 << 10
    return try LogRecovery.run(disk, configuration: configuration, witness: Position(witness)) { batch in
      for index in 0..<batch.count { each(batch.record(index)) }
    }
  }

  /// `engram inspect` tells whatever there is.
  private static func inspect(_ disk: SimulatedDisk) {
    guard let found = try? LogInspection.run(disk) else { return demand(false, "a disk in memory fails") }
    demand(!found.text.isEmpty, "nothing to tell")
  }

  private static func number<T: FixedWidthInteger>(_: T.Type, in bytes: [UInt8], at offset: Int) -> T {
    T(littleEndian: bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) })
  }

  private static func store<T: FixedWidthInteger>(_ value: T, at offset: Int, in bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }
}
