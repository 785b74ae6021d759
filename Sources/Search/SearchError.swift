/// Why the index can't do what it was asked.
public struct SearchError: Error, CustomStringConvertible, Sendable {
  public enum Kind: Sendable {
    /// The files are not what was written, or of another version: throw them away and index anew.
    case damaged
    /// The file system is full: try again when there is room.
    case full
    /// SQLite can't read or write now.
    case operational
  }

  public var kind: Kind
  /// What was being done.
  public var operation: String
  public var message: String

  public init(_ kind: Kind, operation: String, message: String) {
    self.kind = kind
    self.operation = operation
    self.message = message
  }

  public var description: String { "search index: \(operation): \(message)" }
}
