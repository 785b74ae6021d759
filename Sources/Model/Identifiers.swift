/// An event's place in the log: strictly increasing for ever, from 1. 0 stands before the first event.
public struct Position: Hashable, Comparable, Sendable {
  public var rawValue: UInt64
  @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  public static let zero = Position(0)
  @inlinable public static func < (a: Position, b: Position) -> Bool { a.rawValue < b.rawValue }
  /// Traps at 2^64, which a log that writes a billion events a second reaches after 584 years.
  @inlinable public var next: Position { Position(rawValue + 1) }
}

/// A unit's place in its context, from 1, without gaps. 0 stands before the first unit.
public struct Sequence: Hashable, Comparable, Sendable {
  public var rawValue: UInt64
  @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  public static let zero = Sequence(0)
  @inlinable public static func < (a: Sequence, b: Sequence) -> Bool { a.rawValue < b.rawValue }
  @inlinable public var next: Sequence { Sequence(rawValue + 1) }
}

/// Time of the log: microseconds since 1970-01-01T00:00:00Z, never less than that of the event before.
public struct LogTime: Hashable, Comparable, Sendable {
  public var microseconds: UInt64
  @inlinable public init(microseconds: UInt64) { self.microseconds = microseconds }
  @inlinable public static func < (a: LogTime, b: LogTime) -> Bool { a.microseconds < b.microseconds }
}

/// A unit's id: a UUIDv7 (RFC 9562, section 5.7), its 16 bytes as two big-endian words.
public struct UnitID: Hashable, Comparable, Sendable {
  public var high: UInt64
  public var low: UInt64
  @inlinable public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
  @inlinable public static func < (a: UnitID, b: UnitID) -> Bool {
    a.high != b.high ? a.high < b.high : a.low < b.low
  }
}

/// 128 bits that stand for a unit's content (context, agent, type, payload bytes, metadata, relationships):
/// two units with equal hashes count as the same when a client tries again.
public struct ContentHash: Hashable, Sendable {
  public var high: UInt64
  public var low: UInt64
  @inlinable public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
}
