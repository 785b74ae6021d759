internal import CRocksExtras

/// How the C library's allocator treats memory that is freed. For the whole process.
public enum ProcessMemory {
  /// Memtables grow by so much at a time, less than what is mapped by itself.
  static let arenaBlockBytes = 1 << 20
  /// Allocations from so many bytes on are mapped one by one, and given back when they are freed: large bodies.
  private static let mappedFrom: Int32 = 2 << 20
  /// Free memory at the end of a heap is given back from here on.
  private static let trimmedFrom: Int32 = 1 << 30

  /// Keeps freed memory, of small allocations, for the next one instead of giving it back: a page that is given
  /// back has to be cleared when it is taken again, which was a fifth of the server's CPU while memtables came and went.
  /// To be called before the store is opened.
  public static func keepFreed() {
    // Refused: the allocator goes on as it would have.
    _ = engram_keep_freed_memory(mappedFrom, trimmedFrom)
  }
}
