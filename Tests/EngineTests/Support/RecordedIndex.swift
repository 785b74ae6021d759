import Model
import Search
import Synchronization

@testable import Engine

/// The files of an index in memory, and what the indexer did to them: with calls that fail, gates that hold, and marks
/// that change, as a test wants it.
final class RecordedIndex: UnitIndexFiles, Sendable {
  struct State {
    /// Positions of the units that are committed, in the order in which they were added.
    var units: [UInt64] = []
    var watermark: UInt64 = 0
    var commits: [UInt64] = []
    var openings = 0
    var discards = 0
    var isOpen = false
    var exists = false
    var tidied = 0
    /// The call, counted over all that throw since it was set, that fails; 0: none.
    var failingCall = 0
    var calls = 0
    var failure = SearchError.Kind.operational
    /// Commits wait while it is set.
    var isHeld = false
    var holding = 0
    var inode: UInt64 = 1
    /// What the indexer did wrong.
    var faults: [String] = []
  }

  let state = Mutex(State())
  /// What a commit is held against: nothing may be committed that the store doesn't answer for.
  let applied: @Sendable () -> Position

  init(applied: @escaping @Sendable () -> Position) { self.applied = applied }

  func open() throws(SearchError) -> any UnitIndex {
    try call("open") { state in
      if state.isOpen { state.faults.append("opened twice") }
      state.isOpen = true
      state.exists = true
      state.openings += 1
    }
    return RecordedWriter(self, watermark: Position(state.withLock { $0.watermark }))
  }

  func discard() throws(SearchError) {
    try call("discard") { state in
      if state.isOpen { state.faults.append("discarded while open") }
      state.units = []
      state.watermark = 0
      state.discards += 1
      state.exists = false
      state.inode += 1
    }
  }

  func look() -> IndexFileMark {
    state.withLock { state in
      let file = IndexFileMark.File(device: 1, inode: state.inode, bytes: 4096)
      return IndexFileMark(database: state.exists ? file : nil, log: nil)
    }
  }

  func call(_ operation: String, _ body: (inout State) -> Void) throws(SearchError) {
    let failure = state.withLock { state -> SearchError.Kind? in
      state.calls += 1
      guard state.calls != state.failingCall else { return state.failure }
      body(&state)
      return nil
    }
    if let failure { throw SearchError(failure, operation: operation, message: "injected") }
  }
}

private final class RecordedWriter: UnitIndex {
  private let files: RecordedIndex
  private(set) var watermark: Position
  private var added: [UInt64] = []

  init(_ files: RecordedIndex, watermark: Position) {
    self.files = files
    self.watermark = watermark
  }

  func add(_ unit: EventView) throws(SearchError) {
    let position = unit.position.rawValue
    let last = added.last ?? watermark.rawValue
    try files.call("add") { state in
      if unit.kind != .unit { state.faults.append("\(position) is no unit") }
      if position <= last { state.faults.append("\(position) behind \(last)") }
    }
    added.append(position)
  }

  func commit(through: Position) throws(SearchError) {
    while files.state.withLock({ state in
      state.holding = state.isHeld ? 1 : 0
      return state.isHeld
    }) { breathe() }
    let applied = files.applied()
    try files.call("commit") { state in
      if through > applied { state.faults.append("committed \(through) of \(applied)") }
      if through < watermark { state.faults.append("committed \(through) behind \(watermark)") }
      if let last = added.last, last > through.rawValue { state.faults.append("added beyond \(through)") }
      state.units += added
      state.watermark = through.rawValue
      state.commits.append(through.rawValue)
    }
    watermark = through
    added = []
  }

  func rollback() { added = [] }

  func tidy() throws(SearchError) -> Bool {
    try files.call("tidy") { state in
      if !added.isEmpty { state.faults.append("put in order with \(added.count) units added") }
      state.tidied += 1
    }
    return files.state.withLock { $0.tidied % 3 != 0 }
  }

  func close() { files.state.withLock { $0.isOpen = false } }
}
