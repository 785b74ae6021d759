import EngramTesting
import Engine
import Model
import Testing

struct SequencerTests {
  private static let start: UInt64 = 1_700_000_000_000_000
  private static let chosen = UnitID.make(logTime: LogTime(microseconds: start), random: 99)
  private static let hash = ContentHash(high: 1, low: 1)
  private static let otherHash = ContentHash(high: 2, low: 2)

  /// A sequencer, one context, and commands with everything else filled in.
  private struct Bench {
    var sequencer = Sequencer(tail: .zero, logTime: LogTime(microseconds: 0), residentContextsMax: 10)
    var context = BatchMaker.name("c").asName { ResidentContext(new: $0) }
    var now = SequencerTests.start
    var random: UInt64 = 1

    mutating func decide(
      agent: String = "a", id: UnitID? = nil, hash: ContentHash = SequencerTests.hash,
      stored: ContentHash? = nil, hasFence: Bool = false, expected: UInt64? = nil
    ) -> Sequencer.Decision {
      random += 1
      return BatchMaker.name(agent).asName { agent in
        sequencer.decide(
          Sequencer.Append(
            context: context, agent: agent, change: sequencer.change(of: context, by: agent), id: id,
            hash: hash, stored: stored, hasFence: hasFence, expectedSequence: expected, now: now,
            random: random))
      }
    }

    mutating func append(agent: String = "a", id: UnitID? = nil) -> Sequencer.Appended? {
      guard case .append(let appended) = decide(agent: agent, id: id) else { return nil }
      return appended
    }
  }

  // MARK: Checks

  struct Check: Sendable {
    /// What the store or the window has under the id: nothing, the same, or another unit.
    var stored: ContentHash?
    var hasFence: Bool
    var expected: UInt64?
    var decision: String
  }

  /// The order of api.md: id, fence, expected sequence. The context stands at sequence 1.
  @Test(arguments: [
    Check(stored: nil, hasFence: false, expected: nil, decision: "append"),
    Check(stored: nil, hasFence: false, expected: 2, decision: "append"),
    Check(stored: nil, hasFence: false, expected: 1, decision: "unexpected"),
    Check(stored: nil, hasFence: false, expected: 3, decision: "unexpected"),
    Check(stored: nil, hasFence: true, expected: nil, decision: "fence"),
    Check(stored: nil, hasFence: true, expected: 1, decision: "fence"),
    Check(stored: SequencerTests.hash, hasFence: false, expected: nil, decision: "exists"),
    Check(stored: SequencerTests.hash, hasFence: true, expected: 1, decision: "exists"),
    Check(stored: SequencerTests.otherHash, hasFence: false, expected: 2, decision: "taken"),
    Check(stored: SequencerTests.otherHash, hasFence: true, expected: 1, decision: "taken"),
  ])
  func `checks in order`(row: Check) {
    var bench = Bench()
    _ = bench.append()
    let before = bench.sequencer.tail
    let decision = bench.decide(
      id: Self.chosen, stored: row.stored, hasFence: row.hasFence, expected: row.expected)
    switch (decision, row.decision) {
    case (.append(let appended), "append"):
      #expect(appended.sequence == Sequence(2) && appended.id == Self.chosen)
      return
    case (.exists(let id, let position), "exists"):
      #expect(id == Self.chosen && position == .zero)
    case (.idTaken(let position), "taken"):
      #expect(position == .zero)
    case (.fenceRejected, "fence"):
      break
    case (.unexpectedSequence(let actual, let position), "unexpected"):
      #expect(actual == Sequence(2) && position == before)
    default:
      Issue.record("\(decision), not \(row.decision)")
    }
    // A refusal leaves no trace.
    #expect(bench.sequencer.tail == before && bench.context.state.lastSequence == Sequence(1))
  }

  @Test func `a unit that is sequenced and not published is known by its id`() {
    var bench = Bench()
    let first = bench.append(id: Self.chosen)
    let again = bench.decide(id: Self.chosen)
    let other = bench.decide(id: Self.chosen, hash: Self.otherHash)
    #expect(again == .exists(Self.chosen, position: first?.position ?? .zero))
    #expect(other == .idTaken(position: first?.position ?? .zero))
    bench.sequencer.published(through: Position(2))
    // From here on the window says so.
    let stored = bench.decide(id: Self.chosen, stored: Self.hash)
    #expect(stored == .exists(Self.chosen, position: .zero))
  }

  // MARK: Contexts

  @Test func `the first unit creates its context, a new agent joins it, a known one changes nothing`() {
    var bench = Bench()
    let created = bench.append(agent: "a")
    #expect(created?.contextEvent == Position(1) && created?.position == Position(2))
    #expect(bench.context.state.revision == 1 && bench.context.state.createdAt == created?.logTime)
    bench.now += 10
    let joined = bench.append(agent: "b")
    #expect(joined?.contextEvent == Position(3) && joined?.position == Position(4))
    #expect(bench.context.state.revision == 2 && bench.context.state.updatedAt == joined?.logTime)
    let known = bench.append(agent: "a")
    #expect(known?.contextEvent == nil && known?.position == Position(5) && known?.sequence == Sequence(3))
    #expect(bench.context.state.agents == [BatchMaker.name("a"), BatchMaker.name("b")])
    #expect(bench.context.lastPosition == Position(5) && bench.context.state.createdAt == created?.logTime)
  }

  @Test func `agents beyond the limit post unlisted`() {
    var bench = Bench()
    for number in 0..<Limits.contextAgentsMax { _ = bench.append(agent: "agent \(number)") }
    #expect(bench.context.state.agents.count == Limits.contextAgentsMax)
    let revision = bench.context.state.revision
    let late = bench.append(agent: "late")
    #expect(late != nil && late?.contextEvent == nil)
    #expect(bench.context.state.revision == revision)
    #expect(late?.sequence == Sequence(UInt64(Limits.contextAgentsMax) + 1))
  }

  // MARK: Time and ids

  @Test func `log time and ids never fall, whatever the clock does`() {
    var bench = Bench()
    var random = SeededRandom(seed: 4)
    var last: Sequencer.Appended?
    for _ in 0..<5_000 {
      switch random.below(8) {
      case 0: bench.now += UInt64(random.below(5_000))
      case 1: bench.now -= UInt64(random.below(3_600_000_000))
      default: break
      }
      bench.random = random.next() >> 1
      guard let next = bench.append() else {
        Issue.record("not appended")
        return
      }
      if let last {
        #expect(next.logTime >= last.logTime && next.id > last.id && next.position > last.position)
      }
      last = next
    }
  }

  @Test func `after a restart ids go on where the last event left them`() {
    // The clock stands still, so that ids run ahead of it; the last event has a client's old id.
    var bench = Bench()
    var last: UnitID?
    for _ in 0..<500 { last = bench.append()?.id }
    let end = bench.append(id: UnitID.make(logTime: LogTime(microseconds: 5), random: 1))
    var restarted = Bench()
    restarted.now = Self.start - 1_000_000
    let position = end?.position.rawValue ?? 0
    let record = EventSamples.unit(
      position: position, context: BatchMaker.name("c"), sequence: 501, id: end?.id,
      logTime: end?.logTime.microseconds)
    record.asName { bytes in
      if let event = EventView(bytes) { restarted.sequencer.observe(event) }
    }
    #expect(restarted.sequencer.tail == end?.position && restarted.sequencer.logTime == end?.logTime)
    let next = restarted.append()
    #expect((next?.id ?? Self.chosen) > (last ?? Self.chosen))
  }

  // MARK: Replay

  @Test func `replaying an event twice changes nothing`() {
    let context = BatchMaker.name("c").asName { ResidentContext(new: $0) }
    var sequencer = Sequencer(tail: .zero, logTime: LogTime(microseconds: 0), residentContextsMax: 10)
    for round in 0..<2 {
      for number in UInt64(1)...3 {
        let record = EventSamples.unit(position: number, context: BatchMaker.name("c"), sequence: number)
        record.asName { bytes in
          if let event = EventView(bytes) { sequencer.replay(event, in: context) }
        }
      }
      #expect(context.state.lastSequence == Sequence(3), "round \(round)")
      #expect(context.lastPosition == Position(3), "round \(round)")
      #expect(sequencer.tail == Position(3) && sequencer.logTime == LogTime(microseconds: 3000))
    }
  }
}
