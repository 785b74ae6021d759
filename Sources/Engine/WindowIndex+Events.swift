internal import Bytes
public import Model
internal import WAL

extension WindowIndex {
  /// Calls `body` with the events behind `position` that the filter wants, in log order, until it returns false: that
  /// event counts as not handed over.
  ///
  /// Costs what it looks at: units of named contexts, contexts' events and locks' events are found without the rest;
  /// units of all contexts are found by looking at every record.
  /// - Parameter recordsMax: how many events are looked at, at most.
  /// - Returns: the position up to which everything that is wanted has been handed over.
  public func events(
    after position: Position, filter: EventFilter, recordsMax: Int, _ body: (EventView) -> Bool
  ) -> Position {
    var merge = EventMerge(self, after: position, filter)
    var reached = position
    for _ in 0..<recordsMax {
      guard let event = merge.next(self) else { return max(head, position) }
      // Context events are kept together, whatever their context; of units only the wanted contexts' are met.
      if filter.admits(kind: event.kind), event.kind == .unit || filter.admits(event), !body(event) {
        return reached
      }
      reached = event.position
    }
    return reached
  }
}

/// Walks along several lists of a window's records that are in log order each, as if they were one.
private struct EventMerge {
  private struct Cursor {
    var list: Ring<UInt>
    var offset: Int
    /// Of the record at `offset`.
    var position: Position

    /// Nil if nothing of the list is behind `position`.
    init?(_ list: Ring<UInt>, after position: Position) {
      var low = 0
      var high = list.count
      while low < high {
        let middle = (low + high) / 2
        if let event = WindowIndex.view(list[middle]), event.position > position {
          high = middle
        } else {
          low = middle + 1
        }
      }
      guard low < list.count, let event = WindowIndex.view(list[low]) else { return nil }
      self.list = list
      offset = low
      self.position = event.position
    }

    /// - Returns: false at the end.
    mutating func advance() -> Bool {
      offset += 1
      guard offset < list.count, let event = WindowIndex.view(list[offset]) else { return false }
      position = event.position
      return true
    }
  }

  private var cursors: [Cursor] = []
  /// Where all records are walked along: in which batch of the window, and which of its records.
  private var place: (batch: Int, offset: Int)?

  init(_ window: WindowIndex, after position: Position, _ filter: EventFilter) {
    if filter.units, filter.contexts == nil {
      // All records: those of other kinds are among them.
      let batch = window.firstBatch(after: position)
      place = (batch, 0)
      guard batch < window.batches.count else { return }
      // Positions of a batch go up, with gaps where there are any.
      let records = window.batches[batch]
      var offset = 0
      while offset < records.count, records.record(offset).position <= position { offset += 1 }
      place = (batch, offset)
      return
    }
    if filter.units {
      for name in filter.contexts ?? [] { add(window.units(of: name), after: position) }
    }
    if filter.contextEvents { add(window.contextEvents, after: position) }
    if filter.locks { add(window.lockEvents, after: position) }
  }

  private mutating func add(_ list: Ring<UInt>?, after position: Position) {
    guard let list, let cursor = Cursor(list, after: position) else { return }
    cursors.append(cursor)
  }

  mutating func next(_ window: WindowIndex) -> EventView? {
    if place != nil { return nextOfAll(window) }
    guard var best = cursors.indices.first else { return nil }
    for index in cursors.indices where cursors[index].position < cursors[best].position { best = index }
    let event = WindowIndex.view(cursors[best].list[cursors[best].offset])
    if !cursors[best].advance() { cursors.remove(at: best) }
    return event
  }

  private mutating func nextOfAll(_ window: WindowIndex) -> EventView? {
    guard var (batch, offset) = place else { return nil }
    while batch < window.batches.count, offset >= window.batches[batch].count {
      batch += 1
      offset = 0
    }
    place = (batch, offset + 1)
    return batch < window.batches.count ? window.batches[batch].record(offset) : nil
  }
}
