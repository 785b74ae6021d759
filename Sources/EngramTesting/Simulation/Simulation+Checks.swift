internal import Bytes
internal import Engine
internal import Locks
internal import Model
internal import Storage
internal import WAL

/// What must hold when something becomes visible, and what readers must find.
extension Simulation {
  func published(_ batch: Batch) {
    trace.note(.published, batch.firstPosition.rawValue, UInt64(batch.count))
    if looksAtDisk { checkDurable(batch) }
    let events = (0..<batch.count).map { batch.record($0) }
    if let problem = model.extend(events, decided: { moment(of: $0) }) { violate(problem) }
    counts.expired += events.count { $0.lock?.action == .expired }
    counts.restarts += events.count { $0.kind == .restart }
    newest = batch
    inFlight = []
  }

  /// When an event of this life was decided, on its monotonic clock.
  private func moment(of position: Position) -> UInt64 {
    decisions.first { $0.through >= position }?.at ?? elapsed
  }

  /// Notes what was decided in the step that ends: the clock has stood still in it.
  func noteDecisions() {
    checkTurns()
    guard let tail = process?.home.tail, tail > decisions.last?.through ?? .zero else { return }
    decisions.append((tail, elapsed))
    while decisions.count > 1, decisions[0].through <= model.head { decisions.removeFirst() }
  }

  private func checkDurable(_ batch: Batch) {
    guard disk.durablePlace(of: batch.bytes) != nil else {
      return violate("position \(batch.firstPosition.rawValue) is visible, and a crash could take it back")
    }
    guard draw.oneIn(32) else { return }
    // The same by recovery's own word.
    let marks = store.persistedMarks()
    do {
      let recovered = try LogRecovery.run(
        disk.durableCopy(seed: 1), configuration: configuration, after: marks.lowest, witness: marks.highest)
      if recovered.tail.lastPosition < batch.lastPosition {
        violate("position \(batch.lastPosition.rawValue) is visible, and a crash would take it back")
      }
    } catch {
      violate("position \(batch.lastPosition.rawValue) is visible, and a crash would leave: \(error)")
    }
  }

  /// A reader's glance at one context and one unit, on either loop.
  func look(_ process: SimulatedProcess) {
    counts.reads += 1
    let window = draw.oneIn(2) ? process.home.window : process.otherWindow
    trace.note(.looked, window.head.rawValue)
    if window === process.home.window, window.head != model.head {
      violate("the window ends at \(window.head.rawValue), history at \(model.head.rawValue)")
    }
    let names = model.contextNames
    guard !names.isEmpty else { return }
    checkContext(names[draw.below(names.count)], window)
  }

  /// Everything that was ever shown is found, by id and by list, and the home stands where history says.
  func verify() {
    guard let process else { return }
    let home = process.home
    guard home.tail == model.head || !home.isIdle else {
      return violate("the home stands at \(home.tail.rawValue), history at \(model.head.rawValue)")
    }
    for window in [home.window, process.otherWindow] {
      for name in model.contextNames { checkContext(name, window) }
    }
    guard home.isIdle, isSound else { return }
    let held = home.sequencer.locks.list(limit: 1_000).locks
    if held != model.locks.all { violate("the home's \(held.count) locks aren't what history says") }
    if home.sequencer.logTime != model.logTime { violate("the home's log time isn't that of history") }
    for name in model.contextNames where home.knownContext(name) != model.contexts[name]?.state {
      violate("context \(String(decoding: name, as: UTF8.self)) isn't what a replay of its history gives")
    }
  }

  /// Reads a context as a handler does: the store up to where the window begins, then the window.
  private func checkContext(_ name: [UInt8], _ window: WindowIndex) {
    guard let context = model.contexts[name] else { return }
    var found: [Position] = []
    func take(_ event: EventView) -> Bool {
      if !model.holds(event) { violate("position \(event.position.rawValue) has changed for readers") }
      found.append(event.position)
      return isSound
    }
    let held = name.withUnsafeBytes { window.sequences(of: $0) }
    let below = held.map { $0.lowerBound - 1 } ?? UInt64.max
    if below > 0 {
      do throws(StoreError) {
        _ = try store.units(
          in: name, from: Sequence(1), through: Sequence(below), reverse: false, limit: .max, bytesMax: .max,
          tier: .disk, take)
      } catch {
        return
      }
    }
    if let held {
      name.withUnsafeBytes { name in window.units(in: name, held, reverse: false, take) }
    }
    // Another loop may be behind, but never with a hole.
    let expected = context.units.prefix { $0 <= window.head }
    if found.prefix(expected.count) != expected[...] || found.count > context.units.count {
      violate(
        "context \(String(decoding: name, as: UTF8.self)): readers find \(found.map(\.rawValue)), "
          + "history has \(expected.map(\.rawValue))")
    }
    checkUnits(context.units[..<expected.count], window)
  }

  private func checkUnits(_ positions: ArraySlice<Position>, _ window: WindowIndex) {
    for position in positions {
      guard isSound, let record = model.record(position) else { return }
      let id = record.withUnsafeBytes { EventView($0)?.unit?.id }
      guard let id else { return }
      var isFound = false
      if let event = window.unit(id) {
        isFound = model.holds(event) && event.position == position
      } else {
        do throws(StoreError) {
          _ = try store.unit(id: id, tier: .disk) { isFound = model.holds($0) && $0.position == position }
        } catch {
          return
        }
      }
      if !isFound { violate("position \(position.rawValue) isn't found by its id \(id)") }
    }
  }
}
