import Bytes
import EngramTesting
import Model
import WAL

/// Makes sealed batches of sample events, at dense positions, as the home would hand them over.
final class BatchMaker {
  struct Unit: Hashable {
    var position: UInt64
    var context: [UInt8]
    var sequence: UInt64
    var id: UnitID
  }

  private let builder = BatchBuilder(
    pool: SlabPool(slabBytes: 64 << 10, keptMax: 2), batchBytesMax: 64 << 10, batchBytesLimit: 1 << 20)
  private(set) var head: UInt64
  private var sequences: [[UInt8]: UInt64] = [:]

  init(head: UInt64 = 0) { self.head = head }

  static func name(_ text: String) -> [UInt8] { [UInt8](text.utf8) }

  /// A batch of one unit per context named, in this order; `nil` stands for a context's event.
  func batch(_ contexts: [String?]) -> (batch: Batch, units: [Unit]) {
    var units: [Unit] = []
    for name in contexts {
      head += 1
      guard let name else {
        add(EventSamples.context(position: head, context: Self.name("other")))
        continue
      }
      let context = Self.name(name)
      sequences[context, default: 0] += 1
      let unit = Unit(
        position: head, context: context, sequence: sequences[context] ?? 0,
        id: UnitID(high: head &* 0x9e37_79b9_7f4a_7c15, low: head))
      add(
        EventSamples.unit(
          position: head, context: context, sequence: unit.sequence, id: unit.id, bodyBytes: Int(head % 50)))
      units.append(unit)
    }
    guard let batch = builder.seal() else { preconditionFailure("an empty batch") }
    return (batch, units)
  }

  /// A batch of records that are made for the next positions.
  func batch(of records: [(UInt64) -> [UInt8]]) -> Batch {
    for record in records {
      head += 1
      add(record(head))
    }
    guard let batch = builder.seal() else { preconditionFailure("an empty batch") }
    return batch
  }

  private func add(_ record: [UInt8]) {
    guard let memory = builder.reserve(record.count) else { preconditionFailure("no room for a sample") }
    memory.copyMemory(from: record, byteCount: record.count)
    builder.commit(record.count)
  }
}

extension Array where Element == UInt8 {
  /// Hands the bytes to `body` as the engine takes names.
  func asName<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
    try withUnsafeBytes { try body($0) }
  }
}
