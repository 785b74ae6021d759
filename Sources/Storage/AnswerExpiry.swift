internal import CRocksDB
internal import Model

/// Lets RocksDB's compaction forget idempotency keys that are older than they are kept, by log time: the apply
/// thread says what time it is. Must outlive the database.
final class AnswerExpiry {
  private let state: UnsafeMutablePointer<engram_expiry>
  private let filter: OpaquePointer

  init() {
    state = .allocate(capacity: 1)
    state.initialize(to: engram_expiry(now: 0, kept: Limits.idempotencyMicroseconds))
    filter = engram_expiry_create(state)
  }

  deinit {
    rocksdb_compactionfilter_destroy(filter)
    state.deallocate()
  }

  /// Before the family is opened.
  func install(in options: OpaquePointer) { rocksdb_options_set_compaction_filter(options, filter) }

  /// The newest applied event's time. Apply thread.
  func observe(_ time: LogTime) { engram_expiry_set(state, time.microseconds) }
}
