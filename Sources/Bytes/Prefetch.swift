internal import CBytes

/// Has lines of memory brought near that will be used soon, so that misses overlap instead of following one another.
public enum Prefetch {
  public static let lineBytes = 64

  /// The line at `address`, which may be any: nothing is read that the program would notice.
  public static func line(_ address: UnsafeRawPointer) { engram_prefetch(address) }

  /// The two lines from `address` on: as far as a unit's record tells id and context.
  public static func twoLines(_ address: UnsafeRawPointer) {
    engram_prefetch(address)
    engram_prefetch(address + lineBytes)
  }
}
