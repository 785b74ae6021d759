/// Hashes runs of bytes with a key drawn once per process, so that a peer can't choose colliding names.
public enum ByteHash {
  private static let seed: UInt64 = UInt64.random(in: .min ... .max)

  /// A 64-bit hash of `bytes`, stable within the process only. A few ns for a short name.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var state = seed ^ UInt64(truncatingIfNeeded: bytes.count) &* 0x9e37_79b9_7f4a_7c15
    var offset = 0
    while bytes.count - offset >= 8 {
      state = mix(state ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      offset += 8
    }
    var tail: UInt64 = 0
    while offset < bytes.count {
      tail = tail << 8 | UInt64(bytes[offset])
      offset += 1
    }
    return mix(state ^ tail)
  }

  @inlinable static func mix(_ value: UInt64) -> UInt64 {
    let product = value.multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
    return (product.high ^ product.low) &+ 0xe703_7ed1_a0b4_28db
  }
}

/// Names as byte strings, each with a small dense number (`slot`) that stays its own until it is removed.
/// Open addressing with linear probing; removal shifts back, so there are no tombstones.
/// Not thread-safe. Look-ups allocate nothing.
public struct ByteTable {
  private struct Entry {
    var hash: UInt64
    var key: [UInt8]
  }

  /// 0 is free, else slot + 1.
  private var index: [UInt32]
  private var entries: [Entry] = []
  private var free: [UInt32] = []

  public init() { index = [UInt32](repeating: 0, count: 16) }

  public var count: Int { entries.count - free.count }
  /// One more than the largest slot ever given out: the size of an array beside this table.
  public var slotEnd: Int { entries.count }

  /// The slot of `key`, if it is there.
  public func find(_ key: UnsafeRawBufferPointer) -> Int? {
    let hash = ByteHash.hash(key)
    return find(key, hash).map { Int(index[$0]) - 1 }
  }

  public func key(_ slot: Int) -> [UInt8] { entries[slot].key }

  /// The slot of `key`, which is added if it isn't there.
  public mutating func insert(_ key: UnsafeRawBufferPointer) -> (slot: Int, isNew: Bool) {
    let hash = ByteHash.hash(key)
    if let place = find(key, hash) { return (Int(index[place]) - 1, false) }
    return (add([UInt8](key), hash), true)
  }

  /// The same with a key that can be shared: its bytes aren't copied.
  public mutating func insert(_ key: [UInt8]) -> (slot: Int, isNew: Bool) {
    let (hash, place) = key.withUnsafeBytes { bytes in
      let hash = ByteHash.hash(bytes)
      return (hash, find(bytes, hash))
    }
    if let place { return (Int(index[place]) - 1, false) }
    return (add(key, hash), true)
  }

  private mutating func add(_ key: [UInt8], _ hash: UInt64) -> Int {
    if (count + 1) * 4 > index.count * 3 { grow() }
    let entry = Entry(hash: hash, key: key)
    let slot: UInt32
    if let reused = free.popLast() {
      slot = reused
      entries[Int(reused)] = entry
    } else {
      slot = UInt32(entries.count)
      entries.append(entry)
    }
    place(slot, hash)
    return Int(slot)
  }

  /// Forgets the key of `slot`, whose number may be given out again.
  public mutating func remove(_ slot: Int) {
    let mask = index.count - 1
    var hole = Int(truncatingIfNeeded: entries[slot].hash) & mask
    while index[hole] != UInt32(slot) + 1 { hole = (hole + 1) & mask }
    var next = (hole + 1) & mask
    while index[next] != 0 {
      let home = Int(truncatingIfNeeded: entries[Int(index[next]) - 1].hash) & mask
      if (next &- home) & mask >= (next &- hole) & mask {
        index[hole] = index[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    index[hole] = 0
    entries[slot] = Entry(hash: 0, key: [])
    free.append(UInt32(slot))
  }

  private func find(_ key: UnsafeRawBufferPointer, _ hash: UInt64) -> Int? {
    let mask = index.count - 1
    var place = Int(truncatingIfNeeded: hash) & mask
    while index[place] != 0 {
      let slot = Int(index[place]) - 1
      if entries[slot].hash == hash, entries[slot].key.count == key.count,
        entries[slot].key.withUnsafeBytes({ $0.elementsEqual(key) })
      {
        return place
      }
      place = (place + 1) & mask
    }
    return nil
  }

  private mutating func place(_ slot: UInt32, _ hash: UInt64) {
    let mask = index.count - 1
    var place = Int(truncatingIfNeeded: hash) & mask
    while index[place] != 0 { place = (place + 1) & mask }
    index[place] = slot + 1
  }

  private mutating func grow() {
    let slots = index.filter { $0 != 0 }
    index = [UInt32](repeating: 0, count: index.count * 2)
    for slot in slots { place(slot - 1, entries[Int(slot) - 1].hash) }
  }
}
