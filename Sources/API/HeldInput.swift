/// Bytes that arrived and can't be acted upon yet, gone through bit by bit: without moving the rest each time.
struct HeldInput {
  private var bytes: [UInt8] = []
  private var used = 0

  /// Bytes that wait.
  var count: Int { bytes.count - used }

  mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

  /// Shows what waits to `body`, which says how many bytes from the first it is done with.
  mutating func take(_ body: (UnsafeMutableRawBufferPointer) -> Int) {
    let from = used
    used += bytes.withUnsafeMutableBytes { body(UnsafeMutableRawBufferPointer(rebasing: $0[from...])) }
    if count == 0 { self = HeldInput() }
  }
}
