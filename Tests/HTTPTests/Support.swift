import Bytes
import HTTP

/// Lends the bytes of `text` to `body`.
func withBytes<R>(_ text: String, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
  try Array(text.utf8).withUnsafeBytes(body)
}

func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

/// What `body` writes, with exactly `capacity` bytes of room.
func written(capacity: Int, _ body: (inout ByteWriter) -> Void) -> String {
  withUnsafeTemporaryAllocation(byteCount: max(capacity, 1), alignment: 1) { memory in
    var writer = ByteWriter(memory.baseAddress!, capacity: capacity)
    body(&writer)
    return text(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<writer.count]))
  }
}

/// Numbers that look random and are the same for the same seed (Steele, Lea and Flood, "SplitMix64", 2014).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
