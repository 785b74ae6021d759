internal import CRocksDB
internal import Model

/// Makes a store of an older format into one of this format, where it lies.
///
/// What is new is made of what is there: a family is there once the database has been opened, and is then filled and
/// marked. Each step is durable before the next, and all can be taken again: a crash leaves a store of the former version,
/// which the former program refuses as soon as it has a family that it doesn't know.
enum StoreUpgrade {
  /// 2 lacks `locks` and `relations`, 3 lacks `relations`.
  static let formerVersions: ClosedRange<UInt32> = 2...3

  enum Step: CaseIterable, Sendable {
    /// A log that was written by then holds no event that `locks` would keep.
    case markLocks
    /// `relations` is made from the units that are there.
    case fillRelations
    case writeVersion
  }

  /// Bytes of entries of one `WriteBatch`.
  static let batchBytesMax = 4 << 20
  /// Units between two reports.
  static let reportedUnits: UInt64 = 200_000

  /// Families that a store of this version need not have; whatever there is of them is made anew.
  static func families(missingIn version: UInt32?) -> Set<StoreFamily> {
    switch version {
    case 2: [.locks, .relations]
    case 3: [.relations]
    default: []
    }
  }

  /// As far as a family comes that is made by these steps.
  static func mark(of family: StoreFamily, _ marks: StoreMarks) -> Position {
    switch family {
    // Made of `units`, which on disk is a prefix of what was applied to it.
    case .relations: marks[.units]
    default: StoreFamily.allCases.filter { $0 != family && $0 != .relations }.map { marks[$0] }.min() ?? .zero
    }
  }

  static func steps(from version: UInt32) -> [Step] {
    version == 2 ? Step.allCases : [.fillRelations, .writeVersion]
  }

  static func run(
    _ database: RocksDatabase, from version: UInt32, _ progress: StoreOptions.UpgradeProgress? = nil
  ) throws(StoreError) {
    for step in steps(from: version) { try run(step, database, progress) }
  }

  /// - Parameter units: between two reports.
  static func run(
    _ step: Step, _ database: RocksDatabase, every units: UInt64 = reportedUnits,
    _ progress: StoreOptions.UpgradeProgress? = nil
  ) throws(StoreError) {
    var marks = StoreMarks()
    for family in StoreFamily.allCases { marks[family] = try database.mark(family, persisted: false) }
    switch step {
    case .markLocks:
      try put(database, .locks, StoreKey.mark, mark(of: .locks, marks).rawValue)
    case .fillRelations:
      try fillRelations(database, every: units, progress)
      try put(database, .relations, StoreKey.mark, mark(of: .relations, marks).rawValue)
    case .writeVersion:
      try put(database, .meta, StoreKey.format, StoreKey.formatVersion)
    }
  }

  /// Puts what every unit's record says. A batch that a killed process has put is put again, and says the same.
  private static func fillRelations(
    _ database: RocksDatabase, every reported: UInt64, _ progress: StoreOptions.UpgradeProgress?
  ) throws(StoreError) {
    let operation: StaticString = "upgrade"
    let writer = RelationWriter()
    defer { writer.free() }
    let cursor = RocksCursor(
      database, .units, from: [], to: [UInt8](repeating: 0xff, count: 2), .disk, for: operation)
    cursor.seek([])
    var units: UInt64 = 0
    var related: UInt64 = 0
    while cursor.isValid {
      if UnitsKey(cursor.key)?.tag == StoreKey.tagUnit {
        let record = try RocksStore.view(cursor.value, operation)
        guard let event = ParsedEvent(record), let unit = event.unit else {
          throw .damaged(operation, "a record in `units` is no unit's")
        }
        units += 1
        if event.relations != nil {
          related += 1
          writer.add(event, unit.id)
          if writer.bytes >= batchBytesMax { try writer.write(database, operation) }
        }
        if units % reported == 0 {
          try writer.write(database, operation)
          progress?(units, related)
        }
      }
      cursor.next()
    }
    _ = try cursor.end()
    try writer.write(database, operation)
    progress?(units, related)
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
