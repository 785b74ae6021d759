internal import Bytes

/// Which subscribers of one loop want the events of which contexts: matched without looking at those that
/// don't care. Subscribers are named by small numbers that the caller gives out. A value type, no I/O.
public struct Router {
  private var contexts = ByteTable()
  private var byContext: [[UInt32]] = []
  private var everything: [UInt32] = []

  public init() {}

  public var isEmpty: Bool { everything.isEmpty && contexts.count == 0 }

  /// Adds a subscriber to the events of `wanted` contexts, or of all (`nil`). `wanted` holds no name twice.
  public mutating func subscribe(_ subscriber: UInt32, to wanted: [[UInt8]]?) {
    guard let wanted else {
      everything.append(subscriber)
      return
    }
    for name in wanted {
      let (slot, _) = name.withUnsafeBytes { contexts.insert($0) }
      while byContext.count <= slot { byContext.append([]) }
      byContext[slot].append(subscriber)
    }
  }

  /// Removes what `subscribe` added with the same arguments.
  public mutating func unsubscribe(_ subscriber: UInt32, from wanted: [[UInt8]]?) {
    guard let wanted else {
      Router.remove(subscriber, from: &everything)
      return
    }
    for name in wanted {
      guard let slot = name.withUnsafeBytes({ contexts.find($0) }) else { continue }
      Router.remove(subscriber, from: &byContext[slot])
      if byContext[slot].isEmpty { contexts.remove(slot) }
    }
  }

  /// Calls `body` once for each subscriber that wants events of this context. `body` must not subscribe.
  public func match(context: UnsafeRawBufferPointer, _ body: (UInt32) -> Void) {
    for subscriber in everything { body(subscriber) }
    guard contexts.count > 0, let slot = contexts.find(context) else { return }
    for subscriber in byContext[slot] { body(subscriber) }
  }

  private static func remove(_ subscriber: UInt32, from list: inout [UInt32]) {
    guard let place = list.firstIndex(of: subscriber) else { return }
    list.swapAt(place, list.count - 1)
    list.removeLast()
  }
}
