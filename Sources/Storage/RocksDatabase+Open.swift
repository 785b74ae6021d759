internal import CRocksDB
internal import CRocksExtras
#if canImport(Glibc)
  internal import Glibc
#endif

extension RocksDatabase {
  /// Opens or creates the database in the directory `path`, with every family of `StoreFamily`.
  static func open(_ path: String, _ options: StoreOptions) throws(StoreError) -> RocksDatabase {
    try open(path, options, readOnly: false)
  }

  /// Opens what is there, and writes nothing.
  static func openReadOnly(_ path: String, _ options: StoreOptions) throws(StoreError) -> RocksDatabase {
    try open(path, options, readOnly: true)
  }

  private static func open(
    _ path: String, _ options: StoreOptions, readOnly: Bool
  ) throws(StoreError) -> RocksDatabase {
    let present = try families(path)
    // A store that is written gets what it lacks.
    let families =
      readOnly ? StoreFamily.allCases.filter { present?.contains($0) ?? true } : StoreFamily.allCases
    var options = options
    while true {
      do {
        return try open(path, families, withEverything: options, readOnly: readOnly)
      } catch {
        // What this build of RocksDB or this file system can't do is left out, one thing after another.
        if options.compression != .none, error.message.contains("not linked with the binary") {
          options.compression = .none
        } else if options.usesDirectWrites || options.usesDirectReads,
          error.message.contains("Direct I/O is not supported")
        {
          options.usesDirectWrites = false
          options.usesDirectReads = false
        } else {
          throw error.storeError("open")
        }
      }
    }
  }

  /// The families that are there; nil if that can't be told. One that this program doesn't know was made by a newer
  /// one: opening without it would go wrong slowly instead of at once.
  private static func families(_ path: String) throws(StoreError) -> Set<StoreFamily>? {
    let options: OpaquePointer = rocksdb_options_create()
    defer { rocksdb_options_destroy(options) }
    var count = 0
    // A database that isn't there yet fails here, and a damaged one will fail again on opening.
    guard let names = try? rocks({ rocksdb_list_column_families(options, path, &count, $0) }) else {
      return nil
    }
    defer { rocksdb_list_column_families_destroy(names, count) }
    var present: Set<StoreFamily> = []
    for index in 0..<count {
      guard let name = names[index].map({ String(cString: $0) }) else { continue }
      guard let family = StoreFamily.allCases.first(where: { $0.name == name }) else {
        throw .damaged("open", "\(path): unknown family \"\(name)\": written by a newer version?")
      }
      present.insert(family)
    }
    return present
  }

  private static func open(
    _ path: String, _ present: [StoreFamily], withEverything options: StoreOptions, readOnly: Bool
  ) throws(RocksFailure) -> RocksDatabase {
    let cache: OpaquePointer = rocksdb_cache_create_lru(max(options.blockCacheBytes, 1 << 20))
    let shared = databaseOptions(options)
    // The directory may not be there yet, and the diary lies in it. RocksDB reports what can't be made.
    if !readOnly { mkdir(path, 0o755) }
    let warnings: Int32 = 2
    let diary = engram_diary_create(readOnly ? nil : "\(path)/LOG", warnings, 4 << 20)
    rocksdb_options_set_info_log(shared, OpaquePointer(diary))
    engram_diary_destroy(diary)
    defer { rocksdb_options_destroy(shared) }
    let expiry = AnswerExpiry()
    var families: [OpaquePointer?] = []
    for family in present {
      families.append(familyOptions(family, shared: shared, options, cache))
      if family == .idempotency, let options = families.last ?? nil { expiry.install(in: options) }
    }
    defer { for family in families { rocksdb_options_destroy(family) } }
    var handles = [OpaquePointer?](repeating: nil, count: families.count)
    let opened: OpaquePointer?
    do {
      opened = try withNames(of: present) { names throws(RocksFailure) in
        try rocks { error in
          if readOnly {
            rocksdb_open_for_read_only_column_families(
              shared, path, Int32(families.count), names, &families, &handles, 0, error)
          } else {
            rocksdb_open_column_families(
              shared, path, Int32(families.count), names, &families, &handles, error)
          }
        }
      }
    } catch {
      rocksdb_cache_destroy(cache)
      throw error
    }
    guard let db = opened, !handles.contains(where: { $0 == nil }) else {
      throw RocksFailure(message: "no database and no reason given")
    }
    let byFamily = Dictionary(uniqueKeysWithValues: zip(present, handles.compactMap { $0 }))
    guard let meta = byFamily[.meta] else { throw RocksFailure(message: "no family \"default\"") }
    let database = RocksDatabase(
      db: db, families: StoreFamily.allCases.map { byFamily[$0] ?? meta },
      absent: Set(StoreFamily.allCases).subtracting(present), blockCache: cache, expiry: expiry)
    do {
      if !readOnly { try database.keepFlushedBlocks(.units) }
    } catch {
      database.close()
      throw error
    }
    return database
  }

  /// The families' names as an array of C strings.
  private static func withNames<Value>(
    of families: [StoreFamily], _ body: ([UnsafePointer<CChar>?]) throws(RocksFailure) -> Value
  ) throws(RocksFailure) -> Value {
    let names = families.map { family in
      let bytes = family.name.utf8CString
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      bytes.withUnsafeBufferPointer { source in
        if let start = source.baseAddress { copy.initialize(from: start, count: source.count) }
      }
      return copy
    }
    defer { for name in names { name.deallocate() } }
    return try body(names.map { UnsafePointer($0) })
  }

  // MARK: - Options

  private static func databaseOptions(_ options: StoreOptions) -> OpaquePointer {
    let shared: OpaquePointer = rocksdb_options_create()
    rocksdb_options_set_create_if_missing(shared, 1)
    rocksdb_options_set_create_missing_column_families(shared, 1)
    rocksdb_options_set_paranoid_checks(shared, 1)
    // Every table stays open with its index and filter in memory: a negative answer never needs the disk,
    // and a cache-only read never finds a closed table (7.8 would take that for an empty value).
    rocksdb_options_set_max_open_files(shared, -1)
    rocksdb_options_set_max_background_jobs(shared, Int32(clamping: max(options.backgroundJobs, 2)))
    rocksdb_options_set_bytes_per_sync(shared, 1 << 20)
    engram_set_delayed_write_rate(UnsafeMutableRawPointer(shared), delayedBytesPerSecond)
    rocksdb_options_set_use_direct_io_for_flush_and_compaction(shared, options.usesDirectWrites ? 1 : 0)
    rocksdb_options_set_use_direct_reads(shared, options.usesDirectReads ? 1 : 0)
    if options.writeBytesPerSecondMax > 0 {
      let refillMicroseconds: Int64 = 100_000
      let fairness: Int32 = 10
      let limiter = rocksdb_ratelimiter_create(
        Int64(options.writeBytesPerSecondMax), refillMicroseconds, fairness)
      rocksdb_options_set_ratelimiter(shared, limiter)
      rocksdb_ratelimiter_destroy(limiter)
    }
    // One writer, always.
    rocksdb_options_set_allow_concurrent_memtable_write(shared, 0)
    rocksdb_options_set_enable_write_thread_adaptive_yield(shared, 0)
    // RocksDB's own diary has no periodic statistics.
    rocksdb_options_set_stats_dump_period_sec(shared, 0)
    rocksdb_options_set_stats_persist_period_sec(shared, 0)
    return shared
  }

  /// Level 1 holds 4 write buffers, level 2 ten times that: 5.5 GiB together stay uncompressed.
  private static let compressedLevelMin: Int32 = 3

  /// Of a write buffer of `idempotency`: 10 bits and more for each entry of 80 bytes or more.
  private static let idempotencyFilterShare = 0.02

  /// Where slowing begins: near what one compaction thread keeps up with, so that the way from the first slow-down to the
  /// right pace isn't one that ends in a stop.
  private static let delayedBytesPerSecond: UInt = 96 << 20

  private static func familyOptions(
    _ family: StoreFamily, shared: OpaquePointer, _ options: StoreOptions, _ cache: OpaquePointer
  ) -> OpaquePointer {
    let own: OpaquePointer = rocksdb_options_create_copy(shared)
    rocksdb_options_set_write_buffer_size(own, options.writeBufferBytes)
    // RocksDB's own choice is an eighth, and it fails where a block is larger than the buffer.
    rocksdb_options_set_arena_block_size(
      own, min(ProcessMemory.arenaBlockBytes, options.writeBufferBytes / 8))
    // More than two meets a bug of 7.8 in the order of retried flushes (fixed in 7.9).
    rocksdb_options_set_max_write_buffer_number(own, 2)
    rocksdb_options_set_level0_file_num_compaction_trigger(own, 4)
    rocksdb_options_set_level0_slowdown_writes_trigger(own, 12)
    rocksdb_options_set_level0_stop_writes_trigger(own, 36)
    rocksdb_options_set_max_bytes_for_level_base(own, UInt64(options.writeBufferBytes) * 4)
    rocksdb_options_set_target_file_size_base(own, UInt64(options.writeBufferBytes))
    // Levels fill from the top, so that the top ones can stay uncompressed.
    rocksdb_options_set_level_compaction_dynamic_level_bytes(own, 0)
    let algorithm = options.compression == .lz4 ? rocksdb_lz4_compression : rocksdb_no_compression
    rocksdb_options_set_compression(own, Int32(algorithm))
    rocksdb_options_set_min_level_to_compress(own, compressedLevelMin)

    if family == .units || family == .filters {
      rocksdb_options_set_prefix_extractor(own, engram_context_prefix_create())
    }
    if family == .relations {
      // Most units name nobody and nobody names them: their neighbours' tables needn't be looked into.
      rocksdb_options_set_prefix_extractor(
        own, rocksdb_slicetransform_create_fixed_prefix(RelationKey.prefixBytes))
    }
    if family == .units {
      if options.blobBytesMin > 0 { setBlobs(own, options, algorithm: Int32(algorithm), cache) }
    }
    if family == .idempotency {
      // Nearly every key is looked for once and not there: a filter spares the way through the memtable's list.
      rocksdb_options_set_memtable_prefix_bloom_size_ratio(own, idempotencyFilterShare)
      rocksdb_options_set_memtable_whole_key_filtering(own, 1)
    }
    let table: OpaquePointer = rocksdb_block_based_options_create()
    defer { rocksdb_block_based_options_destroy(table) }
    rocksdb_block_based_options_set_block_cache(table, cache)
    rocksdb_block_based_options_set_block_size(table, 16 << 10)
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 0)
    rocksdb_block_based_options_set_format_version(table, 5)
    // Edges are looked for by their unit only.
    rocksdb_block_based_options_set_whole_key_filtering(table, family == .relations ? 0 : 1)
    let bitsPerKey = 10.0
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(bitsPerKey))
    rocksdb_options_set_block_based_table_factory(own, table)
    return own
  }

  private static func setBlobs(
    _ own: OpaquePointer, _ options: StoreOptions, algorithm: Int32, _ cache: OpaquePointer
  ) {
    rocksdb_options_set_enable_blob_files(own, 1)
    rocksdb_options_set_min_blob_size(own, UInt64(options.blobBytesMin))
    rocksdb_options_set_blob_cache(own, cache)
  }
}
