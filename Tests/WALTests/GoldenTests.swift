import Bytes
import EngramTesting
import Glibc
import Model
import Testing
import WAL

/// Files written by `golden/make.py`, which knows the specification and none of this code.
struct GoldenTests {
  private static func load(_ name: String, path: String = #filePath) throws -> [UInt8] {
    let folder = path.dropLast("GoldenTests.swift".count)
    let file = try #require(fopen("\(folder)golden/\(name)", "r"))
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes[..<count])
  }

  private static func disk(_ folder: String, _ numbers: ClosedRange<Int>) throws -> SimulatedDisk {
    let disk = SimulatedDisk(seed: 1)
    for number in numbers {
      let name = "000000000000000\(number).wal"
      disk.install(name, try load("\(folder)/\(name)"))
    }
    return disk
  }

  private static func unit(_ position: UInt64, _ n: UInt64, _ body: [UInt8], into builder: BatchBuilder)
    throws
  {
    let room = try #require(builder.reserve(body.count + 256))
    var writer = EventRecordWriter(
      at: room, capacity: body.count + 256, kind: .unit, position: Position(position),
      logTime: LogTime(microseconds: 1_700_000_000_000_000 + position))
    writer.unitHead(
      UnitHead(
        id: UnitID(high: 0x0190_0000_0000_7000 + n, low: 0x8000_0000_0000_0000 + n), sequence: Sequence(n),
        hash: ContentHash(high: 0xaa00 + n, low: 0xbb00 + n), type: 3, encoding: 0, payloadOffset: 8,
        payloadLength: 4))
    Array("ctx".utf8).withUnsafeBytes { writer.field(.contextID, $0) }
    Array("agent".utf8).withUnsafeBytes { writer.field(.agentID, $0) }
    writer.beginBody()
    body.withUnsafeBytes { writer.out.run($0) }
    builder.commit(writer.finish())
  }

  private static func context(into builder: BatchBuilder) throws {
    let room = try #require(builder.reserve(256))
    var writer = EventRecordWriter(
      at: room, capacity: 256, kind: .context, position: Position(1),
      logTime: LogTime(microseconds: 1_700_000_000_000_001))
    writer.contextHead(
      ContextHead(revision: 1, lastSequence: .zero, createdAt: LogTime(microseconds: 1_700_000_000_000_000)))
    Array("ctx".utf8).withUnsafeBytes { writer.field(.contextID, $0) }
    withUnsafeBytes(of: UInt32(1).littleEndian) { writer.field(.requestRemainder, $0) }
    writer.beginBody()
    writer.out.run("{\"id\":\"ctx\"}")
    builder.commit(writer.finish())
  }

  /// A lock of an hour, as `make.py` has it.
  private static func lock(_ position: UInt64, _ path: String, token: UInt64, _ metadata: String) -> LockState
  {
    let start: UInt64 = 1_700_000_000_000_000
    let hour: UInt64 = 3_600_000_000
    return LockState(
      path: Array(path.utf8), holder: Array("agent".utf8),
      id: UnitID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_00ab), token: Position(token),
      ttlMicroseconds: hour, acquiredAt: LogTime(microseconds: start + token),
      expiresAt: LogTime(microseconds: start + position + hour), metadata: Array(metadata.utf8))
  }

  /// What `make.py` has happen to two locks; nil is the restart.
  private static let lockEvents: [(LockAction, LockState)?] = {
    let second = "repo/\"ü\""
    let why = "{\"why\":\"tests\"}"
    return [
      (.acquired, lock(1, "repo/a", token: 1, "{}")), (.acquired, lock(2, second, token: 2, why)), nil,
      (.renewed, lock(4, "repo/a", token: 1, "{}")), (.released, lock(5, "repo/a", token: 1, "{}")),
      (.expired, lock(6, second, token: 2, why)),
    ]
  }()

  @Test func `the writer makes the same bytes of locks and restarts`() throws {
    let disk = SimulatedDisk(seed: 1)
    let configuration = LogConfiguration(segmentBytes: 64 << 10)
    var draws: UInt64 = 0
    let recovered = try LogRecovery.run(disk, configuration: configuration)
    let log = try LocalLog(disk, recovered: recovered, configuration: configuration) {
      draws += 1
      return draws &* 0x1111_1111_1111_1111
    }
    disk.drain()
    let builder = BatchBuilder(
      pool: SlabPool(slabBytes: 64 << 10, keptMax: 2), batchBytesMax: 60 << 10, batchBytesLimit: 60 << 10)
    let outcomes = Outcomes()
    for (index, event) in Self.lockEvents.enumerated() {
      let position = Position(UInt64(index + 1))
      let logTime = LogTime(microseconds: 1_700_000_000_000_000 + position.rawValue)
      if let (action, lock) = event {
        let capacity = LockEncoder.bytesMax(lock)
        let room = try #require(builder.reserve(capacity))
        builder.commit(
          LockEncoder.encode(
            action, lock, position: position, logTime: logTime, requestRemainder: index == 0 ? 1 : 0,
            into: room,
            capacity: capacity))
      } else {
        let room = try #require(builder.reserve(LockEncoder.restartBytes))
        builder.commit(LockEncoder.encodeRestart(position: position, logTime: logTime, into: room))
      }
      guard index % 2 == 1 else { continue }
      let batch = try #require(builder.seal())
      log.append(batch, number: log.tail.number + 1, term: log.tail.term, completion: outcomes)
      disk.drain()
    }
    #expect(outcomes.list.count == 3 && outcomes.list.allSatisfy { $0 == .ok })
    let golden = try Self.load("locks/0000000000000001.wal")
    let written = try #require(disk.contents("0000000000000001.wal"))
    let difference = zip(golden, written).enumerated().first { $0.element.0 != $0.element.1 }?.offset
    #expect(golden.count == written.count && difference == nil, "differs at \(difference ?? -1)")
  }

  @Test func `the reader reads locks and restarts`() throws {
    var events: [(LockAction, LockState)?] = []
    var remainders: [UInt32] = []
    let recovered = try LogRecovery.run(
      try Self.disk("locks", 1...1), configuration: LogConfiguration(segmentBytes: 64 << 10)
    ) { batch in
      for offset in 0..<batch.count {
        let record = batch.record(offset)
        remainders.append(record.requestRemainder)
        if let head = record.lock, let lock = LockState(record) {
          events.append((head.action, lock))
        } else {
          #expect(record.kind == .restart && record.body.isEmpty)
          events.append(nil)
        }
      }
    }
    #expect(recovered.tail.lastPosition == Position(6) && recovered.tornTail == nil)
    #expect(events.map { $0?.0 } == Self.lockEvents.map { $0?.0 })
    #expect(events.map { $0?.1 } == Self.lockEvents.map { $0?.1 })
    #expect(remainders == [1, 0, 0, 0, 0, 0])
  }

  @Test func `the writer makes the same bytes`() throws {
    let disk = SimulatedDisk(seed: 1)
    let configuration = LogConfiguration(segmentBytes: 64 << 10)
    var draws: UInt64 = 0
    func open() throws -> LocalLog {
      let recovered = try LogRecovery.run(disk, configuration: configuration)
      return try LocalLog(disk, recovered: recovered, configuration: configuration) {
        draws += 1
        return draws &* 0x1111_1111_1111_1111
      }
    }
    let builder = BatchBuilder(
      pool: SlabPool(slabBytes: 64 << 10, keptMax: 2), batchBytesMax: 60 << 10, batchBytesLimit: 60 << 10)
    let outcomes = Outcomes()
    func append(_ log: LocalLog) throws {
      let batch = try #require(builder.seal())
      log.append(batch, number: log.tail.number + 1, term: log.tail.term, completion: outcomes)
      disk.drain()
    }

    var log = try open()
    disk.drain()
    try Self.context(into: builder)
    try Self.unit(2, 1, Array("{\"id\":\"one\"}".utf8), into: builder)
    try append(log)
    try Self.unit(3, 2, [UInt8](repeating: UInt8(ascii: "x"), count: 5_000), into: builder)
    try append(log)
    log.appendWitness(completion: outcomes)
    disk.drain()
    try Self.unit(4, 3, Array("{\"id\":\"three\"}".utf8), into: builder)
    try append(log)

    log = try open()
    try Self.unit(5, 4, [UInt8](repeating: UInt8(ascii: "y"), count: 100), into: builder)
    try Self.unit(6, 5, [], into: builder)
    try Self.unit(7, 6, [UInt8](repeating: UInt8(ascii: "z"), count: 9), into: builder)
    try append(log)
    log.seal(completion: outcomes)
    disk.drain()
    log.claim(2, completion: outcomes)
    disk.drain()
    try Self.unit(8, 7, Array("{\"id\":\"seven\"}".utf8), into: builder)
    try append(log)

    #expect(outcomes.list.allSatisfy { $0 == .ok } && outcomes.list.count == 8)
    for number in 1...3 {
      let name = "000000000000000\(number).wal"
      let golden = try Self.load("clean/\(name)")
      let written = try #require(disk.contents(name))
      let difference = zip(golden, written).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      #expect(golden.count == written.count && difference == nil, "\(name) differs at \(difference ?? -1)")
    }
  }

  @Test func `the reader reads them`() throws {
    let start = LogWorld.start(try Self.disk("clean", 1...3))
    let log = try #require(start.log)
    #expect(log.tail.number == 7 && log.tail.lastPosition == Position(8) && log.tail.term == 2)
    #expect(log.batches == 5 && log.records == 8 && log.tornTail == nil)
    #expect(start.bodies[1] == Array("{\"id\":\"ctx\"}".utf8) && start.bodies[6] == [])
    #expect(start.bodies[3]?.count == 5_000 && start.bodies[8] == Array("{\"id\":\"seven\"}".utf8))
  }

  @Test func `the torn tail is cut and counted`() throws {
    let start = LogWorld.start(try Self.disk("torn", 1...1))
    let log = try #require(start.log)
    #expect(log.tail.lastPosition == Position(1))
    #expect(log.tornTail == TornTail(file: "0000000000000001.wal", offset: 8_192, bytes: 8_192, count: 2))
    let witnessed = LogWorld.start(try Self.disk("torn", 1...1), witness: Position(2))
    #expect(witnessed.damage?.row == .belowWitness)
  }
}
