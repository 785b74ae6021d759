internal import Model

/// Limits at the engine's door. Each is answered by 503 with `Retry-After`, except where it says otherwise.
public struct EngineLimits: Sendable {
  /// Bytes of log that may be on disk before the store must have persisted them.
  public var logBytesMax = Limits.logBytesMax
  /// Bytes that are durable but that the store has not applied: the window holds them all in memory.
  public var unappliedBytesMax = Limits.unappliedBytesMax
  /// Bytes that the store may be behind before appends wait for it: from there on writes go at the store's pace,
  /// instead of in bursts and refusals. An append that waits longer than `pacedSecondsMax` is refused.
  public var unappliedBytesPaced = 64 << 20
  public var pacedSecondsMax = 5
  /// Bytes of the recent window; more only while the store lags.
  public var windowBytesMax = 64 << 20
  /// Contexts in memory, beyond those in use.
  public var residentContextsMax = 100_000
  /// Agents that contexts in memory list, in all, beyond those in use: some 300 MB if each id is as long as may be.
  public var residentAgentsMax = 1_000_000
  /// Appends that wait for the store to say what it knows of their context or id.
  public var loadsWaitingMax = 16_384
  /// Contexts that one read brings into memory, at most.
  public var contextsPerRead = 16
  /// Appends that wait for room in the open batch.
  public var backlogMax = 16_384
  /// One slab; a batch is at most this, or one request.
  public var slabBytes = 4 << 20
  /// Slabs registered with the ring, if the limit of locked memory allows.
  public var registeredSlabs = 24
  /// Further slabs that are kept for reuse: what a store that lags makes the window hold. With fewer,
  /// a stream of batches whose lag comes and goes spends up to a third of the home loop's time on fresh pages.
  public var slabsKept = 40
  /// Nanoseconds without a commit after which an empty batch bears witness to the last one.
  public var witnessAfterNanoseconds: UInt64 = 200_000_000
  /// Paths that one agent holds or waits for. Answer: 429 `rate_limited`.
  public var agentLocksMax = Limits.agentLocksMax
  /// Below this much free space writes are answered 507.
  public var freeBytesMin: UInt64 = 256 << 20

  public init() {}
}
