import Bytes
import Model

extension Workload {
  static let checksums = [64, 1 << 10, 64 << 10].map { count in
    Workload("crc32c.\(count) bytes", allocationsMax: 0) {
      let memory = Memory(count: count)
      let once = CRC32C.checksum(memory.raw)
      return Repeated { operations in
        for _ in 0..<operations {
          guard CRC32C.checksum(memory.raw) == once else { throw Unexpected("two checksums") }
        }
      }
    }
  }

  static let records = [
    Workload("record.write 1 KiB", allocationsMax: 0) {
      let record = RecordSample()
      return Repeated { operations in
        for position in 1...operations { try record.write(UInt64(position)) }
      }
    },
    Workload("record.read 1 KiB: frame, checksum, head, names", allocationsMax: 0) {
      let record = RecordSample()
      try record.write(1)
      return Repeated { operations in
        for _ in 0..<operations { try record.read() }
      }
    },
  ]
}

/// A unit's record, without the encoder's JSON.
private final class RecordSample {
  private let body = Memory(count: 1 << 10)
  private let context = Memory("context-1")
  private let agent = Memory("planner-7")
  private let memory = Memory(count: 2 << 10)

  func write(_ position: UInt64) throws {
    var writer = EventRecordWriter(
      at: memory.base, capacity: memory.bytes.count, kind: .unit, position: Position(position),
      logTime: LogTime(microseconds: position))
    writer.unitHead(
      UnitHead(
        id: UnitID(high: position, low: 1), sequence: Sequence(position),
        hash: ContentHash(high: 1, low: position), type: 1, encoding: 0, payloadOffset: 0, payloadLength: 0))
    writer.field(.contextID, context.raw)
    writer.field(.agentID, agent.raw)
    writer.beginBody()
    writer.out.run(body.raw)
    guard writer.finish() > body.bytes.count else { throw Unexpected("a short record") }
  }

  func read() throws {
    guard let view = EventView(memory.raw), view.isIntact, let unit = view.unit, unit.id.low == 1,
      view.contextID?.count == context.bytes.count, view.agentID?.count == agent.bytes.count
    else { throw Unexpected("the record is not what was written") }
  }
}
