import Engine
import Model
import WAL

extension Workload {
  static let windows = [
    // Batches of 40 hold on to what they list; tables that grow are seen in the first passes only.
    Workload("window.append and evict", allocationsMax: 0) { try WindowAppendPass() },
    Workload("window.find unit by id", allocationsMax: 0) {
      let window = try FilledWindow()
      return Repeated { try window.find($0) }
    },
    Workload("window.newest 100 of a context", allocationsMax: 0) {
      let window = try FilledWindow()
      return Repeated { try window.newest($0) }
    },
  ]
}

/// 400 batches of 40 units of 1 KiB, in 100 contexts.
private final class FilledWindow {
  static let batches = 400
  static let unitsPerBatch = 40
  let feed: UnitFeed
  let window = WindowIndex(head: .zero)
  private var ids: [UnitID] = []
  private var next = 0

  init() throws {
    feed = try UnitFeed(contexts: 100)
    for _ in 0..<Self.batches { window.append(try feed.batch(Self.unitsPerBatch)) }
    _ = window.events(after: .zero, filter: .allUnits, recordsMax: .max) { event in
      if let unit = event.unit { ids.append(unit.id) }
      return true
    }
  }

  func find(_ times: Int) throws {
    for _ in 0..<times {
      // A prime, so that neighbours in time are not asked for one after the other.
      next = (next + 7919) % ids.count
      guard window.unit(ids[next]) != nil else { throw Unexpected("a unit is not in the window") }
    }
  }

  func newest(_ times: Int) throws {
    for _ in 0..<times {
      next = next + 1 < feed.contexts.count ? next + 1 : 0
      var units = 0
      feed.contexts[next].withUnsafeBytes { context in
        guard let sequences = window.sequences(of: context) else { return }
        window.units(in: context, sequences, reverse: true) { _ in
          units += 1
          return units < 100
        }
      }
      guard units == 100 else { throw Unexpected("a page of \(units)") }
    }
  }
}

/// A window at its size: a batch in, a batch out. An operation is a unit.
private final class WindowAppendPass: Pass {
  private let filled: FilledWindow
  private var batches: [Batch] = []

  init() throws { filled = try FilledWindow() }

  func prepare(_ operations: Int) throws {
    batches.removeAll(keepingCapacity: true)
    for _ in 0..<operations / FilledWindow.unitsPerBatch {
      batches.append(try filled.feed.batch(FilledWindow.unitsPerBatch))
    }
  }

  func run(_ operations: Int) throws {
    for batch in batches {
      filled.window.append(batch)
      filled.window.evictOldest()
    }
    try expect(filled.window.batchCount == FilledWindow.batches, "the window has another size")
  }
}
