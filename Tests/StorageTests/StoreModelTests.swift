import EngramTesting
import Model
import Storage
import Testing

/// 2000 random operations on a store and on a list of records that is searched from end to end.
@Suite struct StoreModelTests {
  struct Entry {
    var record: [UInt8]
    var position: Position
    var logTime: LogTime
    var kind: EventKind?
    var context: [UInt8]
    var path: [UInt8]
    var sequence: Sequence?

    init(_ record: [UInt8]) throws {
      self.record = record
      (position, logTime, kind, context) = try view(record) { view in
        (view.position, view.logTime, view.kind, view.contextID.map { Array($0) } ?? [])
      }
      (path, sequence) = try view(record) { view in
        (view.resourcePath.map { Array($0) } ?? [], view.unit?.sequence)
      }
    }
  }

  @Test(arguments: StoreKind.allCases, [11, 12, 13] as [UInt64])
  func theStoreAgreesWithAList(_ kind: StoreKind, _ seed: UInt64) throws {
    print("seed \(seed)")
    var random = SeededRandom(seed: seed)
    let directory = try TestDirectory()
    var store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    var model: [Entry] = []
    let contexts =
      (0..<9).map { bytes(String(repeating: "x", count: $0 + 1)) } + [bytes("y"), bytes("never")]
    for _ in 0..<2000 {
      let context = contexts[Int.random(in: 0..<contexts.count, using: &random)]
      switch UInt.random(in: 0..<20, using: &random) {
      case 0..<6:
        let known = history.records.count
        for _ in 0..<Int.random(in: 1...5, using: &random) where context != bytes("never") {
          switch UInt.random(in: 0..<9, using: &random) {
          case 0: history.context(context)
          case 1...3: history.lockOrRestart(&random)
          case 4...5: history.relatedUnit(context, &random)
          default: history.unit(context)
          }
        }
        try store.apply(Array(history.records[known...]))
        for record in history.records[known...] { model.append(try Entry(record)) }
      case 6 where UInt.random(in: 0..<4, using: &random) == 0:
        try store.flush(wait: Bool.random(using: &random))
      case 7 where UInt.random(in: 0..<10, using: &random) == 0:
        store = try reopened(store, directory)
        #expect(store.marksAtOpen == StoreMarks(history.end))
      case 7..<11: try compareScan(store, model, context, &random)
      case 11..<15: try compareEvents(store, model, contexts, &random)
      case 15..<18: try compareUnit(store, model, &random)
      case 18 where Bool.random(using: &random): try compareRelations(store, model, &random)
      case 18: try compareLocks(store, model, &random)
      default: try compareHead(store, model, context)
      }
    }
  }

  private func reopened(_ store: any EventStore, _ directory: TestDirectory) throws -> any EventStore {
    if let simulated = store as? SimulatedStore {
      simulated.reopen()
      return simulated
    }
    store.close()
    return try openRocks(directory.path)
  }

  private func compareScan(
    _ store: any EventStore, _ model: [Entry], _ context: [UInt8], _ random: inout SeededRandom
  ) throws {
    let from = UInt64.random(in: 0...40, using: &random)
    let through = UInt64.random(in: 0...80, using: &random)
    let reverse = Bool.random(using: &random)
    let limit = Int.random(in: 1...30, using: &random)
    let all = model.filter { $0.context == context }.compactMap { $0.sequence?.rawValue }
      .filter { $0 >= from && $0 <= through }
    let expected = Array((reverse ? all.reversed() : all).prefix(limit))
    #expect(try store.sequences(context, from, through, reverse: reverse, limit: limit) == expected)
  }

  private func compareEvents(
    _ store: any EventStore, _ model: [Entry], _ contexts: [[UInt8]], _ random: inout SeededRandom
  ) throws {
    let end = UInt64(model.count)
    let after = UInt64.random(in: 0...end, using: &random)
    let through = UInt64.random(in: after...(end + 3), using: &random)
    let filter = Self.filter(contexts, &random)
    let expected = model.filter { entry in
      entry.position > Position(after) && entry.position <= Position(through) && Self.isWanted(entry, filter)
    }.map(\.record)
    let bytesMax = Int.random(in: 1...40_000, using: &random)
    #expect(
      try store.allEvents(after: after, through: through, filter, bytesMax: bytesMax) == expected, "\(filter)"
    )
  }

  private static func filter(_ contexts: [[UInt8]], _ random: inout SeededRandom) -> EventFilter {
    var filter = EventFilter(
      units: Bool.random(using: &random), contextEvents: Bool.random(using: &random),
      locks: Bool.random(using: &random))
    switch UInt.random(in: 0..<4, using: &random) {
    case 0: break
    case 1:
      // More than are merged.
      filter.contexts = contexts + (0..<40).map { bytes("none\($0)") }
    default: filter.contexts = contexts.filter { _ in Bool.random(using: &random) }
    }
    let prefixes = ["", "repo/", "repo/a/1", "ä", "z"]
    filter.lockPrefix = bytes(prefixes[Int.random(in: 0..<5, using: &random)])
    return filter
  }

  private static func isWanted(_ entry: Entry, _ filter: EventFilter) -> Bool {
    let isOfContext = filter.contexts?.contains(entry.context) ?? true
    switch entry.kind {
    case .unit: return filter.units && isOfContext
    case .context: return filter.contextEvents && isOfContext
    case .lock: return filter.locks && entry.path.starts(with: filter.lockPrefix)
    case .restart, nil: return false
    }
  }

  private func compareLocks(_ store: any EventStore, _ model: [Entry], _ random: inout SeededRandom) throws {
    let records = model.map(\.record)
    #expect(try store.heldLocks() == heldLocks(records))
    #expect(try store.lastRestart() == lastRestart(records))
    let position = UInt64.random(in: 0...UInt64(model.count + 2), using: &random)
    let expected = position > 0 && position <= model.count ? records[Int(position) - 1] : nil
    #expect(try store.eventBytes(at: position) == expected)
  }

  private func compareRelations(
    _ store: any EventStore, _ model: [Entry], _ random: inout SeededRandom
  ) throws {
    let related = try PlainRelations(model.map(\.record))
    let end = UInt64(model.count + 25)
    let ids = (0..<20).map { _ in EventSamples.unitID(UInt64.random(in: 1...end, using: &random)) }
    for directions in [.outgoing, .incoming, .both] as [RelationDirections] {
      var found: [Relation] = []
      _ = try store.relations(of: ids, directions, after: nil) {
        found.append($0)
        return true
      }
      let expected = ids.enumerated().flatMap { place, id in
        related.of(id, directions).map { one in
          var one = one
          one.unit = place
          return one
        }
      }
      #expect(found == expected, "\(directions)")
    }
  }

  private func compareUnit(_ store: any EventStore, _ model: [Entry], _ random: inout SeededRandom) throws {
    guard let entry = model.randomElement(using: &random), entry.sequence != nil else { return }
    let record = entry.record
    #expect(try store.unitBytes(unitID(record)) == record)
    #expect(try store.unitBytes(UnitID(high: 1, low: random.next())) == nil)
  }

  private func compareHead(_ store: any EventStore, _ model: [Entry], _ context: [UInt8]) throws {
    let own = model.filter { $0.context == context }
    let found = try store.contextHead(context, tier: .disk)
    guard !own.isEmpty else {
      #expect(found == .notFound)
      return
    }
    let head = own.last { $0.sequence != nil }.map { unit in
      StoredContext.Head(
        lastSequence: unit.sequence ?? .zero, logTime: unit.logTime, position: unit.position)
    }
    let event = own.last { $0.sequence == nil }
    #expect(found == .found(StoredContext(head: head ?? .none, record: event?.record ?? [])))
  }
}
