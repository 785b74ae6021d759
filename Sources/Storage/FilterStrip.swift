internal import Bytes
internal import Model

/// The family `filters`: for a run of a context's units, one after another, which of them have which type, agent and
/// pairs of metadata. STORE.md draws it. A strip is complete for its run.
enum FilterStrip {
  /// The units of a context below it are in no strip: to read them all costs less than to index them.
  static let firstSequence: UInt64 = 256
  /// Bytes before the directory: last sequence less first, number of lists.
  static let headBytes = 8
  /// Of the directory, per list: print, end.
  static let entryBytes = 8

  /// What stands for a type, an agent or a pair: two may share it, since each record is checked all the same.
  static func print(type: UInt8) -> UInt32 {
    (UInt32(type) &+ 1) &* 0x9e37_79b9
  }

  static func print(agent: UnsafeRawBufferPointer) -> UInt32 {
    UInt32(truncatingIfNeeded: Fingerprint.of(agent, seed: 1).low)
  }

  static func print(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> UInt32 {
    UInt32(truncatingIfNeeded: Fingerprint.of(value, seed: Fingerprint.of(key).low).low)
  }

  static func key(_ context: [UInt8], _ sequence: UInt64) -> [UInt8] {
    var key = StoreKey.unitsPrefix(context)
    StoreKey.append(sequence, to: &key)
    return key
  }
}

extension ScratchBytes {
  /// A strip's key without its sequence.
  func setStripName(_ event: ParsedEvent) {
    count = 0
    big(event.namespace)
    big(UInt16(truncatingIfNeeded: event.context.count))
    run(event.context)
  }
}

/// Puts a strip together, unit by unit. Its memory is kept. Apply thread only.
struct StripWriter {
  private(set) var first: UInt64 = 0
  private(set) var last: UInt64 = 0
  /// Print << 32 | sequence less the first.
  private var entries: [UInt64] = []
  private var value: [UInt8] = []

  var isEmpty: Bool { last == 0 }

  /// Adds a unit. One that isn't behind those that are in the strip is in it: its batch is being built once more.
  /// - Returns: whether it was added.
  mutating func add(_ unit: UnitHead, _ record: EventView) -> Bool {
    let sequence = unit.sequence.rawValue
    guard sequence > last else { return false }
    if isEmpty { first = sequence }
    let offset = sequence - first
    guard offset <= UInt32.max else { return false }
    last = sequence
    func enter(_ print: UInt32) { entries.append(UInt64(print) << 32 | offset) }
    enter(FilterStrip.print(type: unit.type))
    if let agent = record.agentID { enter(FilterStrip.print(agent: agent)) }
    UnitMetadata.forEach(record) { key, value in
      enter(FilterStrip.print(key: key, value: value))
      return true
    }
    return true
  }

  mutating func removeAll() {
    entries.removeAll(keepingCapacity: true)
    last = 0
  }

  /// Hands over the strip's value. The strip stays as it is.
  mutating func write(_ body: (UnsafeRawBufferPointer) -> Void) {
    entries.sort()
    var lists = 0
    for place in entries.indices where place == 0 || entries[place - 1] >> 32 != entries[place] >> 32 {
      lists += 1
    }
    let listsStart = FilterStrip.headBytes + lists * FilterStrip.entryBytes
    // An offset takes at most 5 bytes.
    let room = listsStart + entries.count * 5
    if value.count < room { value = [UInt8](repeating: 0, count: room * 2) }
    let (span, entries) = (last - first, entries)
    value.withUnsafeMutableBytes { memory in
      guard let base = memory.baseAddress else { return }
      var directory = ByteWriter(base, capacity: listsStart)
      directory.integer(UInt32(truncatingIfNeeded: span))
      directory.integer(UInt32(truncatingIfNeeded: lists))
      var end = listsStart
      var previous: UInt32 = 0
      for (place, entry) in entries.enumerated() {
        let print = entry >> 32
        let offset = UInt32(truncatingIfNeeded: entry)
        if place == 0 || entries[place - 1] >> 32 != print { previous = 0 }
        end += StripWriter.write(offset &- previous, to: base + end)
        previous = offset
        if place == entries.count - 1 || entries[place + 1] >> 32 != print {
          directory.integer(UInt32(truncatingIfNeeded: print))
          directory.integer(UInt32(truncatingIfNeeded: end))
        }
      }
      body(UnsafeRawBufferPointer(start: base, count: end))
    }
  }

  /// LEB128. The caller has room for 5 bytes.
  private static func write(_ number: UInt32, to place: UnsafeMutableRawPointer) -> Int {
    var rest = number
    var bytes = 0
    while rest >= 0x80 {
      place.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: bytes, as: UInt8.self)
      rest >>= 7
      bytes += 1
    }
    place.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: bytes, as: UInt8.self)
    return bytes + 1
  }
}

/// The strips that grow while batches are applied: where a batch has a unit or two of each of many contexts, a strip per
/// batch and context would cost the apply thread a fifth of its CPU. Until they are written, the mark of `filters` stays
/// where it is, so that a crash loses nothing, and readers read what no strip covers. Apply thread only.
struct PendingStrips {
  /// Units in all strips together at which they are due: what a filtered list may have to read besides.
  static let unitsMax = 8192

  /// By the strips' keys without the sequence.
  private var names = ByteTable()
  private var strips: [StripWriter] = []
  private(set) var units = 0

  mutating func add(_ name: UnsafeRawBufferPointer, _ unit: UnitHead, _ record: EventView) {
    let (slot, _) = names.insert(name)
    if slot == strips.count { strips.append(StripWriter()) }
    if strips[slot].add(unit, record) { units += 1 }
  }

  /// Hands over every strip, in order of key.
  mutating func forEach(_ body: (_ key: [UInt8], _ value: UnsafeRawBufferPointer) -> Void) {
    let order = (0..<names.count).map { (name: names.key($0), slot: $0) }
      .sorted { $0.name.lexicographicallyPrecedes($1.name) }
    for (name, slot) in order {
      var key = name
      StoreKey.append(strips[slot].first, to: &key)
      strips[slot].write { body(key, $0) }
    }
  }

  /// They were written.
  mutating func removeAll() {
    for slot in 0..<names.count { strips[slot].removeAll() }
    names = ByteTable()
    units = 0
  }
}

/// A strip in memory that RocksDB holds. Its frame is checked by `init`, its lists where they are read.
struct StripView {
  let first: UInt64
  let last: UInt64
  private let value: UnsafeRawBufferPointer
  private let lists: Int

  init?(first: UInt64, _ value: UnsafeRawBufferPointer) {
    guard let span: UInt32 = value.number(at: 0), let lists: UInt32 = value.number(at: 4),
      value.count >= FilterStrip.headBytes + Int(lists) * FilterStrip.entryBytes
    else { return nil }
    let (last, overflow) = first.addingReportingOverflow(UInt64(span))
    guard !overflow else { return nil }
    self.first = first
    self.last = last
    self.value = value
    self.lists = Int(lists)
  }

  /// Values that it names units for.
  var listCount: Int { lists }

  private func number(_ offset: Int) -> UInt32 { value.number(at: offset) ?? 0 }

  /// Appends the units that have what `print` stands for, as offsets from the first, ascending.
  /// - Returns: false for a list that isn't one.
  func units(_ print: UInt32, into offsets: inout [UInt32]) -> Bool {
    var low = 0
    var high = lists
    while low < high {
      let middle = (low + high) / 2
      if number(FilterStrip.headBytes + middle * FilterStrip.entryBytes) < print {
        low = middle + 1
      } else {
        high = middle
      }
    }
    let entry = FilterStrip.headBytes + low * FilterStrip.entryBytes
    guard low < lists, number(entry) == print else { return true }
    let listsStart = FilterStrip.headBytes + lists * FilterStrip.entryBytes
    var place = low == 0 ? listsStart : Int(number(entry - 4))
    let end = Int(number(entry + 4))
    guard place >= listsStart, end <= value.count else { return false }
    var offset: UInt32 = 0
    while place < end {
      var delta: UInt32 = 0
      var shift: UInt32 = 0
      while true {
        guard place < end, shift < 35 else { return false }
        let byte = value[place]
        delta |= UInt32(byte & 0x7F) << shift
        place += 1
        shift += 7
        if byte < 0x80 { break }
      }
      offset = offset &+ delta
      guard UInt64(offset) <= last - first else { return false }
      offsets.append(offset)
    }
    return true
  }
}
