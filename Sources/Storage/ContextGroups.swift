internal import Bytes
internal import Model

#if canImport(Glibc)
  internal import Glibc
#endif

/// The events of a batch by context, found without allocating: an open hash table over the ids where they lie
/// in the records. Memory is kept from batch to batch.
struct ContextGroups {
  struct Group {
    var namespace: UInt16
    var context: UnsafeRawBufferPointer
    var hash: UInt32
    var first: Int
    var last: Int
    var lastUnit: Int?
    var lastContextEvent: Int?
  }

  /// In order of key once `sort` has been called.
  private(set) var groups: [Group] = []
  /// For each event of the batch the next one of its group, or -1.
  private var nexts: [Int] = []
  /// Indices into `groups`, or -1; a power of two, at most half full.
  private var slots: [Int] = Array(repeating: -1, count: 64)

  mutating func removeAll() {
    groups.removeAll(keepingCapacity: true)
    nexts.removeAll(keepingCapacity: true)
    for index in slots.indices { slots[index] = -1 }
  }

  /// Files the event; `index` counts the calls.
  mutating func add(_ event: ParsedEvent, index: Int) {
    nexts.append(-1)
    guard !event.context.isEmpty else { return }
    let hash = CRC32C.checksum(event.context, continuing: UInt32(event.namespace))
    let slot = find(event, hash)
    if slots[slot] < 0 {
      slots[slot] = groups.count
      groups.append(
        Group(namespace: event.namespace, context: event.context, hash: hash, first: index, last: index))
    } else {
      nexts[groups[slots[slot]].last] = index
    }
    let group = slots[slot]
    groups[group].last = index
    if event.unit != nil { groups[group].lastUnit = index }
    if event.kind == .context { groups[group].lastContextEvent = index }
    if groups.count * 2 > slots.count { grow() }
  }

  /// Puts the groups into the order of their keys in `units`; nothing can be added afterwards. Inserted in that
  /// order, a memtable's skip list finds each place from the one before instead of from the top.
  mutating func sort() {
    groups.sort { a, b in
      if a.namespace != b.namespace { return a.namespace < b.namespace }
      if a.context.count != b.context.count { return a.context.count < b.context.count }
      guard let first = a.context.baseAddress, let second = b.context.baseAddress else { return false }
      return memcmp(first, second, a.context.count) < 0
    }
  }

  /// Calls `body` with the index of each event that has a context, context after context, each in order.
  func forEachGrouped(_ body: (Int) -> Void) {
    for group in groups { forEach(in: group, body) }
  }

  /// Calls `body` with the index of each of the group's events, in order.
  func forEach(in group: Group, _ body: (Int) -> Void) {
    var index = group.first
    while index >= 0 {
      body(index)
      index = nexts[index]
    }
  }

  /// The slot of the event's context, or the empty one where it belongs.
  private func find(_ event: ParsedEvent, _ hash: UInt32) -> Int {
    var slot = Int(hash) & (slots.count - 1)
    while slots[slot] >= 0 {
      let group = groups[slots[slot]]
      if group.hash == hash, group.namespace == event.namespace, group.context.count == event.context.count,
        let known = group.context.baseAddress, let asked = event.context.baseAddress,
        memcmp(known, asked, event.context.count) == 0
      {
        return slot
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    return slot
  }

  private mutating func grow() {
    slots = Array(repeating: -1, count: slots.count * 2)
    for (index, group) in groups.enumerated() {
      var slot = Int(group.hash) & (slots.count - 1)
      while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = index
    }
  }
}

/// Memory in which one key or value after another is put together. Its owner frees it.
final class ScratchBytes {
  let base: UnsafeMutableRawPointer
  private let capacity: Int
  var count = 0

  init(capacity: Int) {
    self.capacity = capacity
    base = .allocate(byteCount: capacity, alignment: 16)
  }

  func free() { base.deallocate() }

  func byte(_ byte: UInt8) {
    precondition(count < capacity)
    base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  func little<T: FixedWidthInteger & BitwiseCopyable>(_ number: T) {
    precondition(capacity - count >= MemoryLayout<T>.size)
    base.storeBytes(of: number.littleEndian, toByteOffset: count, as: T.self)
    count += MemoryLayout<T>.size
  }

  func big<T: FixedWidthInteger & BitwiseCopyable>(_ number: T) { little(number.byteSwapped) }

  func run(_ bytes: UnsafeRawBufferPointer) {
    precondition(capacity - count >= bytes.count)
    if let start = bytes.baseAddress { (base + count).copyMemory(from: start, byteCount: bytes.count) }
    count += bytes.count
  }

  func setUnitsKey(_ event: ParsedEvent, tag: UInt8, number: UInt64) {
    count = 0
    unitsKey(event, tag: tag, number: number)
  }

  func unitsKey(_ event: ParsedEvent, tag: UInt8, number: UInt64) {
    big(event.namespace)
    big(UInt16(truncatingIfNeeded: event.context.count))
    run(event.context)
    byte(tag)
    big(number)
  }

  func setContextKey(_ event: ParsedEvent, part: UInt8) {
    count = 0
    big(event.namespace)
    for letter in event.context {
      byte(letter)
      if letter == 0 { byte(0xff) }
    }
    byte(0)
    byte(1)
    byte(part)
  }
}
