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
    var context: [UInt8]
    var sequence: Sequence?

    init(_ record: [UInt8]) throws {
      self.record = record
      (position, logTime, context, sequence) = try view(record) { view in
        (view.position, view.logTime, view.contextID.map { Array($0) } ?? [], view.unit?.sequence)
      }
    }
  }

  @Test(arguments: StoreKind.allCases, [11] as [UInt64])
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
          if UInt.random(in: 0..<6, using: &random) == 0 {
            history.context(context)
          } else {
            history.unit(context)
          }
        }
        try store.apply(Array(history.records[known...]))
        for record in history.records[known...] { model.append(try Entry(record)) }
      case 6 where UInt.random(in: 0..<4, using: &random) == 0:
        try store.flush(wait: Bool.random(using: &random))
      case 7 where UInt.random(in: 0..<10, using: &random) == 0: store = try reopened(store, directory)
      case 7..<11: try compareScan(store, model, context, &random)
      case 11..<15: try compareEvents(store, model, contexts, &random)
      case 15..<18: try compareUnit(store, model, &random)
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
    let wanted = Bool.random(using: &random) ? nil : contexts.filter { _ in Bool.random(using: &random) }
    let expected = model.filter { entry in
      entry.position > Position(after) && entry.position <= Position(through)
        && (wanted?.contains(entry.context) ?? true)
    }.map(\.record)
    let bytesMax = Int.random(in: 1...40_000, using: &random)
    #expect(
      try store.allEvents(after: after, through: through, contexts: wanted, bytesMax: bytesMax) == expected)
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
