import Bytes
import EngramTesting

/// Changes what stands on a disk, with checksums made right again: damage that no checksum shows.
enum Forge {
  static func name(_ number: Int) -> String { "000000000000000\(number).wal" }

  /// Changes a file's bytes.
  static func file(_ disk: SimulatedDisk, _ name: String, _ change: (inout [UInt8]) -> Void) {
    guard var bytes = disk.contents(name) else { preconditionFailure("no file \(name)") }
    change(&bytes)
    disk.install(name, bytes)
  }

  /// Changes a segment header: a number at an offset of `WAL.md`.
  static func segment<T: FixedWidthInteger>(_ disk: SimulatedDisk, _ name: String, at offset: Int, _ value: T)
  {
    file(disk, name) { bytes in
      store(value, at: offset, in: &bytes)
      store(checksum(bytes[0..<4092]), at: 4092, in: &bytes)
    }
  }

  /// Changes the header of the batch at `batch`, chain and checksum included.
  static func batch<T: FixedWidthInteger>(
    _ disk: SimulatedDisk, _ name: String, batch: Int, at offset: Int, _ value: T
  ) {
    file(disk, name) { bytes in
      store(value, at: batch + offset, in: &bytes)
      store(checksum(bytes[batch + 16..<batch + 60]), at: batch + 60, in: &bytes)
      store(checksum(bytes[batch..<batch + 124]), at: batch + 124, in: &bytes)
    }
  }

  static func flip(_ disk: SimulatedDisk, _ name: String, at offset: Int) {
    file(disk, name) { $0[offset] ^= 0x10 }
  }

  static func number<T: FixedWidthInteger>(_ disk: SimulatedDisk, _ name: String, at offset: Int) -> T {
    guard let bytes = disk.contents(name) else { preconditionFailure("no file \(name)") }
    return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }

  private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    Array(bytes).withUnsafeBytes { CRC32C.checksum($0) }
  }

  private static func store<T: FixedWidthInteger>(_ value: T, at offset: Int, in bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }
}
