public import Model

extension RocksStore {
  public func unit(id: UnitID, tier: ReadTier, _ body: (EventView) -> Void) throws(StoreError) -> Presence {
    switch try location(of: id, tier: tier) {
    case .found(let location):
      let presence = try unit(context: location.context, sequence: location.sequence, tier: tier, body)
      // Replay may have brought `ids` further than `units`; afterwards one without the other is damage.
      if presence == .notFound, isLevel {
        throw .damaged(
          "read a unit", "sequence \(location.sequence.rawValue) is in `ids`, but not in `units`")
      }
      return presence
    case .notFound: return .notFound
    case .incomplete: return .incomplete
    }
  }

  public func unit(context: [UInt8], sequence: Sequence, tier: ReadTier, _ body: (EventView) -> Void)
    throws(StoreError) -> Presence
  {
    try checkOpen("read a unit")
    let key = StoreKey.units(context, tag: StoreKey.tagUnit, number: sequence.rawValue)
    let found = try database.get(.units, key, tier, for: "read a unit") { value throws(StoreError) in
      body(try RocksStore.view(value, "read a unit"))
    }
    return found.presence
  }

  public func location(of id: UnitID, tier: ReadTier) throws(StoreError) -> Lookup<UnitLocation> {
    try checkOpen("look up an id")
    return try database.get(.ids, StoreKey.id(id), tier, for: "look up an id") { value throws(StoreError) in
      guard let location = UnitLocation(value) else {
        throw .damaged("look up an id", "an entry of `ids` has only \(value.count) bytes")
      }
      return location
    }
  }

  public func units(
    in context: [UInt8], from: Sequence, through: Sequence, reverse: Bool, limit: Int, bytesMax: Int,
    tier: ReadTier, _ body: (EventView) -> Bool
  ) throws(StoreError) -> ScanEnd {
    try checkOpen("scan a context")
    guard from <= through, limit > 0 else { return from <= through ? .stopped : .exhausted }
    let first = StoreKey.units(context, tag: StoreKey.tagUnit, number: from.rawValue)
    let last = StoreKey.units(context, tag: StoreKey.tagUnit, number: through.rawValue)
    // One more byte makes the first key after `last`.
    let cursor = RocksCursor(
      database, .units, from: first, to: last + [0], tier, withinPrefix: true, for: "scan a context")
    if reverse { cursor.seek(before: last) } else { cursor.seek(first) }
    var count = 0
    var bytes = 0
    while cursor.isValid {
      let record = try RocksStore.view(cursor.value, "scan a context")
      count += 1
      bytes += record.length
      if !body(record) || count >= limit || bytes >= bytesMax { return .stopped }
      if reverse { cursor.previous() } else { cursor.next() }
    }
    return try cursor.end()
  }

  public func contextHead(_ context: [UInt8], tier: ReadTier) throws(StoreError) -> Lookup<StoredContext> {
    try checkOpen("look up a context")
    let head = try head(of: context, tier)
    if head == .incomplete { return .incomplete }
    let key = StoreKey.context(context, part: StoreKey.contextRecord)
    let record = try database.get(.contexts, key, tier, for: "look up a context") {
      value throws(StoreError) in
      Array(try RocksStore.view(value, "look up a context").bytes)
    }
    switch (head, record) {
    case (_, .incomplete), (.incomplete, _): return .incomplete
    case (.notFound, .notFound): return .notFound
    case (.found(let head), .found(let record)): return .found(StoredContext(head: head, record: record))
    case (.found(let head), .notFound): return .found(StoredContext(head: head, record: []))
    case (.notFound, .found(let record)): return .found(StoredContext(head: .none, record: record))
    }
  }

  func head(of context: [UInt8], _ tier: ReadTier) throws(StoreError) -> Lookup<StoredContext.Head> {
    let key = StoreKey.context(context, part: StoreKey.contextHead)
    return try database.get(.contexts, key, tier, for: "look up a context") { value throws(StoreError) in
      guard let head = StoredContext.Head(value) else {
        throw .damaged("look up a context", "a context's head has only \(value.count) bytes")
      }
      return head
    }
  }

  public func contexts(after: [UInt8]?, prefix: [UInt8], limit: Int, _ body: (EventView, Sequence) -> Bool)
    throws(StoreError) -> ScanEnd
  {
    try checkOpen("list contexts")
    guard limit > 0 else { return .stopped }
    let lower = StoreKey.contextPrefix(prefix)
    let cursor = RocksCursor(
      database, .contexts, from: lower, to: StoreKey.end(of: lower), .disk, for: "list contexts")
    // A context's last key is its record's.
    cursor.seek(after.map { StoreKey.context($0, part: StoreKey.contextRecord) + [0] } ?? lower)
    var count = 0
    var last = Sequence.zero
    while cursor.isValid {
      // A context's head, if it has one, stands just before its record.
      if cursor.key.last == StoreKey.contextRecord {
        count += 1
        let record = try RocksStore.view(cursor.value, "list contexts")
        if !body(record, last) || count >= limit { return .stopped }
        last = .zero
      } else {
        guard let head = StoredContext.Head(cursor.value) else {
          throw .damaged("list contexts", "a context's head has only \(cursor.value.count) bytes")
        }
        last = head.lastSequence
      }
      cursor.next()
    }
    return try cursor.end()
  }

  public func contexts(
    of agent: [UInt8], prefix: [UInt8], after: [UInt8]?, limit: Int
  ) throws(StoreError) -> [[UInt8]] {
    try checkOpen("list an agent's contexts")
    let own = StoreKey.agent(agent)
    let lower = StoreKey.agent(agent, context: prefix)
    let cursor = RocksCursor(
      database, .agents, from: lower, to: StoreKey.end(of: lower), .disk, for: "list an agent's contexts")
    cursor.seek(after.map { StoreKey.agent(agent, context: $0) + [0] } ?? lower)
    var contexts: [[UInt8]] = []
    while contexts.count < limit, cursor.isValid {
      contexts.append(Array(cursor.key.dropFirst(own.count)))
      cursor.next()
    }
    if !cursor.isValid { _ = try cursor.end() }
    return contexts
  }

  public func lowestPosition() throws(StoreError) -> Position? {
    try checkOpen("find the lowest position")
    let cursor = RocksCursor(
      database, .log, from: StoreKey.log(.zero), to: StoreKey.log(Position(.max)), .disk,
      for: "find the lowest position")
    cursor.seek(StoreKey.log(.zero))
    guard cursor.isValid else {
      _ = try cursor.end()
      return nil
    }
    return try RocksStore.position(ofLogKey: cursor.key)
  }

  // MARK: - Values

  /// A stored record, whose frame is checked again; its bytes were checked block by block by RocksDB.
  static func view(_ value: UnsafeRawBufferPointer, _ operation: StaticString) throws(StoreError) -> EventView
  {
    guard let view = EventView(value), view.length == value.count else {
      throw .damaged(operation, "a stored record of \(value.count) bytes is malformed")
    }
    return view
  }

  static func position(ofLogKey key: UnsafeRawBufferPointer) throws(StoreError) -> Position {
    guard let number: UInt64 = key.number(at: 2) else {
      throw .damaged("scan the log", "a key of `log` has only \(key.count) bytes")
    }
    return Position(number.byteSwapped)
  }
}

extension Lookup {
  var presence: Presence {
    switch self {
    case .found: .found
    case .notFound: .notFound
    case .incomplete: .incomplete
    }
  }
}
