public import Bytes
public import Model
public import WAL

/// One loop's index of the recent window: the last published batches, found by unit id, by context and
/// sequence, and by position. The batches are shared by all loops; the index is this loop's own, so that
/// reading takes no lock. Lives on its loop's thread; a record that it names stays in memory until `evict`.
public final class WindowIndex {
  /// What the window has of one context.
  private struct Track {
    var firstSequence: UInt64 = 0
    /// The units, in sequence order and without gaps.
    var records = Ring<UInt>()
    /// The context's latest event of its own, or 0.
    var contextEvent: UInt = 0

    var isEmpty: Bool { records.isEmpty && contextEvent == 0 }
    var lastSequence: UInt64? { records.isEmpty ? nil : firstSequence + UInt64(records.count) - 1 }
  }

  private(set) var batches = Ring<Batch>(capacity: 64)
  private var ids = IDTable(capacity: 1024)
  private var names = ByteTable()
  private var tracks: [Track] = []
  /// Of all contexts, in log order.
  private(set) var contextEvents = Ring<UInt>()
  /// Of all locks, in log order.
  private(set) var lockEvents = Ring<UInt>()
  /// Bytes of log that the window holds.
  public private(set) var bytes = 0
  /// The newest published position; all of history up to here may be shown.
  public private(set) var head: Position

  /// An empty window behind `head`: what is at or below it is the store's to answer.
  public init(head: Position) { self.head = head }

  /// The lowest position in the window; above `head` when the window is empty.
  public var lowest: Position { batches.first?.firstPosition ?? head.next }
  public var oldest: Batch? { batches.first }
  public var batchCount: Int { batches.count }

  /// Adds the next published batch.
  public func append(_ batch: Batch) {
    guard batch.count > 0 else { return }
    precondition(batch.firstPosition > head, "batches are published in order")
    batches.append(batch)
    bytes += batch.paddedBytes
    var run = Run()
    for offset in 0..<batch.count {
      prefetch(batch, behind: offset)
      let record = batch.record(offset)
      guard let base = record.bytes.baseAddress else { continue }
      let address = UInt(bitPattern: base)
      if record.kind == .lock { lockEvents.append(address) }
      guard let context = record.contextID else { continue }
      guard let unit = record.unit else {
        if record.kind == .context { append(context, event: address) }
        continue
      }
      ids.set(high: unit.id.high, low: unit.id.low, value: UInt64(address))
      if !run.goesOn(with: context) { run = Run(context: context, slot: track(context)) }
      if tracks[run.slot].records.isEmpty { tracks[run.slot].firstSequence = unit.sequence.rawValue }
      tracks[run.slot].records.append(address)
    }
    head = batch.lastPosition
  }

  /// Records of one context that follow one another: its name is looked up once.
  private struct Run {
    var context = UnsafeRawBufferPointer(start: nil, count: 0)
    var slot = 0

    func goesOn(with other: UnsafeRawBufferPointer) -> Bool {
      context.baseAddress != nil && JSONText.same(context, other)
    }
  }

  /// Of the records behind the one in hand, so many have their ids' places brought near, and twice as many their own
  /// heads: each would be a miss of its own otherwise.
  private static let prefetched = 4

  private func prefetch(_ batch: Batch, behind offset: Int) {
    batch.prefetch(offset + 2 * WindowIndex.prefetched)
    let next = offset + WindowIndex.prefetched
    guard next < batch.count, let id = batch.record(next).unitID else { return }
    ids.prefetch(high: id.high, low: id.low)
  }

  private func append(_ context: UnsafeRawBufferPointer, event address: UInt) {
    contextEvents.append(address)
    tracks[track(context)].contextEvent = address
  }

  private func track(_ context: UnsafeRawBufferPointer) -> Int {
    let (slot, isNew) = names.insert(context)
    if slot == tracks.count { tracks.append(Track()) }
    if isNew { tracks[slot] = Track() }
    return slot
  }

  /// Another index of the same batches.
  package func duplicate() -> WindowIndex {
    let other = WindowIndex(head: batches.first.map { Position($0.firstPosition.rawValue - 1) } ?? head)
    for offset in 0..<batches.count { other.append(batches[offset]) }
    return other
  }

  /// Forgets the oldest batch.
  public func evictOldest() {
    guard let batch = batches.popFirst() else { return }
    bytes -= batch.paddedBytes
    var run = Run()
    for offset in 0..<batch.count {
      prefetch(batch, behind: offset)
      let record = batch.record(offset)
      if record.kind == .lock { _ = lockEvents.popFirst() }
      guard let context = record.contextID, let base = record.bytes.baseAddress else { continue }
      let address = UInt(bitPattern: base)
      if !run.goesOn(with: context) {
        guard let slot = names.find(context) else { continue }
        run = Run(context: context, slot: slot)
      }
      if let id = record.unitID {
        ids.remove(high: id.high, low: id.low, value: UInt64(address))
        _ = tracks[run.slot].records.popFirst()
        tracks[run.slot].firstSequence += 1
      } else if record.kind == .context {
        _ = contextEvents.popFirst()
        if tracks[run.slot].contextEvent == address { tracks[run.slot].contextEvent = 0 }
      }
      if tracks[run.slot].isEmpty {
        names.remove(run.slot)
        tracks[run.slot] = Track()
        run = Run()
      }
    }
  }

  public func unit(_ id: UnitID) -> EventView? {
    guard let address = ids.find(high: id.high, low: id.low) else { return nil }
    return WindowIndex.view(UInt(address))
  }

  /// The memory that holds one of the window's records.
  public func slab(holding event: EventView) -> Slab? {
    let place = firstBatch(after: Position(event.position.rawValue - 1))
    guard place < batches.count, batches[place].firstPosition <= event.position,
      let base = event.bytes.baseAddress, let start = batches[place].bytes.baseAddress,
      base >= start, base < start + batches[place].paddedBytes
    else { return nil }
    return batches[place].slab
  }

  /// The window's sequences of a context, if it has any.
  public func sequences(of context: UnsafeRawBufferPointer) -> ClosedRange<UInt64>? {
    guard let slot = names.find(context), let last = tracks[slot].lastSequence else { return nil }
    return tracks[slot].firstSequence...last
  }

  /// Calls `body` with the context's units of `range` that are in the window, in order (or from the newest),
  /// until it returns false.
  public func units(
    in context: UnsafeRawBufferPointer, _ range: ClosedRange<UInt64>, reverse: Bool,
    _ body: (EventView) -> Bool
  ) {
    guard let slot = names.find(context), let last = tracks[slot].lastSequence else { return }
    let track = tracks[slot]
    let first = max(range.lowerBound, track.firstSequence)
    let end = min(range.upperBound, last)
    guard first <= end else { return }
    for step in 0...(end - first) {
      let sequence = reverse ? end - step : first + step
      guard let view = WindowIndex.view(track.records[Int(sequence - track.firstSequence)]), body(view) else {
        return
      }
    }
  }

  /// The window's sequences of a context whose units are of a span of time: log time never falls along a context.
  public func sequences(
    of context: UnsafeRawBufferPointer, since: LogTime?, until: LogTime?
  ) -> ClosedRange<UInt64>? {
    guard let slot = names.find(context), !tracks[slot].records.isEmpty else { return nil }
    let track = tracks[slot]
    let first = since.map { time in firstOffset(track) { $0.logTime >= time } } ?? 0
    let end = until.map { time in firstOffset(track) { $0.logTime >= time } } ?? track.records.count
    return first < end ? track.firstSequence + UInt64(first)...track.firstSequence + UInt64(end) - 1 : nil
  }

  /// A context's latest event of its own, if it is in the window.
  public func contextEvent(of context: UnsafeRawBufferPointer) -> EventView? {
    names.find(context).flatMap { WindowIndex.view(tracks[$0].contextEvent) }
  }

  /// Calls `body` with the contexts' events behind `position`, the newest first.
  public func contextEvents(after position: Position, _ body: (EventView) -> Void) {
    var offset = contextEvents.count
    while offset > 0, let event = WindowIndex.view(contextEvents[offset - 1]), event.position > position {
      body(event)
      offset -= 1
    }
  }

  /// The units of a context in the window, in sequence and log order.
  func units(of context: [UInt8]) -> Ring<UInt>? {
    context.withUnsafeBytes { names.find($0) }.map { tracks[$0].records }
  }

  /// The first unit of a context in the window of which `holds` is true, as it is of all behind it: as an offset from
  /// the context's first.
  private func firstOffset(_ track: Track, where holds: (EventView) -> Bool) -> Int {
    var low = 0
    var high = track.records.count
    while low < high {
      let middle = (low + high) / 2
      if let view = WindowIndex.view(track.records[middle]), holds(view) {
        high = middle
      } else {
        low = middle + 1
      }
    }
    return low
  }

  /// Of the first batch that reaches behind `position`.
  func firstBatch(after position: Position) -> Int {
    var low = 0
    var high = batches.count
    while low < high {
      let middle = (low + high) / 2
      if batches[middle].lastPosition > position { high = middle } else { low = middle + 1 }
    }
    return low
  }

  static func view(_ address: UInt) -> EventView? {
    UnsafeRawPointer(bitPattern: address).map { EventView(trusted: $0) }
  }
}
