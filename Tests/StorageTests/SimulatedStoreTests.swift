import EngramTesting
import Model
import Storage
import Testing

@Suite struct SimulatedStoreTests {
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func aCrashTakesEachFamilyBackToItsOwnFlush(_ seed: UInt64) throws {
    let store = SimulatedStore(seed: seed)
    var history = HistoryMaker()
    for index in 0..<100 {
      history.context(bytes("c\(index % 4)"))
      history.unit(bytes("c\(index % 4)"))
    }
    var random = SeededRandom(seed: seed)
    for _ in 0..<50 { history.lockOrRestart(&random) }
    for _ in 0..<50 { history.relatedUnit(bytes("r"), &random) }
    try store.apply(Array(history.records[..<280]), batch: 10)
    let persisted = store.persistedMarks()
    #expect(try store.persistedPosition() == persisted.lowest)
    store.crash()
    #expect(store.marksAtOpen == persisted)
    #expect(store.appliedPosition() == persisted.lowest)
    let known = Array(history.records[..<Int(persisted[.locks].rawValue)])
    #expect(try store.heldLocks() == heldLocks(known) && store.lastRestart() == lastRestart(known))
    let applied = try PlainRelations(Array(history.records[..<Int(persisted[.relations].rawValue)]))
    let ids = (1...320).map { EventSamples.unitID($0) }
    for id in ids { #expect(try store.relations(of: id) == applied.of(id)) }
    try store.apply(Array(history.records[Int(persisted.lowest.rawValue)...]), batch: 10)
    #expect(try store.allEvents() == Array(history.records[..<200] + history.records[250...]))
    let all = try PlainRelations(history.records)
    for id in ids { #expect(try store.relations(of: id) == all.of(id)) }
    #expect(try store.heldLocks() == heldLocks(history.records))
    #expect(try store.lastRestart() == lastRestart(history.records))
    #expect(try store.sequences(bytes("c0")) == Array(1...25))
  }

  @Test func crashesDifferByFamilyAndBySeed() throws {
    var shapes: Set<StoreMarks> = []
    for seed in 1...20 {
      let store = SimulatedStore(seed: UInt64(seed))
      var history = HistoryMaker()
      for _ in 0..<30 { history.unit(bytes("a")) }
      try store.apply(history.records, batch: 1)
      shapes.insert(store.persistedMarks())
    }
    #expect(shapes.count > 10)
    #expect(shapes.contains { $0.lowest < $0.highest })
  }

  /// What is not in a family's own prefix is not seen there.
  @Test func familiesAreSeenSeparatelyAfterACrash() throws {
    let store = SimulatedStore(seed: 1)
    let record = EventSamples.unit(position: 1, context: bytes("a"), sequence: 1)
    var faults = SimulatedStore.Faults()
    faults.flushChance = 0
    store.setFaults(faults)
    try store.apply([record])
    store.crash()
    #expect(store.appliedPosition() == .zero)
    #expect(try store.unitBytes(unitID(record)) == nil)
    #expect(try store.contextHead(bytes("a"), tier: .disk) == .notFound)
    #expect(try store.lowestPosition() == nil)
  }

  /// Fail the n-th call until the scenario passes untouched.
  @Test func everyCallCanFail() throws {
    let record = EventSamples.unit(position: 1, context: bytes("a"), sequence: 1)
    func scenario(_ store: SimulatedStore) throws {
      try store.apply([record])
      try store.flush(wait: true)
      _ = try store.persistedPosition()
      _ = try store.unitBytes(unitID(record))
      _ = try store.location(of: unitID(record), tier: .cacheOnly)
      _ = try store.sequences(bytes("a"))
      _ = try store.contextHead(bytes("a"), tier: .disk)
      _ = try store.allEvents()
      _ = try store.lowestPosition()
      _ = try store.eventBytes(at: 1)
      _ = try store.heldLocks()
      _ = try store.lastRestart()
    }
    var failing = 0
    while true {
      failing += 1
      let store = SimulatedStore()
      var faults = SimulatedStore.Faults()
      faults.failingCall = failing
      store.setFaults(faults)
      do {
        try scenario(store)
        break
      } catch { #expect(error as? StoreError == faults.failure) }
    }
    #expect(failing == 13)
  }

  @Test func memoryMayBeCold() throws {
    let store = SimulatedStore()
    let record = EventSamples.unit(position: 1, context: bytes("a"), sequence: 1)
    try store.apply([record])
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    store.setFaults(faults)
    let answers = try (0..<64).map { _ in try store.location(of: unitID(record), tier: .cacheOnly) }
    #expect(answers.contains(.incomplete))
    #expect(try store.location(of: unitID(record), tier: .disk) != .incomplete)
  }
}
