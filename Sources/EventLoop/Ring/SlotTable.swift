/// One who has operations in the ring: kept alive by the table until the last of them has completed.
protocol Resident: AnyObject {
  /// An operation of this resident completed. Loop thread, after the completion queue was advanced.
  func completed(_ kind: Tag.Kind, _ result: Int32, _ flags: UInt32)
  /// The loop is stopping: end everything, and leave the table when all completions are in.
  func loopIsStopping()
  /// It asked for the end of the turn, by the list of dirty sockets.
  func flush()
  /// It waited for receive buffers, and there are some again.
  func buffersReturned()
  /// Ciphertext that waited has its turn.
  func takeUpWaiting()
}

extension Resident {
  func flush() {}
  func buffersReturned() {}
  func takeUpWaiting() {}
}

/// Residents by slot and generation, in raw memory. Loop thread.
struct SlotTable: ~Copyable {
  private struct Entry {
    var resident: (any Resident)?
    var generation: UInt32
    var nextFree: UInt32
  }

  private static let none = UInt32.max

  private var entries: UnsafeMutablePointer<Entry>
  private var capacity: Int
  private var used = 0
  private var free = SlotTable.none
  private(set) var count = 0

  init(capacity: Int = 64) {
    self.capacity = capacity
    entries = .allocate(capacity: capacity)
  }

  deinit {
    entries.deinitialize(count: used)
    entries.deallocate()
  }

  /// Gives `resident` a slot; nil when all 2²⁴ are taken.
  mutating func insert(_ resident: any Resident) -> (slot: UInt32, generation: UInt32)? {
    if free != SlotTable.none {
      let slot = free
      let entry = entries + Int(slot)
      free = entry.pointee.nextFree
      entry.pointee.resident = resident
      count += 1
      return (slot, entry.pointee.generation)
    }
    guard used <= Tag.slotMax else { return nil }
    if used == capacity { grow() }
    (entries + used).initialize(to: Entry(resident: resident, generation: 1, nextFree: SlotTable.none))
    used += 1
    count += 1
    return (UInt32(used - 1), 1)
  }

  func resident(_ slot: UInt32, _ generation: UInt32) -> (any Resident)? {
    guard slot < used else { return nil }
    let entry = entries + Int(slot)
    return entry.pointee.generation == generation ? entry.pointee.resident : nil
  }

  mutating func remove(_ slot: UInt32) {
    precondition(slot < used)
    let entry = entries + Int(slot)
    guard entry.pointee.resident != nil else { return }
    entry.pointee.resident = nil
    entry.pointee.generation &+= 1
    entry.pointee.nextFree = free
    free = slot
    count -= 1
  }

  /// Everyone now in the table. Cold: allocates.
  func all() -> [any Resident] {
    (0..<used).compactMap { entries[$0].resident }
  }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
    larger.moveInitialize(from: entries, count: used)
    entries.deallocate()
    entries = larger
    capacity *= 2
  }
}
