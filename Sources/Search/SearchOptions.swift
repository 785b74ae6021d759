/// How the index is laid out and how the writer works: `SEARCH.md` has the measurements behind the defaults.
public struct SearchOptions: Hashable, Sendable {
  /// Bytes of a page of the file. Of a new file only.
  public var pageBytes = 8192
  /// Positions that one part of the index covers, a power of two. Of a new file only.
  public var partPositions: UInt64 = 1 << 16
  /// Bytes of the connection's page cache.
  public var cacheBytes = 64 << 20
  /// Bytes of postings that a transaction gathers in memory before it writes a segment.
  public var hashBytes = 32 << 20
  /// Bytes of a leaf of a segment. Who walks down two lists at once takes whole leaves apart to look at a few of their
  /// entries. Of new parts only.
  public var leafBytes = 1000
  /// Segments of one level that are merged while rows are inserted; 0: never.
  public var automerge = 8
  /// Segments of one level at which everything waits until they are merged.
  public var crisisMerge = 64
  /// Bytes of write-ahead log beyond which it is moved into the file.
  public var walBytesMax = 32 << 20

  public init() {}
}
