/// Why the store could not do what it was asked. Returned, not logged; the floor above decides.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Severity: Hashable, Sendable {
    /// The disk is full, a file can't be opened, the store is closed: may pass, and a restart replays.
    case operational
    /// What is on the disk is not what was written there, or was written by something else. Stop; never
    /// guess around it.
    case integrity
  }

  /// What was being done, in words: "open", "apply", "read a unit".
  public var operation: String
  /// RocksDB's own words, or ours; they name file and offset where RocksDB knows them.
  public var message: String
  public var severity: Severity

  public init(operation: String, message: String, severity: Severity) {
    self.operation = operation
    self.message = message
    self.severity = severity
  }

  /// The file system is full. RocksDB tries again by itself once there is room (`SstFileManager`).
  public var isStorageFull: Bool {
    severity == .operational
      && (message.contains("No space left on device") || message.contains("Space limit reached"))
  }

  public var description: String { "store: \(operation): \(message)" }

  static func closed(_ operation: StaticString) -> StoreError {
    StoreError(operation: "\(operation)", message: "the store is closed", severity: .operational)
  }

  static func damaged(_ operation: StaticString, _ message: String) -> StoreError {
    StoreError(operation: "\(operation)", message: message, severity: .integrity)
  }
}
