import Bytes
import EngramTesting
import Model
import Testing

@testable import Storage

@Suite struct LockStoreTests {
  /// What came of three paths: `a` was passed on and is held, `b` was renewed and is held, `c` is free.
  private static func history() -> HistoryMaker {
    var history = HistoryMaker()
    history.lock(.acquired, "repo/b", holder: "bob")
    history.unit(bytes("ctx"))
    history.lock(.acquired, "repo/a", holder: "ann")
    history.lock(.acquired, "c")
    history.restart()
    history.lock(.renewed, "repo/b", holder: "bob")
    history.context(bytes("ctx"))
    history.lock(.released, "repo/a", holder: "ann")
    history.lock(.expired, "c")
    history.lock(.acquired, "repo/a", holder: "eve")
    history.unit(bytes("ctx"))
    return history
  }

  /// However events fall into batches: of several of one path in one batch the last one holds.
  @Test(arguments: StoreKind.allCases, [1, 2, 3, 100])
  func `what is held is each path's latest event`(_ kind: StoreKind, _ batch: Int) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let history = Self.history()
    #expect(try store.heldLocks() == [] && store.lastRestart() == nil)
    try store.apply(history.records, batch: batch)
    let held = [history.records[9], history.records[5]]
    #expect(try store.heldLocks() == held)
    #expect(
      try store.lastRestart() == StoredRestart(position: Position(5), logTime: LogTime(microseconds: 5000)))
    try store.flush(wait: true)
    #expect(try store.heldLocks() == held)
    var seen = 0
    let end = try store.locks { event in
      seen += 1
      #expect(event.resourcePath.map { Array($0) } == bytes("repo/a"))
      return false
    }
    #expect(end == .stopped && seen == 1)
    try store.apply([EventSamples.restart(position: 12, logTime: 77_000)])
    #expect(
      try store.lastRestart() == StoredRestart(position: Position(12), logTime: LogTime(microseconds: 77_000))
    )
  }

  @Test func `they are there after the store was opened again`() throws {
    let directory = try TestDirectory()
    let history = Self.history()
    let first = try openRocks(directory.path)
    try first.apply(history.records)
    first.close()
    let store = try openRocks(directory.path)
    defer { store.close() }
    #expect(try store.heldLocks() == heldLocks(history.records))
    #expect(try store.lastRestart() == lastRestart(history.records))
    // Replay from the first event on, which every family has.
    try store.apply(history.records, batch: 2)
    #expect(try store.heldLocks() == heldLocks(history.records))
  }

  @Test(arguments: StoreKind.allCases)
  func `any event can be read by its position`(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let history = Self.history()
    try store.apply(history.records)
    for (index, record) in history.records.enumerated() {
      #expect(try store.eventBytes(at: UInt64(index + 1)) == record)
    }
    for position in [0, 12, UInt64.max] { #expect(try store.eventBytes(at: position) == nil) }
  }

  /// A filter, and the positions in `history` that it wants.
  static let filters: [(EventFilter, [UInt64])] = [
    (.all, [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]),
    (.allInContexts, [2, 7, 11]),
    (.allUnits, [2, 11]),
    (.allContextEvents, [7]),
    (.allLocks, [1, 3, 4, 6, 8, 9, 10]),
    (EventFilter(locks: true, lockPrefix: bytes("repo/")), [1, 3, 6, 8, 10]),
    (EventFilter(locks: true, lockPrefix: bytes("repo/a")), [3, 8, 10]),
    (EventFilter(locks: true, lockPrefix: bytes("repo/a/b")), []),
    (EventFilter(units: true, locks: true, lockPrefix: bytes("c")), [2, 4, 9, 11]),
    (.inContexts([bytes("ctx")]), [2, 7, 11]),
    (.inContexts([bytes("other")]), []),
    (.inContexts([]), []),
    (EventFilter(contexts: [bytes("ctx")], units: true, locks: true), [1, 2, 3, 4, 6, 8, 9, 10, 11]),
    (EventFilter(contexts: [bytes("ctx")], contextEvents: true), [7]),
    (EventFilter(contexts: [], units: true, locks: true, lockPrefix: bytes("c")), [4, 9]),
    (EventFilter(contexts: [bytes("ctx")]), []),
    (EventFilter(), []),
  ]

  @Test(arguments: StoreKind.allCases)
  func `a scan hands over what the filter wants, and no restart`(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let history = Self.history()
    try store.apply(history.records)
    for (filter, positions) in Self.filters {
      // With so many contexts that they aren't merged, too.
      var wide = filter
      if let few = filter.contexts { wide.contexts = few + (0..<40).map { bytes("none\($0)") } }
      for filter in [filter, wide] {
        let wanted = positions.map { history.records[Int($0) - 1] }
        #expect(try store.allEvents(filter) == wanted, "\(filter)")
        #expect(try store.allEvents(filter, bytesMax: 1) == wanted, "\(filter)")
        for (after, through) in [(1, 11), (3, 9), (4, 5), (10, 11), (11, 99)] as [(UInt64, UInt64)] {
          let part = positions.filter { $0 > after && $0 <= through }.map { history.records[Int($0) - 1] }
          #expect(try store.allEvents(after: after, through: through, filter) == part)
        }
        for record in history.records {
          #expect(try view(record) { filter.admits($0) } == wanted.contains(record))
        }
      }
    }
  }

  /// What isn't wanted costs a look at an index and no more: the records of all units may be gone.
  @Test func `followers of locks and of contexts' events read no units`() throws {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    defer { store.close() }
    let history = Self.history()
    try store.apply(history.records)
    try restore(store, .units, [])
    for (filter, positions) in Self.filters where !filter.units && filter.contexts == nil {
      #expect(try store.allEvents(filter) == positions.map { history.records[Int($0) - 1] })
    }
    #expect(throws: StoreError.self) { try store.allEvents(.allUnits) }
    #expect(throws: StoreError.self) { try store.eventBytes(at: 2) }
    // Locks alone are found without `log`'s being walked through either: a lock's own entry there is enough.
    let log = try dump(store.database, .log)
    try restore(
      store, .log, log.filter { $0[0] == StoreKey.log(Position(4)) || $0[0] == StoreKey.log(Position(9)) })
    #expect(
      try store.allEvents(EventFilter(locks: true, lockPrefix: bytes("c")))
        == [history.records[3], history.records[8]])
  }

  /// One call looks at so many entries, wanted or not, and says how far it came.
  @Test func `one call of a scan is bounded`() throws {
    let directory = try TestDirectory()
    var options = StoreOptions.small
    options.scannedEntriesMax = 4
    let store = try openRocks(directory.path, options: options)
    defer { store.close() }
    var history = HistoryMaker()
    for _ in 0..<10 {
      history.unit(bytes("a"))
      history.lock(.acquired, "x")
    }
    let wanted = history.lock(.acquired, "y")
    try store.apply(history.records)
    func reach(_ filter: EventFilter, after: UInt64 = 0) throws -> (found: Int, through: UInt64) {
      var found = 0
      let through = try store.events(
        after: Position(after), through: Position(.max), filter: filter, bytesMax: .max
      ) { _ in
        found += 1
        return true
      }
      return (found, through.rawValue)
    }
    let narrow = EventFilter(locks: true, lockPrefix: bytes("y"))
    #expect(try reach(narrow) == (0, 8))
    #expect(try reach(narrow, after: 8) == (0, 16))
    #expect(try reach(narrow, after: 16) == (1, 21))
    #expect(try reach(.allContextEvents) == (0, 4))
    #expect(try reach(EventFilter(contexts: [bytes("a")], units: true, lockPrefix: bytes("y"))) == (4, 7))
    #expect(
      try reach(EventFilter(contexts: [bytes("a")], units: true, locks: true, lockPrefix: bytes("y"))) == (
        2, 4
      ))
    #expect(try store.allEvents(narrow) == [wanted])
  }

  @Test(arguments: StoreKind.allCases)
  func `events of locks that lack what they must have are refused`(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let noPath = EventSamples.lock(.acquired, position: 1, path: [])
    var noAction = EventSamples.lock(.acquired, position: 1, path: bytes("a"))
    noAction[EventRecord.headerBytes + EventRecord.fieldHeaderBytes + 48] = 9
    for bad in [noPath, noAction] {
      let error = #expect(throws: StoreError.self) { try store.apply([bad]) }
      #expect(error?.severity == .integrity)
    }
    #expect(try store.heldLocks() == [] && store.appliedPosition() == .zero)
  }

  /// Locks have no context, even if their event should name one some day.
  @Test(arguments: StoreKind.allCases)
  func `no context has events of locks`(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let plain = EventSamples.lock(.acquired, position: 1, path: bytes("a"))
    let record = try view(plain) { event in
      [UInt8](unsafeUninitializedCapacity: 1024) { buffer, count in
        guard let base = buffer.baseAddress, let head = event.field(.lockHead), let path = event.resourcePath
        else { return }
        var writer = EventRecordWriter(
          at: base, capacity: 1024, kind: .lock, position: Position(1), logTime: LogTime(microseconds: 1))
        writer.field(.lockHead, head)
        writer.field(.resourcePath, path)
        bytes("ctx").withUnsafeBytes { writer.field(.contextID, $0) }
        writer.beginBody()
        writer.out.run("{}")
        count = writer.finish()
      }
    }
    try store.apply([record])
    #expect(try store.allEvents(.inContexts([bytes("ctx")])) == [])
    #expect(try store.allEvents(.allInContexts) == [])
    #expect(try store.allEvents(.allLocks) == [record])
    #expect(try store.contextHead(bytes("ctx"), tier: .disk) == .notFound)
  }
}
