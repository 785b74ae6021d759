import EngramTesting
import Model
import Storage
import Testing

/// 2000 random operations on a store and on a list of records that is searched from end to end.
@Suite struct StoreModelTests {
  struct ListModel {
    var records: [[UInt8]] = []

    func matching(_ isWanted: (EventView) -> Bool) throws -> [[UInt8]] {
      try records.filter { record in try view(record, isWanted) }
    }

    static func isUnit(_ view: EventView, of context: [UInt8]) -> Bool {
      view.kind == .unit && view.contextID.map { Array($0) } == context
    }
  }

  @Test(arguments: StoreKind.allCases, [11, 12] as [UInt64])
  func theStoreAgreesWithAList(_ kind: StoreKind, _ seed: UInt64) throws {
    print("seed \(seed)")
    var random = SeededRandom(seed: seed)
    let directory = try TestDirectory()
    var store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    var model = ListModel()
    let contexts = (0..<9).map { bytes(String(repeating: "x", count: $0 + 1)) } + [bytes("y"), bytes("never")]
    for _ in 0..<2000 {
      let context = contexts[Int.random(in: 0..<contexts.count, using: &random)]
      switch UInt.random(in: 0..<20, using: &random) {
      case 0..<6:
        let known = history.records.count
        for _ in 0..<Int.random(in: 1...5, using: &random) where context != bytes("never") {
          if UInt.random(in: 0..<6, using: &random) == 0 { history.context(context) } else { history.unit(context) }
        }
        try store.apply(Array(history.records[known...]))
        model.records = history.records
      case 6: try store.flush(wait: Bool.random(using: &random))
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
    _ store: any EventStore, _ model: ListModel, _ context: [UInt8], _ random: inout SeededRandom
  ) throws {
    let from = UInt64.random(in: 0...40, using: &random)
    let through = UInt64.random(in: 0...80, using: &random)
    let reverse = Bool.random(using: &random)
    let limit = Int.random(in: 1...30, using: &random)
    let all = try model.matching { view in
      guard ListModel.isUnit(view, of: context), let sequence = view.unit?.sequence.rawValue else { return false }
      return sequence >= from && sequence <= through
    }.map { record in try view(record) { $0.unit?.sequence.rawValue ?? 0 } }
    let expected = Array((reverse ? all.reversed() : all).prefix(limit))
    #expect(try store.sequences(context, from, through, reverse: reverse, limit: limit) == expected)
  }

  private func compareEvents(
    _ store: any EventStore, _ model: ListModel, _ contexts: [[UInt8]], _ random: inout SeededRandom
  ) throws {
    let end = UInt64(model.records.count)
    let after = UInt64.random(in: 0...end, using: &random)
    let through = UInt64.random(in: after...(end + 3), using: &random)
    let wanted = Bool.random(using: &random) ? nil : contexts.filter { _ in Bool.random(using: &random) }
    let expected = try model.matching { view in
      view.position > Position(after) && view.position <= Position(through)
        && (wanted?.contains(view.contextID.map { Array($0) } ?? []) ?? true)
    }
    let bytesMax = Int.random(in: 1...4000, using: &random)
    #expect(try store.allEvents(after: after, through: through, contexts: wanted, bytesMax: bytesMax) == expected)
  }

  private func compareUnit(_ store: any EventStore, _ model: ListModel, _ random: inout SeededRandom) throws {
    let units = try model.matching { $0.kind == .unit }
    guard let record = units.randomElement(using: &random) else { return }
    #expect(try store.unitBytes(unitID(record)) == record)
    #expect(try store.unitBytes(UnitID(high: 1, low: random.next())) == nil)
  }

  private func compareHead(_ store: any EventStore, _ model: ListModel, _ context: [UInt8]) throws {
    let own = try model.matching { view in view.contextID.map { Array($0) } == context }
    let unit = try own.last { record in try view(record) { $0.kind == .unit } }
    let event = try own.last { record in try view(record) { $0.kind == .context } }
    let found = try store.contextHead(context, tier: .disk)
    guard unit != nil || event != nil else {
      #expect(found == .notFound)
      return
    }
    let head = try unit.map { record in
      try view(record) { view in
        StoredContext.Head(
          lastSequence: view.unit?.sequence ?? .zero, logTime: view.logTime, position: view.position)
      }
    }
    #expect(found == .found(StoredContext(head: head ?? .none, record: event ?? [])))
  }
}
