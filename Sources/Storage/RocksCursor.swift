internal import CRocksDB

/// An iterator over one family between two keys, with the memory that its bounds live in.
/// One thread at a time; must not outlive the database.
final class RocksCursor {
  private let iterator: OpaquePointer
  private let options: OpaquePointer
  private let bounds: UnsafeMutableRawPointer
  private let operation: StaticString

  /// - Parameters:
  ///   - lower: first key that the cursor may see.
  ///   - upper: first key that it may not.
  ///   - withinPrefix: what each `seek` asks for lies in its key's prefix (a context of `units`, a unit of `relations`):
  ///     table files without that prefix are skipped by their filters, and the cursor ends with the prefix.
  init(
    _ database: RocksDatabase, _ family: StoreFamily, from lower: [UInt8], to upper: [UInt8],
    _ tier: ReadTier,
    withinPrefix: Bool = false, for operation: StaticString
  ) {
    self.operation = operation
    bounds = .allocate(byteCount: lower.count + upper.count, alignment: 1)
    let room = UnsafeMutableRawBufferPointer(start: bounds, count: lower.count + upper.count)
    room.copyBytes(from: lower)
    UnsafeMutableRawBufferPointer(rebasing: room[lower.count...]).copyBytes(from: upper)
    options = rocksdb_readoptions_create()
    engram_set_bounds(options, bounds, lower.count, bounds + lower.count, upper.count)
    rocksdb_readoptions_set_read_tier(
      options, Int32(tier == .disk ? engram_read_all_tier : engram_read_block_cache_tier))
    rocksdb_readoptions_set_total_order_seek(options, withinPrefix ? 0 : 1)
    rocksdb_readoptions_set_prefix_same_as_start(options, withinPrefix ? 1 : 0)
    iterator = rocksdb_create_iterator_cf(database.db, options, database.handle(family))
  }

  deinit {
    rocksdb_iter_destroy(iterator)
    rocksdb_readoptions_destroy(options)
    bounds.deallocate()
  }

  /// To the first key at or after `key`.
  func seek(_ key: [UInt8]) {
    key.withUnsafeBytes { engram_iterator_seek(iterator, $0.baseAddress, $0.count) }
  }

  /// To the last key at or before `key`.
  func seek(before key: [UInt8]) {
    key.withUnsafeBytes { engram_iterator_seek_for_prev(iterator, $0.baseAddress, $0.count) }
  }

  func next() { rocksdb_iter_next(iterator) }
  func previous() { rocksdb_iter_prev(iterator) }
  var isValid: Bool { rocksdb_iter_valid(iterator) != 0 }

  /// Valid until the cursor moves.
  var key: UnsafeRawBufferPointer {
    var count = 0
    let start = engram_iterator_key(iterator, &count)
    return UnsafeRawBufferPointer(start: start, count: count)
  }

  /// Valid until the cursor moves.
  var value: UnsafeRawBufferPointer {
    var count = 0
    let start = engram_iterator_value(iterator, &count)
    return UnsafeRawBufferPointer(start: start, count: count)
  }

  /// To be asked once the cursor is no longer valid: has it come to the end, or only to the end of what
  /// memory holds?
  func end() throws(StoreError) -> ScanEnd {
    do {
      try rocks { error in rocksdb_iter_get_error(iterator, error) }
    } catch {
      if error.isIncomplete { return .incomplete }
      throw error.storeError(operation)
    }
    return .exhausted
  }
}
