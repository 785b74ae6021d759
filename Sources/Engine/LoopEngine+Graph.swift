public import Model
internal import Storage

extension LoopEngine {
  static let walkAbandoned = Problem(.unavailable, "the connection ended before the walk was done")

  /// The units around one, along relationships, as far as the query and the limits of a walk go: everything that this loop
  /// knows of is in it. Nil if there is no unit to begin at. Suspends: threads of their own walk, on the store, so that
  /// no other read waits for walks. Throws if the store doesn't come up in time, or too many walks wait.
  public func graph(_ request: GraphRequest) async throws(Problem) -> GraphPage? {
    guard await applied(through: window.head, request) else {
      throw request.isCancelled ? LoopEngine.walkAbandoned : LoopEngine.storeIsBehind
    }
    let store = store
    let found: WalkedGraph? = await withUnsafeContinuation { continuation in
      let taken = engine.walk({ LoopEngine.walk(request, store) }, resuming: loop) {
        continuation.resume(returning: $0)
      }
      if !taken { continuation.resume(returning: nil) }
    }
    guard let found else { throw Home.walksFull }
    if let failure = found.failure { throw failure }
    guard found.hasRoot else { return nil }
    var page = GraphPage()
    page.records = found.records
    page.units = found.records.views()
    page.steps = found.steps
    page.isPartial = found.isPartial
    return page
  }

  private static func walk(_ request: GraphRequest, _ store: any EventStore) -> WalkedGraph {
    guard !request.isCancelled else { return WalkedGraph(failure: walkAbandoned) }
    do throws(StoreError) {
      var walk = GraphWalk(request.query, store, visibility: request.visibility) { request.isCancelled }
      let hasRoot = try walk.run()
      guard !request.isCancelled else { return WalkedGraph(failure: walkAbandoned) }
      return WalkedGraph(
        hasRoot: hasRoot, records: walk.records, steps: walk.steps, isPartial: walk.isPartial)
    } catch {
      return WalkedGraph(failure: Home.unreadable(error))
    }
  }
}

/// What a walk brings back from its thread.
private struct WalkedGraph: Sendable {
  var hasRoot = false
  var records = StoredRecords()
  var steps: [GraphPage.Step] = []
  var isPartial = false
  var failure: Problem?
}
