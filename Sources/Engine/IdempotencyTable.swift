internal import Bytes
internal import Model
internal import Storage

/// The idempotency keys that memory answers for: those whose request is under way, and those whose answer the
/// store has not applied. One request at a time is at work under a key; others wait for what becomes of it.
/// Home thread only.
struct IdempotencyTable {
  enum Entry {
    /// A request is at work; these wait for it, if any do.
    case held(waiting: Ring<AppendRequest>?)
    /// Durable.
    case kept(KeptAnswer)
  }

  private var names = ByteTable()
  private var entries: [Entry?] = []
  /// Kept answers, by when the store has them too.
  private var unapplied = Ring<(through: Position, slot: Int)>()
  /// Requests that wait for another one under their key.
  private(set) var waitingCount = 0

  func find(_ name: [UInt8]) -> Entry? {
    guard names.count > 0 else { return nil }
    return name.withUnsafeBytes { names.find($0) }.flatMap { entries[$0] }
  }

  /// A request begins to work under the key; nobody else does.
  mutating func hold(_ name: [UInt8]) { set(name, .held(waiting: nil)) }

  /// `request` waits for the one at work.
  mutating func wait(_ request: AppendRequest, for name: [UInt8]) {
    guard let slot = name.withUnsafeBytes({ names.find($0) }), case .held(var waiting) = entries[slot] else {
      return
    }
    // Not two owners at once, so that appending copies nothing.
    entries[slot] = nil
    if waiting == nil { waiting = Ring() }
    waiting?.append(request)
    entries[slot] = .held(waiting: waiting)
    waitingCount += 1
  }

  /// The request at work is done, and `answer` is kept if it was appended.
  /// - Returns: those that go on now: with an answer all that waited for it, else the first, which is the one at
  ///   work from here on.
  mutating func release(_ name: [UInt8], keeping answer: KeptAnswer?) -> Ring<AppendRequest>? {
    guard let slot = name.withUnsafeBytes({ names.find($0) }), case .held(var waiting) = entries[slot] else {
      return nil
    }
    entries[slot] = nil
    if let answer {
      entries[slot] = .kept(answer)
      unapplied.append((answer.last, slot))
      waitingCount -= waiting?.count ?? 0
      return waiting
    }
    guard let next = waiting?.popFirst() else {
      names.remove(slot)
      return nil
    }
    entries[slot] = .held(waiting: waiting)
    waitingCount -= 1
    var going = Ring<AppendRequest>()
    going.append(next)
    return going
  }

  /// Takes in an answer that the log already holds.
  mutating func keep(_ name: [UInt8], _ answer: KeptAnswer) {
    unapplied.append((answer.last, set(name, .kept(answer))))
  }

  /// The store answers for what ends at or before `position`.
  mutating func applied(through position: Position) {
    while let first = unapplied.first, first.through <= position {
      _ = unapplied.popFirst()
      // The slot may have another key by now, or a newer answer of the same one.
      guard case .kept(let answer)? = entries[first.slot], answer.last == first.through else { continue }
      entries[first.slot] = nil
      names.remove(first.slot)
    }
  }

  @discardableResult
  private mutating func set(_ name: [UInt8], _ entry: Entry) -> Int {
    let (slot, _) = names.insert(name)
    while entries.count <= slot { entries.append(nil) }
    entries[slot] = entry
    return slot
  }
}
