import Bytes
import EngramTesting
import Model
import Storage
import Telemetry
import Testing
import WAL

@testable import Engine

/// A home on simulated log and store, whose store applies when the test says so.
private final class Place: HomeSurroundings {
  let log = SimulatedLog(batchBytesLimit: 60 << 10)
  let store = SimulatedStore()
  let home: Home
  var wallClock: UInt64 = 1_700_000_000_000_000
  private var random: UInt64 = 0
  private var reads: [() -> Void] = []
  private var published: [Batch] = []
  private var bodies: [UnsafeMutableRawBufferPointer] = []

  init() throws {
    var limits = EngineLimits()
    limits.slabBytes = 64 << 10
    limits.windowBytesMax = 0
    home = try Home(
      recovered: log, batches: [], store: store, limits: limits, metrics: EngineMetrics(Registry()),
      pool: SlabPool(slabBytes: limits.slabBytes, keptMax: 2))
    home.surroundings = self
  }

  deinit { for body in bodies { body.deallocate() } }

  /// Submits a unit of 40 KB, so that a batch has room for one.
  func post(id: String? = nil, letter: Character = "x") throws -> AppendRequest {
    let chosen = id.map { "\"id\":\"\($0)\"," } ?? ""
    let payload = String(repeating: letter, count: 40 << 10)
    let text = "{\(chosen)\"context_id\":\"c\",\"agent_id\":\"a\",\"type\":1,\"payload\":\"\(payload)\"}"
    let body = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 8)
    body.copyBytes(from: text.utf8)
    bodies.append(body)
    let request = AppendRequest(loop: 0)
    let draft = request.addDraft()
    #expect(draft.parse(UnsafeRawBufferPointer(body)) == nil)
    #expect(draft.resolveAgent(nil, isAuthenticated: false) == nil)
    home.submit(request)
    home.endOfTurn()
    return request
  }

  func commit() {
    log.step()
    home.endOfTurn()
  }

  func commitAll() { while log.step() { home.endOfTurn() } }

  func applyAll() throws {
    for batch in published {
      try store.apply((0..<batch.count).map { batch.record($0) }, upTo: batch.lastPosition)
    }
    published = []
    home.applied(through: store.appliedPosition())
  }

  func randomBits() -> UInt64 {
    random += 1
    return random
  }

  func read<Found: Sendable>(_ work: @escaping @Sendable () -> Found, _ done: @escaping (Found) -> Void)
    -> Bool
  {
    reads.append { done(work()) }
    return true
  }

  func publish(_ batch: Batch) { published.append(batch) }
  func completed(_ request: HomeRequest) {}
  var monotonicClock: UInt64 { 0 }
  func setAlarm(at nanoseconds: UInt64) {}
  func begun() {}
  func evicted(through position: Position) {}
  func logFailed(_ reason: String) { Issue.record("\(reason)") }
}

/// A retry that waits for room while the first of the two is published must still find it.
struct RetryWhileWaitingTests {
  private let id = "01890a5d-ac96-774b-bcce-b302099a8057"

  private func isExisting(_ request: AppendRequest) -> Bool {
    if case .exists = request.outcome { return true }
    return false
  }

  @Test func aTwinThatWaitedForRoomIsNotAppendedAgain() throws {
    let place = try Place()
    _ = try place.post()
    let first = try place.post(id: id)
    _ = try place.post()
    let twin = try place.post(id: id)
    let other = try place.post(id: id, letter: "y")
    #expect(place.home.waitingCount == 3)
    place.commitAll()
    #expect(place.home.isIdle)
    guard case .appended = first.outcome else {
      Issue.record("the first is appended")
      return
    }
    #expect(isExisting(twin))
    guard case .refused(let problem) = other.outcome else {
      Issue.record("other content under the same id is refused")
      return
    }
    #expect(problem.code == .conflict)
  }

  @Test func evenIfTheWindowHasLetTheFirstGo() throws {
    let place = try Place()
    _ = try place.post()
    _ = try place.post(id: id)
    _ = try place.post()
    _ = try place.post()
    let twin = try place.post(id: id)
    place.commit()
    place.commit()
    try place.applyAll()
    #expect(twin.outcome == nil)
    place.commitAll()
    #expect(place.home.isIdle)
    #expect(isExisting(twin))
  }
}
