/// What a deployment may scale. The defaults suit 2 cores and 24 GiB.
public struct StoreOptions: Sendable {
  public enum Compression: Sendable {
    /// LZ4 where this RocksDB was built with it, else none; from the level where most of a large store lies.
    /// Compressing young data as well took 5 µs of CPU more per unit of 1.3 KB (STORE.md).
    case lz4
    case none
  }

  /// Blocks read from disk, shared by all families. Indexes and filters come on top (about 2 bytes per
  /// unit for filters, 0.3 % of the data for indexes).
  public var blockCacheBytes = 4 << 30
  /// Size at which a family's memory is flushed. Each family holds up to two.
  public var writeBufferBytes = 128 << 20
  /// One flush at a time, the others compactions: two of them, so that level 0 doesn't wait behind a long one below it.
  public var backgroundJobs = 3
  /// Flush and compaction together; 0 is unlimited. Keeps bursts away from the log's commits.
  public var writeBytesPerSecondMax = 256 << 20
  public var compression = Compression.lz4
  /// Units of at least this many bytes live in blob files, which compaction does not rewrite; 0: none do.
  public var blobBytesMin = 0
  /// Flush and compaction bypass the page cache where the file system can (`O_DIRECT`).
  public var usesDirectWrites = true
  /// Reads bypass the page cache too: what the block cache lacks comes from the device each time. Compaction, which
  /// reads what has long left the processor's caches, then costs 2 to 5 µs of CPU less per unit of 1.3 KB.
  public var usesDirectReads = true

  /// Entries of an index that one call of `events` looks at, at most: its answer says how far it got, matches or not.
  public var scannedEntriesMax = 100_000

  /// Told by opening a store of an older format, which it upgrades, every some hundred thousand units: how many units
  /// have been read, and how many of them name others. On the opening thread.
  public var upgradeProgress: UpgradeProgress?
  public typealias UpgradeProgress = @Sendable (_ units: UInt64, _ related: UInt64) -> Void

  public init() {}

  /// For tests: small and quick to fill.
  public static var small: StoreOptions {
    var options = StoreOptions()
    options.blockCacheBytes = 8 << 20
    options.writeBufferBytes = 1 << 20
    return options
  }
}
