/// A first-in-first-out queue in one growing array: constant time at both ends, indexable from the front.
/// Not thread-safe. Allocates only to grow.
public struct Ring<Element> {
  private var storage: ContiguousArray<Element?>
  private var head = 0
  public private(set) var count = 0

  public init(capacity: Int = 8) {
    var size = 8
    while size < capacity { size *= 2 }
    storage = ContiguousArray(repeating: nil, count: size)
  }

  public var isEmpty: Bool { count == 0 }
  public var first: Element? { count == 0 ? nil : storage[head] }
  public var last: Element? { count == 0 ? nil : self[count - 1] }

  /// The element `offset` places behind the first; it must exist.
  public subscript(offset: Int) -> Element {
    precondition(offset >= 0 && offset < count, "past the end of the ring")
    guard let element = storage[(head + offset) & (storage.count - 1)] else {
      preconditionFailure("a hole in the ring")
    }
    return element
  }

  public mutating func append(_ element: Element) {
    if count == storage.count { grow() }
    storage[(head + count) & (storage.count - 1)] = element
    count += 1
  }

  public mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = storage[head]
    storage[head] = nil
    head = (head + 1) & (storage.count - 1)
    count -= 1
    return element
  }

  public mutating func removeAll() {
    while popFirst() != nil {}
  }

  private mutating func grow() {
    var larger = ContiguousArray<Element?>()
    larger.reserveCapacity(storage.count * 2)
    for offset in 0..<count { larger.append(storage[(head + offset) & (storage.count - 1)]) }
    larger.append(contentsOf: repeatElement(nil, count: storage.count * 2 - count))
    storage = larger
    head = 0
  }
}
