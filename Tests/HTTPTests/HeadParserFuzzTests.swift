import HTTP
import Testing

/// Mutations of good and bad heads: nothing traps, nothing is consumed that isn't there, and the outcome doesn't
/// depend on the cuts.
@Suite struct HeadParserFuzzTests {
  static let rounds = 4000

  @Test(arguments: [1, 2, 3] as [UInt64])
  func mutatedHeads(seed: UInt64) {
    print("seed \(seed)")
    var random = SeededGenerator(seed: seed)
    let corpus = goodHeads.map { Array($0.utf8) } + HeadParserRefusalTests.all.map(\.bytes)
    for _ in 0..<HeadParserFuzzTests.rounds {
      let bytes = mutated(corpus, &random)
      let whole = Reading(bytes)
      if case .head(let consumed, let head) = whole {
        #expect(consumed > 0 && consumed <= bytes.count)
        #expect(bytes[..<consumed].suffix(4) == [13, 10, 13, 10])
        #expect(head.fields.count <= 100)
        #expect(!head.target.isEmpty)
      }
      let cuts = (0..<4).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
      #expect(Reading(bytes, cuts: cuts) == whole, "\(bytes)")
      #expect(Reading(bytes, cuts: 0...bytes.count) == whole, "\(bytes)")
    }
  }

  private func mutated(_ corpus: [[UInt8]], _ random: inout SeededGenerator) -> [UInt8] {
    let dictionary = [
      "\r\n", "\r", "\n", " ", ":", "\t", "\0", "Host: a\r\n", "Content-Length: 1\r\n", "%", "?", "#",
    ]
    var bytes = corpus.randomElement(using: &random) ?? []
    for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 2: bytes.remove(at: at)
      case 3: bytes.insert(contentsOf: (dictionary.randomElement(using: &random) ?? "").utf8, at: at)
      case 4: bytes.removeSubrange(at...)
      default:
        let other = corpus.randomElement(using: &random) ?? []
        bytes = Array(bytes[..<at]) + other.suffix(Int.random(in: 0...other.count, using: &random))
      }
    }
    return bytes
  }
}
