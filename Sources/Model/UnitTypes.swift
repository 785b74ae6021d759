internal import Bytes

/// What a work unit is. Numbers stand on disk: they are for ever.
public enum WorkUnitType: UInt8, CaseIterable, Sendable {
  case message = 1, reasoning, toolCall, toolResult, fileChange, taskStatus, error, system

  public var name: StaticString {
    switch self {
    case .message: "MESSAGE"
    case .reasoning: "REASONING"
    case .toolCall: "TOOL_CALL"
    case .toolResult: "TOOL_RESULT"
    case .fileChange: "FILE_CHANGE"
    case .taskStatus: "TASK_STATUS"
    case .error: "ERROR"
    case .system: "SYSTEM"
    }
  }

  /// By name, as the wire spells it, in capitals.
  public init?(name: UnsafeRawBufferPointer) {
    guard let found = Self.allCases.first(where: { JSONText.same(name, $0.name.bytes) }) else { return nil }
    self = found
  }

  public init?(number: Int64) {
    guard let number = UInt8(exactly: number) else { return nil }
    self.init(rawValue: number)
  }
}

/// How a unit stands to another. Numbers stand on disk: they are for ever.
public enum RelationshipType: UInt8, CaseIterable, Sendable {
  case sequential = 1, causes, dependsOn, references, respondsTo, modifies, replaces

  public var name: StaticString {
    switch self {
    case .sequential: "SEQUENTIAL"
    case .causes: "CAUSES"
    case .dependsOn: "DEPENDS_ON"
    case .references: "REFERENCES"
    case .respondsTo: "RESPONDS_TO"
    case .modifies: "MODIFIES"
    case .replaces: "REPLACES"
    }
  }

  /// By name, as the wire spells it, in capitals.
  public init?(name: UnsafeRawBufferPointer) {
    guard let found = Self.allCases.first(where: { JSONText.same(name, $0.name.bytes) }) else { return nil }
    self = found
  }

  public init?(number: Int64) {
    guard let number = UInt8(exactly: number) else { return nil }
    self.init(rawValue: number)
  }
}

/// How a payload's bytes stand in its JSON string. Numbers stand on disk: they are for ever.
public enum PayloadEncoding: UInt8, CaseIterable, Sendable {
  case utf8 = 0, base64

  public var name: StaticString {
    switch self {
    case .utf8: "utf8"
    case .base64: "base64"
    }
  }

  public init?(name: UnsafeRawBufferPointer) {
    guard let found = Self.allCases.first(where: { JSONText.same(name, $0.name.bytes) }) else { return nil }
    self = found
  }
}

extension StaticString {
  /// The text's bytes, which live as long as the process.
  @inline(__always)
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount) }
}
