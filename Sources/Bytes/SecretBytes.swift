internal import Glibc

/// Bytes that may be a secret, such as a key's file: cleared when they are let go (explicit_bzero(3)). Any thread.
public final class SecretBytes: @unchecked Sendable {
  private let memory: UnsafeMutableRawBufferPointer

  public init(copying bytes: UnsafeRawBufferPointer) {
    memory = .allocate(byteCount: bytes.count, alignment: 16)
    memory.copyMemory(from: bytes)
  }

  deinit { SecretBytes.discard(memory, used: memory.count) }

  /// The bytes themselves, as long as this is held.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

  /// Clears the first `used` bytes of memory that was allocated, and gives it back.
  public static func discard(_ memory: UnsafeMutableRawBufferPointer, used: Int) {
    clear(UnsafeMutableRawBufferPointer(rebasing: memory[..<used]))
    memory.deallocate()
  }

  /// Not by a loop, which the compiler may leave out where nobody reads what it wrote.
  static func clear(_ bytes: UnsafeMutableRawBufferPointer) {
    if let base = bytes.baseAddress { explicit_bzero(base, bytes.count) }
  }
}
