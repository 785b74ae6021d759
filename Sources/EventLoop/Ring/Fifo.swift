/// A queue in a ring of memory that grows and never shrinks: no allocation in steady state.
struct Fifo<Element>: ~Copyable {
  private var base: UnsafeMutablePointer<Element>
  private var capacity: Int
  private var head = 0
  private(set) var count = 0

  /// `capacity` is a power of two.
  init(capacity: Int) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0)
    self.capacity = capacity
    base = .allocate(capacity: capacity)
  }

  deinit {
    for n in 0..<count { (base + ((head + n) & (capacity - 1))).deinitialize(count: 1) }
    base.deallocate()
  }

  var isEmpty: Bool { count == 0 }

  /// The element that `popFirst` takes next.
  var first: Element? { count > 0 ? base[head] : nil }

  mutating func append(_ element: consuming Element) {
    if count == capacity { grow() }
    (base + ((head + count) & (capacity - 1))).initialize(to: element)
    count += 1
  }

  mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = (base + head).move()
    head = (head + 1) & (capacity - 1)
    count -= 1
    return element
  }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
    let first = min(count, capacity - head)
    larger.moveInitialize(from: base + head, count: first)
    (larger + first).moveInitialize(from: base, count: count - first)
    base.deallocate()
    base = larger
    head = 0
    capacity *= 2
  }
}
