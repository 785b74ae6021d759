/// What a deployment may scale. The defaults suit 2 cores and 24 GiB.
public struct StoreOptions: Sendable {
  public enum Compression: Sendable {
    /// LZ4 where this RocksDB was built with it, else none.
    case lz4
    case none
  }

  /// Blocks read from disk, shared by all families. Indexes and filters come on top (about 2 bytes per
  /// unit for filters, 0.3 % of the data for indexes).
  public var blockCacheBytes = 2 << 30
  /// Size at which a family's memory is flushed. Each family holds up to two.
  public var writeBufferBytes = 64 << 20
  /// One flush at a time, the others compactions.
  public var backgroundJobs = 2
  /// Flush and compaction together; 0 is unlimited. Keeps bursts away from the log's commits.
  public var writeBytesPerSecondMax = 256 << 20
  public var compression = Compression.lz4
  /// Units of at least this many bytes live in blob files, which compaction does not rewrite; 0: none do.
  public var blobBytesMin = 0
  /// Compaction threads run at nice 19. Process-wide: RocksDB's threads are.
  public var lowersCompactionPriority = true

  public init() {}

  /// For tests: small and quick to fill.
  public static var small: StoreOptions {
    var options = StoreOptions()
    options.blockCacheBytes = 8 << 20
    options.writeBufferBytes = 1 << 20
    return options
  }
}
