internal import Glibc

/// The buffers into which records of one loop's sessions are opened: the last one given back is the next one taken, so
/// that as a rule it is always the same, and in the processor's cache. Loop thread.
final class PlaintextPool {
  /// Names of these buffers begin here, above those of the buffer ring.
  static let firstID = UInt16(BufferRing.countMax)

  let bufferBytes: Int
  private let count: Int
  private let memory: UnsafeMutableRawPointer
  /// Names of buffers that were given back.
  private let free: UnsafeMutablePointer<UInt16>
  private var freeCount = 0
  /// Buffers from here on have never been taken: their memory isn't touched.
  private var used = 0
  private let isTaken: UnsafeMutablePointer<Bool>

  /// Nil without memory.
  init?(count: Int, bytes: Int) {
    precondition(count > 0 && count <= BufferRing.countMax && bytes > 0)
    let area = mmap(nil, count * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let area, area != MAP_FAILED else { return nil }
    self.count = count
    bufferBytes = bytes
    memory = area
    free = .allocate(capacity: count)
    isTaken = .allocate(capacity: count)
    isTaken.initialize(repeating: false, count: count)
  }

  deinit {
    munmap(memory, count * bufferBytes)
    free.deallocate()
    isTaken.deallocate()
  }

  var available: Int { freeCount + count - used }
  /// Whether more than half are taken.
  var isScarce: Bool { available < count / 2 }

  /// A buffer, ours until `give`; nil when all are taken.
  func take() -> UInt16? {
    var place: UInt16
    if freeCount > 0 {
      freeCount -= 1
      place = free[freeCount]
    } else {
      guard used < count else { return nil }
      place = UInt16(used)
      used += 1
    }
    isTaken[Int(place)] = true
    return place + PlaintextPool.firstID
  }

  func bytes(_ id: UInt16) -> UnsafeMutableRawBufferPointer {
    let place = Int(id - PlaintextPool.firstID)
    precondition(place < count && isTaken[place])
    return UnsafeMutableRawBufferPointer(start: memory + place * bufferBytes, count: bufferBytes)
  }

  /// Takes buffer `id` back. Giving it twice traps: two connections would share it.
  func give(_ id: UInt16) {
    let place = Int(id - PlaintextPool.firstID)
    precondition(place < count && isTaken[place], "a receive buffer was recycled twice")
    isTaken[place] = false
    free[freeCount] = UInt16(place)
    freeCount += 1
  }
}
