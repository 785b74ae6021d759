import Bytes
import Engine
import Model
import WAL

extension Workload {
  static let commits = [
    Workload("sequencer.decide, 1 context", allocationsMax: 0) { sequencerPass(contexts: 1) },
    Workload("sequencer.decide, 1000 contexts", allocationsMax: 0) { sequencerPass(contexts: 1000) },
    Workload("sequencer.decide 100 at once, 1000 contexts", allocationsMax: 0) {
      sequencerPass(contexts: 1000, units: 100)
    },
    Workload("batch.reserve, encode, commit 1 KiB", allocationsMax: 0) { try BatchPass() },
    // The batch itself and the next one's offsets.
    Workload("batch.seal of 40 units", .one, allocationsMax: 2) { try SealPass() },
  ]

  /// Published after every 40 appends of one unit, about a batch of a busy server, or after each of many.
  private static func sequencerPass(contexts: Int, units: Int = 1) -> any Pass {
    let sequencer = SequencerRun(contexts: contexts)
    return Repeated { operations in
      let appended = sequencer.append(operations, units: units, published: max(40, units))
      try expect(appended == operations, "not every unit is appended")
    }
  }
}

/// The sequencer with everything around it left out.
private final class SequencerRun {
  private var sequencer: Sequencer
  private let contexts: [ResidentContext]
  private let agent = Memory("agent")
  private var command = Sequencer.Append()
  private var next = 0
  private var now: UInt64 = 1_700_000_000_000_000

  /// A sequencer at the start of a log, and `contexts` contexts that the agent has joined.
  init(contexts: Int) {
    sequencer = Sequencer(tail: .zero, logTime: LogTime(microseconds: 0), residentContextsMax: contexts)
    self.contexts = (0..<contexts).map { index in
      [UInt8]("context-\(index)".utf8).withUnsafeBytes { ResidentContext(new: $0) }
    }
    append(contexts, units: 1, published: contexts)
  }

  /// Decides appends of `count` units, `units` in each, round the contexts in turn, each a microsecond after the
  /// last one; what was decided is published after every `published` units, as a commit would.
  /// - Returns: the units that got a position.
  @discardableResult
  func append(_ count: Int, units: Int, published: Int) -> Int {
    var appended = 0
    for end in stride(from: units, through: count, by: units) {
      now += 1
      command.now = now
      command.units.removeAll(keepingCapacity: true)
      for unit in 0..<units {
        let context = contexts[next]
        next = next + 1 < contexts.count ? next + 1 : 0
        command.units.append(
          Sequencer.Unit(
            context: context, agent: agent.raw, change: sequencer.change(of: context, by: agent.raw),
            chosenID: nil, hash: ContentHash(high: now, low: UInt64(unit)), stored: nil, fence: nil,
            expectedSequence: nil, random: now &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(unit)))
      }
      if case .append = sequencer.decide(&command) { appended += units }
      if end % published == 0 { sequencer.published(through: sequencer.tail) }
    }
    return appended
  }
}

/// Units on their way into the open batch.
private final class BatchPass: Pass {
  private let feed: UnitFeed
  /// Of the slab, so that the open batch of one pass fits into it.
  private static let bytes = 2 << 20

  init() throws { feed = try UnitFeed(contexts: 1, slabBytes: Self.bytes) }

  func prepare(_ operations: Int) throws {
    // Seals what the last pass left, and has the next batch begin in a slab with room for all of it.
    _ = feed.builder.seal()
    try expect(feed.builder.reserve(operations * feed.unitBytesMax) != nil, "no room for a pass")
  }

  func run(_ operations: Int) throws { try feed.append(operations) }
}

private final class SealPass: Pass {
  private let feed: UnitFeed

  init() throws { feed = try UnitFeed(contexts: 1, slabBytes: 2 << 20) }

  func prepare(_ operations: Int) throws { try feed.append(40) }

  func run(_ operations: Int) throws {
    guard let batch = feed.builder.seal(), batch.count == 40 else { throw Unexpected("no batch of 40") }
  }
}
