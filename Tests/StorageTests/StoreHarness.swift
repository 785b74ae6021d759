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

  @discardableResult
  mutating func context(_ context: [UInt8], agent: String = "agent", revision: UInt64 = 1) -> [UInt8] {
    position += 1
    records.append(
      EventSamples.context(
        position: position, context: context, agent: Array(agent.utf8), revision: revision))
    return records[records.count - 1]
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
