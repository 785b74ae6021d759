import EngramTesting
import Engine
import Model
import Testing
import WAL

struct WindowIndexTests {
  private static func positions(
    _ window: WindowIndex, _ context: String, _ range: ClosedRange<UInt64>, reverse: Bool = false
  ) -> [UInt64] {
    var found: [UInt64] = []
    BatchMaker.name(context).asName { name in
      window.units(in: name, range, reverse: reverse) {
        found.append($0.position.rawValue)
        return true
      }
    }
    return found
  }

  private static func positions(_ window: WindowIndex, after: UInt64, _ contexts: [String]?) -> [UInt64] {
    var found: [UInt64] = []
    let filter = EventFilter(contexts: contexts?.map(BatchMaker.name), units: true)
    let reached = window.events(after: Position(after), filter: filter, recordsMax: .max) {
      found.append($0.position.rawValue)
      return true
    }
    return reached == max(window.head, Position(after)) ? found : []
  }

  /// Positions 1 to 6: a, b | a, (event), b | a.
  private static func sample() -> WindowIndex {
    let maker = BatchMaker()
    let window = WindowIndex(head: .zero)
    for contexts in [["a", "b"], ["a", nil, "b"], ["a"]] as [[String?]] {
      window.append(maker.batch(contexts).batch)
    }
    return window
  }

  @Test func `an empty window begins behind its head`() {
    let window = WindowIndex(head: Position(7))
    #expect(window.lowest == Position(8))
    #expect(window.head == Position(7))
    #expect(BatchMaker.name("a").asName { window.sequences(of: $0) } == nil)
    #expect(Self.positions(window, after: 0, nil).isEmpty)
    window.evictOldest()
    #expect(window.lowest == Position(8))
  }

  @Test func `units of a context, in both directions and within the range`() {
    let window = Self.sample()
    #expect(Self.positions(window, "a", 0...100) == [1, 3, 6])
    #expect(Self.positions(window, "a", 2...100, reverse: true) == [6, 3])
    #expect(Self.positions(window, "b", 2...2) == [5])
    #expect(Self.positions(window, "b", 3...9).isEmpty)
    #expect(Self.positions(window, "c", 1...9).isEmpty)
  }

  @Test func `units of a context in a span of time`() {
    // Sample events are a millisecond apart, by position.
    let window = Self.sample()
    func span(_ since: UInt64?, _ until: UInt64?) -> ClosedRange<UInt64>? {
      BatchMaker.name("a").asName {
        window.sequences(
          of: $0, since: since.map { LogTime(microseconds: $0) },
          until: until.map { LogTime(microseconds: $0) })
      }
    }
    #expect(span(nil, nil) == 1...3)
    #expect(span(1000, 6001) == 1...3)
    #expect(span(1001, 6000) == 2...2)
    #expect(span(3000, nil) == 2...3)
    #expect(span(nil, 3000) == 1...1)
    #expect(span(3001, 6000) == nil)
    #expect(span(7000, nil) == nil)
  }

  @Test func `a context's latest event of its own, until its batch leaves`() {
    let maker = BatchMaker()
    let window = WindowIndex(head: .zero)
    for contexts in [["a", nil], [nil, "other"], ["a", nil, nil]] as [[String?]] {
      window.append(maker.batch(contexts).batch)
    }
    func latest() -> UInt64? {
      BatchMaker.name("other").asName { window.contextEvent(of: $0)?.position.rawValue }
    }
    func events(after position: UInt64) -> [UInt64] {
      var found: [UInt64] = []
      window.contextEvents(after: Position(position)) { found.append($0.position.rawValue) }
      return found
    }
    #expect(latest() == 7)
    #expect(events(after: 0) == [7, 6, 3, 2])
    #expect(events(after: 3) == [7, 6])
    #expect(BatchMaker.name("a").asName { window.contextEvent(of: $0) == nil })
    window.evictOldest()
    #expect(events(after: 0) == [7, 6, 3])
    // Its units leave before its event does, and the other way round.
    window.evictOldest()
    #expect(BatchMaker.name("other").asName { window.sequences(of: $0) } == nil)
    #expect(latest() == 7)
    window.evictOldest()
    #expect(latest() == nil && events(after: 0) == [])
    window.append(maker.batch(["other"]).batch)
    #expect(BatchMaker.name("other").asName { window.sequences(of: $0) } == 2...2)
  }

  @Test func `units behind a position, of all contexts or merged from some`() {
    let window = Self.sample()
    #expect(Self.positions(window, after: 0, nil) == [1, 2, 3, 5, 6])
    #expect(Self.positions(window, after: 3, nil) == [5, 6])
    #expect(Self.positions(window, after: 1, ["b", "a", "none"]) == [2, 3, 5, 6])
    #expect(Self.positions(window, after: 2, ["b"]) == [5])
    #expect(Self.positions(window, after: 6, ["a", "b"]).isEmpty)
  }

  @Test func `a reader stops when it says so`() {
    let window = Self.sample()
    var seen: [UInt64] = []
    var reached = [
      window.events(after: .zero, filter: .allUnits, recordsMax: .max) { event in
        guard seen.count < 2 else { return false }
        seen.append(event.position.rawValue)
        return true
      }
    ]
    let ofA = EventFilter(contexts: [BatchMaker.name("a")], units: true)
    reached.append(
      window.events(after: .zero, filter: ofA, recordsMax: .max) { event in
        seen.append(event.position.rawValue)
        return false
      })
    #expect(seen == [1, 2, 1])
    // Position 3 wasn't taken, nor was 1.
    #expect(reached == [Position(2), .zero])
  }

  @Test func `what left the window is the store's to answer`() {
    let window = Self.sample()
    window.evictOldest()
    #expect(window.lowest == Position(3))
    #expect(BatchMaker.name("a").asName { window.sequences(of: $0) } == 2...3)
    #expect(Self.positions(window, "a", 1...9) == [3, 6])
    #expect(Self.positions(window, after: 0, ["a", "b"]) == [3, 5, 6])
    window.evictOldest()
    #expect(BatchMaker.name("b").asName { window.sequences(of: $0) } == nil)
  }

  @Test func `the memory of a record is found while its batch is in the window`() {
    let maker = BatchMaker()
    let window = WindowIndex(head: .zero)
    let (first, units) = maker.batch(["a", "b"])
    let (second, _) = maker.batch(["a"])
    window.append(first)
    window.append(second)
    #expect(window.slab(holding: first.record(1)) === first.slab)
    #expect(window.slab(holding: second.record(0)) === second.slab)
    // The same event, elsewhere in memory.
    let copy = [UInt8](first.record(1).bytes)
    copy.asName { bytes in
      #expect(EventView(bytes).map { window.slab(holding: $0) == nil } == true)
    }
    window.evictOldest()
    #expect(window.slab(holding: first.record(1)) == nil)
    #expect(window.unit(units[0].id) == nil)
  }

  /// The window as a list of batches of units.
  private struct Naive {
    var batches: [(batch: Batch, units: [BatchMaker.Unit])] = []
    var units: [BatchMaker.Unit] { batches.flatMap(\.units) }

    func positions(_ context: [UInt8]) -> [UInt64] { units.filter { $0.context == context }.map(\.position) }
  }

  private static let names = ["a", "b", "c", "d", "a longer name than the others"]

  private static func check(
    _ window: WindowIndex, _ naive: Naive, gone: [UnitID], _ random: inout SeededRandom
  ) {
    #expect(window.batchCount == naive.batches.count)
    #expect(window.bytes == naive.batches.reduce(0) { $0 + $1.batch.paddedBytes })
    for unit in naive.units { #expect(window.unit(unit.id)?.position.rawValue == unit.position) }
    for id in gone { #expect(window.unit(id) == nil) }
    for name in names {
      let held = naive.units.filter { $0.context == BatchMaker.name(name) }
      let range = BatchMaker.name(name).asName { window.sequences(of: $0) }
      #expect(range?.lowerBound == held.first?.sequence && range?.upperBound == held.last?.sequence)
      let low = UInt64(random.below(30))
      let high = low + UInt64(random.below(30))
      let expected = held.filter { $0.sequence >= low && $0.sequence <= high }.map(\.position)
      #expect(positions(window, name, low...high) == expected)
      #expect(positions(window, name, low...high, reverse: true) == expected.reversed())
    }
    let wanted = names.filter { _ in random.oneIn(2) }
    let after = window.lowest.rawValue &- 1 &+ UInt64(random.below(20))
    let contexts = wanted.map(BatchMaker.name)
    #expect(positions(window, after: after, nil) == naive.units.map(\.position).filter { $0 > after })
    #expect(
      positions(window, after: after, wanted)
        == naive.units.filter { $0.position > after && contexts.contains($0.context) }.map(\.position))
  }

  @Test(arguments: UInt64(1)...20)
  func `like a list of batches`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let start = UInt64(random.below(100))
    let maker = BatchMaker(head: start)
    let window = WindowIndex(head: Position(start))
    var naive = Naive()
    var gone: [UnitID] = []
    for _ in 0..<120 {
      if random.oneIn(3), !naive.batches.isEmpty {
        gone = naive.batches.removeFirst().units.map(\.id)
        window.evictOldest()
      } else {
        let contexts = (0...random.below(6)).map { _ in
          random.oneIn(6) ? nil : Self.names[random.below(Self.names.count)]
        }
        let made = maker.batch(contexts)
        naive.batches.append(made)
        window.append(made.batch)
      }
      Self.check(window, naive, gone: gone, &random)
    }
    Self.check(window.duplicate(), naive, gone: gone, &random)
    #expect(window.head == Position(maker.head))
  }
}
