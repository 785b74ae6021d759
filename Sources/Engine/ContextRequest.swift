public import Model
internal import WAL

/// What became of a change of a context.
public enum ContextOutcome {
  /// The record of its event, which lives as long as the request.
  case changed(EventView, isNew: Bool)
  case refused(Problem)
}

/// One request to change a context, or to create it.
public final class ContextRequest: HomeRequest, @unchecked Sendable {
  /// What the context must be for the change to be made.
  public enum Precondition: Hashable, Sendable {
    case none, exists
    /// One of these.
    case revision([UInt64])
  }

  public internal(set) var outcome: ContextOutcome?
  let id: [UInt8]
  let patch: ContextPatch
  let precondition: Precondition

  /// Pinned while it is set.
  var context: ResidentContext?
  /// The units to be pinned are of this context.
  var hasLookedUpUnits = false
  var isNew = false
  /// Of its event in the batch.
  var recordIndex = 0
  /// Keeps the event's memory.
  private var batch: Batch?

  public init(_ patch: ContextPatch, of id: [UInt8], if precondition: Precondition, loop: Int) {
    self.patch = patch
    self.id = id
    self.precondition = precondition
    super.init(loop: loop)
  }

  override func admit(to home: Home) -> Bool { home.admit(context: self) }
  override func place(in home: Home) -> Bool { home.place(context: self) }

  override func settle(in batch: Batch?) {
    self.batch = batch
    guard let batch else {
      outcome = .refused(Problem(.internal, "the change of the context has no event"))
      return
    }
    outcome = .changed(batch.record(recordIndex), isNew: isNew)
  }

  override func refuse(_ problem: Problem) { outcome = .refused(problem) }

  override func leave(_ home: Home) { unpin() }

  func unpin() {
    context?.pins -= 1
    context = nil
  }
}
