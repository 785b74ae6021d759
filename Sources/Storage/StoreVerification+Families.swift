internal import Bytes
internal import Model

/// `log`: every position once, without a gap; units by reference, other events whole and intact.
struct LogCheck: FamilyCheck {
  static let family = StoreFamily.log

  private var previous: Position?

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    guard key.count == 10, let number: UInt64 = key.number(at: 2) else {
      return run.find("log: a key of \(key.count) bytes is none")
    }
    let position = Position(number.byteSwapped)
    if let previous, position != previous.next {
      run.find("log: position \(position.rawValue) follows \(previous.rawValue)")
    }
    previous = position
    if value.first == StoreKey.logReference {
      return run.held[StoreFamily.log.rawValue].add(key, value)
    }
    guard value.first == StoreKey.logRecord, let rest = value.tail(from: 1), let record = EventView(rest),
      record.length == rest.count, record.isIntact, record.position == position,
      let event = ParsedEvent(record), event.unit == nil
    else {
      return run.find("log: position \(position.rawValue): neither a unit's place nor an intact event")
    }
    if position <= run.marks[.units], !event.context.isEmpty { LogCheck.owe(event, to: run) }
    if event.kind == .context { checkMembership(record, event, position, run) }
    if LockHistory.concerns(event.kind), position <= run.marks[.locks] { run.locks.add(record, to: run) }
  }

  mutating func end(_ run: StoreVerification) {
    run.locks.addNoted(to: run)
    if run.marks[.log] > .zero, previous ?? .zero != run.marks[.log] {
      run.find(
        "log: ends at position \(previous?.rawValue ?? 0), but its mark is \(run.marks[.log].rawValue)")
    }
    if run.owed[StoreFamily.units.rawValue] != run.held[StoreFamily.units.rawValue] {
      run.find(
        "units: holds \(run.held[StoreFamily.units.rawValue].count) marks of events that aren't units, of which "
          + "the log has \(run.owed[StoreFamily.units.rawValue].count)")
    }
  }

  /// The agents of a context event are the context's.
  private func checkMembership(
    _ record: EventView, _ event: ParsedEvent, _ position: Position, _ run: StoreVerification
  ) {
    guard position <= run.marks[.agents] else { return }
    record.forEachAgent { agent in
      let key = StoreKey.agent([UInt8](agent), context: [UInt8](event.context))
      let latest = run.look(.agents, key) { value in value.number(at: 0, as: UInt64.self) ?? 0 }
      if latest == .notFound {
        run.find("agents: who caused position \(position.rawValue) isn't listed")
      } else if case .found(let number) = latest, number < position.rawValue {
        run.find("agents: who caused position \(position.rawValue) is listed with \(number)")
      }
    }
  }

  /// Another event's mark in `units`.
  static func owe(_ event: ParsedEvent, to run: StoreVerification) {
    run.owed[StoreFamily.units.rawValue].add(
      StoreKey.units([UInt8](event.context), tag: StoreKey.tagOther, number: event.position.rawValue), [])
  }

  /// A unit's entry in `log`.
  static func reference(_ unitsKey: [UInt8], recordBytes: Int) -> [UInt8] {
    var value = [StoreKey.logReference]
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: recordBytes).littleEndian) { value.append(contentsOf: $0) }
    return value + unitsKey
  }

  static func explain(_ run: StoreVerification) {
    UnitsCheck.units(of: run) { record, event, _, key in
      guard event.position <= run.marks[.log] else { return }
      let expected = reference(key, recordBytes: record.length)
      let place = "log: position \(event.position.rawValue) "
      switch run.look(.log, StoreKey.log(event.position), { [UInt8]($0) == expected }) {
      case .found(true), .incomplete: break
      case .found(false): run.find(place + "doesn't name the unit that has it")
      case .notFound: run.find(place + "is missing, though a unit has it")
      }
    }
    try? run.entries(of: .log) { key, value in
      guard value.first == StoreKey.logReference, let position: UInt64 = key.number(at: 2),
        Position(position.byteSwapped) <= run.marks[.units],
        let unitsKey = value.tail(from: StoreKey.logReferenceHeadBytes)
      else { return }
      let owner = run.look(.units, [UInt8](unitsKey)) { EventView($0)?.position.rawValue }
      if owner != .found(position.byteSwapped), owner != .incomplete {
        run.find("log: position \(position.byteSwapped) names a unit that isn't there")
      }
    }
  }
}

/// `contexts`: heads agree with the last units, records are intact and the latest of the log.
struct ContextsCheck: FamilyCheck {
  static let family = StoreFamily.contexts

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    guard let part = key.last, key.count > 5 else {
      return run.find("contexts: a key of \(key.count) bytes is none")
    }
    if part == StoreKey.contextHead {
      return run.held[StoreFamily.contexts.rawValue].add(key, value)
    }
    guard part == StoreKey.contextRecord, let record = EventView(value), record.length == value.count,
      record.isIntact, let event = ParsedEvent(record), event.kind == .context
    else { return run.find("contexts: an entry is neither a head nor an intact event") }
    let name = StoreVerification.name(event.context)
    if StoreKey.context([UInt8](event.context), part: part) != [UInt8](key) {
      return run.find("contexts: the record of \(name) stands under another context")
    }
    guard event.position <= run.marks[.log] else { return }
    let same = run.look(.log, StoreKey.log(event.position)) { stored in
      stored.tail(from: 1).map { StoreVerification.areSame($0, value) } ?? false
    }
    if same == .notFound || same == .found(false) {
      run.find("contexts: the record of \(name) isn't the event at position \(event.position.rawValue)")
    }
  }

  static func owe(_ head: StoredContext.Head, of context: [UInt8], to run: StoreVerification) {
    run.owed[StoreFamily.contexts.rawValue].add(
      StoreKey.context(context, part: StoreKey.contextHead), value(head))
  }

  private static func value(_ head: StoredContext.Head) -> [UInt8] {
    var value: [UInt8] = []
    for word in [head.lastSequence.rawValue, head.logTime.microseconds, head.position.rawValue] {
      withUnsafeBytes(of: word.littleEndian) { value.append(contentsOf: $0) }
    }
    return value
  }

  static func explain(_ run: StoreVerification) {
    guard run.marks[.contexts] == run.marks[.units] else { return }
    var last: (context: [UInt8], head: StoredContext.Head)?
    func compare() {
      guard let (context, head) = last else { return }
      let name = context.withUnsafeBytes { StoreVerification.name($0) }
      switch run.look(.contexts, StoreKey.context(context, part: StoreKey.contextHead), { [UInt8]($0) }) {
      case .found(let stored) where stored == value(head): break
      case .incomplete: break
      case .found:
        run.find("contexts: the head of \(name) isn't its last unit, sequence \(head.lastSequence.rawValue)")
      case .notFound: run.find("contexts: \(name) is missing")
      }
    }
    UnitsCheck.units(of: run) { record, event, unit, _ in
      let context = [UInt8](event.context)
      if last?.context != context { compare() }
      last = (
        context,
        StoredContext.Head(lastSequence: unit.sequence, logTime: record.logTime, position: event.position)
      )
    }
    compare()
  }
}

/// `agents`: each entry names a context event of that agent in that context.
struct AgentsCheck: FamilyCheck {
  static let family = StoreFamily.agents

  mutating func entry(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ run: StoreVerification
  ) {
    guard let number: UInt64 = value.number(at: 0), value.count == 8 else {
      return run.find("agents: a value of \(value.count) bytes is none")
    }
    guard Position(number) <= run.marks[.log] else { return }
    let key = [UInt8](key)
    let isNamed = run.look(.log, StoreKey.log(Position(number))) { stored in
      guard let rest = stored.tail(from: 1), let record = EventView(rest), let event = ParsedEvent(record),
        event.kind == .context
      else { return false }
      var isNamed = false
      record.forEachAgent { agent in
        if StoreKey.agent([UInt8](agent), context: [UInt8](event.context)) == key { isNamed = true }
      }
      return isNamed
    }
    if isNamed == .notFound || isNamed == .found(false) {
      run.find("agents: an entry names position \(number), which isn't an event of that agent and context")
    }
  }
}
