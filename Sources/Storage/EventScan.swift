internal import Model

#if canImport(Glibc)
  internal import Glibc
#endif

/// Bytes that a scan may still hand over.
struct EventBudget {
  private var left: Int

  init(bytesMax: Int) { left = bytesMax }
  var isSpent: Bool { left <= 0 }
  mutating func reserve(_ bytes: Int) { left -= bytes }
}

/// Keys of units that are read together: one call for many keys shares the work on filters and indexes.
struct UnitChunk {
  static let unitsMax = 64
  /// Of records: what one chunk may pin in memory, the last record excepted.
  static let bytesMax = 1 << 20

  private(set) var keys: [UInt8] = []
  private(set) var sizes: [Int] = []
  private(set) var positions: [Position] = []
  private var recordBytes = 0

  var isFull: Bool { positions.count >= UnitChunk.unitsMax || recordBytes >= UnitChunk.bytesMax }

  mutating func add(_ key: UnsafeRawBufferPointer, _ position: Position, recordBytes bytes: Int) {
    keys.append(contentsOf: key)
    sizes.append(key.count)
    positions.append(position)
    recordBytes += bytes
  }

  mutating func removeAll() {
    keys.removeAll(keepingCapacity: true)
    sizes.removeAll(keepingCapacity: true)
    positions.removeAll(keepingCapacity: true)
    recordBytes = 0
  }
}

/// A filter, ready to be asked about many events.
struct EventSieve {
  let filter: EventFilter
  /// Nil for all.
  let contexts: ContextSet?

  init(_ filter: EventFilter) {
    self.filter = filter
    contexts = filter.contexts.map { ContextSet($0) }
  }

  /// Of a unit by its key in `units`.
  func admits(unitsKey key: UnsafeRawBufferPointer) -> Bool {
    filter.units && (contexts?.contains(unitsKey: key) ?? true)
  }

  /// Of an event that isn't a unit.
  func admits(_ event: EventView) -> Bool {
    guard filter.admits(kind: event.kind) else { return false }
    return event.kind == .lock
      ? filter.admitsLock(event.resourcePath) : contexts?.contains(event.contextID) ?? true
  }
}

/// Contexts asked for, looked up by bytes that lie elsewhere.
struct ContextSet {
  let sorted: [[UInt8]]

  init(_ contexts: [[UInt8]]) {
    sorted = Array(Set(contexts)).sorted { $0.lexicographicallyPrecedes($1) }
  }

  /// The key is one of `units` in the namespace of queries.
  func contains(unitsKey key: UnsafeRawBufferPointer) -> Bool {
    guard let length: UInt16 = key.number(at: 2) else { return false }
    let end = 4 + Int(length.byteSwapped)
    guard end <= key.count else { return false }
    return contains(UnsafeRawBufferPointer(rebasing: key[4..<end]))
  }

  func contains(_ context: UnsafeRawBufferPointer?) -> Bool {
    guard let context else { return false }
    var low = 0
    var high = sorted.count
    while low < high {
      let middle = (low + high) / 2
      let order = sorted[middle].withUnsafeBytes { ContextSet.compare($0, context) }
      if order == 0 { return true }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return false
  }

  private static func compare(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    let shared = min(a.count, b.count)
    if shared > 0, let first = a.baseAddress, let second = b.baseAddress {
      let order = memcmp(first, second, shared)
      if order != 0 { return Int(order) }
    }
    return a.count - b.count
  }
}

/// The element with the lowest position first.
struct PositionHeap<Element> {
  private var entries: [(element: Element, position: Position)] = []

  var first: (element: Element, position: Position)? { entries.first }

  mutating func push(_ element: Element, at position: Position) {
    entries.append((element, position))
    var index = entries.count - 1
    while index > 0 {
      let parent = (index - 1) / 2
      guard entries[index].position < entries[parent].position else { return }
      entries.swapAt(index, parent)
      index = parent
    }
  }

  /// Moves the first element to where `position` belongs, or removes it (nil).
  mutating func replaceFirst(at position: Position?) {
    guard !entries.isEmpty else { return }
    if let position {
      entries[0].position = position
    } else {
      entries.swapAt(0, entries.count - 1)
      entries.removeLast()
    }
    var index = 0
    while true {
      var smallest = index
      for child in [index * 2 + 1, index * 2 + 2]
      where child < entries.count && entries[child].position < entries[smallest].position {
        smallest = child
      }
      if smallest == index { return }
      entries.swapAt(index, smallest)
      index = smallest
    }
  }
}
