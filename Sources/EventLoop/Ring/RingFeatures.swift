internal import CIOUring

/// What the kernel's io_uring can do, found by probe and feature bits rather than by version.
public struct RingFeatures: Sendable {
  /// Flags that the ring was set up with (IORING_SETUP_*).
  public internal(set) var setupFlags: UInt32
  /// Feature bits that the kernel reported (IORING_FEAT_*).
  public internal(set) var featureBits: UInt32
  /// Names of what the loop would use and the kernel lacks: slower without, never wrong.
  public internal(set) var missing: [String]
  private let operations: [Bool]

  init(setupFlags: UInt32, featureBits: UInt32, operations: [Bool], missing: [String]) {
    self.setupFlags = setupFlags
    self.featureBits = featureBits
    self.operations = operations
    self.missing = missing
  }

  /// Task work runs when this thread asks for it, not by interrupting it.
  public var defersTaskWork: Bool { setupFlags & UInt32(IORING_SETUP_DEFER_TASKRUN) != 0 }
  public var wakesByMessage: Bool { supports(IORING_OP_MSG_RING.rawValue) }

  func supports(_ operation: UInt32) -> Bool {
    operation < operations.count && operations[Int(operation)]
  }
}
