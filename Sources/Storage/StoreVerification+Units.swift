internal import Bytes
internal import Model

/// `meta` holds nothing but what belongs to the store itself.
struct MetaCheck: FamilyCheck {
  static let family = StoreFamily.meta

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    run.find("default: an entry that doesn't belong here")
  }
}

/// `units`: every record intact, where its key says, in sequences without a gap.
struct UnitsCheck: FamilyCheck {
  static let family = StoreFamily.units

  private var context: [UInt8]?
  private var sequence = Sequence.zero
  private var position = Position.zero
  private var logTime = LogTime(microseconds: 0)
  /// The last unit that `contexts` must know of.
  private var head: StoredContext.Head?
  private var keys = KeysCheck()

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    guard let parts = UnitsKey(key) else { return run.find("units: a key of \(key.count) bytes is none") }
    if context.map({ $0.withUnsafeBytes { !StoreVerification.areSame($0, parts.context) } }) ?? true {
      endContext(run)
      context = [UInt8](parts.context)
      sequence = .zero
      position = .zero
    }
    let place = "units: context \(StoreVerification.name(parts.context)), "
    guard parts.tag == StoreKey.tagUnit else {
      guard value.isEmpty else { return run.find(place + "a mark of another event isn't empty") }
      // The event itself lies in `log`, which owes this entry.
      return run.held[StoreFamily.units.rawValue].add(key, value)
    }
    let number = place + "sequence \(parts.number): "
    if parts.number != sequence.rawValue &+ 1 {
      run.find(place + "sequence \(parts.number) follows \(sequence.rawValue)")
    }
    sequence = Sequence(parts.number)
    guard let record = EventView(value), record.length == value.count, record.isIntact else {
      return run.find(number + "the record's checksum or length is wrong")
    }
    guard let event = ParsedEvent(record), let unit = event.unit else {
      return run.find(number + "the record is no unit's")
    }
    guard StoreVerification.areSame(event.context, parts.context), unit.sequence.rawValue == parts.number
    else {
      return run.find(number + "the record is that of another unit")
    }
    if event.position <= position { run.find(number + "position \(event.position.rawValue) doesn't grow") }
    if position > .zero, record.logTime.microseconds < logTime.microseconds {
      run.find(number + "its time is before the one before")
    }
    if event.position > run.marks[.units] {
      run.find(number + "position \(event.position.rawValue) is above the family's mark")
    }
    position = event.position
    logTime = record.logTime
    run.unit?(record)
    UnitsCheck.owe(record, event, unit, [UInt8](key), to: run)
    keys.add(record, event, run)
    if event.position <= run.marks[.contexts] {
      head = StoredContext.Head(
        lastSequence: unit.sequence, logTime: record.logTime, position: event.position)
    }
  }

  mutating func end(_ run: StoreVerification) {
    endContext(run)
    keys.end(run)
    for (context, head) in run.laterHeads { ContextsCheck.owe(head, of: context, to: run) }
    run.laterHeads = [:]
  }

  private mutating func endContext(_ run: StoreVerification) {
    guard let context else { return }
    if let last = run.laterHeads.removeValue(forKey: context) ?? head {
      ContextsCheck.owe(last, of: context, to: run)
    }
    head = nil
    logTime = LogTime(microseconds: 0)
  }

  /// The entries of other families that a unit makes, as far as those families have come.
  static func owe(
    _ record: EventView, _ event: ParsedEvent, _ unit: UnitHead, _ key: [UInt8], to run: StoreVerification
  ) {
    if event.position <= run.marks[.ids] {
      run.owed[StoreFamily.ids.rawValue].add(
        StoreKey.id(unit.id), IDsCheck.value(unit, [UInt8](event.context)))
    }
    if event.position <= run.marks[.log] {
      run.owed[StoreFamily.log.rawValue].add(
        StoreKey.log(event.position), LogCheck.reference(key, recordBytes: record.length))
    }
    if event.position <= run.marks[.relations] { RelationsCheck.owe(event, unit.id, to: run) }
  }

  /// Calls `body` with every unit that can be read.
  static func units(
    of run: StoreVerification, _ body: (EventView, ParsedEvent, UnitHead, [UInt8]) -> Void
  ) {
    try? run.entries(of: .units) { key, value in
      guard UnitsKey(key)?.tag == StoreKey.tagUnit, let record = EventView(value),
        let event = ParsedEvent(record), let unit = event.unit
      else { return }
      body(record, event, unit, [UInt8](key))
    }
  }
}

/// The parts of a key of `units`; points into it.
struct UnitsKey {
  var context: UnsafeRawBufferPointer
  var tag: UInt8
  var number: UInt64

  init?(_ key: UnsafeRawBufferPointer) {
    guard let length: UInt16 = key.number(at: 2) else { return nil }
    let end = 4 + Int(length.byteSwapped)
    guard key.count == end + 9, let number: UInt64 = key.number(at: end + 1) else { return nil }
    context = UnsafeRawBufferPointer(rebasing: key[4..<end])
    tag = key[end]
    self.number = number.byteSwapped
  }
}

/// `ids`: one entry for each unit, and no other.
struct IDsCheck: FamilyCheck {
  static let family = StoreFamily.ids

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) { run.held[StoreFamily.ids.rawValue].add(key, value) }

  static func value(_ unit: UnitHead, _ context: [UInt8]) -> [UInt8] {
    var value: [UInt8] = []
    for word in [unit.sequence.rawValue, unit.hash.high, unit.hash.low] {
      withUnsafeBytes(of: word.littleEndian) { value.append(contentsOf: $0) }
    }
    return value + context
  }

  static func explain(_ run: StoreVerification) {
    UnitsCheck.units(of: run) { _, event, unit, _ in
      guard event.position <= run.marks[.ids] else { return }
      let expected = value(unit, [UInt8](event.context))
      let place = "ids: the unit at position \(event.position.rawValue) "
      switch run.look(.ids, StoreKey.id(unit.id), { [UInt8]($0) == expected }) {
      case .found(true), .incomplete: break
      case .found(false): run.find(place + "stands here otherwise than in units")
      case .notFound: run.find(place + "is missing")
      }
    }
    try? run.entries(of: .ids) { key, value in
      guard let place = UnitLocation(value) else {
        return run.find("ids: a value of \(value.count) bytes is none")
      }
      let unitsKey = StoreKey.units(place.context, tag: StoreKey.tagUnit, number: place.sequence.rawValue)
      let isThere = run.look(.units, unitsKey) { record in
        EventView(record).flatMap(\.unit).map { StoreKey.id($0.id) == [UInt8](key) } ?? false
      }
      if isThere == .notFound || isThere == .found(false), run.marks[.ids] <= run.marks[.units] {
        let name = place.context.withUnsafeBytes { StoreVerification.name($0) }
        run.find("ids: an id of context \(name), sequence \(place.sequence.rawValue), that no unit has")
      }
    }
  }
}
