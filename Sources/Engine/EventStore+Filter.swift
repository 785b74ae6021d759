internal import Model
internal import Storage

extension EventStore {
  /// Until the store scans by filter itself: what it finds by context, looked at one by one.
  func events(
    after: Position, through: Position, filter: EventFilter, bytesMax: Int, _ body: (EventView) -> Bool
  ) throws(StoreError) -> Position {
    try events(
      after: after, through: through, contexts: filter.locks ? nil : filter.contexts, bytesMax: bytesMax
    ) { filter.admits($0) ? body($0) : true }
  }
}
