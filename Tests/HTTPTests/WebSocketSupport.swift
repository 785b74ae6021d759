import EngramTesting
import HTTP
import Testing

/// A frame as a client sends it; every rule can be broken. `key` nil: not masked. `lengthBytes`: how the length is
/// encoded, if not in the fewest bytes: 0, 2 or 8 bytes behind the first two.
func frame(
  _ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, reserved: UInt8 = 0,
  key: [UInt8]? = [0x37, 0xfa, 0x21, 0x3d], lengthBytes: Int? = nil, declared: UInt64? = nil
) -> [UInt8] {
  let length = declared ?? UInt64(payload.count)
  let width = lengthBytes ?? (length < 126 ? 0 : length < 65536 ? 2 : 8)
  var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode]
  let short = width == 0 ? UInt8(length) : width == 2 ? 126 : 127
  bytes.append((key == nil ? 0 : 0x80) | short)
  for index in 0..<width {
    bytes.append(UInt8(truncatingIfNeeded: length >> UInt64(8 * (width - 1 - index))))
  }
  guard let key else { return bytes + payload }
  bytes += key
  for (index, byte) in payload.enumerated() { bytes.append(byte ^ key[index % 4]) }
  return bytes
}

func frame(_ opcode: UInt8, _ text: String, isFinal: Bool = true) -> [UInt8] {
  frame(opcode, Array(text.utf8), isFinal: isFinal)
}

/// Feeds `bytes` in pieces that end at `cuts` and at the end, each in memory of its own, which is overwritten when the
/// reader has said `more`: what it still needs then, it has copied.
func told(
  _ bytes: [UInt8], cuts: some Sequence<Int> = [], limits: WebSocketLimits = WebSocketLimits()
) -> [ToldFrame] {
  var reader = WebSocketReader(limits: limits)
  return told(bytes, cuts: cuts, by: &reader)
}

func told(_ bytes: [UInt8], cuts: some Sequence<Int> = [], by reader: inout WebSocketReader) -> [ToldFrame] {
  var all: [ToldFrame] = []
  var start = 0
  for end in Array(cuts) + [bytes.count] where end >= start {
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: end - start, alignment: 1)
    defer { piece.deallocate() }
    piece.copyBytes(from: bytes[start..<end])
    var used = 0
    while true {
      let step = reader.next(UnsafeMutableRawBufferPointer(rebasing: piece[used...]))
      used += step.consumed
      guard let told = ToldFrame(step.event) else { break }
      all.append(told)
    }
    // It takes everything, and holds no more than twice what came.
    // (An expectation each would be most of the time of these tests.)
    if used != piece.count { Issue.record("\(piece.count - used) bytes not taken") }
    if reader.heldBytes > 2 * end + 512 { Issue.record("\(reader.heldBytes) bytes held of \(end)") }
    piece.copyBytes(from: [UInt8](repeating: 0xff, count: piece.count))
    start = end
  }
  return all
}

/// Every way to cut `count` bytes, as long as they are few; else every pair of cuts, and each byte alone.
func chunkings(of count: Int) -> [[Int]] {
  guard count > 1 else { return [[]] }
  if count <= 12 {
    return (0..<1 << (count - 1)).map { pattern in (1..<count).filter { pattern >> ($0 - 1) & 1 == 1 } }
  }
  var all: [[Int]] = [Array(1..<count)]
  for first in 0...count { for second in first...count { all.append([first, second]) } }
  return all
}

/// A client's masking by the book, byte by byte.
func masked(_ bytes: [UInt8], _ key: [UInt8]) -> [UInt8] {
  bytes.enumerated().map { $1 ^ key[$0 % 4] }
}
