import EngramTesting
import Glibc
import Model
import Storage
import Testing

/// A process that is killed while it applies and flushes: what it was told is persisted is there afterwards, in
/// every family, and replay from the lowest mark makes the store whole. This is what lets the log be recycled, and
/// what `kPersistedTier` was to prove.
@Suite(.serialized) struct StoreCrashTests {
  /// A history that any process makes alike.
  static func history(_ seed: UInt64) -> HistoryMaker {
    var random = SeededRandom(seed: seed)
    var history = HistoryMaker()
    for _ in 0..<4000 {
      let context = bytes("c\(UInt.random(in: 0..<12, using: &random))")
      let kind = UInt.random(in: 0..<10, using: &random)
      if kind == 0 {
        history.context(context)
      } else if kind < 4 {
        history.lockOrRestart(&random)
      } else if kind < 6 {
        history.relatedUnit(context, &random)
      } else {
        history.unit(context, bodyBytes: Int.random(in: 100...1500, using: &random))
      }
    }
    return history
  }

  /// Applies and flushes as the seed says, noting what is persisted in a file before going on; then is killed. The
  /// first flush is waited for: one that isn't may be under way still when the process dies, on a slow disk.
  static func applyAndDie(_ path: String, seed: UInt64) throws {
    var random = SeededRandom(seed: seed &+ 1000)
    var options = StoreOptions.small
    options.writeBufferBytes = 256 << 10
    let records = history(seed).records
    let store = try openRocks(path, options: options)
    let note = open(path + "/persisted", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    let end = Int.random(in: 500..<records.count, using: &random)
    var start = 0
    var flushes = 0
    while start < end {
      let next = min(end, start + Int.random(in: 1...300, using: &random))
      try store.apply(Array(records[start..<next]))
      start = next
      switch UInt.random(in: 0..<8, using: &random) {
      case 0:
        try store.flush(wait: true)
        flushes += 1
      case 1:
        try store.flush(wait: flushes == 0)
        flushes += 1
      default: break
      }
      var persisted = try store.persistedPosition().rawValue
      pwrite(note, &persisted, 8, 0)
    }
    kill(getpid(), SIGKILL)
  }

  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func aKilledProcessLeavesEveryFamilyAtOrAboveWhatItSaid(_ seed: UInt64) async throws {
    let directory = try TestDirectory()
    let path = directory.path
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, seed = seed as UInt64] in
      try StoreCrashTests.applyAndDie(path, seed: seed)
    }
    var told: UInt64 = 0
    let note = open(path + "/persisted", O_RDONLY)
    try #require(read(note, &told, 8) == 8)
    close(note)

    #expect(told > 0)
    let records = Self.history(seed).records
    let store = try openRocks(path)
    defer { store.close() }
    for family in StoreFamily.allCases {
      #expect(store.marksAtOpen[family] >= Position(told), "\(family), seed \(seed)")
    }
    #expect(store.appliedPosition() == store.marksAtOpen.lowest)
    // Before replay, locks are as of their own family's mark.
    let known = Array(records[..<Int(store.marksAtOpen[.locks].rawValue)])
    #expect(try store.heldLocks() == heldLocks(known) && store.lastRestart() == lastRestart(known))
    // So are relationships.
    let applied = try PlainRelations(Array(records[..<Int(store.marksAtOpen[.relations].rawValue)]))
    for position in UInt64(1)...4000 {
      let id = EventSamples.unitID(position)
      #expect(try store.relations(of: id) == applied.of(id))
    }
    // The log's part of the work: everything above the lowest mark again.
    try store.apply(Array(records[Int(store.marksAtOpen.lowest.rawValue)...]), batch: 500)
    let followed = try records.filter { record in try view(record) { $0.kind != .restart } }
    #expect(try store.allEvents(.all) == followed)
    let wanted = (0..<12).map { bytes("c\($0)") }
    #expect(
      try store.allEvents(EventFilter(contexts: wanted, units: true, contextEvents: true, locks: true))
        == followed)
    #expect(try store.heldLocks() == heldLocks(records) && store.lastRestart() == lastRestart(records))
    for record in records where try view(record, { $0.kind == .unit }) {
      #expect(try store.unitBytes(unitID(record)) == record)
    }
    let related = try PlainRelations(records)
    for position in UInt64(1)...4000 {
      let id = EventSamples.unitID(position)
      #expect(try store.relations(of: id) == related.of(id))
    }
  }
}
