/// Reads little-endian numbers and runs of bytes from memory that may be hostile: each read says `nil`
/// instead of passing the end.
public struct ByteReader {
  public let bytes: UnsafeRawBufferPointer
  @usableFromInline var read: Int
  @inlinable public var offset: Int { read }

  @inlinable public init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
    self.init(unchecked: bytes, at: Swift.min(Swift.max(offset, 0), bytes.count))
  }

  @inlinable init(unchecked bytes: UnsafeRawBufferPointer, at offset: Int) {
    self.bytes = bytes
    read = offset
  }

  @inlinable public var remaining: Int { bytes.count - offset }

  @inlinable public mutating func integer<T: FixedWidthInteger>(_: T.Type = T.self) -> T? {
    guard remaining >= MemoryLayout<T>.size else { return nil }
    let value = bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
    read += MemoryLayout<T>.size
    return T(littleEndian: value)
  }

  @inlinable public mutating func run(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count >= 0, count <= remaining else { return nil }
    let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    read += count
    return slice
  }

  @inlinable public mutating func skip(_ count: Int) -> Bool { run(count) != nil }
}

/// Writes little-endian numbers and runs of bytes into memory whose room the caller has measured:
/// a write past the end is a programmer's error and traps.
public struct ByteWriter {
  public let base: UnsafeMutableRawPointer
  public let capacity: Int
  @usableFromInline var written: Int
  @inlinable public var count: Int { written }

  @inlinable public init(_ base: UnsafeMutableRawPointer, capacity: Int) {
    self.init(base: base, capacity: capacity, count: 0)
  }

  @inlinable init(base: UnsafeMutableRawPointer, capacity: Int, count: Int) {
    self.base = base
    self.capacity = capacity
    written = count
  }

  /// The bytes that `body` writes, at most `capacity` of them.
  @inlinable public static func bytes(capacity: Int, _ body: (inout ByteWriter) -> Void) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: capacity) { memory, count in
      guard let base = memory.baseAddress else { return }
      var writer = ByteWriter(base, capacity: capacity)
      body(&writer)
      count = writer.count
    }
  }

  @inlinable public var remaining: Int { capacity - count }

  @inlinable public mutating func integer<T: FixedWidthInteger>(_ value: T) {
    precondition(remaining >= MemoryLayout<T>.size, "no room left")
    base.storeBytes(of: value.littleEndian, toByteOffset: count, as: T.self)
    written += MemoryLayout<T>.size
  }

  @inlinable public mutating func run(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count <= remaining, "no room left")
    if let source = bytes.baseAddress, !bytes.isEmpty {
      (base + count).copyMemory(from: source, byteCount: bytes.count)
    }
    written += bytes.count
  }

  /// Always inlined, so that a literal's length is known and its bytes are stored without a call.
  @inlinable @inline(__always)
  public mutating func run(_ text: StaticString) {
    let length = text.utf8CodeUnitCount
    precondition(length <= remaining, "no room left")
    (base + written).copyMemory(from: text.utf8Start, byteCount: length)
    written += length
  }

  @inlinable public mutating func byte(_ value: UInt8) {
    precondition(remaining >= 1, "no room left")
    base.storeBytes(of: value, toByteOffset: count, as: UInt8.self)
    written += 1
  }

  @inlinable public mutating func zeros(_ zeros: Int) {
    precondition(zeros >= 0 && zeros <= remaining, "no room left")
    (base + count).initializeMemory(as: UInt8.self, repeating: 0, count: zeros)
    written += zeros
  }

  /// Moves on over `skipped` bytes that the caller has written, or will.
  @inlinable public mutating func advance(_ skipped: Int) {
    precondition(skipped >= 0 && skipped <= remaining, "no room left")
    written += skipped
  }
}
