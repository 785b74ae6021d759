#if canImport(Glibc)
  internal import Glibc
#endif

/// Memory of whole pages for buffers that the kernel reads and writes. From 2 MiB on it lies in huge pages where the
/// kernel has any to give: a fault, a pin and an entry of the address cache then stand for 512 small pages.
public enum PageMemory {
  public static let alignment = 4096
  /// Of x86-64 and of AArch64 with pages of 4 KiB.
  static let hugePageBytes = 2 << 20

  /// `bytes` bytes, not initialized, to be freed with `free`; nil when there are none. Any thread.
  public static func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
    var memory: UnsafeMutableRawPointer?
    let isLarge = bytes >= hugePageBytes
    guard posix_memalign(&memory, isLarge ? hugePageBytes : alignment, bytes) == 0 else { return nil }
    // Only a wish (madvise(2), MADV_HUGEPAGE): without huge pages the memory is as good, and slower.
    if isLarge { madvise(memory, bytes, MADV_HUGEPAGE) }
    return memory
  }

  public static func free(_ memory: UnsafeMutableRawPointer) { Glibc.free(memory) }
}
