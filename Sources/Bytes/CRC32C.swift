internal import CBytes

/// CRC32C (Castagnoli; RFC 3720, appendix B.4), by the processor's instruction where it has one.
public enum CRC32C {
  /// The checksum of `bytes`, continuing from `previous` (0 to begin). About 0.05 µs for 1 KiB.
  public static func checksum(_ bytes: UnsafeRawBufferPointer, continuing previous: UInt32 = 0) -> UInt32 {
    guard let base = bytes.baseAddress else { return previous }
    return engram_crc32c(previous, base, bytes.count)
  }

  /// Copies `source` to `destination`, which has room for it and doesn't overlap it, and returns the
  /// checksum of what was copied: one pass over the memory.
  public static func copy(
    _ source: UnsafeRawBufferPointer, to destination: UnsafeMutableRawPointer, continuing previous: UInt32 = 0
  ) -> UInt32 {
    guard let base = source.baseAddress else { return previous }
    return engram_crc32c_copy(previous, destination, base, source.count)
  }
}
