/// A first-in-first-out queue in one growing array: constant time at both ends, indexable from the front.
/// Not thread-safe. Allocates only to grow.
public struct Ring<Element> {
  @usableFromInline var storage: ContiguousArray<Element?>
  @usableFromInline var head = 0
  @usableFromInline var held = 0

  @inlinable public var count: Int { held }

  @inlinable public init(capacity: Int = 8) {
    var size = 8
    while size < capacity { size *= 2 }
    storage = ContiguousArray(repeating: nil, count: size)
  }

  @inlinable public var isEmpty: Bool { count == 0 }
  @inlinable public var first: Element? { count == 0 ? nil : storage[head] }
  @inlinable public var last: Element? { count == 0 ? nil : self[count - 1] }

  /// The element `offset` places behind the first; it must exist.
  @inlinable public subscript(offset: Int) -> Element {
    precondition(offset >= 0 && offset < count, "past the end of the ring")
    guard let element = storage[(head + offset) & (storage.count - 1)] else {
      preconditionFailure("a hole in the ring")
    }
    return element
  }

  @inlinable public mutating func append(_ element: Element) {
    if count == storage.count { grow() }
    storage[(head + count) & (storage.count - 1)] = element
    held += 1
  }

  @inlinable public mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = storage[head]
    storage[head] = nil
    head = (head + 1) & (storage.count - 1)
    held -= 1
    return element
  }

  @inlinable public mutating func removeAll() {
    while popFirst() != nil {}
  }

  /// Inlinable like the rest: elsewhere it would run unspecialized, with a box on the heap for each element.
  @inlinable mutating func grow() {
    let old = storage
    let (oldHead, held) = (head, held)
    storage = ContiguousArray(unsafeUninitializedCapacity: old.count * 2) { memory, initialized in
      for offset in 0..<held {
        memory.initializeElement(at: offset, to: old[(oldHead + offset) & (old.count - 1)])
      }
      memory[held...].initialize(repeating: nil)
      initialized = memory.count
    }
    head = 0
  }
}

extension Ring: Sendable where Element: Sendable {}
