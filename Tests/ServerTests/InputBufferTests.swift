import EngramTesting
import Testing

@testable import Server

@Suite struct InputBufferTests {
  private func contents(_ buffer: borrowing InputBuffer) -> [UInt8] { [UInt8](buffer.bytes) }

  @Test func `an empty one holds no memory`() {
    var buffer = InputBuffer()
    #expect(buffer.isEmpty && buffer.heldBytes == 0 && buffer.bytes.isEmpty)
    buffer.append(UnsafeRawBufferPointer(start: nil, count: 0))
    buffer.consume(0)
    buffer.shrink()
    #expect(buffer.heldBytes == 0)
  }

  @Test func `only what is empty and large is given back`() {
    var buffer = InputBuffer()
    [UInt8](repeating: 1, count: 100).withUnsafeBytes { buffer.append($0) }
    buffer.consume(100)
    buffer.shrink()
    #expect(buffer.heldBytes == 4096)
    [UInt8](repeating: 1, count: 20 << 10).withUnsafeBytes { buffer.append($0) }
    buffer.shrink()
    #expect(buffer.count == 20 << 10 && buffer.heldBytes >= 20 << 10)
    buffer.consume(20 << 10)
    buffer.shrink()
    #expect(buffer.isEmpty && buffer.heldBytes == 0)
  }

  @Test func `what was reserved for isn't moved again`() {
    var buffer = InputBuffer()
    buffer.reserve(100_000)
    let held = buffer.heldBytes
    #expect(held >= 100_000)
    [UInt8](repeating: 7, count: 50_000).withUnsafeBytes { buffer.append($0) }
    let base = buffer.bytes.baseAddress
    [UInt8](repeating: 8, count: 50_000).withUnsafeBytes { buffer.append($0) }
    #expect(buffer.bytes.baseAddress == base && buffer.heldBytes == held)
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `any order of calls keeps the bytes`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var buffer = InputBuffer()
    var model: [UInt8] = []
    for _ in 0..<500 {
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<5:
        let bound = Int.random(in: 0..<8, using: &random) == 0 ? 20_000 : 600
        let added = (0..<Int.random(in: 0...bound, using: &random)).map { _ in
          UInt8.random(in: .min ... .max, using: &random)
        }
        added.withUnsafeBytes { buffer.append($0) }
        model += added
      case 5..<8:
        let count = Int.random(in: 0...model.count, using: &random)
        buffer.consume(count)
        model.removeFirst(count)
      case 8:
        // Also less than there is: then nothing changes.
        let total = Int.random(in: 0...30_000, using: &random)
        buffer.reserve(total)
        #expect(buffer.heldBytes >= total)
      default:
        buffer.consume(buffer.count)
        model = []
        buffer.shrink()
      }
      #expect(
        buffer.count == model.count && buffer.isEmpty == model.isEmpty && buffer.heldBytes >= model.count)
      #expect(contents(buffer) == model)
    }
  }
}
