public import Model
internal import Storage

extension LoopEngine {
  /// The units around one, along relationships, as far as the query and the limits of a walk go: everything that this loop
  /// knows of is in it. Nil if there is no unit to begin at. Suspends: the read pool walks, on the store.
  public func graph(_ query: GraphQuery) async throws(Problem) -> GraphPage? {
    await applied()
    let store = store
    let found = try await read { () -> WalkedGraph in
      do throws(StoreError) {
        var walk = GraphWalk(query, store)
        let hasRoot = try walk.run()
        return WalkedGraph(
          hasRoot: hasRoot, records: walk.records, steps: walk.steps, isPartial: walk.isPartial)
      } catch {
        return WalkedGraph(failure: Home.unreadable(error))
      }
    }
    if let failure = found.failure { throw failure }
    guard found.hasRoot else { return nil }
    var page = GraphPage()
    page.records = found.records
    page.units = found.records.views()
    page.steps = found.steps
    page.isPartial = found.isPartial
    return page
  }
}

/// What a walk brings back from the read pool.
private struct WalkedGraph: Sendable {
  var hasRoot = false
  var records = StoredRecords()
  var steps: [GraphPage.Step] = []
  var isPartial = false
  var failure: Problem?
}
