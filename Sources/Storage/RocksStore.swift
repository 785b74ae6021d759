internal import CRocksDB
public import Model
internal import Synchronization

/// The store in RocksDB 7.8: column families without RocksDB's own log, fed from ours.
///
/// Within one family every state on disk is a prefix of what was applied to it (a batch goes whole into one
/// memtable per family, and memtables are flushed in order); across families it is not. Hence a mark in every
/// family in every batch, and replay that skips per family. `atomic_flush` is never used: in 7.8 it can lose
/// data across families when RocksDB's log is off (fixed in 8.1, RocksDB pull request 11148).
public final class RocksStore: EventStore, @unchecked Sendable {
  public let marksAtOpen: StoreMarks
  /// The log that this store belongs to.
  public let logUUID: [UInt8]

  let database: RocksDatabase
  /// Apply thread only.
  let writer: ApplyWriter
  /// `StoreOptions`.
  let scannedEntriesMax: Int
  private let applied: Atomic<UInt64>
  private let isClosed = Atomic<Bool>(false)

  public static let logUUIDBytes = 16

  /// Opens the store in the directory `path`, or creates it (its parent must exist).
  /// - Parameter logUUID: the log's, 16 bytes; a store of another log is refused. Nil takes any existing store.
  /// - Throws: `integrity` for damage, for another log's store, for an unknown format; else `operational`.
  public init(path: String, logUUID: [UInt8]?, options: StoreOptions = StoreOptions()) throws(StoreError) {
    let database = try RocksDatabase.open(path, options)
    do {
      self.logUUID = try RocksStore.identify(database, logUUID, options.upgradeProgress)
      var marks = StoreMarks()
      for family in StoreFamily.allCases {
        marks[family] = try database.mark(family, persisted: false)
      }
      marksAtOpen = marks
    } catch {
      database.close()
      throw error
    }
    self.database = database
    scannedEntriesMax = max(options.scannedEntriesMax, 1)
    applied = Atomic(marksAtOpen.lowest.rawValue)
    writer = ApplyWriter(marks: marksAtOpen)
  }

  deinit { close() }

  /// Reads format and log UUID, or writes them into a store without any.
  private static func identify(
    _ database: RocksDatabase, _ logUUID: [UInt8]?, _ progress: StoreOptions.UpgradeProgress?
  ) throws(StoreError) -> [UInt8] {
    if let logUUID, logUUID.count != logUUIDBytes {
      throw StoreError(
        operation: "open", message: "a log's UUID has \(logUUIDBytes) bytes, not \(logUUID.count)",
        severity: .operational)
    }
    let format = try database.get(.meta, StoreKey.format, .disk, for: "open") {
      $0.number(at: 0, as: UInt32.self)
    }
    let log = try database.get(.meta, StoreKey.log, .disk, for: "open") { [UInt8]($0) }
    if case .found(let version) = format {
      guard let version,
        version == StoreKey.formatVersion || StoreUpgrade.formerVersions.contains(version)
      else {
        throw .damaged(
          "open",
          "format version \(version ?? 0) of the store, of which this program knows only \(StoreKey.formatVersion)"
        )
      }
      guard case .found(let owner) = log, owner.count == logUUIDBytes else {
        throw .damaged("open", "the store names no log")
      }
      guard logUUID == nil || logUUID == owner else {
        throw .damaged("open", "the store belongs to another log")
      }
      if version != StoreKey.formatVersion { try StoreUpgrade.run(database, from: version, progress) }
      return owner
    }
    for family in StoreFamily.allCases where try database.mark(family, persisted: false) > .zero {
      throw .damaged("open", "family \(family.name) holds data, but the store has no format version")
    }
    guard let logUUID else { throw .damaged("open", "there is no store here") }
    try writeIdentity(database, logUUID)
    return logUUID
  }

  private static func writeIdentity(_ database: RocksDatabase, _ logUUID: [UInt8]) throws(StoreError) {
    let batch: OpaquePointer = rocksdb_writebatch_create()
    defer { rocksdb_writebatch_destroy(batch) }
    func put(_ key: [UInt8], _ value: [UInt8]) {
      key.withUnsafeBytes { key in
        value.withUnsafeBytes { value in
          engram_batch_put(
            batch, database.handle(.meta), key.baseAddress, key.count, value.baseAddress, value.count)
        }
      }
    }
    put(StoreKey.format, withUnsafeBytes(of: StoreKey.formatVersion.littleEndian) { Array($0) })
    put(StoreKey.log, logUUID)
    try database.write(batch, for: "create")
    try database.flush(.meta, wait: true)
  }

  // MARK: - Positions

  public func appliedPosition() -> Position { Position(applied.load(ordering: .acquiring)) }

  /// Reads may now be asked about everything up to `position`.
  func publish(_ position: Position) { applied.store(position.rawValue, ordering: .releasing) }

  public func persistedPosition() throws(StoreError) -> Position {
    try checkOpen("read the persisted position")
    return try persistedMarks().lowest
  }

  /// What each family would come back with after a crash. Apply thread; may read the disk.
  public func persistedMarks() throws(StoreError) -> StoreMarks {
    try checkOpen("read the persisted position")
    var marks = StoreMarks()
    for family in StoreFamily.allCases { marks[family] = try database.mark(family, persisted: true) }
    return marks
  }

  /// True once replay has brought all families to one state. Until then a family may hold what another lacks.
  var isLevel: Bool { appliedPosition() >= marksAtOpen.highest }

  public func flush(wait: Bool) throws(StoreError) {
    try checkOpen("flush")
    try writer.writeStrips(database)
    try flushFamilies(wait: wait)
  }

  private func flushFamilies(wait: Bool) throws(StoreError) {
    // All are started before the first is waited for.
    for family in StoreFamily.allCases { try database.flush(family, wait: false) }
    guard wait else { return }
    for family in StoreFamily.allCases { try database.flush(family, wait: true) }
  }

  // MARK: - Life

  func checkOpen(_ operation: StaticString) throws(StoreError) {
    if isClosed.load(ordering: .acquiring) { throw .closed(operation) }
  }

  public func close() {
    guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    // Should it fail, the next start replays what is lacking. RocksDB's own flush at closing passes over families whose
    // memory is already on its way to the disk, and breaks that off.
    do throws(StoreError) {
      try writer.writeStrips(database)
      try flushFamilies(wait: true)
    } catch {}
    writer.free()
    database.close()
  }

  // MARK: - Health

  public func health() -> StoreHealth {
    var health = StoreHealth()
    guard !isClosed.load(ordering: .acquiring) else { return health }
    health.backgroundErrors = database.property("rocksdb.background-errors")
    health.isWriteStopped = database.property("rocksdb.is-write-stopped") != 0
    health.delayedWriteBytesPerSecond = database.property("rocksdb.actual-delayed-write-rate")
    health.runningFlushes = database.property("rocksdb.num-running-flushes")
    health.runningCompactions = database.property("rocksdb.num-running-compactions")
    health.blockCacheBytes = UInt64(rocksdb_cache_get_usage(database.blockCache))
    for family in StoreFamily.allCases {
      let tables = database.property("rocksdb.live-sst-files-size", family)
      let blobs = database.property("rocksdb.live-blob-file-size", family)
      health.tableFileBytes += tables
      health.blobFileBytes += blobs
      health.familyBytes.append(tables + blobs)
      health.memtableBytes += database.property("rocksdb.cur-size-all-mem-tables", family)
      health.immutableMemtables += database.property("rocksdb.num-immutable-mem-table", family)
      health.pendingCompactionBytes += database.property("rocksdb.estimate-pending-compaction-bytes", family)
      health.tableReaderBytes += database.property("rocksdb.estimate-table-readers-mem", family)
    }
    return health
  }
}
