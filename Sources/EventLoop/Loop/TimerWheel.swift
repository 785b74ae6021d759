/// Called when a timer of its owner is due.
public protocol TimerTarget: AnyObject {
  /// The timer set with `tag` is due; it is gone now, and its id stale. Loop thread, between completions and
  /// jobs.
  func timerFired(tag: UInt64)
}

/// Names a timer; stale once it has fired or was cancelled, and then harmless to cancel.
public struct TimerID: Hashable, Sendable {
  public static let none = TimerID(raw: 0)
  let raw: UInt64
}

/// A hierarchical timing wheel (Varghese and Lauck, 1987): four levels of 64 slots, counted in ticks.
///
/// Setting and cancelling cost O(1) and, once the table of nodes is large enough, no allocation. A timer
/// beyond 64⁴ ticks (37 h of 8 ms) waits in the last level and is placed again when its slot comes round.
struct TimerWheel: ~Copyable {
  private struct Node {
    var target: (any TimerTarget)?
    var deadline: UInt64 = 0
    var tag: UInt64 = 0
    var generation: UInt32 = 1
    var next = TimerWheel.none
    var previous = TimerWheel.none
    var list = TimerWheel.none
  }

  private static let none: Int32 = -1
  private static let levels = 4
  private static let due = Int32(levels * 64)

  private var nodes: UnsafeMutablePointer<Node>
  private var capacity: Int
  private var used = 0
  private var free = TimerWheel.none
  private let heads: UnsafeMutablePointer<Int32>
  private let tails: UnsafeMutablePointer<Int32>
  private let occupied: UnsafeMutablePointer<UInt64>
  /// The tick up to which everything is due or gone.
  private(set) var tick: UInt64 = 0
  private(set) var count = 0

  init(capacity: Int = 256) {
    self.capacity = capacity
    nodes = .allocate(capacity: capacity)
    heads = .allocate(capacity: Int(TimerWheel.due) + 1)
    tails = .allocate(capacity: Int(TimerWheel.due) + 1)
    occupied = .allocate(capacity: TimerWheel.levels)
    heads.initialize(repeating: TimerWheel.none, count: Int(TimerWheel.due) + 1)
    tails.initialize(repeating: TimerWheel.none, count: Int(TimerWheel.due) + 1)
    occupied.initialize(repeating: 0, count: TimerWheel.levels)
  }

  deinit {
    nodes.deinitialize(count: used)
    nodes.deallocate()
    heads.deallocate()
    tails.deallocate()
    occupied.deallocate()
  }

  /// Sets a timer for `deadline`, in ticks; a deadline that has passed is due at the next tick.
  mutating func insert(deadline: UInt64, _ target: any TimerTarget, tag: UInt64) -> TimerID {
    let n = takeNode()
    nodes[Int(n)].target = target
    nodes[Int(n)].tag = tag
    nodes[Int(n)].deadline = max(deadline, tick + 1)
    place(n)
    count += 1
    return TimerID(raw: UInt64(nodes[Int(n)].generation) << 32 | UInt64(n))
  }

  mutating func cancel(_ id: TimerID) {
    let n = Int(id.raw & 0xffff_ffff)
    guard n < used, UInt64(nodes[n].generation) == id.raw >> 32, nodes[n].list != TimerWheel.none else {
      return
    }
    unlink(Int32(n))
    release(Int32(n))
  }

  /// The tick at which the wheel next has something to do (a timer due, or a slot to spread out), if any.
  var next: UInt64? {
    heads[Int(TimerWheel.due)] != TimerWheel.none ? tick : nextAhead
  }

  private var nextAhead: UInt64? {
    var earliest: UInt64?
    for level in 0..<TimerWheel.levels where occupied[level] != 0 {
      let shift = UInt64(6 * level)
      let position = tick >> shift
      let turn = (position + 1) & 63
      let rotated = occupied[level] >> turn | occupied[level] << ((64 - turn) & 63)
      let candidate = (position + 1 + UInt64(rotated.trailingZeroBitCount)) << shift
      if candidate < earliest ?? .max { earliest = candidate }
    }
    return earliest
  }

  /// Moves on to `target`; what is due then comes from `popDue`.
  mutating func advance(to target: UInt64) {
    while let next = nextAhead, next <= target {
      tick = next
      for level in stride(from: TimerWheel.levels - 1, through: 1, by: -1) {
        let shift = UInt64(6 * level)
        if tick & ((1 << shift) - 1) == 0 { replace(slot: level * 64 + Int(tick >> shift & 63)) }
      }
      replace(slot: Int(tick & 63))
    }
    tick = max(tick, target)
  }

  /// The next timer that is due, in order of its deadline, or nil.
  mutating func popDue() -> (target: any TimerTarget, tag: UInt64)? {
    let n = heads[Int(TimerWheel.due)]
    guard n != TimerWheel.none, let target = nodes[Int(n)].target else { return nil }
    let tag = nodes[Int(n)].tag
    unlink(n)
    release(n)
    return (target, tag)
  }

  // MARK: - Lists

  private mutating func place(_ n: Int32) {
    let deadline = nodes[Int(n)].deadline
    guard deadline > tick else { return link(n, to: TimerWheel.due) }
    let delta = deadline - tick
    var level = 0
    while level < TimerWheel.levels - 1, delta >= 1 << UInt64(6 * (level + 1)) { level += 1 }
    let reach: UInt64 = 1 << UInt64(6 * TimerWheel.levels)
    let shift = UInt64(6 * level)
    // Beyond the reach: the slot that comes round last.
    let at = delta < reach ? deadline >> shift : (tick >> shift) + 63
    link(n, to: Int32(level * 64 + Int(at & 63)))
  }

  private mutating func replace(slot: Int) {
    while heads[slot] != TimerWheel.none {
      let n = heads[slot]
      unlink(n)
      place(n)
    }
  }

  private mutating func link(_ n: Int32, to list: Int32) {
    let tail = tails[Int(list)]
    nodes[Int(n)].list = list
    nodes[Int(n)].previous = tail
    nodes[Int(n)].next = TimerWheel.none
    if tail == TimerWheel.none { heads[Int(list)] = n } else { nodes[Int(tail)].next = n }
    tails[Int(list)] = n
    if list < TimerWheel.due { occupied[Int(list) / 64] |= 1 << UInt64(list & 63) }
  }

  private mutating func unlink(_ n: Int32) {
    let node = nodes + Int(n)
    let list = Int(node.pointee.list)
    let (next, previous) = (node.pointee.next, node.pointee.previous)
    if previous == TimerWheel.none { heads[list] = next } else { nodes[Int(previous)].next = next }
    if next == TimerWheel.none { tails[list] = previous } else { nodes[Int(next)].previous = previous }
    if heads[list] == TimerWheel.none, list < TimerWheel.due {
      occupied[list / 64] &= ~(1 << UInt64(list & 63))
    }
    node.pointee.list = TimerWheel.none
  }

  private mutating func takeNode() -> Int32 {
    if free != TimerWheel.none {
      let n = free
      free = nodes[Int(n)].next
      return n
    }
    if used == capacity {
      let larger = UnsafeMutablePointer<Node>.allocate(capacity: capacity * 2)
      larger.moveInitialize(from: nodes, count: used)
      nodes.deallocate()
      nodes = larger
      capacity *= 2
    }
    (nodes + used).initialize(to: Node())
    used += 1
    return Int32(used - 1)
  }

  private mutating func release(_ n: Int32) {
    nodes[Int(n)].target = nil
    nodes[Int(n)].generation = max(nodes[Int(n)].generation &+ 1, 1)
    nodes[Int(n)].next = free
    free = n
    count -= 1
  }
}
