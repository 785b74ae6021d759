public import Model
internal import Synchronization

/// One walk along relationships, from the connection that asks to the thread that walks.
public final class GraphRequest: Abandonable, PositionWaiting, @unchecked Sendable {
  public let query: GraphQuery
  /// What the reader may see; nil: everything.
  public let visibility: (any Visibility)?
  /// The wait for the store; loop thread.
  var wait: PositionWait?
  private let cancelled = Atomic<Bool>(false)

  public init(_ query: GraphQuery, visibility: (any Visibility)? = nil) {
    self.query = query
    self.visibility = visibility
  }

  /// Nobody is there to be answered. Any thread.
  var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

  public func abandon(on engine: LoopEngine) {
    cancelled.store(true, ordering: .relaxed)
    wait?.end()
  }

  /// A walk ends by itself soon.
  public func endWait(on engine: LoopEngine) {}
}
