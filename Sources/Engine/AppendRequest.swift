public import Model
internal import WAL

/// What became of an append.
public enum AppendOutcome {
  /// All its units are durable: `AppendRequest.unit` has them.
  case appended
  /// All its units were appended before, under the ids that the client chose, and are durable.
  case exists
  /// The same request was appended before under its key: its first and its last event, durable.
  case answered(ClosedRange<Position>)
  case refused(Problem)
}

/// Told of an append's outcome, on the loop of the connection.
public protocol AppendCompletion: AnyObject {
  func completed(_ request: AppendRequest)
}

/// One request to append units, all or none: made by a connection, which lends the request's body to its drafts
/// until they are encoded or the outcome is there, and used again for the connection's next one.
public final class AppendRequest: HomeRequest, @unchecked Sendable {
  /// A unit of the request, and what the home has found out about it.
  struct Part {
    /// Pinned while it is set.
    var context: ResidentContext?
    /// Neither window nor store had the client's id among the events up to here.
    var idClearedThrough: Position?
    var storedHash: ContentHash?
    /// Of its record in the batch.
    var recordIndex = 0
  }

  /// The key under which the answer is to be kept, and what it is kept for.
  struct Key {
    /// Of agent and key, as the store names it.
    var name: [UInt8]
    /// Bytes of `name` before the key's own.
    var prefixBytes: Int
    var requestHash: ContentHash
  }

  public internal(set) var outcome: AppendOutcome?
  /// Told of the outcome in place of a task that waits. Kept until then.
  public var completion: (any AppendCompletion)?
  private let pool: UnitDraftPool

  // Touched by the home from `submit` to `completed`.
  /// One for each unit, until they are encoded at the latest.
  var drafts: ContiguousArray<UnitDraft> = []
  var parts: ContiguousArray<Part> = []
  var key: Key?
  /// The key is this request's to answer; others under it wait.
  var holdsKey = false
  /// The store was asked for the key.
  var hasLookedUpKey = false
  /// What it is told once the position that this depends on is durable.
  var awaited: AppendOutcome?
  /// Its units are in a batch: what was lent to the drafts is no longer needed.
  public internal(set) var isEncoded = false
  /// Keeps the units' memory.
  var batch: Batch?

  /// - Parameter pool: of the loop's drafts.
  public init(loop: Int, pool: UnitDraftPool = UnitDraftPool()) {
    self.pool = pool
    super.init(loop: loop)
  }

  public override func reset() {
    super.reset()
    outcome = nil
    pool.give(&drafts)
    pool.give(&parts)
    key = nil
    holdsKey = false
    hasLookedUpKey = false
    awaited = nil
    isEncoded = false
    batch = nil
  }

  // MARK: What is asked for

  /// Another unit, to be parsed by the caller.
  public func addDraft() -> UnitDraft {
    if parts.count == UnitDraftPool.partsKept { pool.enlarge(&parts) }
    let draft = pool.take()
    drafts.append(draft)
    parts.append(Part())
    return draft
  }

  /// Units asked for.
  public var count: Int { parts.count }
  /// What is asked for at `index`; requires that it wasn't appended.
  public func draft(_ index: Int) -> UnitDraft { drafts[index] }

  /// Keeps the answer for 24 h of log time under `key` of the first unit's agent, which must be resolved; if an
  /// answer to the same request is kept already, it is given again. Copies the key.
  /// - Parameter requestHash: of all that makes two requests the same.
  public func setKey(_ key: UnsafeRawBufferPointer, requestHash: ContentHash) {
    guard let agent = drafts.first?.agentID else { return }
    let name = IdempotencyName.make(agent: agent, key: key)
    self.key = Key(name: name, prefixBytes: name.count - key.count, requestHash: requestHash)
  }

  /// The units are encoded: their drafts may serve the next request, while they are still near.
  override func letGo() {
    if isEncoded { pool.give(&drafts) }
  }

  // MARK: What came of it

  /// All appended units, after `appended`; they live until the request is reset.
  public var units: [EventView] {
    guard let batch else { return [] }
    var units: [EventView] = []
    units.reserveCapacity(parts.count)
    for index in parts.indices { units.append(batch.record(parts[index].recordIndex)) }
    return units
  }

  /// The appended unit at `index`, after `appended`; lives until the request is reset.
  public func unit(_ index: Int) -> EventView? { batch?.record(parts[index].recordIndex) }

  // MARK: At the home

  override func admit(to home: Home) -> Bool { home.admit(append: self) }
  override func place(in home: Home) -> Bool { home.place(append: self) }

  override func settle(in batch: Batch?) {
    if let awaited {
      outcome = awaited
    } else {
      self.batch = batch
      outcome = .appended
    }
  }

  override func refuse(_ problem: Problem) { outcome = .refused(problem) }

  override func leave(_ home: Home) {
    unpin()
    if holdsKey { home.releaseKey(self) }
  }

  func unpin() {
    for index in parts.indices {
      parts[index].context?.pins -= 1
      parts[index].context = nil
    }
  }

  override func resume() {
    guard let completion else { return super.resume() }
    self.completion = nil
    completion.completed(self)
  }
}

/// Drafts that a loop's connections use in turn. Of one loop's thread.
public final class UnitDraftPool {
  /// Drafts that are kept while nobody uses them, about 5 MB of them: eight full batches.
  private static let keptMax = 8 * Limits.batchUnitsMax
  /// A request keeps memory for so many references to drafts: 1 KiB.
  private static let draftsKept = 128
  /// A request keeps memory for so many parts; what more takes comes from here.
  static let partsKept = 16
  /// Memory for more parts that is kept while nobody uses it.
  private static let sparesMax = 64
  private var free: [UnitDraft] = []
  private var spares: [ContiguousArray<AppendRequest.Part>] = []

  public init() {}

  func take() -> UnitDraft { free.popLast() ?? UnitDraft() }

  /// Takes back a request's drafts. What they hold is forgotten when they are parsed again.
  func give(_ drafts: inout ContiguousArray<UnitDraft>) {
    for index in drafts.indices where free.count < UnitDraftPool.keptMax { free.append(drafts[index]) }
    drafts.removeAll(keepingCapacity: drafts.count <= UnitDraftPool.draftsKept)
  }

  /// Empties a request's parts.
  func give(_ parts: inout ContiguousArray<AppendRequest.Part>) {
    guard parts.count > UnitDraftPool.partsKept else { return parts.removeAll(keepingCapacity: true) }
    var spare: ContiguousArray<AppendRequest.Part> = []
    swap(&spare, &parts)
    guard spares.count < UnitDraftPool.sparesMax else { return }
    spare.removeAll(keepingCapacity: true)
    spares.append(spare)
  }

  /// Moves a request's parts to memory for many more, if there is some.
  func enlarge(_ parts: inout ContiguousArray<AppendRequest.Part>) {
    guard var larger = spares.popLast() else { return }
    larger.append(contentsOf: parts)
    parts = larger
  }
}
