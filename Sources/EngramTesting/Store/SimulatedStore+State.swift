internal import Bytes
internal import Model
internal import Storage

extension SimulatedStore.State {
  /// SplitMix64 (Steele, Lea and Flood, 2014).
  mutating func chance(_ of256: UInt8) -> Bool {
    random &+= 0x9e37_79b9_7f4a_7c15
    var bits = random
    bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
    return UInt8(truncatingIfNeeded: bits ^ (bits >> 31)) < of256
  }

  func holds(_ family: StoreFamily, _ index: Int) -> Bool { positions[index] <= marks[family].rawValue }

  func view<Value>(_ index: Int, _ body: (EventView) -> Value) -> Value {
    records[index].withUnsafeBytes { memory in
      guard let view = EventView(memory) else { preconditionFailure("a kept record has lost its frame") }
      return body(view)
    }
  }

  func sequence(_ index: Int) -> Sequence { view(index) { $0.unit?.sequence ?? .zero } }
  func context(_ index: Int) -> [UInt8] { view(index) { $0.contextID.map { Array($0) } ?? [] } }

  func lastContextEvent(_ context: [UInt8]) -> Int? {
    others[context]?.last { index in holds(.contexts, index) && view(index) { $0.kind == .context } }
  }

  /// Latest events of the locks that are held, in order of path.
  func heldLocks() -> [[UInt8]] {
    var latest: [[UInt8]: Int] = [:]
    for index in lockEvents where holds(.locks, index) {
      let (path, action) = view(index) { ($0.resourcePath.map { Array($0) }, $0.lock?.action) }
      guard let path, let action else { continue }
      latest[path] = action == .acquired || action == .renewed ? index : nil
    }
    return latest.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { records[$0.value] }
  }

  /// Appends the record unless it is there: then this is a replay, and must bring the same bytes.
  mutating func keep(_ record: EventView) {
    let position = record.position.rawValue
    let bytes = Array(record.bytes)
    if position <= positions.last ?? 0, let known = positions.firstIndex(of: position) {
      precondition(records[known] == bytes, "replay brings another event at position \(position)")
      return
    }
    precondition(position > positions.last ?? 0, "position \(position) was skipped before")
    positions.append(position)
    records.append(bytes)
    index(records.count - 1)
  }

  mutating func index(_ index: Int) {
    let (unit, context) = view(index) {
      ($0.kind == .unit ? $0.unit : nil, $0.contextID.map { Array($0) } ?? [])
    }
    if let unit { indexOfID[unit.id] = index }
    let name = view(index) { event in
      event.idempotency.flatMap { mark in
        event.agentID.map { IdempotencyName.make(agent: $0, key: mark.key) }
      }
    }
    if let name { keys[name, default: []].append(index) }
    if view(index, { $0.kind == .lock || $0.kind == .restart }) { return lockEvents.append(index) }
    guard !context.isEmpty else { return }
    forEachRelationship(of: index) { relationship in
      naming[relationship.target, default: []].append(
        NamedBy(record: index, index: relationship.index, type: relationship.type.rawValue))
      return true
    }
    if unit != nil {
      units[context, default: []].append(index)
    } else {
      others[context, default: []].append(index)
    }
  }

  /// Forgets what no family holds any more, and starts anew from the marks.
  mutating func reopen() {
    let kept = positions.prefix { $0 <= marks.highest.rawValue }.count
    positions.removeLast(positions.count - kept)
    records.removeLast(records.count - kept)
    indexOfID = [:]
    units = [:]
    others = [:]
    keys = [:]
    lockEvents = []
    naming = [:]
    for position in 0..<kept { index(position) }
    marksAtOpen = marks
    isClosed = false
  }
}
