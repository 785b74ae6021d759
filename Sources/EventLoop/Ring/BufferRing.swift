internal import CIOUring
internal import Glibc

/// Names a receive buffer that a delegate keeps; given back with `EventLoop.recycle`.
public struct ReceiveBufferID: Hashable, Sendable {
  let index: UInt16
}

/// The receive buffers of one loop, lent to the kernel through a plain provided-buffer ring (group 0).
///
/// The kernel takes one per arrival of bytes, in turn; we know which by the completion, never by counting on order.
/// It is lent a part of them only, and more once that gets scarce: a server with little to receive would touch the
/// memory of all of them otherwise, one after the other.
/// Loop thread.
final class BufferRing {
  static let group: UInt16 = 0
  /// IORING_REGISTER_PBUF_RING takes at most 2¹⁵ entries.
  static let countMax = 32_768

  let bufferBytes: Int
  /// Buffers that the kernel is lent at first.
  private static let lentAtFirst = 256

  private let count: Int
  /// Buffers from here on have never been lent.
  private var used = 0
  private let ring: UnsafeMutableRawPointer
  private let ringBytes: Int
  private let memory: UnsafeMutableRawPointer
  /// 1 while the buffer is ours: taken by a completion and not given back yet.
  private let lent: UnsafeMutablePointer<UInt8>
  /// How many the kernel still has, as far as completions have told.
  private(set) var available: Int

  init(_ raw: UnsafeMutablePointer<io_uring>, count: Int, bytes: Int) throws(RingError) {
    precondition(count > 0 && count & (count - 1) == 0 && count <= BufferRing.countMax && bytes > 0)
    self.count = count
    bufferBytes = bytes
    available = 0
    let entry = MemoryLayout<io_uring_buf>.size
    ringBytes = (count * entry + 4095) & ~4095
    let mapped = mmap(nil, ringBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapped, mapped != MAP_FAILED else { throw RingError(errno, "mmap") }
    let area = mmap(nil, count * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let area, area != MAP_FAILED else {
      let code = errno
      munmap(mapped, ringBytes)
      throw RingError(code, "mmap")
    }
    let result = engram_buffers_register(raw, mapped, UInt32(count), BufferRing.group)
    guard result >= 0 else {
      munmap(mapped, ringBytes)
      munmap(area, count * bytes)
      throw RingError(result, "io_uring_register(PBUF_RING)")
    }
    ring = mapped
    memory = area
    lent = .allocate(capacity: count)
    lent.initialize(repeating: 1, count: count)
    lendMore(BufferRing.lentAtFirst)
  }

  private func lendMore(_ more: Int) {
    let end = min(count, used + more)
    while used < end {
      give(UInt16(used))
      used += 1
    }
  }

  /// The ring's owner has closed the ring by now: the kernel holds none of it.
  deinit {
    munmap(ring, ringBytes)
    munmap(memory, count * bufferBytes)
    lent.deallocate()
  }

  /// Whether fewer than half of all are left to receive into: who needs one for long must not keep it.
  var isScarce: Bool { used == count && available < count / 2 }

  /// The kernel filled buffer `id`: it is ours until `give`. Nil for an id the kernel can't have meant.
  func take(_ id: UInt16) -> UnsafeMutableRawPointer? {
    guard id < count, lent[Int(id)] == 0 else { return nil }
    lent[Int(id)] = 1
    available -= 1
    if available < used / 4, used < count { lendMore(used) }
    return memory + Int(id) * bufferBytes
  }

  /// Gives buffer `id` back to the kernel. Giving it twice traps: two connections would share it.
  func give(_ id: UInt16) {
    precondition(id < count && lent[Int(id)] == 1, "a receive buffer was recycled twice")
    lent[Int(id)] = 0
    available += 1
    engram_buffers_add(ring, memory + Int(id) * bufferBytes, UInt32(bufferBytes), id, UInt32(count))
  }
}
