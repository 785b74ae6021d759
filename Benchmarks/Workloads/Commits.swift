import Bytes
import Engine
import Model
import WAL

extension Workload {
  static let commits = [
    Workload("sequencer.decide, 1 context", allocationsMax: 0) { sequencerPass(contexts: 1) },
    Workload("sequencer.decide, 1000 contexts", allocationsMax: 0) { sequencerPass(contexts: 1000) },
    Workload("batch.reserve, encode, commit 1 KiB", allocationsMax: 0) { try BatchPass() },
    // The batch itself and the next one's offsets.
    Workload("batch.seal of 40 units", .one, allocationsMax: 2) { try SealPass() },
  ]

  /// Published after every 40 appends, about a batch of a busy server.
  private static func sequencerPass(contexts: Int) -> any Pass {
    let sequencer = SequencerRun(contexts: contexts)
    return Repeated { operations in
      try expect(sequencer.append(operations, published: 40) == operations, "not every unit is appended")
    }
  }
}

/// The sequencer with everything around it left out.
private final class SequencerRun {
  private var sequencer: Sequencer
  private let contexts: [ResidentContext]
  private let agent = [UInt8]("agent".utf8)
  private var next = 0
  private var now: UInt64 = 1_700_000_000_000_000

  /// A sequencer at the start of a log, and `contexts` contexts that the agent has joined.
  init(contexts: Int) {
    sequencer = Sequencer(
      tail: .zero, logTime: LogTime(microseconds: 0), residentContextsMax: contexts)
    self.contexts = (0..<contexts).map { index in
      [UInt8]("context-\(index)".utf8).withUnsafeBytes { ResidentContext(new: $0) }
    }
    append(contexts, published: contexts)
  }

  /// Decides `count` appends, round the contexts in turn, each a microsecond after the last one; what was
  /// decided is published after every `published` of them, as a commit would.
  /// - Returns: the appends that got a position.
  @discardableResult
  func append(_ count: Int, published: Int) -> Int {
    var appended = 0
    agent.withUnsafeBytes { agent in
      for index in 1...max(count, 1) {
        let context = contexts[next]
        next = next + 1 < contexts.count ? next + 1 : 0
        now += 1
        let decision = sequencer.decide(
          Sequencer.Append(
            context: context, agent: agent, change: sequencer.change(of: context, by: agent), id: nil,
            hash: ContentHash(high: now, low: 1), stored: nil, hasFence: false, expectedSequence: nil,
            now: now, random: now &* 0x9e37_79b9_7f4a_7c15))
        if case .append = decision { appended += 1 }
        if index % published == 0 { sequencer.published(through: sequencer.tail) }
      }
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
