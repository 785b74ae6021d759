internal import Bytes
internal import Model

/// Keys of the family `filters`, and what decides which are needed. STORE.md draws them.
enum FilterIndex {
  static let tagType: UInt8 = 1
  static let tagAgent: UInt8 = 2
  static let tagMetadata: UInt8 = 3

  /// Units of one block: the unit of the index's precision, and of a word of bits.
  static let blockUnits: UInt64 = 64
  /// The units of a context below it are not posted: to read them all costs less than to post them.
  static let firstSequence: UInt64 = 256
  static let firstBlock = firstSequence / blockUnits

  /// First byte of a value: this unit only.
  static let reachUnit: UInt8 = 0
  /// First byte of a value: perhaps also any later unit of its block.
  static let reachBlock: UInt8 = 1

  static func value(agent: UnsafeRawBufferPointer) -> UInt64 { Fingerprint.of(agent).low }

  static func value(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> UInt64 {
    Fingerprint.of(value, seed: Fingerprint.of(key).low).low
  }

  static func prefix(_ context: [UInt8], tag: UInt8, value: UInt64) -> [UInt8] {
    var key = StoreKey.unitsPrefix(context)
    key.append(tag)
    StoreKey.append(value, to: &key)
    return key
  }
}

extension ScratchBytes {
  func setFilterKey(_ event: ParsedEvent, tag: UInt8, value: UInt64, sequence: UInt64) {
    count = 0
    big(event.namespace)
    big(UInt16(truncatingIfNeeded: event.context.count))
    run(event.context)
    byte(tag)
    big(value)
    big(sequence)
  }
}

/// Decides what is posted to `filters`: of each value in each block of a context the first unit that has it, and
/// with the second one "perhaps also the rest of the block". A rare value is so found exactly, a frequent one costs
/// two puts in 64 units instead of 64.
///
/// What was posted is remembered for as long as there is room: a value that was forgotten, or that a process before
/// this one posted, is posted again, which only makes the index say the same once more. Memory that remembers is right
/// after a crash too, since a family on disk is a prefix of the batches. Apply thread only.
struct FilterPosts {
  /// A value of a context in its newest block.
  private struct Entry {
    var contextHigh: UInt64 = 0
    var contextLow: UInt64 = 0
    var value: UInt64 = 0
    /// Block << 16 | tag << 8 | how many units are posted; 0 is free.
    var state: UInt64 = 0
  }

  private static let ways = 4
  private static let sets = 4096

  private let entries: UnsafeMutableBufferPointer<Entry>
  /// Contexts are told apart by 128 bits that nobody outside can aim at.
  private let seed = UInt64.random(in: .min ... .max)
  private var turn = 0
  /// The batch being built may not come to be written: then nothing that is remembered counts.
  private var isPending = false
  private var context = UnsafeRawBufferPointer(start: nil, count: 0)
  private var print = Fingerprint(high: 0, low: 0)

  init() {
    entries = .allocate(capacity: FilterPosts.ways * FilterPosts.sets)
    entries.initialize(repeating: Entry())
  }

  func free() { entries.deallocate() }

  /// Before the posts of each batch.
  mutating func begin() {
    if isPending { entries.update(repeating: Entry()) }
    isPending = true
    context = UnsafeRawBufferPointer(start: nil, count: 0)
  }

  /// The batch was written.
  mutating func commit() { isPending = false }

  typealias Put = (_ tag: UInt8, _ value: UInt64, _ sequence: UInt64, _ reach: UInt8) -> Void

  /// Calls `put` for what has to be posted of a unit. The units of a context come one after another.
  mutating func post(_ event: ParsedEvent, _ unit: UnitHead, _ record: EventView, _ put: Put) {
    guard unit.sequence.rawValue >= FilterIndex.firstSequence else { return }
    if !JSONText.same(event.context, context) {
      context = event.context
      print = Fingerprint.of(event.context, seed: seed &+ UInt64(event.namespace))
    }
    let sequence = unit.sequence.rawValue
    post(FilterIndex.tagType, UInt64(unit.type), sequence, put)
    if let agent = record.agentID {
      post(FilterIndex.tagAgent, FilterIndex.value(agent: agent), sequence, put)
    }
    UnitMetadata.forEach(record) { key, value in
      post(FilterIndex.tagMetadata, FilterIndex.value(key: key, value: value), sequence, put)
      return true
    }
  }

  private mutating func post(_ tag: UInt8, _ value: UInt64, _ sequence: UInt64, _ put: Put) {
    let mixed = (print.low ^ value &* 0x9e37_79b9_7f4a_7c15) &+ UInt64(tag) &* 0xa076_1d64_78bd_642f
    let first = Int(truncatingIfNeeded: (mixed ^ mixed >> 32)) & (FilterPosts.sets - 1) * FilterPosts.ways
    let current = (sequence / FilterIndex.blockUnits) << 16 | UInt64(tag) << 8
    var victim = first + turn
    for place in first..<first + FilterPosts.ways {
      let entry = entries[place]
      if entry.value == value, entry.contextLow == print.low, entry.contextHigh == print.high,
        entry.state >> 8 & 0xff == UInt64(tag)
      {
        if entry.state == current | 2 { return }
        let isSecond = entry.state == current | 1
        entries[place].state = current | (isSecond ? 2 : 1)
        return put(tag, value, sequence, isSecond ? FilterIndex.reachBlock : FilterIndex.reachUnit)
      }
      // Values that were met once make room for others before those that are met again and again.
      if entry.state & 0xff < entries[victim].state & 0xff { victim = place }
    }
    turn = (turn + 1) % FilterPosts.ways
    entries[victim] = Entry(
      contextHigh: print.high, contextLow: print.low, value: value, state: current | 1)
    put(tag, value, sequence, FilterIndex.reachUnit)
  }
}
