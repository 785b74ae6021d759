import EngramTesting
import Model
import Testing

@testable import Storage

@Suite struct EventScanTests {
  /// 60 contexts, some busy and some quiet, with context events between the units.
  static func history() -> HistoryMaker {
    var history = HistoryMaker()
    for round in 0..<40 {
      for index in 0..<60 where index < 5 || (round + index) % 7 == 0 {
        if round % 9 == 0 { history.context(bytes("c\(index)"), revision: UInt64(round)) }
        history.unit(bytes("c\(index)"))
      }
    }
    return history
  }

  static func contexts(_ indices: Range<Int>) -> [[UInt8]] { indices.map { bytes("c\($0)") } }

  @Test(arguments: StoreKind.allCases)
  func eventsComeInLogOrderFromAnyPosition(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let history = Self.history()
    try store.apply(history.records, batch: 100)
    #expect(try store.lowestPosition() == Position(1))
    // All, few (merged), and more than are merged (filtered).
    for wanted in [
      nil, Self.contexts(0..<1), Self.contexts(3..<9), Self.contexts(10..<60), [bytes("nobody")],
    ] {
      for (after, through) in [
        (0, UInt64.max), (1, 2), (17, 18), (100, 400), (history.position - 1, .max), (history.position, .max),
      ] {
        let expected = try history.records.filter { record in
          try view(record) { view in
            view.position > Position(after) && view.position <= Position(through)
              && (wanted?.contains(view.contextID.map { Array($0) } ?? []) ?? true)
          }
        }
        for bytesMax in [Int.max, 1, 1000] {
          let found = try store.allEvents(
            after: after, through: through, contexts: wanted, bytesMax: bytesMax)
          #expect(found == expected, "after \(after) through \(through), bytes \(bytesMax)")
        }
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func aScanStopsWhereItIsToldToAndGoesOnFromThere(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let history = Self.history()
    try store.apply(history.records)
    for wanted in [nil, Self.contexts(0..<3), Self.contexts(0..<50)] {
      var seen = 0
      let scanned = try store.events(
        after: Position(10), through: history.end, filter: .inContexts(wanted), bytesMax: .max
      ) { _ in
        seen += 1
        return seen < 3
      }
      #expect(seen == 3)
      var first: Position?
      _ = try store.events(after: scanned, through: history.end, filter: .inContexts(wanted), bytesMax: .max)
      { view in
        first = view.position
        return false
      }
      #expect(try #require(first) > scanned)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func nothingIsScannedBeyondWhatIsApplied(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    for _ in 1...5 { history.unit(bytes("a")) }
    try store.apply(history.records)
    for wanted in [nil, [bytes("a")], [bytes("b")]] {
      let scanned = try store.events(
        after: .zero, through: Position(99), filter: .inContexts(wanted), bytesMax: .max
      ) {
        _ in true
      }
      #expect(scanned == Position(5))
      #expect(
        try store.events(
          after: Position(70), through: Position(99), filter: .inContexts(wanted), bytesMax: .max
        ) { _ in
          true
        } == Position(70))
    }
  }

  /// Every `after` of a context of 40 units finds its first sequence.
  @Test func theFirstSequenceAboveAPositionIsFoundFromAnywhere() throws {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    defer { store.close() }
    var history = HistoryMaker()
    for round in 0..<40 {
      history.unit(bytes("a"))
      for _ in 0..<(round * 7 % 4) { history.unit(bytes("b")) }
    }
    try store.apply(history.records)
    let places = try history.records.filter { record in
      try view(record) { Array($0.contextID ?? .init(start: nil, count: 0)) == bytes("a") }
    }
    .map { record in try view(record) { ($0.position, $0.unit?.sequence ?? .zero) } }
    guard case .found(let stored) = try store.contextHead(bytes("a"), tier: .disk) else {
      Issue.record("no head")
      return
    }
    for after in 0..<stored.head.position.rawValue {
      let expected = try #require(places.first { $0.0 > Position(after) }?.1)
      #expect(
        try store.firstSequence(of: bytes("a"), after: Position(after), stored.head) == expected,
        "after \(after)")
    }
  }

  @Test func aHeapGivesTheLowestPositionFirst() {
    var heap = PositionHeap<Int>()
    #expect(heap.first == nil)
    heap.replaceFirst(at: Position(1))
    let positions: [UInt64] = [5, 3, 9, 1, 7, 3]
    for (index, position) in positions.enumerated() { heap.push(index, at: Position(position)) }
    heap.replaceFirst(at: Position(8))  // 1 becomes 8
    var popped: [UInt64] = []
    while let first = heap.first {
      popped.append(first.position.rawValue)
      heap.replaceFirst(at: nil)
    }
    #expect(popped == [3, 3, 5, 7, 8, 9])
  }

  @Test func aContextSetFindsExactlyItsMembers() {
    let set = ContextSet([bytes("b"), bytes("a"), bytes("aa"), bytes("a"), []])
    for id in ["a", "aa", "b", ""] {
      #expect(bytes(id).withUnsafeBytes { set.contains($0) })
      #expect(StoreKey.units(bytes(id), tag: 0, number: 1).withUnsafeBytes { set.contains(unitsKey: $0) })
    }
    for id in ["ab", "c", "aaa", "B"] { #expect(!bytes(id).withUnsafeBytes { set.contains($0) }) }
    #expect(!set.contains(nil))
    #expect(![UInt8](repeating: 0xff, count: 6).withUnsafeBytes { set.contains(unitsKey: $0) })
  }

  @Test func eventsOfABatchAreGroupedByContext() throws {
    var history = HistoryMaker()
    var random = SeededRandom(seed: 3)
    for _ in 0..<500 {
      let context = bytes("context-\(UInt.random(in: 0..<120, using: &random))")
      if Bool.random(using: &random) { history.unit(context) } else { history.context(context) }
    }
    EventSamples.withViews(of: history.records) { views in
      var groups = ContextGroups()
      for round in 0..<2 {
        groups.removeAll()
        let events = views.compactMap { ParsedEvent($0) }
        for (index, event) in events.enumerated() { groups.add(event, index: index) }
        if round == 1 { groups.sort() }
        var seen: [[UInt8]: [Int]] = [:]
        groups.forEachGrouped { index in seen[Array(events[index].context), default: []].append(index) }
        #expect(seen == Dictionary(grouping: events.indices) { Array(events[$0].context) })
        for group in groups.groups {
          let own = seen[Array(group.context)] ?? []
          #expect(group.lastUnit == own.last { events[$0].unit != nil })
          #expect(group.lastContextEvent == own.last { events[$0].kind == .context })
        }
      }
      let order = groups.groups.map { [UInt8(0), UInt8($0.context.count)] + Array($0.context) }
      #expect(order == order.sorted { $0.lexicographicallyPrecedes($1) })
    }
  }
}
