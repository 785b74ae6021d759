internal import CRocksDB
public import Model

extension RocksStore {
  public func locks(_ body: (EventView) -> Bool) throws(StoreError) -> ScanEnd {
    let operation: StaticString = "list locks"
    try checkOpen(operation)
    let lower = StoreKey.locks(StoreKey.lockHeld)
    let cursor = RocksCursor(
      database, .locks, from: lower, to: StoreKey.end(of: lower), .disk, for: operation)
    cursor.seek(lower)
    while cursor.isValid {
      if !body(try RocksStore.view(cursor.value, operation)) { return .stopped }
      cursor.next()
    }
    return try cursor.end()
  }

  public func lastRestart() throws(StoreError) -> StoredRestart? {
    let operation: StaticString = "read the last restart"
    try checkOpen(operation)
    let found = try database.get(.locks, StoreKey.locks(StoreKey.lockRestart), .disk, for: operation) {
      value throws(StoreError) in
      guard let restart = StoredRestart(value) else {
        throw .damaged(operation, "the entry of the last restart has only \(value.count) bytes")
      }
      return restart
    }
    guard case .found(let restart) = found else { return nil }
    return restart
  }
}

extension StoredRestart {
  /// A value of `locks`.
  init?(_ value: UnsafeRawBufferPointer) {
    guard let position: UInt64 = value.number(at: 0), position > 0, let time: UInt64 = value.number(at: 8)
    else { return nil }
    self.init(position: Position(position), logTime: LogTime(microseconds: time))
  }
}

extension StoreKey {
  /// What the keys of one part of `locks` begin with.
  static func locks(_ part: UInt8, namespace: UInt16 = namespace) -> [UInt8] {
    var key: [UInt8] = []
    append(namespace, to: &key)
    key.append(part)
    return key
  }

  static func lock(_ path: [UInt8]) -> [UInt8] { locks(lockHeld) + path }

  static func lock(at position: Position) -> [UInt8] {
    var key = locks(lockPosition)
    append(position.rawValue, to: &key)
    return key
  }
}

extension ApplyWriter {
  /// Who holds what after these events, and where they stand. Puts and deletes of one path come in order of position, so
  /// the last one holds.
  func putLocks(_ records: [EventView], after mark: Position, _ family: OpaquePointer) {
    for record in records where record.position > mark {
      switch record.kind {
      case .lock: putLock(record, family)
      case .restart: putRestart(record, family)
      case .unit, .context, nil: continue
      }
    }
  }

  private func putLock(_ record: EventView, _ family: OpaquePointer) {
    guard let path = record.resourcePath, let start = path.baseAddress, let action = record.lock?.action
    else { return }
    setLocksKey(record, StoreKey.lockHeld)
    key.run(path)
    switch action {
    case .acquired, .renewed:
      engram_batch_put(batch, family, key.base, key.count, record.bytes.baseAddress, record.length)
    case .released, .expired:
      engram_batch_delete(batch, family, key.base, key.count)
    }
    setLocksKey(record, StoreKey.lockPosition)
    key.big(record.position.rawValue)
    engram_batch_put(batch, family, key.base, key.count, start, path.count)
  }

  private func putRestart(_ record: EventView, _ family: OpaquePointer) {
    setLocksKey(record, StoreKey.lockPosition)
    key.big(record.position.rawValue)
    engram_batch_put(batch, family, key.base, key.count, key.base, 0)
    setLocksKey(record, StoreKey.lockRestart)
    value.count = 0
    value.little(record.position.rawValue)
    value.little(record.logTime.microseconds)
    engram_batch_put(batch, family, key.base, key.count, value.base, value.count)
  }

  private func setLocksKey(_ record: EventView, _ part: UInt8) {
    key.count = 0
    key.big(record.namespace)
    key.byte(part)
  }
}

/// Events of locks and restarts by the index in `locks`, in order of position.
final class LockScan: OrderedScan {
  private let cursor: RocksCursor
  private(set) var position = Position.zero

  /// Stands on the first entry above `after`; nil if there is none up to `through`.
  init?(_ store: RocksStore, after: Position, through: Position) throws(StoreError) {
    let lower = StoreKey.lock(at: after.next)
    cursor = RocksCursor(
      store.database, .locks, from: lower, to: StoreKey.lock(at: through) + [0], .disk, for: "scan events")
    cursor.seek(lower)
    guard try read() else { return nil }
  }

  /// A restart has no path.
  func find(_ filter: EventFilter) -> ScannedEntry {
    let path = cursor.value
    return !path.isEmpty && filter.admitsLock(path) ? .inLog : .nothing
  }

  func advance() throws(StoreError) -> Bool {
    cursor.next()
    return try read()
  }

  private func read() throws(StoreError) -> Bool {
    guard cursor.isValid else {
      _ = try cursor.end()
      return false
    }
    guard let number: UInt64 = cursor.key.number(at: 3) else {
      throw .damaged("scan events", "a key of `locks` has only \(cursor.key.count) bytes")
    }
    position = Position(number.byteSwapped)
    return true
  }
}
