/// Sizes of one loop's ring, buffers and wheel.
public struct LoopOptions: Sendable {
  /// Submissions prepared between two enters before one is forced; a power of two.
  public var submissionEntries = 1024
  /// Completions that the ring holds; at least four times `submissionEntries`.
  public var completionEntries = 16_384
  /// Receive buffers shared by all sockets of the loop; a power of two, at most 32,768.
  public var receiveBufferCount = 2048
  /// Large bodies come in fewer pieces than with 4 KiB, for 0.3 µs less per unit of 1 KB; small requests cost the same.
  public var receiveBufferBytes = 16 << 10
  /// Resolution of timers, ns.
  public var timerTick: UInt64 = 8_000_000
  /// Later than this for a timer, ns, a loop takes itself for stopped, and what it missed for time not passed.
  public var latenessMax: UInt64 = 1_000_000_000
  /// Descriptors that accepted connections never take: they are for the files of log and store.
  public var descriptorsReserved = 0
  /// Jobs of one turn before the ring is looked at again, so that a flood of jobs doesn't starve completions.
  public var jobsPerTurnMax = 512
  /// Sends of patient sockets (`Socket.isPatient`) per turn; the rest waits for the next.
  public var patientSendsPerTurnMax = 128
  /// How long a gracefully closed socket goes on discarding what its peer still sends, ns.
  public var lingerTime: UInt64 = 2_000_000_000
  /// How long a listener rests after the process ran out of descriptors, ns.
  public var acceptPause: UInt64 = 100_000_000
  /// How long handshakes may take in one turn before the rest waits for the next, ns: a signature of RSA takes a
  /// millisecond, and a flood of them must not stand between others and their answers. One step a turn is always taken.
  public var handshakeNanosecondsPerTurn: UInt64 = 1_000_000
  /// Room in the table of registered buffers.
  public var registeredBuffersMax = 256
  /// 16 KiB output chunks that the loop keeps for reuse.
  public var outputChunksKept = 1024

  /// Completions in one turn from which on the loop counts as loaded.
  public var gatherAfter = 8
  /// How long a loop waits for more than one completion, in µs.
  public var gatherMicroseconds: UInt32 = 40

  public init() {}
}
