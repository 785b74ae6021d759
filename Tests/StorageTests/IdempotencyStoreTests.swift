import Bytes
import EngramTesting
import Model
import Testing

@testable import Storage

@Suite struct IdempotencyStoreTests {
  private static let day = Limits.idempotencyMicroseconds

  /// A unit under a key, with `remainder` events of its request behind it.
  private func keyed(
    _ position: UInt64, _ key: String, agent: String = "a", hash: UInt64 = 1, remainder: UInt32 = 0,
    time: UInt64? = nil
  ) -> [UInt8] {
    let text = #"{"context_id":"c","agent_id":"\#(agent)","type":1,"payload":"x"}"#
    let body = Array(text.utf8)
    return body.withUnsafeBytes { body in
      let draft = UnitDraft()
      precondition(draft.parse(body) == nil)
      return Array(key.utf8).withUnsafeBytes { key in
        let mark = IdempotencyMark(requestHash: ContentHash(high: hash, low: 2), key: key)
        let facts = UnitFacts(
          id: UnitID(high: position << 16, low: position), sequence: Sequence(position),
          position: Position(position), logTime: LogTime(microseconds: time ?? position),
          requestRemainder: remainder)
        let room = UnitEncoder.bytesMax(for: draft, idempotency: mark)
        return [UInt8](unsafeUninitializedCapacity: room) { memory, count in
          guard let base = memory.baseAddress else { return }
          count = UnitEncoder.encode(draft, facts, idempotency: mark, into: base, capacity: room)
        }
      }
    }
  }

  private func name(_ agent: String, _ key: String) -> [UInt8] {
    Array(agent.utf8).withUnsafeBytes { agent in
      Array(key.utf8).withUnsafeBytes { IdempotencyName.make(agent: agent, key: $0) }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func aKeyStandsForItsRequestsEvents(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    try store.apply([keyed(1, "k", remainder: 4, time: 77), keyed(6, "k", agent: "b"), keyed(7, "kk")])
    let answer = KeptAnswer(
      requestHash: ContentHash(high: 1, low: 2), first: Position(1), last: Position(5),
      logTime: LogTime(microseconds: 77))
    #expect(try store.keptAnswer(name("a", "k"), tier: .cacheOnly) == .found(answer))
    #expect(try store.keptAnswer(name("b", "k"), tier: .disk) != .found(answer))
    for (agent, key) in [("a", ""), ("ak", ""), ("", "ak"), ("c", "k"), ("a", "kkk")] {
      #expect(try store.keptAnswer(name(agent, key), tier: .disk) == .notFound)
    }
    // A later request under it, when the first has expired.
    try store.apply([keyed(8, "k", hash: 9)])
    guard case .found(let later) = try store.keptAnswer(name("a", "k"), tier: .disk) else {
      Issue.record("the key is lost")
      return
    }
    #expect(later.first == Position(8) && later.last == Position(8) && later.requestHash.high == 9)
  }

  @Test func anAnswerThatBeginsNowhereIsDamage() {
    let zeros = [UInt8](repeating: 0, count: 40)
    zeros.withUnsafeBytes { #expect(KeptAnswer($0) == nil) }
  }

  @Test(arguments: StoreKind.allCases)
  func keysComeBackAfterReopening(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let first = try kind.open(directory)
    try first.apply([keyed(1, "k")])
    first.close()
    let store = try kind == .rocks ? kind.open(directory) : first
    if let simulated = store as? SimulatedStore { simulated.reopen() }
    defer { store.close() }
    #expect(try store.keptAnswer(name("a", "k"), tier: .disk) != .notFound)
  }

  @Test func compactionForgetsKeysThatAreTooOldAndNoOthers() throws {
    let directory = try TestDirectory()
    let store = try openRocks(directory.path)
    defer { store.close() }
    let start: UInt64 = 1_700_000_000_000_000
    try store.apply([keyed(1, "old", time: start), keyed(2, "young", time: start + 1)])
    try store.apply([keyed(3, "new", time: start + Self.day)])
    try store.flush(wait: true)
    compact(store.database, .idempotency)
    #expect(try store.keptAnswer(name("a", "old"), tier: .disk) == .notFound)
    for key in ["young", "new"] {
      #expect(try store.keptAnswer(name("a", key), tier: .disk) != .notFound, "\(key)")
    }
    // The family's mark outlives compaction.
    #expect(try store.persistedMarks()[.idempotency] == Position(3))
  }
}
