import EngramTesting
import Engine
import Model
import Testing

struct SequencerTests {
  private static let start: UInt64 = 1_700_000_000_000_000
  private static let chosen = UnitID.make(logTime: LogTime(microseconds: start), random: 99)
  private static let hash = ContentHash(high: 1, low: 1)
  private static let otherHash = ContentHash(high: 2, low: 2)

  /// Of a lock that nobody holds.
  private static var path: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: StaticString("repo/a").utf8Start, count: 6)
  }

  /// A sequencer, one context, and commands with everything else filled in.
  private struct Bench {
    var sequencer = Sequencer(tail: .zero, logTime: LogTime(microseconds: 0), residentContextsMax: 10)
    var context = BatchMaker.name("c").asName { ResidentContext(new: $0) }
    var now = SequencerTests.start
    var random: UInt64 = 1

    mutating func unit(
      agent: UnsafeRawBufferPointer, id: UnitID?, hash: ContentHash = SequencerTests.hash,
      stored: ContentHash? = nil, hasFence: Bool = false, expected: UInt64? = nil
    ) -> Sequencer.Unit {
      random += 1
      return Sequencer.Unit(
        context: context, agent: agent, change: sequencer.change(of: context, by: agent), chosenID: id,
        hash: hash, stored: stored, fence: hasFence ? (SequencerTests.path, 1) : nil,
        expectedSequence: expected, random: random)
    }

    /// Decides a command of one unit.
    mutating func decide(
      agent: String = "a", id: UnitID? = nil, hash: ContentHash = SequencerTests.hash,
      stored: ContentHash? = nil, hasFence: Bool = false, expected: UInt64? = nil
    ) -> (decision: Sequencer.Decision, unit: Sequencer.Unit) {
      BatchMaker.name(agent).asName { agent in
        var command = Sequencer.Append()
        command.now = now
        command.units = [
          unit(agent: agent, id: id, hash: hash, stored: stored, hasFence: hasFence, expected: expected)
        ]
        return (sequencer.decide(&command), command.units[0])
      }
    }

    mutating func append(agent: String = "a", id: UnitID? = nil) -> Sequencer.Unit? {
      let (decision, unit) = decide(agent: agent, id: id)
      return decision == .append ? unit : nil
    }

    /// Decides a command of a unit for each id.
    mutating func decide(
      ids: [UnitID?], stored: [ContentHash?] = [], expected: [UInt64?] = [], fences: Set<Int> = []
    ) -> (decision: Sequencer.Decision, units: ContiguousArray<Sequencer.Unit>) {
      BatchMaker.name("a").asName { agent in
        var command = Sequencer.Append()
        command.now = now
        for place in ids.indices {
          command.units.append(
            unit(
              agent: agent, id: ids[place], stored: place < stored.count ? stored[place] : nil,
              hasFence: fences.contains(place), expected: place < expected.count ? expected[place] : nil))
        }
        return (sequencer.decide(&command), command.units)
      }
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
    let (decision, unit) = bench.decide(
      id: Self.chosen, stored: row.stored, hasFence: row.hasFence, expected: row.expected)
    switch (decision, row.decision) {
    case (.append, "append"):
      #expect(unit.sequence == Sequence(2) && unit.id == Self.chosen)
      return
    case (.exists(let position), "exists"):
      #expect(position == .zero)
    case (.idTaken(0, let position), "taken"):
      #expect(position == .zero)
    case (.fenceRejected(0), "fence"):
      break
    case (.unexpectedSequence(0, let actual, let position), "unexpected"):
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
    let again = bench.decide(id: Self.chosen).decision
    let other = bench.decide(id: Self.chosen, hash: Self.otherHash).decision
    #expect(again == .exists(position: first?.position ?? .zero))
    #expect(other == .idTaken(unit: 0, position: first?.position ?? .zero))
    bench.sequencer.published(through: Position(2))
    // From here on the window says so.
    let stored = bench.decide(id: Self.chosen, stored: Self.hash).decision
    #expect(stored == .exists(position: .zero))
  }

  // MARK: Commands of many units

  private static let other = UnitID.make(logTime: LogTime(microseconds: start), random: 98)

  @Test func `units of a command follow one another, with one event for the context`() {
    var bench = Bench()
    let (decision, units) = bench.decide(ids: [nil, Self.chosen, nil], expected: [1, nil, 3])
    #expect(decision == .append)
    #expect(units.map(\.position) == [2, 3, 4].map { Position($0) })
    #expect(units.map(\.sequence) == [1, 2, 3].map { Sequence($0) })
    #expect(units.map(\.contextEvent) == [Position(1), nil, nil] && units[1].id == Self.chosen)
    #expect(bench.context.state.lastSequence == Sequence(3) && bench.context.state.revision == 1)
  }

  struct BatchCheck: Sendable {
    var ids: [UnitID?]
    var stored: [ContentHash?] = []
    var expected: [UInt64?] = []
    var fences: Set<Int> = []
    var decision: Sequencer.Decision
  }

  /// All or none, and the first check that fails decides.
  @Test(arguments: [
    BatchCheck(ids: [chosen, other], stored: [hash, hash], decision: .exists(position: .zero)),
    BatchCheck(ids: [nil, chosen], stored: [nil, hash], decision: .idExists(unit: 1, position: .zero)),
    BatchCheck(ids: [chosen, other], stored: [hash, nil], decision: .idExists(unit: 0, position: .zero)),
    BatchCheck(
      ids: [chosen, other], stored: [hash, otherHash], decision: .idTaken(unit: 1, position: .zero)),
    BatchCheck(ids: [chosen, nil, chosen], decision: .idTwice(unit: 2)),
    BatchCheck(ids: [nil, nil, nil], expected: [7], fences: [2], decision: .fenceRejected(unit: 2)),
    BatchCheck(
      ids: [nil, nil], expected: [1, 3],
      decision: .unexpectedSequence(unit: 1, actual: Sequence(2), position: .zero)),
  ])
  func `a command is refused as a whole, and leaves no trace`(row: BatchCheck) {
    var bench = Bench()
    let (decision, _) = bench.decide(
      ids: row.ids, stored: row.stored, expected: row.expected, fences: row.fences)
    #expect(decision == row.decision)
    #expect(bench.sequencer.tail == .zero && bench.context.state.lastSequence == .zero)
    #expect(bench.context.state.agents.isEmpty)
    let next = bench.append()
    #expect(next?.sequence == Sequence(1) && next?.contextEvent == Position(1))
  }

  @Test func `one event tells of all agents that join by a command`() {
    var bench = Bench()
    _ = bench.append(agent: "a")
    let names = ["a", "b", "c", "b"].map { BatchMaker.name($0) }
    let units = BatchMaker.name("abc").asName { memory in
      var command = Sequencer.Append()
      command.now = bench.now
      for name in names {
        let agent = UnsafeRawBufferPointer(rebasing: memory[Int(name[0]) - 97..<Int(name[0]) - 96])
        command.units.append(bench.unit(agent: agent, id: nil))
      }
      #expect(bench.sequencer.decide(&command) == .append)
      return command.units
    }
    #expect(units.map(\.contextEvent) == [nil, Position(4), nil, nil])
    #expect(units.map(\.position) == [3, 5, 6, 7].map { Position($0) })
    #expect(bench.context.state.revision == 2 && bench.context.state.agents.count == 3)
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
    var last: Sequencer.Unit?
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
