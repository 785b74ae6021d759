public import Bytes
internal import Glibc

/// How many slabs a ring took as registered buffers, and why not all.
public struct SlabRegistration: Equatable, Sendable {
  public var registered: Int
  /// Nil when all were registered. Slabs beyond work as well, each write paying for pinning its pages.
  public var reason: String?

  public init(registered: Int, reason: String?) {
    self.registered = registered
    self.reason = reason
  }
}

extension EventLoop {
  /// Allocates up to `count` slabs of `pool`'s size, registers them with the ring, and puts them into the
  /// pool: writes from them then need no pinning of pages. Where the limit of locked memory forbids, the pool
  /// makes its own, unregistered. The memory is never freed. Before `start` on any thread, afterwards on the
  /// loop's.
  @discardableResult
  public func registerSlabs(_ pool: SlabPool, count: Int) -> SlabRegistration {
    assertOnLoop()
    for registered in 0..<count {
      guard let memory = PageMemory.allocate(pool.slabBytes) else {
        return SlabRegistration(registered: registered, reason: "out of memory")
      }
      let index = ring.register(memory, bytes: pool.slabBytes, slots: options.registeredBuffersMax)
      guard index >= 0 else {
        PageMemory.free(memory)
        return SlabRegistration(registered: registered, reason: reason(-index))
      }
      pool.contribute(memory, registration: index)
    }
    return SlabRegistration(registered: count, reason: nil)
  }

  private func reason(_ code: Int32) -> String {
    switch code {
    case ENOMEM, EPERM:
      "RLIMIT_MEMLOCK is too low for all buffers: raise it (LimitMEMLOCK=infinity, ulimit -l unlimited)"
    case ENOSPC: "the loop's table of registered buffers is full (registeredBuffersMax)"
    default: "io_uring_register(BUFFERS_UPDATE): \(String(cString: strerror(code)))"
    }
  }
}
