import Bytes
import EngramTesting
import Engine
import Model
import Storage
import Telemetry
import WAL

/// A home whose surroundings do what the test says, when the test says it.
final class ManualHome: HomeSurroundings {
  /// How an append ended, in a word.
  enum Told: Equatable {
    case appended(UInt64)
    case exists
    /// With what happened at these positions.
    case answered(UInt64, UInt64)
    case refused(ErrorCode)
  }

  let log: SimulatedLog
  let store: SimulatedStore
  let home: Home
  /// The wall clock, which may be set.
  var clock: UInt64 = 1_700_000_000_000_000
  /// Microseconds of the monotonic clock: `pass` moves both.
  private(set) var elapsed: UInt64 = 1_000_000
  var readsMax = Int.max
  /// Reads under way: run the store's part, then hand over.
  private(set) var reads: [() -> Void] = []
  private(set) var published: [Batch] = []
  private(set) var evicted: [Position] = []
  private(set) var failure: String?
  private(set) var hasBegun = false
  /// When the home is to be woken, in microseconds of the monotonic clock.
  private(set) var alarm: UInt64?
  /// Everything that anyone was told, in order.
  private(set) var story: [String] = []
  private var bits: UInt64 = 0
  private var bodies: [UnsafeMutableRawBufferPointer] = []

  init(
    log: SimulatedLog = SimulatedLog(), store: SimulatedStore = SimulatedStore(), batches: [Batch] = [],
    _ change: (inout EngineLimits) -> Void = { _ in }
  ) throws {
    var limits = EngineLimits()
    limits.slabBytes = 16 << 10
    change(&limits)
    self.log = log
    self.store = store
    home = try Home(
      recovered: log, batches: batches, store: store, limits: limits, metrics: EngineMetrics(Registry()),
      pool: SlabPool(slabBytes: limits.slabBytes, keptMax: 4))
    home.surroundings = self
  }

  deinit { for body in bodies { body.deallocate() } }

  var wallClock: UInt64 { clock }
  var monotonicClock: UInt64 { elapsed * 1000 }
  func begun() { hasBegun = true }
  func setAlarm(at nanoseconds: UInt64) { alarm = min(alarm ?? .max, nanoseconds / 1000) }

  func randomBits() -> UInt64 {
    bits += 1
    return bits
  }

  func read<Found: Sendable>(
    _ work: @escaping @Sendable () -> Found, _ done: @escaping (Found) -> Void
  ) -> Bool {
    guard reads.count < readsMax else { return false }
    reads.append { done(work()) }
    return true
  }

  func publish(_ batch: Batch) {
    published.append(batch)
    story.append("published \(batch.firstPosition.rawValue)...\(batch.lastPosition.rawValue)")
  }

  func completed(_ request: HomeRequest) {
    let told: String? =
      switch request {
      case let request as AppendRequest: self.told(request).map { "\($0)" }
      case let request as LockRequest: self.told(request).map { "\($0)" }
      case let request as ContextRequest: self.told(request).map { "\($0)" }
      default: nil
      }
    story.append("told \(told ?? "nothing")")
  }

  func evicted(through position: Position) { evicted.append(position) }
  func logFailed(_ reason: String) { failure = reason }

  // MARK: What a test does

  /// Submits a unit of one agent.
  @discardableResult
  func post(
    _ context: String = "c", agent: String = "a", payload: String = "x", id: UnitID? = nil,
    expected: UInt64? = nil, isFenced: Bool = false, fence: (path: String, token: UInt64)? = nil,
    lane: RequestLane? = nil
  ) -> AppendRequest {
    submit(
      [
        ManualHome.unit(
          context, agent: agent, payload: payload, id: id, expected: expected, isFenced: isFenced,
          fence: fence)
      ], lane: lane)
  }

  /// Submits a request for units, given as JSON, perhaps under a key.
  @discardableResult
  func submit(
    _ units: [String], key: String? = nil, print: UInt64 = 1, lane: RequestLane? = nil
  ) -> AppendRequest {
    let request = AppendRequest(loop: 0)
    request.lane = lane
    for text in units {
      let body = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 16)
      body.copyBytes(from: Array(text.utf8))
      bodies.append(body)
      let draft = request.addDraft()
      precondition(draft.parse(UnsafeRawBufferPointer(body)) == nil)
      precondition(draft.resolveAgent(nil, isAuthenticated: false) == nil)
    }
    if let key {
      Array(key.utf8).withUnsafeBytes {
        request.setKey($0, requestHash: ContentHash(high: print, low: UInt64(units.count)))
      }
    }
    home.submit(request)
    return request
  }

  /// A unit's JSON.
  static func unit(
    _ context: String = "c", agent: String = "a", payload: String = "x", id: UnitID? = nil,
    expected: UInt64? = nil, isFenced: Bool = false, fence: (path: String, token: UInt64)? = nil
  ) -> String {
    var text = "{\"context_id\":\"\(context)\",\"agent_id\":\"\(agent)\",\"type\":\"MESSAGE\""
    text += ",\"payload\":\"\(payload)\""
    if let id { text += ",\"id\":\"\(id)\"" }
    if let expected { text += ",\"expected_sequence\":\(expected)" }
    if let fence { text += ",\"fence\":{\"resource_path\":\"\(fence.path)\",\"token\":\(fence.token)}" }
    if isFenced { text += ",\"fence\":{\"resource_path\":\"/a\",\"token\":1}" }
    return text + "}"
  }

  func told(_ request: AppendRequest) -> Told? {
    switch request.outcome {
    case .appended: .appended(request.unit(0)?.unit?.sequence.rawValue ?? 0)
    case .exists: .exists
    case .answered(let positions): .answered(positions.lowerBound.rawValue, positions.upperBound.rawValue)
    case .refused(let problem): .refused(problem.code)
    case nil: nil
    }
  }

  /// Ends turns, and lets the log finish, until nothing is in flight.
  func commit() {
    repeat { home.endOfTurn() } while log.step()
  }

  /// Time passes, on both clocks.
  func pass(microseconds: UInt64) {
    clock += microseconds
    elapsed += microseconds
  }

  /// Wakes the home if its alarm is due.
  /// - Returns: whether it was.
  @discardableResult
  func ring() -> Bool {
    guard let alarm, alarm <= elapsed else { return false }
    self.alarm = nil
    home.alarmRang()
    return true
  }

  /// Lets the oldest read finish.
  func finishRead() {
    guard !reads.isEmpty else { return }
    reads.removeFirst()()
  }

  /// Applies all that is published, and tells the home.
  func apply() throws {
    for batch in published where batch.lastPosition > store.appliedPosition() {
      try store.apply((0..<batch.count).map { batch.record($0) }, upTo: batch.lastPosition)
    }
    home.applied(through: store.appliedPosition())
  }
}
