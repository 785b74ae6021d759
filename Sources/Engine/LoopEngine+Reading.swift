internal import Bytes
internal import EventLoop
public import Model
internal import Storage

/// Units that a read found, as views into memory that this object keeps: batches of the window, or a copy of
/// what the store had.
public struct UnitPage {
  public var units: [EventView] = []
  /// Nil if the page goes to the end of the range that was asked for. Else the sequence, in the list's direction, up
  /// to which nothing that matches is missing.
  public internal(set) var reached: UInt64?
  var bytes = 0
  var stored: [StoredRecords] = []

  public init() {}

  /// Copies what lies in the window, so that the page may be kept while the task suspends.
  public mutating func detach() {
    let copy = StoredRecords()
    for unit in units { copy.append(unit) }
    units = copy.views()
    stored = [copy]
  }
}

/// Records copied out of the store, back to back.
final class StoredRecords: @unchecked Sendable {
  private(set) var bytes: [UInt8] = []
  private(set) var offsets: [Int] = []
  var end = ScanEnd.exhausted
  /// For a scan of units that was stopped.
  var reached = Sequence.zero
  var failure: Problem?
  /// For a scan of events: everything that matches up to here is in it.
  var scannedThrough = Position.zero
  /// The first position that the store holds; zero if it is empty, or wasn't asked.
  var oldest = Position.zero

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

  /// Matching events behind `after` up to `through`, from the store, in log order, about `bytesMax` of them.
  /// - Returns: the events; the position up to which nothing that matches is missing; and where history begins.
  public func events(
    after: Position, through: Position, filter: EventFilter, bytesMax: Int
  ) async throws(Problem) -> (page: UnitPage, scannedThrough: Position, oldest: Position) {
    let store = store
    let found = try await read { () -> StoredRecords in
      let records = StoredRecords()
      records.collect { take throws(StoreError) in
        records.scannedThrough = try store.events(
          after: after, through: through, filter: filter, bytesMax: bytesMax
        ) {
          take($0)
          return true
        }
        // Looked at behind the scan: what history lost meanwhile is told too.
        records.oldest = try store.lowestPosition() ?? records.oldest
        return .exhausted
      }
      return records
    }
    if let failure = found.failure { throw failure }
    var page = UnitPage()
    page.take(found)
    return (page, found.scannedThrough, found.oldest)
  }

  /// The first position that the store holds; nil while it is empty. Waits for the disk.
  public func oldestPosition() async throws(Problem) -> Position? {
    let store = store
    let found = try await read { () -> StoredRecords in
      let records = StoredRecords()
      records.collect { _ throws(StoreError) in
        records.oldest = try store.lowestPosition() ?? records.oldest
        return .exhausted
      }
      return records
    }
    if let failure = found.failure { throw failure }
    return found.oldest == .zero ? nil : found.oldest
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

  func read<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found
  ) async throws(Problem) -> Found {
    let found: Found? = await withUnsafeContinuation { continuation in
      let taken = engine.read(work, resuming: loop) { continuation.resume(returning: $0) }
      if !taken { continuation.resume(returning: nil) }
    }
    guard let found else { throw Home.readsFull }
    return found
  }
}

extension UnitPage {
  mutating func take(_ records: StoredRecords) {
    stored.append(records)
    let views = records.views()
    units.append(contentsOf: views)
    bytes += views.reduce(0) { $0 + $1.length }
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
