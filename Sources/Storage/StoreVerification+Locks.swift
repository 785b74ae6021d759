internal import Bytes
internal import Model

/// What the events of locks and restarts come to, taken in log order.
struct LockHistory {
  /// By path, the latest event of each lock that is held.
  private(set) var held: [[UInt8]: [UInt8]] = [:]
  private(set) var restart: StoredRestart?
  /// Events that the log's family in the store lacks, and `locks` has.
  private var later: [[UInt8]] = []

  /// Notes a record of the log, above what `log` holds.
  mutating func addLater(_ record: EventView) { later.append([UInt8](record.bytes)) }

  /// Takes an event of `log`, and owes its place.
  mutating func add(_ record: EventView, to run: StoreVerification) {
    var path: [UInt8] = []
    if let lock = record.lock, let name = record.resourcePath {
      path = [UInt8](name)
      let isHeld = lock.action == .acquired || lock.action == .renewed
      held[path] = isHeld ? [UInt8](record.bytes) : nil
    } else {
      restart = StoredRestart(position: record.position, logTime: record.logTime)
    }
    run.owed[StoreFamily.locks.rawValue].add(StoreKey.lock(at: record.position), path)
  }

  /// Takes what was noted; all of `log` has been taken.
  mutating func addNoted(to run: StoreVerification) {
    forEachNoted { add($0, to: run) }
  }

  func forEachNoted(_ body: (EventView) -> Void) {
    for record in later {
      record.withUnsafeBytes { memory in if let view = EventView(memory) { body(view) } }
    }
  }

  mutating func removeHeld(_ path: [UInt8]) -> [UInt8]? { held.removeValue(forKey: path) }

  static func concerns(_ kind: EventKind?) -> Bool { kind == .lock || kind == .restart }
}

/// `locks`: what is held, where events of locks stand, and the latest restart, just as the log's events make them.
struct LocksCheck: FamilyCheck {
  static let family = StoreFamily.locks
  static let foundations: [StoreFamily] = [.log]

  private var hasRestart = false

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    guard key.count > 2 else { return run.find("locks: a key of \(key.count) bytes is none") }
    switch key[2] {
    case StoreKey.lockHeld: checkHeld(key, value, run)
    case StoreKey.lockPosition:
      guard key.count == 11, let number: UInt64 = key.number(at: 3) else {
        return run.find("locks: a key of \(key.count) bytes is none")
      }
      if Position(number.byteSwapped) > run.marks[.locks] {
        run.find("locks: position \(number.byteSwapped) is above the family's mark")
      }
      run.held[StoreFamily.locks.rawValue].add(key, value)
    case StoreKey.lockRestart where key.count == 3:
      hasRestart = true
      let restart = StoredRestart(value)
      guard run.isWhole(.log), restart != run.locks.restart else { return }
      run.find(
        "locks: the latest restart is said to be at position \(restart?.position.rawValue ?? 0), but is at "
          + "\(run.locks.restart?.position.rawValue ?? 0)")
    default: run.find("locks: an entry that doesn't belong here")
    }
  }

  mutating func end(_ run: StoreVerification) {
    guard run.isWhole(.log) else { return }
    if !hasRestart, let restart = run.locks.restart {
      run.find("locks: the restart at position \(restart.position.rawValue) is missing")
    }
    let missing = run.locks.held.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    for (path, record) in missing {
      run.find(
        "locks: \(LocksCheck.name(path)) is missing, though position \(LocksCheck.position(record)) holds it")
    }
  }

  /// The entry is the latest event of its path.
  private func checkHeld(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    guard let record = EventView(value), record.length == value.count, record.isIntact,
      let event = ParsedEvent(record), event.kind == .lock, let path = record.resourcePath
    else { return run.find("locks: what is held isn't an intact event of a lock") }
    let name = LocksCheck.name([UInt8](path))
    if StoreKey.lock([UInt8](path)) != [UInt8](key) {
      return run.find("locks: the event of \(name) stands under another path")
    }
    guard run.isWhole(.log) else { return }
    guard let latest = run.locks.removeHeld([UInt8](path)) else {
      return run.find("locks: \(name) is held by position \(event.position.rawValue), but isn't held")
    }
    guard latest.withUnsafeBytes({ !StoreVerification.areSame($0, value) }) else { return }
    run.find(
      "locks: \(name) is held by position \(event.position.rawValue), but its latest event is at "
        + "\(LocksCheck.position(latest))")
  }

  /// The places of locks' events aren't those that the log has.
  static func explain(_ run: StoreVerification) {
    var paths: [Position: [UInt8]] = [:]
    func expect(_ record: EventView) {
      guard LockHistory.concerns(record.kind), record.position <= run.marks[.locks] else { return }
      let path = record.kind == .lock ? record.resourcePath.map { [UInt8]($0) } ?? [] : []
      let place = "locks: the event at position \(record.position.rawValue) "
      paths[record.position] = path
      switch run.look(.locks, StoreKey.lock(at: record.position), { [UInt8]($0) == path }) {
      case .found(true), .incomplete: break
      case .found(false): run.find(place + "is listed under another path")
      case .notFound: run.find(place + "isn't listed")
      }
    }
    try? run.entries(of: .log) { _, value in
      guard value.first == StoreKey.logRecord, let record = value.tail(from: 1).flatMap({ EventView($0) })
      else { return }
      expect(record)
    }
    run.locks.forEachNoted(expect)
    try? run.entries(of: .locks) { key, _ in
      guard key.count == 11, key[2] == StoreKey.lockPosition, let number: UInt64 = key.number(at: 3),
        paths[Position(number.byteSwapped)] == nil
      else { return }
      run.find("locks: position \(number.byteSwapped) is listed, but isn't an event of a lock")
    }
  }

  private static func name(_ path: [UInt8]) -> String {
    path.withUnsafeBytes { StoreVerification.name($0) }
  }

  private static func position(_ record: [UInt8]) -> UInt64 {
    record.withUnsafeBytes { EventView($0)?.position.rawValue ?? 0 }
  }
}
