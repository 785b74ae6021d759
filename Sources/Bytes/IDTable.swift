internal import CBytes

/// A hash table from 128-bit ids to 64-bit values in raw memory: open addressing, linear probing, removal by
/// shifting back. For ids whose bits are random anyway (UUIDs): a peer that chooses ids to collide is slowed
/// by the key that is mixed in. Not thread-safe; allocates only to grow. The value 0 is not allowed.
public struct IDTable: ~Copyable {
  @usableFromInline struct Entry {
    var high: UInt64
    var low: UInt64
    var value: UInt64
  }

  private var entries: UnsafeMutablePointer<Entry>
  private var mask: Int
  public private(set) var count = 0
  private let seed = UInt64.random(in: .min ... .max)

  public init(capacity: Int = 64) {
    var size = 64
    while size * 3 < capacity * 4 { size *= 2 }
    mask = size - 1
    entries = IDTable.memory(size)
  }

  deinit { PageMemory.free(entries) }

  /// Places without ids. Large tables lie in huge pages: nearly every look-up would miss the address cache else.
  private static func memory(_ size: Int) -> UnsafeMutablePointer<Entry> {
    guard let memory = PageMemory.allocate(size * MemoryLayout<Entry>.stride) else {
      fatalError("out of memory: no room for \(size) ids")
    }
    let entries = memory.bindMemory(to: Entry.self, capacity: size)
    entries.initialize(repeating: Entry(high: 0, low: 0, value: 0), count: size)
    return entries
  }

  public func find(high: UInt64, low: UInt64) -> UInt64? {
    var place = home(high, low)
    while entries[place].value != 0 {
      if entries[place].low == low, entries[place].high == high { return entries[place].value }
      place = (place + 1) & mask
    }
    return nil
  }

  /// Brings the place of an id near, of which `find`, `set` or `remove` follows soon.
  public func prefetch(high: UInt64, low: UInt64) { engram_prefetch(entries + home(high, low)) }

  /// Sets the id's value, which must not be 0.
  public mutating func set(high: UInt64, low: UInt64, value: UInt64) {
    precondition(value != 0, "0 marks a free place")
    if (count + 1) * 4 > (mask + 1) * 3 { grow() }
    var place = home(high, low)
    while entries[place].value != 0 {
      if entries[place].low == low, entries[place].high == high {
        entries[place].value = value
        return
      }
      place = (place + 1) & mask
    }
    entries[place] = Entry(high: high, low: low, value: value)
    count += 1
  }

  /// Forgets the id if `value` is what it stands for.
  public mutating func remove(high: UInt64, low: UInt64, value: UInt64) {
    var hole = home(high, low)
    while true {
      if entries[hole].value == 0 { return }
      if entries[hole].low == low, entries[hole].high == high { break }
      hole = (hole + 1) & mask
    }
    guard entries[hole].value == value else { return }
    var next = (hole + 1) & mask
    while entries[next].value != 0 {
      let wanted = home(entries[next].high, entries[next].low)
      if (next &- wanted) & mask >= (next &- hole) & mask {
        entries[hole] = entries[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    entries[hole].value = 0
    count -= 1
  }

  private func home(_ high: UInt64, _ low: UInt64) -> Int {
    let product = (low ^ seed).multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
    return Int(truncatingIfNeeded: product.high ^ product.low ^ high) & mask
  }

  private mutating func grow() {
    let old = entries
    let oldSize = mask + 1
    mask = oldSize * 2 - 1
    entries = IDTable.memory(mask + 1)
    for place in 0..<oldSize where old[place].value != 0 {
      var to = home(old[place].high, old[place].low)
      while entries[to].value != 0 { to = (to + 1) & mask }
      entries[to] = old[place]
    }
    PageMemory.free(old)
  }
}
