/// A run of bytes in a buffer that somebody else holds: it stays right when the buffer moves.
public struct ByteRun: Equatable, Hashable, Sendable {
  public var offset: UInt32
  public var length: UInt32

  @inlinable public init(offset: UInt32, length: UInt32) {
    self.offset = offset
    self.length = length
  }

  init(_ start: Int, _ end: Int) {
    self.init(offset: UInt32(truncatingIfNeeded: start), length: UInt32(truncatingIfNeeded: end - start))
  }

  @inlinable public var isEmpty: Bool { length == 0 }
  @inlinable public var count: Int { Int(length) }
  @inlinable public var start: Int { Int(offset) }
  @inlinable public var end: Int { Int(offset) + Int(length) }

  /// The bytes themselves. `buffer` is the one that the run was found in, or a copy of it: a shorter one traps.
  @inlinable public func bytes(in buffer: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    precondition(end <= buffer.count, "a run beyond its buffer")
    guard length > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(rebasing: buffer[start..<end])
  }
}

/// Comparisons of bytes with names in ASCII.
public enum ASCII {
  /// Whether `bytes` spell `text`, byte for byte.
  public static func equal(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    guard bytes.count == text.utf8CodeUnitCount else { return false }
    for index in 0..<bytes.count where bytes[index] != text.utf8Start[index] { return false }
    return true
  }

  /// Whether `bytes` spell `text`, which is in lower case, in any case of letters.
  public static func equalIgnoringCase(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    guard bytes.count == text.utf8CodeUnitCount else { return false }
    for index in 0..<bytes.count where lowercase(bytes[index]) != text.utf8Start[index] { return false }
    return true
  }

  static func equalIgnoringCase(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
    guard one.count == other.count else { return false }
    for index in 0..<one.count where lowercase(one[index]) != lowercase(other[index]) { return false }
    return true
  }

  @inline(__always) static func lowercase(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
  }

  @inline(__always) static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  /// The value of a hexadecimal digit, or `nil`.
  @inline(__always) static func hexadecimal(_ byte: UInt8) -> UInt8? {
    if byte &- 0x30 < 10 { return byte &- 0x30 }
    let letter = byte | 0x20
    return letter &- 0x61 < 6 ? letter &- 0x61 &+ 10 : nil
  }

  static let tab: UInt8 = 0x09
  static let lineFeed: UInt8 = 0x0a
  static let carriageReturn: UInt8 = 0x0d
  static let space: UInt8 = 0x20
}
