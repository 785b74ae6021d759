/// Reads little-endian numbers and runs of bytes from memory that may be hostile: each read says `nil`
/// instead of passing the end.
public struct ByteReader {
  public let bytes: UnsafeRawBufferPointer
  public private(set) var offset: Int

  @inlinable public init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
    self.init(unchecked: bytes, at: Swift.min(Swift.max(offset, 0), bytes.count))
  }

  @usableFromInline init(unchecked bytes: UnsafeRawBufferPointer, at offset: Int) {
    self.bytes = bytes
    self.offset = offset
  }

  public var remaining: Int { bytes.count - offset }

  public mutating func integer<T: FixedWidthInteger>(_: T.Type = T.self) -> T? {
    guard remaining >= MemoryLayout<T>.size else { return nil }
    let value = bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
    offset += MemoryLayout<T>.size
    return T(littleEndian: value)
  }

  public mutating func run(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count >= 0, count <= remaining else { return nil }
    let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    offset += count
    return slice
  }

  public mutating func skip(_ count: Int) -> Bool { run(count) != nil }
}

/// Writes little-endian numbers and runs of bytes into memory whose room the caller has measured:
/// a write past the end is a programmer's error and traps.
public struct ByteWriter {
  public let base: UnsafeMutableRawPointer
  public let capacity: Int
  public private(set) var count: Int

  @inlinable public init(_ base: UnsafeMutableRawPointer, capacity: Int) {
    self.init(base: base, capacity: capacity, count: 0)
  }

  @usableFromInline init(base: UnsafeMutableRawPointer, capacity: Int, count: Int) {
    self.base = base
    self.capacity = capacity
    self.count = count
  }

  public var remaining: Int { capacity - count }

  public mutating func integer<T: FixedWidthInteger>(_ value: T) {
    precondition(remaining >= MemoryLayout<T>.size, "no room left")
    base.storeBytes(of: value.littleEndian, toByteOffset: count, as: T.self)
    count += MemoryLayout<T>.size
  }

  public mutating func run(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count <= remaining, "no room left")
    if let source = bytes.baseAddress, !bytes.isEmpty {
      (base + count).copyMemory(from: source, byteCount: bytes.count)
    }
    count += bytes.count
  }

  public mutating func run(_ text: StaticString) {
    run(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  public mutating func byte(_ value: UInt8) {
    precondition(remaining >= 1, "no room left")
    base.storeBytes(of: value, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  public mutating func zeros(_ zeros: Int) {
    precondition(zeros >= 0 && zeros <= remaining, "no room left")
    (base + count).initializeMemory(as: UInt8.self, repeating: 0, count: zeros)
    count += zeros
  }

  /// Moves on over `skipped` bytes that the caller has written, or will.
  public mutating func advance(_ skipped: Int) {
    precondition(skipped >= 0 && skipped <= remaining, "no room left")
    count += skipped
  }
}
