/// One suspension of one task, to be resumed from a completion callback without allocating.
///
/// Made before the operation is started, so that a result which comes first is not lost; waited on once;
/// resumed once (later resumptions are refused: the slot's generation has moved on). All of it on the loop
/// thread.
public struct Waiter: Sendable {
  let loop: EventLoop
  let slot: UInt32
  let generation: UInt32

  /// Takes a slot. Each waiter is either waited on or abandoned.
  public init(_ loop: EventLoop) {
    loop.assertOnLoop()
    self.loop = loop
    (slot, generation) = loop.waits.take()
  }

  /// Suspends until `resume`, or returns at once when that has happened. One enqueue when it suspends, none
  /// otherwise. A waiter that was waited on or abandoned before traps.
  public nonisolated(nonsending) func wait() async -> Int {
    loop.assertOnLoop()
    if let value = loop.waits.takeValue(slot, generation) { return value }
    return await withUnsafeContinuation { loop.waits.park(slot, generation, $0) }
  }

  /// Hands `value` to the task and lets it run in this turn. False when it was resumed or abandoned before.
  @discardableResult public func resume(_ value: Int = 0) -> Bool {
    loop.assertOnLoop()
    return loop.waits.resume(slot, generation, value)
  }

  /// Gives the slot back without waiting: what resumes it later is refused. Not while a task waits.
  public func abandon() {
    loop.assertOnLoop()
    loop.waits.abandon(slot, generation)
  }

  /// A task is suspended on it.
  public var isWaiting: Bool { loop.waits.isParked(slot, generation) }
}

/// The slots behind `Waiter`, in raw memory. Loop thread.
struct WaitTable: ~Copyable {
  private enum Phase {
    case free
    case open
    case resumed(Int)
    case parked(UnsafeContinuation<Int, Never>)
  }

  private struct Entry {
    var phase: Phase
    var generation: UInt32
    var nextFree: UInt32
  }

  private static let none = UInt32.max

  private var entries: UnsafeMutablePointer<Entry>
  private var capacity: Int
  private var used = 0
  private var free = WaitTable.none

  init(capacity: Int = 64) {
    self.capacity = capacity
    entries = .allocate(capacity: capacity)
  }

  deinit {
    entries.deinitialize(count: used)
    entries.deallocate()
  }

  mutating func take() -> (UInt32, UInt32) {
    if free != WaitTable.none {
      let slot = free
      free = entries[Int(slot)].nextFree
      entries[Int(slot)].phase = .open
      return (slot, entries[Int(slot)].generation)
    }
    if used == capacity {
      let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
      larger.moveInitialize(from: entries, count: used)
      entries.deallocate()
      entries = larger
      capacity *= 2
    }
    (entries + used).initialize(to: Entry(phase: .open, generation: 1, nextFree: WaitTable.none))
    used += 1
    return (UInt32(used - 1), 1)
  }

  /// The value that came before the wait; its slot is free then.
  mutating func takeValue(_ slot: UInt32, _ generation: UInt32) -> Int? {
    precondition(entries[Int(slot)].generation == generation, "a waiter is waited on once")
    guard case .resumed(let value) = entries[Int(slot)].phase else { return nil }
    release(slot)
    return value
  }

  mutating func park(_ slot: UInt32, _ generation: UInt32, _ continuation: UnsafeContinuation<Int, Never>) {
    guard case .open = entries[Int(slot)].phase else { preconditionFailure("a waiter is waited on once") }
    entries[Int(slot)].phase = .parked(continuation)
  }

  mutating func resume(_ slot: UInt32, _ generation: UInt32, _ value: Int) -> Bool {
    guard entries[Int(slot)].generation == generation else { return false }
    switch entries[Int(slot)].phase {
    case .open:
      entries[Int(slot)].phase = .resumed(value)
      return true
    case .parked(let continuation):
      release(slot)
      continuation.resume(returning: value)
      return true
    case .resumed, .free: return false
    }
  }

  mutating func abandon(_ slot: UInt32, _ generation: UInt32) {
    guard entries[Int(slot)].generation == generation else { return }
    if case .parked = entries[Int(slot)].phase { preconditionFailure("a task waits on this waiter") }
    release(slot)
  }

  func isParked(_ slot: UInt32, _ generation: UInt32) -> Bool {
    guard entries[Int(slot)].generation == generation else { return false }
    if case .parked = entries[Int(slot)].phase { return true }
    return false
  }

  private mutating func release(_ slot: UInt32) {
    entries[Int(slot)].phase = .free
    entries[Int(slot)].generation &+= 1
    entries[Int(slot)].nextFree = free
    free = slot
  }
}
