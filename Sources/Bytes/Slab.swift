internal import Synchronization

/// Memory aligned to 4 KiB that the log write, the recent window and the sends of subscribers share by
/// reference count. Written by its home thread only, and only beyond what it has already published.
public final class Slab: @unchecked Sendable {
  public static let alignment = PageMemory.alignment

  public let base: UnsafeMutableRawPointer
  public let capacity: Int
  /// Index in the ring's table of registered buffers, or -1.
  public let registration: Int32
  private let pool: SlabPool?

  fileprivate init(base: UnsafeMutableRawPointer, capacity: Int, registration: Int32, pool: SlabPool?) {
    self.base = base
    self.capacity = capacity
    self.registration = registration
    self.pool = pool
  }

  /// A slab of its own, of at least `capacity` bytes, freed with its last reference.
  public convenience init(capacity: Int) {
    let rounded = (max(capacity, 1) + Slab.alignment - 1) & ~(Slab.alignment - 1)
    self.init(base: Slab.allocate(rounded), capacity: rounded, registration: -1, pool: nil)
  }

  deinit {
    if let pool {
      pool.recycle(base, registration: registration)
    } else {
      PageMemory.free(base)
    }
  }

  /// Whether `run` lies within.
  public func holds(_ run: UnsafeRawBufferPointer) -> Bool {
    guard let start = run.baseAddress else { return false }
    return start >= base && run.count <= capacity && start - UnsafeRawPointer(base) <= capacity - run.count
  }

  fileprivate static func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    guard let memory = PageMemory.allocate(bytes) else {
      fatalError("out of memory: no room for a slab of \(bytes) bytes")
    }
    return memory
  }
}

/// Slabs of one size, handed out again once their last reference is gone. Any thread.
public final class SlabPool: Sendable {
  private struct Free: Sendable {
    let address: UInt
    let registration: Int32
  }

  private struct FreeList: Sendable {
    var slabs: [Free] = []
    /// Those of them that are not registered, and count against `keptMax`.
    var ownCount = 0
  }

  public let slabBytes: Int
  private let keptMax: Int
  private let free = Mutex(FreeList())

  /// A pool of slabs of `slabBytes` (a multiple of 4 KiB), which keeps at most `keptMax` of its own for reuse
  /// besides those that were contributed.
  public init(slabBytes: Int, keptMax: Int) {
    precondition(slabBytes > 0 && slabBytes % Slab.alignment == 0)
    self.slabBytes = slabBytes
    self.keptMax = keptMax
  }

  deinit {
    // Every slab out there holds the pool, so that these are all. What is registered belongs to its caller.
    for kept in free.withLock({ $0.slabs }) where kept.registration < 0 {
      if let base = UnsafeMutableRawPointer(bitPattern: kept.address) { PageMemory.free(base) }
    }
  }

  public func take() -> Slab {
    let reused = free.withLock { list in
      let last = list.slabs.popLast()
      if let last, last.registration < 0 { list.ownCount -= 1 }
      return last
    }
    if let reused, let base = UnsafeMutableRawPointer(bitPattern: reused.address) {
      return Slab(base: base, capacity: slabBytes, registration: reused.registration, pool: self)
    }
    return Slab(base: Slab.allocate(slabBytes), capacity: slabBytes, registration: -1, pool: self)
  }

  /// Puts memory that the caller registered with a ring into the pool: its slabs carry the index.
  /// The memory must live as long as the process.
  public func contribute(_ base: UnsafeMutableRawPointer, registration: Int32) {
    free.withLock { $0.slabs.append(Free(address: UInt(bitPattern: base), registration: registration)) }
  }

  fileprivate func recycle(_ base: UnsafeMutableRawPointer, registration: Int32) {
    let kept = free.withLock { list in
      let slab = Free(address: UInt(bitPattern: base), registration: registration)
      guard registration < 0 else {
        list.slabs.append(slab)
        return true
      }
      guard list.ownCount < keptMax else { return false }
      // In front, in no order: those that are registered are taken first.
      list.ownCount += 1
      list.slabs.append(slab)
      list.slabs.swapAt(list.ownCount - 1, list.slabs.count - 1)
      return true
    }
    if !kept { PageMemory.free(base) }
  }
}
