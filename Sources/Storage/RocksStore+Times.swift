public import Model

extension RocksStore {
  public func position(atOrAfter time: LogTime) throws(StoreError) -> Position {
    let operation: StaticString = "find a time"
    try checkOpen(operation)
    let applied = appliedPosition()
    guard let lowest = try lowestPosition(), lowest <= applied else { return applied.next }
    let cursor = RocksCursor(
      database, .log, from: StoreKey.log(lowest), to: StoreKey.log(applied) + [0], .disk, for: operation)
    // Invariant: events below `low` are earlier; `found` is the first event at or above `high`, none of them earlier.
    var low = lowest.rawValue
    var high = applied.next.rawValue
    var found = applied.next
    while low < high {
      let middle = low + (high - low) / 2
      guard let event = try firstEvent(cursor, from: Position(middle), operation),
        event.position.rawValue < high
      else {
        high = middle
        continue
      }
      if event.logTime < time {
        low = event.position.next.rawValue
      } else {
        high = middle
        found = event.position
      }
    }
    return found
  }

  /// Of the first event at or above a position: an empty batch may have moved the positions on.
  private func firstEvent(_ cursor: RocksCursor, from position: Position, _ operation: StaticString)
    throws(StoreError) -> (position: Position, logTime: LogTime)?
  {
    cursor.seek(StoreKey.log(position))
    guard cursor.isValid else {
      _ = try cursor.end()
      return nil
    }
    let position = try RocksStore.position(ofLogKey: cursor.key)
    var logTime: LogTime?
    // What is applied to every family is there.
    _ = try event(at: position) { logTime = $0.logTime }
    guard let logTime else {
      throw .damaged(operation, "position \(position.rawValue) is in `log`, but its event is not")
    }
    return (position, logTime)
  }
}
