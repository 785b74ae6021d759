internal import Glibc

/// Bytes of a connection that could not be used where they were received: a request in pieces, or what came
/// while another was answered. Memory is taken when first needed and given back when empty. Loop thread.
struct InputBuffer: ~Copyable {
  private var base: UnsafeMutableRawPointer?
  private var capacity = 0
  private var start = 0
  private var end = 0

  /// Memory up to this size is kept for the next request.
  private static let keptBytesMax = 16 << 10

  deinit { free(base) }

  var count: Int { end - start }
  var isEmpty: Bool { start == end }
  /// Bytes of memory held.
  var heldBytes: Int { capacity }

  /// Valid until the next change.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base.map { UnsafeRawPointer($0 + start) }, count: count)
  }

  mutating func append(_ added: UnsafeRawBufferPointer) {
    guard let source = added.baseAddress, !added.isEmpty else { return }
    reserve(count + added.count)
    guard let base else { return }
    (base + end).copyMemory(from: source, byteCount: added.count)
    end += added.count
  }

  mutating func consume(_ consumed: Int) {
    start += consumed
    if start == end {
      start = 0
      end = 0
    }
  }

  /// Gives the memory back if it is empty and large.
  mutating func shrink() {
    guard isEmpty, capacity > InputBuffer.keptBytesMax else { return }
    free(base)
    base = nil
    capacity = 0
  }

  /// Room for `total` bytes in all, at once: for a body whose length is known.
  mutating func reserve(_ total: Int) {
    guard start + total > capacity else { return }
    if total <= capacity, let base {
      memmove(base, base + start, count)
    } else {
      var grown = max(4096, capacity)
      while grown < total { grown *= 2 }
      guard let larger = malloc(grown) else { fatalError("out of memory: \(grown) bytes of request") }
      if let base, count > 0 { larger.copyMemory(from: base + start, byteCount: count) }
      free(base)
      base = larger
      capacity = grown
    }
    end = count
    start = 0
  }
}
