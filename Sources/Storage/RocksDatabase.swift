internal import CRocksDB
internal import CRocksExtras
internal import Model

/// RocksDB's handles and the calls on them: errors become `StoreError`, what must be freed is freed.
/// Any thread, except that `close` must be the last call.
final class RocksDatabase: @unchecked Sendable {
  let db: OpaquePointer
  let blockCache: OpaquePointer
  let expiry: AnswerExpiry
  /// Families that aren't there, in a store that was opened for reading only.
  let absent: Set<StoreFamily>
  private let families: [OpaquePointer]
  private let pointReads: [OpaquePointer]
  private let writeOptions: OpaquePointer

  /// Opens or creates; takes the handles over.
  /// - Parameter families: in order of `StoreFamily`; for an absent one whatever handle.
  init(
    db: OpaquePointer, families: [OpaquePointer], absent: Set<StoreFamily>, blockCache: OpaquePointer,
    expiry: AnswerExpiry
  ) {
    self.db = db
    self.absent = absent
    self.expiry = expiry
    self.families = families
    self.blockCache = blockCache
    pointReads = [engram_read_all_tier, engram_read_block_cache_tier, engram_read_persisted_tier].map {
      tier in
      let options: OpaquePointer = rocksdb_readoptions_create()
      rocksdb_readoptions_set_read_tier(options, Int32(tier))
      return options
    }
    writeOptions = rocksdb_writeoptions_create()
    // The events are in our own log: a second one would double every write.
    rocksdb_writeoptions_disable_WAL(writeOptions, 1)
  }

  /// Flushes what has not been flushed, waits for background work, frees everything.
  func close() {
    for family in StoreFamily.allCases where !absent.contains(family) {
      rocksdb_column_family_handle_destroy(handle(family))
    }
    rocksdb_close(db)
    for options in pointReads { rocksdb_readoptions_destroy(options) }
    rocksdb_writeoptions_destroy(writeOptions)
    rocksdb_cache_destroy(blockCache)
  }

  func handle(_ family: StoreFamily) -> OpaquePointer { families[family.rawValue] }

  /// Read options for single keys, shared by all threads (RocksDB only reads them).
  func pointRead(_ tier: ReadTier) -> OpaquePointer { pointReads[tier == .disk ? 0 : 1] }

  /// Hands the value to `body` where RocksDB keeps it.
  func get<Value>(
    _ family: StoreFamily, _ key: [UInt8], _ tier: ReadTier, for operation: StaticString,
    _ body: (UnsafeRawBufferPointer) throws(StoreError) -> Value
  ) throws(StoreError) -> Lookup<Value> {
    var slice: OpaquePointer?
    do {
      slice = try rocks { error in
        key.withUnsafeBytes {
          engram_get(db, pointRead(tier), handle(family), $0.baseAddress, $0.count, error)
        }
      }
    } catch {
      if error.isIncomplete { return .incomplete }
      throw error.storeError(operation)
    }
    guard let slice else { return .notFound }
    defer { rocksdb_pinnableslice_destroy(slice) }
    return .found(try body(RocksDatabase.bytes(slice)))
  }

  static func bytes(_ slice: OpaquePointer) -> UnsafeRawBufferPointer {
    var count = 0
    let start = engram_slice(slice, &count)
    return UnsafeRawBufferPointer(start: start, count: count)
  }

  /// The family's mark in memory or, with `persisted`, on the disk: `kPersistedTier` skips memtables once
  /// anything was written without RocksDB's log (`ReadTier` in options.h of 7.8.3).
  func mark(_ family: StoreFamily, persisted: Bool) throws(StoreError) -> Position {
    let slice: OpaquePointer?
    do {
      slice = try rocks { error in
        StoreKey.mark.withUnsafeBytes {
          engram_get(db, pointReads[persisted ? 2 : 0], handle(family), $0.baseAddress, $0.count, error)
        }
      }
    } catch { throw error.storeError("read a mark") }
    guard let slice else { return .zero }
    defer { rocksdb_pinnableslice_destroy(slice) }
    guard let position: UInt64 = RocksDatabase.bytes(slice).number(at: 0) else {
      throw .damaged("read a mark", "the mark of family \(family.name) is too short")
    }
    return Position(position)
  }

  func write(_ batch: OpaquePointer, for operation: StaticString) throws(StoreError) {
    do {
      try rocks { error in rocksdb_write(db, writeOptions, batch, error) }
    } catch { throw error.storeError(operation) }
  }

  /// Never waits for compaction, unless `wait` asks for the end of the flush and writes are stopped.
  func flush(_ family: StoreFamily, wait: Bool) throws(StoreError) {
    do {
      try flush(family, wait: wait, atOnce: true)
    } catch {
      guard error.isTryAgain else { throw error.storeError("flush") }
      // Writes are stopped until flushes under way have ended: who doesn't wait asks again later.
      guard wait else { return }
      do {
        try flush(family, wait: true, atOnce: false)
      } catch { throw error.storeError("flush") }
    }
  }

  private func flush(_ family: StoreFamily, wait: Bool, atOnce: Bool) throws(RocksFailure) {
    let options: OpaquePointer = rocksdb_flushoptions_create()
    defer { rocksdb_flushoptions_destroy(options) }
    rocksdb_flushoptions_set_wait(options, wait ? 1 : 0)
    if atOnce { engram_flush_at_once(UnsafeMutableRawPointer(options)) }
    try rocks { error in rocksdb_flush_cf(db, options, handle(family), error) }
  }

  /// Puts what is flushed into the block cache too: the newest units of a context, which are what is read most, are then
  /// read from memory until compaction takes them further down. `BlockBasedTableOptions::prepopulate_block_cache` (7.8),
  /// for which the C API has no function of its own.
  func keepFlushedBlocks(_ family: StoreFamily) throws(RocksFailure) {
    let name = Array("block_based_table_factory".utf8CString)
    let value = Array("{prepopulate_block_cache=kFlushOnly;}".utf8CString)
    try rocks { error in
      name.withUnsafeBufferPointer { name in
        value.withUnsafeBufferPointer { value in
          var names = name.baseAddress
          var values = value.baseAddress
          rocksdb_set_options_cf(db, handle(family), 1, &names, &values, error)
        }
      }
    }
  }

  /// A number that RocksDB keeps about a family; 0 if it doesn't know it.
  func property(_ name: String, _ family: StoreFamily = .meta) -> UInt64 {
    var value: UInt64 = 0
    return rocksdb_property_int_cf(db, handle(family), name, &value) == 0 ? value : 0
  }
}

/// RocksDB's words for a failure, taken from its `char **` and freed.
struct RocksFailure: Error {
  var message: String

  /// `Status::Incomplete`: the block is not in the cache and the disk was not allowed.
  var isIncomplete: Bool { message.hasPrefix("Result incomplete") }

  /// `Status::TryAgain`: a flush at once while writes are stopped.
  var isTryAgain: Bool { message.hasPrefix("Operation failed. Try again") }

  func storeError(_ operation: StaticString) -> StoreError {
    let isDamage = message.hasPrefix("Corruption") || message.contains("No such file")
    return StoreError(
      operation: "\(operation)", message: message, severity: isDamage ? .integrity : .operational)
  }
}

/// Calls a function of the C API that reports failure through a `char **`.
func rocks<Value>(
  _ call: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Value
) throws(RocksFailure) -> Value {
  var message: UnsafeMutablePointer<CChar>?
  let value = call(&message)
  if let message {
    defer { rocksdb_free(message) }
    throw RocksFailure(message: String(cString: message))
  }
  return value
}
