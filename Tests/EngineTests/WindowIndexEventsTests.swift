import EngramTesting
import Engine
import Model
import Testing
import WAL

struct WindowIndexEventsTests {
  /// What a batch is made of.
  private enum Item {
    case unit(String)
    case context(String)
    case lock(String)

    func record(_ position: UInt64) -> [UInt8] {
      switch self {
      case .unit(let name):
        EventSamples.unit(position: position, context: BatchMaker.name(name), sequence: position)
      case .context(let name): EventSamples.context(position: position, context: BatchMaker.name(name))
      case .lock(let path): EventSamples.lock(.acquired, position: position, path: BatchMaker.name(path))
      }
    }

    func isWanted(by filter: EventFilter) -> Bool {
      func names(_ name: String) -> Bool { filter.contexts?.contains(BatchMaker.name(name)) ?? true }
      return switch self {
      case .unit(let name): filter.units && names(name)
      case .context(let name): filter.contextEvents && names(name)
      case .lock(let path): filter.locks && BatchMaker.name(path).starts(with: filter.lockPrefix)
      }
    }
  }

  private static func window(_ batches: [[Item]]) -> WindowIndex {
    let maker = BatchMaker()
    let window = WindowIndex(head: .zero)
    for items in batches { window.append(maker.batch(of: items.map { item in { item.record($0) } })) }
    return window
  }

  /// What is handed over, until `limit` were taken, and up to where it is whole.
  private static func events(
    _ window: WindowIndex, after: UInt64, _ filter: EventFilter, recordsMax: Int = .max, limit: Int = .max
  ) -> (found: [UInt64], reached: UInt64) {
    var found: [UInt64] = []
    let reached = window.events(after: Position(after), filter: filter, recordsMax: recordsMax) {
      guard found.count < limit else { return false }
      found.append($0.position.rawValue)
      return true
    }
    return (found, reached.rawValue)
  }

  /// Positions 1 to 8.
  private static func sample() -> WindowIndex {
    window([
      [.context("a"), .unit("a"), .lock("repo/x")], [.unit("b"), .lock("other")],
      [.context("b"), .unit("a"), .lock("repo/y")],
    ])
  }

  @Test func `each kind by itself, and all together, in log order`() {
    let window = Self.sample()
    #expect(Self.events(window, after: 0, .allUnits) == ([2, 4, 7], 8))
    #expect(Self.events(window, after: 0, .allContextEvents) == ([1, 6], 8))
    #expect(Self.events(window, after: 0, .allLocks) == ([3, 5, 8], 8))
    #expect(Self.events(window, after: 2, .all) == ([3, 4, 5, 6, 7, 8], 8))
    #expect(Self.events(window, after: 0, EventFilter()) == ([], 8))
  }

  @Test func `contexts hold for units and context events, the prefix for locks`() {
    let window = Self.sample()
    var filter = EventFilter.all
    filter.contexts = [BatchMaker.name("a")]
    filter.lockPrefix = BatchMaker.name("repo/")
    #expect(Self.events(window, after: 0, filter) == ([1, 2, 3, 7, 8], 8))
    filter.units = false
    #expect(Self.events(window, after: 1, filter) == ([3, 8], 8))
  }

  @Test func `behind the head there is nothing`() {
    #expect(Self.events(Self.sample(), after: 8, .all) == ([], 8))
    #expect(Self.events(Self.sample(), after: 11, .all) == ([], 11))
  }

  @Test func `who takes no more, or looks at no more, goes on from where it ended`() {
    let window = Self.sample()
    #expect(Self.events(window, after: 0, .all, limit: 2) == ([1, 2], 2))
    #expect(Self.events(window, after: 0, .allLocks, limit: 1) == ([3], 3))
    #expect(Self.events(window, after: 0, .allUnits, recordsMax: 3) == ([2], 3))
    #expect(Self.events(window, after: 3, .allUnits, recordsMax: 3) == ([4], 6))
    #expect(Self.events(window, after: 6, .allUnits, recordsMax: 3) == ([7], 8))
    #expect(Self.events(window, after: 0, .all, recordsMax: 0) == ([], 0))
  }

  @Test func `what has left the window is not met`() {
    let window = Self.sample()
    window.evictOldest()
    #expect(Self.events(window, after: 0, .all) == ([4, 5, 6, 7, 8], 8))
    #expect(Self.events(window, after: 0, .allLocks) == ([5, 8], 8))
    window.evictOldest()
    window.evictOldest()
    #expect(Self.events(window, after: 0, .all) == ([], 8))
  }

  @Test(arguments: UInt64(1)...30)
  func `like a list that is looked through, in pieces of any size`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let names = ["a", "b", "c", "d"]
    let batches = (0..<30).map { _ in
      (0...random.below(8)).map { _ -> Item in
        let name = names[random.below(names.count)]
        return switch random.below(4) {
        case 0: .context(name)
        case 1: .lock("\(name)/\(random.below(3))")
        default: .unit(name)
        }
      }
    }
    let window = Self.window(batches)
    let items = batches.flatMap { $0 }
    for round in 0..<40 {
      let filter = EventFilter(
        contexts: random.oneIn(2) ? nil : names.filter { _ in random.oneIn(2) }.map(BatchMaker.name),
        units: random.oneIn(2), contextEvents: random.oneIn(2), locks: random.oneIn(2),
        lockPrefix: random.oneIn(2) ? [] : BatchMaker.name(names[random.below(names.count)]))
      let start = UInt64(random.below(items.count + 2))
      let expected = items.indices.filter { $0 + 1 > start && items[$0].isWanted(by: filter) }.map {
        UInt64($0 + 1)
      }
      var found: [UInt64] = []
      var cursor = start
      while cursor < window.head.rawValue {
        let piece = Self.events(
          window, after: cursor, filter, recordsMax: 1 + random.below(20), limit: 1 + random.below(5))
        #expect(piece.found.allSatisfy { $0 > cursor && $0 <= piece.reached }, "seed \(seed), \(round)")
        guard piece.reached > cursor else {
          Issue.record("no progress from \(cursor): seed \(seed), round \(round)")
          break
        }
        found += piece.found
        cursor = piece.reached
      }
      #expect(found == expected, "seed \(seed), round \(round)")
    }
  }
}
