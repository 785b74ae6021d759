internal import CRocksDB
internal import Model

/// Makes a store of the format before this one into one of this format, where it lies.
///
/// A log that was written by then holds no event that the new family `locks` would keep: the family is as far as the
/// others as soon as it is there. It is there once the database has been opened. Each step is durable before the next,
/// and all can be taken again: a crash leaves a store of the former version, which the former program refuses as soon as
/// it has the new family.
enum StoreUpgrade {
  static let formerVersion: UInt32 = 2

  enum Step: CaseIterable, Sendable {
    /// `locks` holds all that there is up to the lowest of the others' marks.
    case markLocks
    case writeVersion
  }

  static func run(_ database: RocksDatabase) throws(StoreError) {
    for step in Step.allCases { try run(step, database) }
  }

  static func run(_ step: Step, _ database: RocksDatabase) throws(StoreError) {
    switch step {
    case .markLocks:
      var lowest = Position(.max)
      for family in StoreFamily.allCases where family != .locks {
        lowest = min(lowest, try database.mark(family, persisted: false))
      }
      try put(database, .locks, StoreKey.mark, lowest.rawValue)
    case .writeVersion:
      try put(database, .meta, StoreKey.format, StoreKey.formatVersion)
    }
  }

  private static func put<Number: FixedWidthInteger>(
    _ database: RocksDatabase, _ family: StoreFamily, _ key: [UInt8], _ number: Number
  ) throws(StoreError) {
    let batch: OpaquePointer = rocksdb_writebatch_create()
    defer { rocksdb_writebatch_destroy(batch) }
    key.withUnsafeBytes { key in
      withUnsafeBytes(of: number.littleEndian) { value in
        engram_batch_put(
          batch, database.handle(family), key.baseAddress, key.count, value.baseAddress, value.count)
      }
    }
    try database.write(batch, for: "upgrade")
    try database.flush(family, wait: true)
  }
}
