internal import Bytes
internal import EventLoop
public import Model
internal import Storage

/// Units that a read found, as views into memory that this object keeps: batches of the window, or a copy of
/// what the store had.
public struct UnitPage {
  public var units: [EventView] = []
  /// Whether the page ends before the range does, for another reason than its limit.
  public internal(set) var isCutShort = false
  var stored: [StoredRecords] = []

  init() {}
}

/// Records copied out of the store, back to back.
final class StoredRecords: @unchecked Sendable {
  private(set) var bytes: [UInt8] = []
  private(set) var offsets: [Int] = []
  var end = ScanEnd.exhausted
  var failure: Problem?
  /// For a scan of events: everything that matches up to here is in it.
  var scannedThrough = Position.zero

  func append(_ event: EventView) {
    offsets.append(bytes.count)
    bytes.append(contentsOf: event.bytes)
  }

  /// Views that are valid while this object lives and `append` isn't called.
  func views() -> [EventView] {
    bytes.withUnsafeBytes { memory in
      guard let base = memory.baseAddress else { return [] }
      return offsets.map { EventView(trusted: base + $0) }
    }
  }
}

extension LoopEngine {
  /// Finds a unit in the window, in the store's memory, or (suspending) on the disk.
  public func unit(_ id: UnitID) async throws(Problem) -> UnitPage {
    var page = UnitPage()
    if let view = window.unit(id) {
      page.units = [view]
      return page
    }
    let store = store
    page.take(
      try await readStored { records, tier in
        records.collect { take throws(StoreError) in
          try store.unit(id: id, tier: tier) { take($0) } == .incomplete ? .incomplete : .exhausted
        }
      })
    return page
  }

  /// Units of a context in `range`, at most `limit`, in order or from the newest; fewer when they come to
  /// `bytesMax` bytes. Suspends if the disk has to be asked.
  public func units(
    in context: [UInt8], _ range: ClosedRange<UInt64>, reverse: Bool, limit: Int, bytesMax: Int
  ) async throws(Problem) -> UnitPage {
    let range = range.clamped(to: 0...UInt64.max - 1)
    let wanted = Wanted(context: context, range: range, reverse: reverse, limit: limit, bytesMax: bytesMax)
    // The store is asked first: nothing may suspend between reading the window and using its views.
    guard let below = belowWindow(wanted) else { return page(wanted, nil, through: range.lowerBound &- 1) }
    let store = store
    let stored = try await readStored { records, tier in
      records.collect { take throws(StoreError) in
        try store.units(
          in: context, from: Sequence(below.lowerBound), through: Sequence(below.upperBound),
          reverse: reverse, limit: limit, bytesMax: bytesMax, tier: tier
        ) {
          take($0)
          return true
        }
      }
    }
    return page(wanted, stored, through: below.upperBound)
  }

  private struct Wanted {
    var context: [UInt8]
    var range: ClosedRange<UInt64>
    var reverse: Bool
    var limit: Int
    var bytesMax: Int
  }

  /// The part of the range that only the store can have; nil if the window will do.
  private func belowWindow(_ wanted: Wanted) -> ClosedRange<UInt64>? {
    let range = wanted.range
    guard let held = wanted.context.withUnsafeBytes({ window.sequences(of: $0) }) else { return range }
    let through = min(range.upperBound, held.lowerBound - 1)
    guard range.lowerBound <= through else { return nil }
    if wanted.reverse, range.upperBound >= held.lowerBound {
      let inWindow = min(range.upperBound, held.upperBound) - held.lowerBound + 1
      if inWindow >= UInt64(wanted.limit) { return nil }
    }
    return range.lowerBound...through
  }

  /// Joins what the store had of the sequences up to `through` with what the window has above. If the window
  /// moved on meanwhile and left a hole, the page ends before it, and its cursor goes on from there.
  private func page(_ wanted: Wanted, _ stored: StoredRecords?, through: UInt64) -> UnitPage {
    var page = UnitPage()
    let views = stored?.views() ?? []
    if let stored { page.stored.append(stored) }
    let above = through &+ 1
    if wanted.reverse {
      if above <= wanted.range.upperBound { take(above...wanted.range.upperBound, wanted, into: &page) }
      let reached = page.units.last?.unit?.sequence.rawValue
      if above <= wanted.range.upperBound, reached != above {
        if page.units.count < wanted.limit, !views.isEmpty { page.isCutShort = true }
        return page
      }
      page.add(views, limit: wanted.limit, bytesMax: wanted.bytesMax)
      if stored?.end == .stopped { page.isCutShort = true }
      return page
    }
    page.add(views, limit: wanted.limit, bytesMax: wanted.bytesMax)
    if stored?.end == .stopped { page.isCutShort = true }
    guard !page.isCutShort, above <= wanted.range.upperBound else { return page }
    // That there is more above was read off the window: what it no longer has by now, the store has.
    if let held = wanted.context.withUnsafeBytes({ window.sequences(of: $0) }), held.lowerBound <= above {
      take(above...wanted.range.upperBound, wanted, into: &page)
    } else {
      page.isCutShort = true
    }
    return page
  }

  private func take(_ range: ClosedRange<UInt64>, _ wanted: Wanted, into page: inout UnitPage) {
    var found: [EventView] = []
    let room = wanted.limit - page.units.count
    wanted.context.withUnsafeBytes { name in
      window.units(in: name, range, reverse: wanted.reverse) { view in
        found.append(view)
        return found.count < room
      }
    }
    page.add(found, limit: wanted.limit, bytesMax: wanted.bytesMax)
  }

  /// Matching events behind `after` up to `through`, from the store, in log order, about `bytesMax` of them.
  /// - Returns: the events, and the position up to which nothing that matches is missing.
  public func events(
    after: Position, through: Position, contexts: [[UInt8]]?, bytesMax: Int
  ) async throws(Problem) -> (page: UnitPage, scannedThrough: Position) {
    let store = store
    let found = try await read { () -> StoredRecords in
      let records = StoredRecords()
      records.collect { take throws(StoreError) in
        records.scannedThrough = try store.events(
          after: after, through: through, contexts: contexts, bytesMax: bytesMax
        ) {
          take($0)
          return true
        }
        return .exhausted
      }
      return records
    }
    if let failure = found.failure { throw failure }
    var page = UnitPage()
    page.take(found)
    return (page, found.scannedThrough)
  }

  /// Reads from the store's memory, and again on a thread that may wait for the disk if that didn't do.
  func readStored(
    _ body: @escaping @Sendable (StoredRecords, ReadTier) -> Void
  ) async throws(Problem) -> StoredRecords {
    var found = StoredRecords()
    body(found, .cacheOnly)
    if found.failure == nil, found.end == .incomplete {
      found = try await read { () -> StoredRecords in
        let records = StoredRecords()
        body(records, .disk)
        return records
      }
    }
    if let failure = found.failure { throw failure }
    return found
  }

  private func read<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found
  ) async throws(Problem) -> Found {
    let found: Found? = await withUnsafeContinuation { continuation in
      let taken = engine.read(work, resuming: loop) { continuation.resume(returning: $0) }
      if !taken { continuation.resume(returning: nil) }
    }
    guard let found else { throw Problem(.unavailable, "too many reads wait; try again") }
    return found
  }
}

extension UnitPage {
  mutating func take(_ records: StoredRecords) {
    stored.append(records)
    units.append(contentsOf: records.views())
  }

  mutating func add(_ views: [EventView], limit: Int, bytesMax: Int) {
    var bytes = units.reduce(0) { $0 + $1.length }
    for view in views where units.count < limit {
      guard bytes < bytesMax else {
        isCutShort = true
        return
      }
      units.append(view)
      bytes += view.length
    }
  }
}

extension StoredRecords {
  /// Runs a read that hands records to `take`; keeps why it ended.
  func collect(_ read: (_ take: (EventView) -> Void) throws(StoreError) -> ScanEnd) {
    do throws(StoreError) {
      end = try read { self.append($0) }
    } catch {
      failure = Home.unreadable(error)
    }
  }
}
