import Bytes
import EngramTesting
import Glibc
import Model
import Storage
import Testing

/// Both stores pass the same tests.
enum StoreKind: CaseIterable, Sendable {
  case rocks, simulated

  func open(_ directory: TestDirectory) throws -> any EventStore {
    switch self {
    case .rocks: try openRocks(directory.path)
    case .simulated: SimulatedStore(seed: 7)
    }
  }
}

let testLogUUID = [UInt8](1...16)

func openRocks(_ path: String, options: StoreOptions = .small) throws(StoreError) -> RocksStore {
  try RocksStore(path: path + "/db", logUUID: testLogUUID, options: options)
}

/// A directory that goes with its last reference.
final class TestDirectory: Sendable {
  let path: String

  init() throws {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/engram-store.XXXXXX".utf8CString)
    path = try #require(
      template.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
      })
  }

  deinit { TestDirectory.remove(path) }

  static func names(in path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  private static func remove(_ path: String) {
    for name in names(in: path) {
      let inner = "\(path)/\(name)"
      if unlink(inner) != 0 { remove(inner) }
    }
    rmdir(path)
  }
}

/// Makes a history: positions and sequences are given out in order.
struct HistoryMaker {
  private(set) var records: [[UInt8]] = []
  private(set) var position: UInt64 = 0
  private var sequences: [[UInt8]: UInt64] = [:]
  /// Tokens of locks, by path.
  private var tokens: [[UInt8]: UInt64] = [:]

  var end: Position { Position(position) }

  @discardableResult
  mutating func unit(_ context: [UInt8], bodyBytes: Int = 40) -> [UInt8] {
    position += 1
    let sequence = sequences[context, default: 0] + 1
    sequences[context] = sequence
    records.append(
      EventSamples.unit(position: position, context: context, sequence: sequence, bodyBytes: bodyBytes))
    return records[records.count - 1]
  }

  /// A unit that names others, whose id is `EventSamples.unitID` of its position.
  @discardableResult
  mutating func unit(
    _ context: [UInt8], naming targets: [(UnitID, RelationshipType)], metadata: String = "{}"
  ) -> [UInt8] {
    position += 1
    let sequence = sequences[context, default: 0] + 1
    sequences[context] = sequence
    records.append(
      EventSamples.relatedUnit(
        position: position, context: context, sequence: sequence,
        relationships: targets.map { ($0.0, $0.1, metadata) }))
    return records[records.count - 1]
  }

  /// A unit that names up to four others, some of which are itself, come later or never.
  mutating func relatedUnit(_ context: [UInt8], _ random: inout some RandomNumberGenerator) {
    let targets = (0..<Int.random(in: 0...4, using: &random)).map { _ in
      let span = position > 40 ? position - 40...position + 20 : 1...60
      let type = RelationshipType.allCases[Int.random(in: 0..<7, using: &random)]
      return (EventSamples.unitID(UInt64.random(in: span, using: &random)), type)
    }
    unit(context, naming: targets, metadata: targets.count == 2 ? "{\"why\":\"\\u00e4,]}\"}" : "{}")
  }

  @discardableResult
  mutating func context(_ context: [UInt8], agent: String = "agent", revision: UInt64 = 1) -> [UInt8] {
    position += 1
    records.append(
      EventSamples.context(
        position: position, context: context, agent: Array(agent.utf8), revision: revision))
    return records[records.count - 1]
  }

  @discardableResult
  mutating func lock(_ action: LockAction, _ path: String, holder: String = "agent") -> [UInt8] {
    position += 1
    if action == .acquired { tokens[bytes(path)] = position }
    records.append(
      EventSamples.lock(
        action, position: position, path: bytes(path), holder: bytes(holder), token: tokens[bytes(path)]))
    return records[records.count - 1]
  }

  @discardableResult
  mutating func restart() -> [UInt8] {
    position += 1
    records.append(EventSamples.restart(position: position))
    return records[records.count - 1]
  }

  /// What some agent could do to locks of twelve paths next, or a restart, now and then.
  mutating func lockOrRestart(_ random: inout some RandomNumberGenerator) {
    if UInt.random(in: 0..<12, using: &random) == 0 {
      _ = restart()
      return
    }
    let number = Int.random(in: 0..<12, using: &random)
    let path = (number % 3 == 0 ? "repo/" : number % 3 == 1 ? "repo/a/" : "ä/") + "\(number / 3)"
    let action = LockAction.allCases[Int.random(in: 0..<4, using: &random)]
    lock(action, path, holder: "agent\(UInt.random(in: 0..<3, using: &random))")
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

extension EventStore {
  /// Applies the records, in batches of `batch`.
  func apply(_ records: [[UInt8]], batch: Int = .max) throws(StoreError) {
    var start = 0
    while start < records.count {
      let end = start + min(batch, records.count - start)
      try EventSamples.withViews(of: Array(records[start..<end])) { views throws(StoreError) in
        guard let last = views.last else { return }
        try apply(views, upTo: last.position)
      }
      start = end
    }
  }

  func unitBytes(_ id: UnitID, _ tier: ReadTier = .disk) throws(StoreError) -> [UInt8]? {
    var found: [UInt8]?
    let presence = try unit(id: id, tier: tier) { found = Array($0.bytes) }
    return presence == .found ? found : nil
  }

  func sequences(
    _ context: [UInt8], _ from: UInt64 = 1, _ through: UInt64 = .max, reverse: Bool = false,
    limit: Int = .max,
    bytesMax: Int = .max
  ) throws(StoreError) -> [UInt64] {
    var found: [UInt64] = []
    let end = try units(
      in: context, from: Sequence(from), through: Sequence(through), reverse: reverse, limit: limit,
      bytesMax: bytesMax, tier: .disk
    ) { view in
      found.append(view.unit?.sequence.rawValue ?? 0)
      return true
    }
    precondition(end != .incomplete)
    return found
  }

  /// All events in the range, however many calls that takes.
  func allEvents(
    after: UInt64 = 0, through: UInt64 = .max, contexts: [[UInt8]]? = nil, bytesMax: Int = .max
  ) throws(StoreError) -> [[UInt8]] {
    try allEvents(after: after, through: through, .inContexts(contexts), bytesMax: bytesMax)
  }

  /// All events that the filter wants in the range, however many calls that takes.
  func allEvents(
    after: UInt64 = 0, through: UInt64 = .max, _ filter: EventFilter, bytesMax: Int = .max
  ) throws(StoreError) -> [[UInt8]] {
    var found: [[UInt8]] = []
    var after = Position(after)
    while after < min(Position(through), appliedPosition()) {
      let scanned = try events(
        after: after, through: Position(through), filter: filter, bytesMax: bytesMax
      ) { view in
        found.append(Array(view.bytes))
        return true
      }
      precondition(scanned > after, "a scan of events must get on")
      after = scanned
    }
    return found
  }
}

/// What is held after these events, and the last restart, worked out the plain way.
func heldLocks(_ records: [[UInt8]]) throws -> [[UInt8]] {
  var held: [(path: [UInt8], record: [UInt8])] = []
  for record in records {
    try view(record) { event in
      guard event.kind == .lock, let path = event.resourcePath.map({ Array($0) }) else { return }
      held.removeAll { $0.path == path }
      if event.lock?.action == .acquired || event.lock?.action == .renewed { held.append((path, record)) }
    }
  }
  return held.sorted { $0.path.lexicographicallyPrecedes($1.path) }.map(\.record)
}

func lastRestart(_ records: [[UInt8]]) throws -> StoredRestart? {
  try records.last { record in try view(record) { $0.kind == .restart } }.map { record in
    try view(record) { StoredRestart(position: $0.position, logTime: $0.logTime) }
  }
}

/// The relationships that a history's units make, worked out the plain way.
struct PlainRelations {
  private var outgoing: [UnitID: [Relation]] = [:]
  private var incoming: [UnitID: [Relation]] = [:]

  init(_ records: [[UInt8]]) throws {
    for record in records {
      try view(record) { event in
        guard event.kind == .unit, let source = event.unit?.id else { return }
        UnitRelationships.forEach(event) { found in
          outgoing[source, default: []].append(
            Relation(
              unit: 0, other: found.target, type: found.type.rawValue, isIncoming: false, index: found.index))
          incoming[found.target, default: []].append(
            Relation(
              unit: 0, other: source, type: found.type.rawValue, isIncoming: true, index: found.index,
              source: event.position))
          return true
        }
      }
    }
  }

  func of(_ id: UnitID, _ directions: RelationDirections = .both) -> [Relation] {
    (directions.contains(.outgoing) ? outgoing[id] ?? [] : [])
      + (directions.contains(.incoming) ? incoming[id] ?? [] : [])
  }
}

extension EventStore {
  func relations(of id: UnitID, _ directions: RelationDirections = .both) throws(StoreError) -> [Relation] {
    var found: [Relation] = []
    let end = try relations(of: [id], directions, after: nil) {
      found.append($0)
      return true
    }
    precondition(end == .exhausted)
    return found
  }
}

extension EventStore {
  func heldLocks() throws(StoreError) -> [[UInt8]] {
    var found: [[UInt8]] = []
    let end = try locks { event in
      found.append(Array(event.bytes))
      return true
    }
    precondition(end == .exhausted)
    return found
  }

  func eventBytes(at position: UInt64) throws(StoreError) -> [UInt8]? {
    var found: [UInt8]?
    let presence = try event(at: Position(position)) { found = Array($0.bytes) }
    precondition((presence == .found) == (found != nil))
    return found
  }
}

func view<Value>(_ record: [UInt8], _ body: (EventView) -> Value) throws -> Value {
  try record.withUnsafeBytes { memory in body(try #require(EventView(memory))) }
}

func unitID(_ record: [UInt8]) throws -> UnitID { try #require(try view(record) { $0.unit?.id }) }

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var bits = state
    bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
    return bits ^ (bits >> 31)
  }
}
