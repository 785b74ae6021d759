public import Synchronization

/// A bounded queue between exactly one pushing and one draining thread: the only joint between loops, the log
/// and the background threads. No locks, no allocation after it is made.
///
/// After a push the pusher calls `wakeIfAsleep` of the draining loop; one call covers many pushes.
public final class Mailbox<Element>: @unchecked Sendable {
  @usableFromInline typealias Line = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

  @usableFromInline let base: UnsafeMutablePointer<Element>
  @usableFromInline let mask: Int
  // Each side's numbers on a cache line of their own: what it publishes, and what it last saw of the other
  // side.
  @usableFromInline let lineA: Line = (0, 0, 0, 0, 0, 0, 0, 0)
  @usableFromInline let tail = Atomic<Int>(0)
  @usableFromInline var headSeen = 0
  @usableFromInline let lineB: Line = (0, 0, 0, 0, 0, 0, 0, 0)
  @usableFromInline let head = Atomic<Int>(0)
  @usableFromInline var tailSeen = 0
  @usableFromInline let lineC: Line = (0, 0, 0, 0, 0, 0, 0, 0)

  /// Room for `capacity` elements, rounded up to a power of two.
  public init(capacity: Int) {
    precondition(capacity > 0)
    var room = 1
    while room < capacity { room <<= 1 }
    mask = room - 1
    base = .allocate(capacity: room)
  }

  deinit {
    var n = head.load(ordering: .acquiring)
    let end = tail.load(ordering: .acquiring)
    while n != end {
      (base + (n & mask)).deinitialize(count: 1)
      n &+= 1
    }
    base.deallocate()
  }

  public var capacity: Int { mask + 1 }

  /// How many wait; exact only on a thread while the other side rests.
  public var count: Int { tail.load(ordering: .acquiring) &- head.load(ordering: .acquiring) }

  /// Puts one element in; false when it is full, and the element is dropped. Pushing thread only.
  @inlinable public func push(_ element: consuming Element) -> Bool {
    let at = tail.load(ordering: .relaxed)
    if at &- headSeen > mask {
      headSeen = head.load(ordering: .acquiring)
      if at &- headSeen > mask { return false }
    }
    (base + (at & mask)).initialize(to: element)
    tail.store(at &+ 1, ordering: .releasing)
    return true
  }

  /// Takes out at most `max` elements, oldest first, and returns how many. Draining thread only.
  @inlinable @discardableResult
  public func drain(max: Int = .max, _ body: (consuming Element) -> Void) -> Int {
    var taken = 0
    while taken < max {
      let at = head.load(ordering: .relaxed)
      if at == tailSeen {
        tailSeen = tail.load(ordering: .acquiring)
        if at == tailSeen { break }
      }
      let element = (base + (at & mask)).move()
      head.store(at &+ 1, ordering: .releasing)
      taken += 1
      body(element)
    }
    return taken
  }
}
