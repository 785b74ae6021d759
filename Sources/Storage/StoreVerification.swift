internal import Bytes
internal import CRocksDB
public import Model

/// Reads a whole store and compares it with itself and with the log: for `engram verify`. Writes nothing, and goes on
/// behind what it finds.
///
/// Each family is scanned once, in order of its keys, which also has RocksDB check every block. What one family says of
/// another is summed up as fingerprints of the entries that must be there, and the sums are compared: no random reads.
/// Only where sums differ are both sides looked up again, to name what is wrong.
///
/// A new family gets a `FamilyCheck`, and what it owes to units is added in `UnitsCheck.owe`.
///
/// Blocking; one thread. First `logRecord` for each record of the log, oldest first, then `run`.
public final class StoreVerification {
  /// Findings that are kept in words; the rest is counted.
  static let findingsMax = 100

  public struct FamilyReport: Sendable {
    public var family: StoreFamily
    public var mark: Position
    public var entries: UInt64 = 0
    public var bytes: UInt64 = 0
    /// All of it could be read.
    public var isWhole = false
  }

  /// What the entries of one family come to, in any order.
  struct Tally: Equatable {
    var count: UInt64 = 0
    var sum = Fingerprint(high: 0, low: 0)

    mutating func add(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
      var stream = FingerprintStream()
      stream.add([UInt64(key.count)])
      stream.add(key)
      stream.add(value)
      count += 1
      sum = sum &+ stream.finish()
    }

    mutating func add(_ key: [UInt8], _ value: [UInt8]) {
      key.withUnsafeBytes { key in value.withUnsafeBytes { value in add(key, value) } }
    }
  }

  /// The log that the store belongs to: empty if it names none, nil if that can't be read.
  public let logUUID: [UInt8]?
  public let marks: StoreMarks
  public private(set) var findings: [String] = []
  public private(set) var findingCount = 0
  public private(set) var families: [FamilyReport] = []
  /// Records of the log that the store has, and has to have as the log does.
  public private(set) var comparedRecords = 0
  /// Told of each family and the entries read so far, every some ten thousand.
  public var progress: ((StoreFamily, UInt64) -> Void)?
  /// Handed every unit once, those that only the log has included; lent.
  public var unit: ((EventView) -> Void)?

  let database: RocksDatabase
  /// What each family must hold according to units and log, and what it does hold.
  var owed = [Tally](repeating: Tally(), count: StoreFamily.allCases.count)
  var held = [Tally](repeating: Tally(), count: StoreFamily.allCases.count)
  /// The last unit of contexts, where the log knows a later one than `units` does.
  var laterHeads: [[UInt8]: StoredContext.Head] = [:]
  var locks = LockHistory()
  /// Of the store; nil if it names none.
  private var format: UInt32?

  /// Opens the store in the directory `path` for reading only.
  /// - Throws: what RocksDB says of a store that can't be opened.
  public init(path: String, options: StoreOptions = StoreOptions()) throws(StoreError) {
    let database = try RocksDatabase.openReadOnly(path, options)
    self.database = database
    var marks = StoreMarks()
    var unreadable: [(StoreFamily, StoreError)] = []
    for family in StoreFamily.allCases where !database.absent.contains(family) {
      do throws(StoreError) {
        marks[family] = try database.mark(family, persisted: false)
      } catch {
        unreadable.append((family, error))
      }
    }
    // A family whose mark can't be read is taken to be as far as the others: what else it lacks then shows.
    let highest = marks.highest
    for (family, _) in unreadable { marks[family] = highest }
    var uuid: [UInt8]?
    do throws(StoreError) {
      let log = try database.get(.meta, StoreKey.log, .disk, for: "verify") { [UInt8]($0) }
      if case .found(let found) = log { uuid = found } else { uuid = [] }
    } catch {
      if unreadable.isEmpty { unreadable.append((.meta, error)) }
    }
    logUUID = uuid
    let format = try? database.get(.meta, StoreKey.format, .disk, for: "verify") { value throws(StoreError) in
      value.number(at: 0, as: UInt32.self) ?? 0
    }
    if case .found(let version) = format { self.format = version }
    // Whether they are there yet or not: a start makes them, as far as the others have come.
    for family in StoreUpgrade.families(missingIn: self.format) {
      marks[family] = StoreUpgrade.mark(of: family, marks)
    }
    self.marks = marks
    for (family, error) in unreadable { find("\(family.name): its mark: \(error.message)") }
  }

  public func close() { database.close() }

  public var isDamaged: Bool { findingCount > 0 }

  public func find(_ text: String) {
    findingCount += 1
    if findings.count < StoreVerification.findingsMax { findings.append(text) }
  }

  // MARK: The log

  /// Compares a record of the log with what the store has of it, or notes what it will put there. In order.
  public func logRecord(_ record: EventView) {
    guard let event = ParsedEvent(record) else {
      return find("log: position \(record.position.rawValue): the record lacks what its kind must have")
    }
    if let unit = event.unit {
      let context = [UInt8](event.context)
      let key = StoreKey.units(context, tag: StoreKey.tagUnit, number: unit.sequence.rawValue)
      if event.position <= marks[.units] {
        compare(record, .units, key, skipping: 0)
      } else {
        self.unit?(record)
        UnitsCheck.owe(record, event, unit, key, to: self)
        if event.position <= marks[.contexts] {
          laterHeads[context] = StoredContext.Head(
            lastSequence: unit.sequence, logTime: record.logTime, position: event.position)
        }
      }
    } else {
      if LockHistory.concerns(event.kind), event.position > marks[.log], event.position <= marks[.locks] {
        locks.addLater(record)
      }
      if event.position <= marks[.log] {
        compare(record, .log, StoreKey.log(event.position), skipping: 1)
      } else if event.position <= marks[.units], !event.context.isEmpty {
        LogCheck.owe(event, to: self)
      }
    }
  }

  /// The store's value, without its first `skipping` bytes, is the record.
  private func compare(_ record: EventView, _ family: StoreFamily, _ key: [UInt8], skipping: Int) {
    comparedRecords += 1
    let found = look(family, key) { value in
      value.tail(from: skipping).map { StoreVerification.areSame($0, record.bytes) } ?? false
    }
    switch found {
    case .found(true), .incomplete: break
    case .found(false):
      find("\(family.name): position \(record.position.rawValue) isn't what the log holds there")
    case .notFound:
      find("\(family.name): position \(record.position.rawValue) is in the log, but not here")
    }
  }

  static func areSame(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    guard let first = a.baseAddress, let second = b.baseAddress else { return true }
    return memcmp(first, second, a.count) == 0
  }

  /// One key; what can't be read is a finding, and then `incomplete`.
  func look<Value>(
    _ family: StoreFamily, _ key: [UInt8], _ body: (UnsafeRawBufferPointer) -> Value
  ) -> Lookup<Value> {
    do throws(StoreError) {
      return try database.get(family, key, .disk, for: "verify") { value throws(StoreError) in body(value) }
    } catch {
      find("\(family.name): \(error.message)")
      return .incomplete
    }
  }

  // MARK: The families

  /// Reads everything.
  public func run() {
    if let logUUID, logUUID.count != RocksStore.logUUIDBytes { find("default: the store names no log") }
    if let format, format != StoreKey.formatVersion, !StoreUpgrade.formerVersions.contains(format) {
      find("default: format version \(format), of which this program knows only \(StoreKey.formatVersion)")
    }
    let unmade = StoreUpgrade.families(missingIn: format)
    for family in StoreFamily.allCases where !unmade.contains(family) {
      if database.absent.contains(family) {
        find("\(family.name): the family is missing")
        continue
      }
      switch family {
      case .meta: scan(MetaCheck())
      case .units: scan(UnitsCheck())
      case .ids: scan(IDsCheck())
      case .log: scan(LogCheck())
      case .contexts: scan(ContextsCheck())
      case .agents: scan(AgentsCheck())
      case .filters: scan(FiltersCheck())
      case .idempotency: scan(IdempotencyCheck())
      case .locks: scan(LocksCheck())
      case .relations: scan(RelationsCheck())
      }
    }
    let summed =
      [IDsCheck.self, LogCheck.self, ContextsCheck.self, LocksCheck.self, RelationsCheck.self]
      as [any FamilyCheck.Type]
    for check in summed {
      let family = check.family
      guard owed[family.rawValue] != held[family.rawValue] else { continue }
      let before = findingCount
      // A sum that can't be right, because not all could be read, says nothing.
      guard (check.foundations + [family]).allSatisfy({ isWhole($0) }) else { continue }
      check.explain(self)
      if findingCount == before {
        find(
          "\(family.name): holds \(held[family.rawValue].count) entries that don't agree with the other families, "
            + "which make \(owed[family.rawValue].count)")
      }
    }
  }

  func isWhole(_ family: StoreFamily) -> Bool {
    families.contains { $0.family == family && $0.isWhole }
  }

  private func scan<Check: FamilyCheck>(_ check: Check) {
    var check = check
    var report = FamilyReport(family: Check.family, mark: marks[Check.family])
    do throws(StoreError) {
      try entries(of: Check.family) { key, value in
        report.entries += 1
        report.bytes += UInt64(key.count + value.count)
        if report.entries % 16_384 == 0 { progress?(Check.family, report.entries) }
        check.entry(key, value, self)
      }
      report.isWhole = true
      check.end(self)
    } catch {
      find("\(Check.family.name): \(error.message); the rest of this family was not read")
    }
    progress?(Check.family, report.entries)
    families.append(report)
  }

  /// Every entry but those of the store itself (marks, format, log).
  func entries(
    of family: StoreFamily, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
  ) throws(StoreError) {
    let cursor = RocksCursor(
      database, family, from: [], to: [UInt8](repeating: 0xff, count: 2), .disk, for: "verify")
    cursor.seek([])
    while cursor.isValid {
      body(cursor.key, cursor.value)
      cursor.next()
    }
    _ = try cursor.end()
  }

  /// Context ids are text, but what is broken may be anything.
  static func name(_ bytes: UnsafeRawBufferPointer) -> String {
    "\"" + String(decoding: bytes.prefix(80), as: UTF8.self) + "\""
  }
}

/// What must hold of one family. Entries come in order of their keys.
protocol FamilyCheck {
  static var family: StoreFamily { get }
  /// The families whose entries make what this one must hold.
  static var foundations: [StoreFamily] { get }
  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification)
  mutating func end(_ run: StoreVerification)
  /// The family's entries don't come to what units and log owe it: says which.
  static func explain(_ run: StoreVerification)
}

extension FamilyCheck {
  static var foundations: [StoreFamily] { [.units, .log] }
  mutating func end(_ run: StoreVerification) {}
  static func explain(_ run: StoreVerification) {}
}
