import EngramTesting
import Model
import Storage
import Testing

@Suite struct EventStoreTests {
  @Test(arguments: StoreKind.allCases)
  func whatIsAppliedIsReadBackByteForByte(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    history.context(bytes("a"))
    let small = history.unit(bytes("a"))
    let large = history.unit(bytes("b"), bodyBytes: 300_000)
    #expect(store.appliedPosition() == .zero)
    try store.apply(history.records)
    #expect(store.appliedPosition() == Position(3))
    for record in [small, large] {
      let (id, context, sequence, hash) = try view(record) { view in
        (view.unit?.id, view.contextID.map { Array($0) }, view.unit?.sequence, view.unit?.hash)
      }
      #expect(try store.unitBytes(try #require(id)) == record)
      var byPlace: [UInt8]?
      let place = (try #require(context), try #require(sequence))
      #expect(
        try store.unit(context: place.0, sequence: place.1, tier: .disk) { byPlace = Array($0.bytes) }
          == .found)
      #expect(byPlace == record)
      let location = UnitLocation(context: place.0, sequence: place.1, hash: try #require(hash))
      #expect(try store.location(of: try #require(id), tier: .cacheOnly) == .found(location))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func whatIsUnknownIsNotFoundWithoutTheDisk(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    history.unit(bytes("a"))
    try store.apply(history.records)
    try store.flush(wait: true)
    let unknown = UnitID(high: 1, low: 2)
    #expect(try store.unit(id: unknown, tier: .cacheOnly) { _ in } == .notFound)
    #expect(try store.location(of: unknown, tier: .cacheOnly) == .notFound)
    #expect(try store.contextHead(bytes("b"), tier: .cacheOnly) == .notFound)
    #expect(try store.unit(context: bytes("a"), sequence: Sequence(2), tier: .disk) { _ in } == .notFound)
    #expect(try store.unit(context: bytes("b"), sequence: Sequence(1), tier: .disk) { _ in } == .notFound)
    #expect(try store.sequences(bytes("b")) == [])
  }

  @Test(arguments: StoreKind.allCases)
  func aContextIsScannedBothWaysWithinBoundsAndLimits(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    let context = bytes("a")
    for _ in 1...10 {
      history.unit(context)
      history.unit(bytes("other"))
    }
    try store.apply(history.records, batch: 7)
    #expect(try store.sequences(context) == Array(1...10))
    #expect(try store.sequences(context, reverse: true) == (1...10).reversed())
    #expect(try store.sequences(context, 3, 5) == [3, 4, 5])
    #expect(try store.sequences(context, 3, 5, reverse: true) == [5, 4, 3])
    #expect(try store.sequences(context, 9, 400) == [9, 10])
    #expect(try store.sequences(context, 9, 400, reverse: true) == [10, 9])
    #expect(try store.sequences(context, 11) == [])
    #expect(try store.sequences(context, 5, 3) == [])
    #expect(try store.sequences(context, limit: 2) == [1, 2])
    #expect(try store.sequences(context, reverse: true, limit: 2) == [10, 9])
    #expect(try store.sequences(context, limit: 0) == [])
    // The unit that passes the limit of bytes is the last one, and the first always comes.
    let length = history.records[0].count
    #expect(try store.sequences(context, bytesMax: 1) == [1])
    #expect(try store.sequences(context, bytesMax: length * 2 + 1) == [1, 2, 3])
  }

  @Test(arguments: StoreKind.allCases)
  func aScanSaysWhyItEnded(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    for _ in 1...3 { history.unit(bytes("a")) }
    try store.apply(history.records)
    func end(limit: Int, _ body: (EventView) -> Bool) throws -> ScanEnd {
      try store.units(
        in: bytes("a"), from: Sequence(1), through: Sequence(.max), reverse: false, limit: limit,
        bytesMax: .max, tier: .cacheOnly, body)
    }
    #expect(try end(limit: 4) { _ in true } == .exhausted)
    #expect(try end(limit: 3) { _ in true } == .stopped)
    #expect(try end(limit: 4) { _ in false } == .stopped)
  }

  /// Ids that are prefixes of each other, hold zero bytes, are as long as they may be, aren't ASCII.
  static let awkwardContexts: [[UInt8]] = [
    bytes("a"), bytes("aa"), bytes("ab"), bytes("a\u{0}"), bytes("a\u{0}b"), bytes("a\u{1}"), [0], [0, 0],
    [UInt8](repeating: 0x61, count: 256), [UInt8](repeating: 0x61, count: 255),
    [UInt8](repeating: 0xff, count: 256), bytes("日本語"), bytes("日本"), bytes("👩🏽‍🚀"), bytes("Ü"),
    bytes("U\u{308}"),
  ]

  @Test(arguments: StoreKind.allCases)
  func contextsNeverRunIntoEachOther(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    for round in 1...3 {
      for context in Self.awkwardContexts {
        if round == 1 { history.context(context) }
        history.unit(context)
      }
    }
    try store.apply(history.records, batch: 5)
    for flushed in [false, true] {
      if flushed { try store.flush(wait: true) }
      for context in Self.awkwardContexts {
        let own = try history.records.filter { record in
          try view(record) { $0.contextID.map { Array($0) } == context }
        }
        #expect(try store.sequences(context) == [1, 2, 3], "\(context)")
        #expect(try store.sequences(context, reverse: true) == [3, 2, 1], "\(context)")
        #expect(try store.allEvents(contexts: [context]) == own, "\(context)")
        guard case .found(let stored) = try store.contextHead(context, tier: .disk) else {
          Issue.record("no head for \(context)")
          continue
        }
        #expect(stored.head.lastSequence == Sequence(3))
        #expect(stored.record == own[0])
      }
      var listed: [[UInt8]] = []
      let end = try store.contexts(after: nil, prefix: [], limit: .max) { record, _ in
        listed.append(record.contextID.map { Array($0) } ?? [])
        return true
      }
      #expect(end == .exhausted)
      #expect(listed == Self.awkwardContexts.sorted { $0.lexicographicallyPrecedes($1) })
      #expect(try store.contexts(of: bytes("agent"), prefix: [], after: nil, limit: .max) == listed)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func aHeadNamesTheNewestUnitAndTheNewestContextEvent(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    let context = bytes("a")
    history.unit(context)
    try store.apply(history.records)
    let early = StoredContext.Head(
      lastSequence: Sequence(1), logTime: LogTime(microseconds: 1000), position: Position(1))
    #expect(try store.contextHead(context, tier: .disk) == .found(StoredContext(head: early, record: [])))

    history.context(context)
    let newest = history.context(context, revision: 2)
    history.unit(context)
    history.context(bytes("without units"))
    try store.apply(Array(history.records[1...]))
    let late = StoredContext.Head(
      lastSequence: Sequence(2), logTime: LogTime(microseconds: 4000), position: Position(4))
    #expect(try store.contextHead(context, tier: .disk) == .found(StoredContext(head: late, record: newest)))
    #expect(
      try store.contextHead(bytes("without units"), tier: .cacheOnly)
        == .found(StoredContext(head: .none, record: history.records[4])))
  }

  @Test(arguments: StoreKind.allCases)
  func contextsAreListedByPrefixPageByPage(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    var history = HistoryMaker()
    for id in ["team/b", "team/a", "tea", "solo", "team/c"] {
      history.context(bytes(id), agent: id == "solo" ? "eve" : "bob")
      history.unit(bytes(id))
    }
    try store.apply(history.records)
    func page(_ after: String?, _ prefix: String, _ limit: Int) throws -> [String] {
      var ids: [String] = []
      _ = try store.contexts(after: after.map { bytes($0) }, prefix: bytes(prefix), limit: limit) {
        record, _ in
        ids.append(String(decoding: record.contextID.map { Array($0) } ?? [], as: UTF8.self))
        return true
      }
      return ids
    }
    #expect(try page(nil, "", 10) == ["solo", "tea", "team/a", "team/b", "team/c"])
    #expect(try page("solo", "", 2) == ["tea", "team/a"])
    #expect(try page(nil, "team/", 2) == ["team/a", "team/b"])
    #expect(try page("team/b", "team/", 2) == ["team/c"])
    #expect(try page("team/c", "team/", 2) == [])
    #expect(try store.contexts(of: bytes("eve"), prefix: [], after: nil, limit: 5) == [bytes("solo")])
    #expect(
      try store.contexts(of: bytes("bob"), prefix: [], after: bytes("tea"), limit: 2) == [
        bytes("team/a"), bytes("team/b"),
      ])
    #expect(try store.contexts(of: bytes("bo"), prefix: [], after: nil, limit: 5) == [])
  }

  @Test(arguments: StoreKind.allCases)
  func malformedAndUnknownEventsAreRefusedWhole(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let good = EventSamples.unit(position: 1, context: bytes("a"), sequence: 1)
    var unknownKind = EventSamples.unit(position: 2, context: bytes("a"), sequence: 2)
    unknownKind[4] = 200
    let noContext = EventSamples.unit(position: 2, context: [], sequence: 2)
    let noSequence = EventSamples.unit(position: 2, context: bytes("a"), sequence: 0)
    let wrongOrder = good
    for bad in [unknownKind, noContext, noSequence, wrongOrder] {
      let error = #expect(throws: StoreError.self) { try store.apply([good, bad]) }
      #expect(error?.severity == .integrity)
    }
    #expect(store.appliedPosition() == .zero)
    #expect(try store.allEvents() == [])
    // A kind that may be skipped is kept for who knows it.
    unknownKind[5] = 0
    try store.apply([good, unknownKind])
    #expect(try store.allEvents() == [good, unknownKind])
    #expect(try store.sequences(bytes("a")) == [1])
  }

  @Test(arguments: StoreKind.allCases)
  func anEmptyBatchMovesThePositionOn(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    try store.apply([], upTo: Position(9))
    #expect(store.appliedPosition() == Position(9))
    try store.flush(wait: true)
    #expect(try store.persistedPosition() == Position(9))
    #expect(try store.lowestPosition() == nil)
  }

  @Test(arguments: StoreKind.allCases)
  func aClosedStoreSaysSo(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    store.close()
    store.close()
    #expect(throws: StoreError.self) { try store.apply([], upTo: Position(1)) }
    #expect(throws: StoreError.self) { try store.flush(wait: true) }
    #expect(throws: StoreError.self) { try store.persistedPosition() }
    #expect(throws: StoreError.self) { try store.sequences(bytes("a")) }
    #expect(throws: StoreError.self) { try store.unitBytes(UnitID(high: 0, low: 1)) }
    #expect(throws: StoreError.self) { try store.eventBytes(at: 1) }
    #expect(throws: StoreError.self) { try store.position(atOrAfter: LogTime(microseconds: 0)) }
    #expect(throws: StoreError.self) { try store.relations(of: UnitID(high: 0, low: 1)) }
    #expect(throws: StoreError.self) { try store.locations(of: [UnitID(high: 0, low: 1)]) }
    #expect(throws: StoreError.self) { try store.units(at: []) { _, _ in true } }
    #expect(throws: StoreError.self) { try store.heldLocks() }
    #expect(throws: StoreError.self) { try store.lastRestart() }
    _ = store.health()
  }
}
