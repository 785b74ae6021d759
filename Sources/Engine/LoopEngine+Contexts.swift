internal import Bytes
public import Model
internal import Storage

/// Contexts that a read found, as views into memory that this object keeps or that the window holds.
public struct ContextPage {
  public struct Entry {
    /// The record of the context's latest event.
    public var record: EventView
    /// Of the context's newest unit: the record's own is older.
    public var lastSequence: Sequence
  }

  public internal(set) var entries: [Entry] = []
  /// Nil if the page goes to the end of the list. Else the id up to which nothing that matches is missing.
  public internal(set) var reached: [UInt8]?
  var stored = StoredRecords()

  init() {}
}

/// Contexts as a client asks for them, in order of id.
public struct ContextList: Sendable {
  /// Ids start with it.
  public var prefix: [UInt8]
  /// Only contexts that list this agent.
  public var agent: [UInt8]?
  /// Ids come after it.
  public var after: [UInt8]?
  public var limit: Int
  /// Of records: one that takes the sum past it is the page's last one.
  public var bytesMax: Int
  /// What the reader may see; nil: everything. A page ends where `Limits.contextsPassedMax` were passed over, too.
  public var visibility: (any Visibility)?

  public init(
    prefix: [UInt8] = [], agent: [UInt8]? = nil, after: [UInt8]? = nil, limit: Int,
    bytesMax: Int = Limits.pageBytesMax, visibility: (any Visibility)? = nil
  ) {
    self.visibility = visibility
    self.prefix = prefix
    self.agent = agent
    self.after = after
    self.limit = limit
    self.bytesMax = bytesMax
  }

  /// Whether a context is one of the list's, apart from its agents.
  func names(_ id: UnsafeRawBufferPointer) -> Bool {
    id.starts(with: prefix) && (after.map { $0.lexicographicallyPrecedes(id) } ?? true) && shows(id)
  }

  func shows(_ id: UnsafeRawBufferPointer) -> Bool { visibility?.sees(context: id) ?? true }
}

/// What the store had of a list of contexts.
final class StoredContexts: @unchecked Sendable {
  let records = StoredRecords()
  var lastSequences: [Sequence] = []
  /// Nil if the list goes to its end. Else the last id that was looked at.
  var reached: [UInt8]?
  var bytes = 0
  /// How many the reader may not see.
  var passed = 0

  func append(_ record: EventView, _ last: Sequence) {
    records.append(record)
    lastSequences.append(last)
    bytes += record.length
  }
}

extension LoopEngine {
  /// A context, with the sequence of its newest unit. Suspends if the disk has to be asked; the page is empty if there
  /// is no such context. Its view is valid until the next suspension.
  ///
  /// What the store had not applied when it was asked, the window must still hold afterwards: else the two
  /// together are no moment of history, and the read begins anew.
  public func context(_ id: [UInt8]) async throws(Problem) -> ContextPage {
    for _ in 0..<LoopEngine.attemptsMax {
      var page = ContextPage()
      if let entry = windowEntry(id) {
        page.entries = [entry]
        return page
      }
      let store = store
      let applied = store.appliedPosition()
      let stored = try await readStored { records, tier in
        records.collect { take throws(StoreError) in
          switch try store.contextHead(id, tier: tier) {
          case .incomplete: return .incomplete
          case .notFound: return .exhausted
          case .found(let found):
            records.reached = found.head.lastSequence
            found.record.withUnsafeBytes { if let view = EventView($0) { take(view) } }
            return .exhausted
          }
        }
      }
      guard window.lowest <= applied.next else { continue }
      if let entry = windowEntry(id) {
        page.entries = [entry]
      } else if let view = stored.views().first {
        page.stored = stored
        page.entries = [entry(view, id, stored.reached)]
      }
      return page
    }
    throw Problem(.unavailable, "the context moved on while it was being read; try again")
  }

  /// A context whose latest event is in the window: so are all the units that came after it.
  private func windowEntry(_ id: [UInt8]) -> ContextPage.Entry? {
    id.withUnsafeBytes { window.contextEvent(of: $0) }.map { entry($0, id, .zero) }
  }

  private func entry(_ record: EventView, _ id: [UInt8], _ stored: Sequence) -> ContextPage.Entry {
    let held = id.withUnsafeBytes { window.sequences(of: $0) }?.upperBound ?? 0
    let own = record.context?.lastSequence ?? .zero
    return ContextPage.Entry(record: record, lastSequence: max(stored, own, Sequence(held)))
  }

  /// Contexts in order of id, at most `limit`; fewer when they come to `bytesMax` bytes. Suspends; views into the
  /// window are valid until the next suspension.
  public func contexts(_ list: ContextList) async throws(Problem) -> ContextPage {
    let store = store
    for _ in 0..<LoopEngine.attemptsMax {
      let applied = store.appliedPosition()
      let found = try await read { LoopEngine.stored(list, store) }
      if let failure = found.records.failure { throw failure }
      guard window.lowest <= applied.next else { continue }
      return merge(found, with: recent(list, after: applied, through: found.reached), list)
    }
    throw Problem(.unavailable, "the contexts moved on while they were being read; try again")
  }

  /// What the store has of a list. Any thread.
  private static func stored(_ list: ContextList, _ store: any EventStore) -> StoredContexts {
    let found = StoredContexts()
    found.records.collect { _ throws(StoreError) in
      if let agent = list.agent {
        try collect(list, agent, store, into: found)
      } else {
        try collect(list, store, into: found)
      }
      return .exhausted
    }
    return found
  }

  private static func collect(
    _ list: ContextList, _ store: any EventStore, into found: StoredContexts
  ) throws(StoreError) {
    // Who sees everything has each counted by the store.
    let limit = list.visibility == nil ? list.limit : .max
    let end = try store.contexts(after: list.after, prefix: list.prefix, limit: limit) { record, last in
      guard let id = record.contextID else { return true }
      found.reached = Array(id)
      guard list.shows(id) else {
        found.passed += 1
        return found.passed < Limits.contextsPassedMax
      }
      found.append(record, last)
      return found.bytes < list.bytesMax && found.lastSequences.count < list.limit
    }
    if end == .exhausted { found.reached = nil }
  }

  private static func collect(
    _ list: ContextList, _ agent: [UInt8], _ store: any EventStore, into found: StoredContexts
  ) throws(StoreError) {
    let limit = list.visibility == nil ? list.limit : Limits.contextsPassedMax
    let ids = try store.contexts(of: agent, prefix: list.prefix, after: list.after, limit: limit)
    for (place, id) in ids.enumerated() {
      found.reached = id
      guard id.withUnsafeBytes({ list.shows($0) }) else { continue }
      if case .found(let context) = try store.contextHead(id, tier: .disk) {
        context.record.withUnsafeBytes { bytes in
          if let record = EventView(bytes), ContextJSON.lists(agent, in: record.body) {
            found.append(record, context.head.lastSequence)
          }
        }
      }
      let isFull = found.bytes >= list.bytesMax || found.lastSequences.count >= list.limit
      if isFull, place < ids.count - 1 { return }
    }
    if ids.count < limit { found.reached = nil }
  }

  /// The newest events of contexts that the store had not applied, by id: of all those of the list that it may hold
  /// an older event of, and of new ones up to where the store's part of the list goes.
  private func recent(
    _ list: ContextList, after applied: Position, through reached: [UInt8]?
  ) -> [[UInt8]: EventView] {
    var events: [[UInt8]: EventView] = [:]
    window.contextEvents(after: applied) { event in
      guard let id = event.contextID, list.names(id),
        reached.map({ !$0.lexicographicallyPrecedes(id) }) ?? true
      else { return }
      let name = Array(id)
      if events[name] == nil { events[name] = event }
    }
    return events
  }

  /// Joins the store's part with the window's; of two events of one context the newer one counts.
  private func merge(
    _ found: StoredContexts, with recent: [[UInt8]: EventView], _ list: ContextList
  ) -> ContextPage {
    var page = ContextPage()
    page.stored = found.records
    page.reached = found.reached
    var candidates: [(id: [UInt8], record: EventView, last: Sequence)] = []
    for (place, record) in found.records.views().enumerated() {
      guard let id = record.contextID.map({ Array($0) }), recent[id] == nil else { continue }
      candidates.append((id, record, found.lastSequences[place]))
    }
    for (id, record) in recent {
      if let agent = list.agent, !ContextJSON.lists(agent, in: record.body) { continue }
      candidates.append((id, record, .zero))
    }
    candidates.sort { $0.id.lexicographicallyPrecedes($1.id) }
    var bytes = 0
    for (place, candidate) in candidates.enumerated() {
      page.entries.append(entry(candidate.record, candidate.id, candidate.last))
      bytes += candidate.record.length
      if place + 1 < candidates.count, page.entries.count >= list.limit || bytes >= list.bytesMax {
        page.reached = candidate.id
        break
      }
    }
    return page
  }
}
