/// Sizes that a log is run with.
public struct LogConfiguration: Sendable {
  /// Of a segment file. A multiple of 4 KiB, at least 64 KiB. Segments of another size stay readable.
  public var segmentBytes: UInt64 = 64 << 20
  /// Spares made ahead.
  public var sparesMin = 2
  /// Spares kept after a trim; what is more is removed.
  public var sparesMax = 8
  /// Memory that a start reads a segment in, shared by the batches in it.
  public var scanBytes = 1 << 20
  @_spi(Faults) public var faults = LogFaults()

  public static let segmentBytesMin: UInt64 = 64 << 10

  public init(segmentBytes: UInt64 = 64 << 20) {
    precondition(segmentBytes >= Self.segmentBytesMin && segmentBytes < 1 << 40)
    precondition(segmentBytes % UInt64(LogFormat.blockBytes) == 0)
    self.segmentBytes = segmentBytes
  }
}

/// Rules of the log that a test can break, to prove that the suite would see it. Nothing else can reach them.
@_spi(Faults) public struct LogFaults: Sendable {
  /// Writes no witness batches, and starts without regard to the witness.
  public var skipsWitness = false
  /// Uses a segment again under the salt of its earlier life.
  public var keepsSalt = false
  /// Reads at the start what only a cache may hold.
  public var skipsSynchronize = false
  /// Takes a short write for a whole one.
  public var ignoresShortWrites = false

  public init() {}
}
