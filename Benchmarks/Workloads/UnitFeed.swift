import Bytes
import Model
import WAL

/// Units of 1 KiB on and on, in sealed batches, as the home would hand them over.
final class UnitFeed {
  let builder: BatchBuilder
  let contexts: [[UInt8]]
  /// Room that one of its units needs at most, in bytes.
  let unitBytesMax: Int
  private(set) var position: UInt64 = 0
  private var sequences: [UInt64]
  private var drafts: [(draft: UnitDraft, body: Memory)] = []
  private var ids = UnitIDMaker()
  private var next = 0

  init(contexts count: Int, slabBytes: Int = 1 << 20) throws {
    builder = BatchBuilder(
      pool: SlabPool(slabBytes: slabBytes, keptMax: 64), batchBytesMax: slabBytes, batchBytesLimit: 32 << 20)
    let names = (0..<count).map { "context-\($0)" }
    contexts = names.map { [UInt8]($0.utf8) }
    sequences = [UInt64](repeating: 0, count: count)
    var bytesMax = 0
    for name in names {
      let body = Memory(Samples.unit(context: name))
      let draft = UnitDraft()
      if let problem = draft.parse(body.raw) { throw Unexpected("\(problem)") }
      bytesMax = max(bytesMax, UnitEncoder.bytesMax(for: draft) + 8)
      drafts.append((draft, body))
    }
    unitBytesMax = bytesMax
  }

  /// The last sequence of a context.
  func sequence(of context: Int) -> UInt64 { sequences[context] }

  /// Brings `count` units into the open batch, round the contexts in turn.
  func append(_ count: Int) throws {
    for _ in 0..<count {
      let draft = drafts[next].draft
      position += 1
      sequences[next] += 1
      let time = LogTime(microseconds: 1_700_000_000_000_000 + position)
      let facts = UnitFacts(
        id: ids.make(logTime: time, random: position &* 0x9e37_79b9_7f4a_7c15),
        sequence: Sequence(sequences[next]), position: Position(position), logTime: time)
      guard let room = builder.reserve(unitBytesMax) else { throw Unexpected("the open batch is full") }
      builder.commit(UnitEncoder.encode(draft, facts, into: room, capacity: unitBytesMax))
      next = next + 1 < drafts.count ? next + 1 : 0
    }
  }

  /// A sealed batch of the next `count` units.
  func batch(_ count: Int) throws -> Batch {
    try append(count)
    guard let batch = builder.seal() else { throw Unexpected("an empty batch") }
    return batch
  }
}
