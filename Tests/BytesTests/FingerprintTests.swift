import Testing

@testable import Bytes

@Suite struct FingerprintTests {
  private func print(_ bytes: [UInt8], seed: UInt64 = 0) -> Fingerprint {
    bytes.withUnsafeBytes { Fingerprint.of($0, seed: seed) }
  }

  @Test func isTheSameHoweverTheBytesAreCut() {
    var random = SplitMix(seed: 1)
    for length in 0..<200 {
      let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      for _ in 0..<8 {
        var stream = FingerprintStream()
        var rest = bytes[...]
        while !rest.isEmpty {
          let piece = rest.prefix(random.below(min(rest.count, 70)) + 1)
          Array(piece).withUnsafeBytes { stream.add($0) }
          rest = rest.dropFirst(piece.count)
        }
        #expect(stream.finish() == print(bytes))
      }
    }
  }

  /// The definition of `hash.c`, written once more without haste: what stands on disk never changes.
  @Test func followsItsDefinition() {
    let keys: [UInt64] = [
      0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89,
      0x4528_21e6_38d0_1377, 0xbe54_66cf_34e9_0c6c, 0xc0ac_29b7_c97c_50dd, 0x3f84_d5b5_b547_0917,
    ]
    func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
      let product = a.multipliedFullWidth(by: b)
      return product.high ^ product.low
    }
    func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 { word << bits | word >> (64 - bits) }
    func slow(_ bytes: [UInt8], _ seed: UInt64) -> Fingerprint {
      var lanes = keys[4...7].map { $0 ^ seed }
      let padded = bytes + Array(repeating: 0, count: (32 - bytes.count % 32) % 32)
      for start in stride(from: 0, to: padded.count, by: 32) {
        let words = (0..<4).map { word in
          (0..<8).reduce(UInt64(0)) { $0 | UInt64(padded[start + word * 8 + $1]) << UInt64($1 * 8) }
        }
        for (lane, pair) in [(0, 1), (2, 3), (3, 0), (1, 2)].enumerated() {
          lanes[lane] =
            rotate(lanes[lane], 29) &+ fold(words[pair.0] ^ keys[lane], words[pair.1] ^ lanes[lane])
        }
      }
      let total = UInt64(bytes.count)
      let a = fold(lanes[0] ^ keys[4] ^ total, lanes[1] ^ keys[5])
      let b = fold(lanes[2] ^ keys[6], lanes[3] ^ keys[7] ^ total)
      let c = fold(lanes[0] &+ lanes[2], lanes[1] ^ keys[0] ^ rotate(lanes[3], 32))
      return Fingerprint(
        high: fold(a ^ keys[1], b ^ c ^ keys[2]),
        low: fold(b ^ keys[3], rotate(a, 32) ^ (c &+ total) ^ keys[0]) ^ c)
    }
    var random = SplitMix(seed: 2)
    for length in [0, 1, 8, 31, 32, 33, 64, 100, 1000] {
      let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let seed = length % 2 == 0 ? 0 : random.next()
      #expect(print(bytes, seed: seed) == slow(bytes, seed))
    }
  }

  @Test func tellsZerosOfAnyLengthApart() {
    let prints = (0..<300).map { print(Array(repeating: 0, count: $0)) }
    #expect(Set(prints).count == 300)
    #expect(Set(prints.map(\.high)).count == 300)
    #expect(Set(prints.map(\.low)).count == 300)
  }

  /// One bit of input turned over turns over about half of the 128.
  @Test func spreadsEveryBit() {
    var random = SplitMix(seed: 3)
    for length in [1, 7, 8, 16, 31, 32, 33, 64, 96] {
      let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let whole = print(bytes)
      var sum = 0
      for bit in 0..<length * 8 {
        var other = bytes
        other[bit / 8] ^= 1 << UInt8(bit % 8)
        let changed = print(other)
        let turned = (changed.high ^ whole.high).nonzeroBitCount + (changed.low ^ whole.low).nonzeroBitCount
        #expect((25...103).contains(turned), "bit \(bit) of \(length) bytes")
        #expect(changed.high != whole.high && changed.low != whole.low)
        sum += turned
      }
      let mean = Double(sum) / Double(length * 8)
      #expect((58.0...70.0).contains(mean), "\(length) bytes: \(mean)")
    }
  }

  @Test func dependsOnItsSeed() {
    #expect(print([1, 2, 3], seed: 0) != print([1, 2, 3], seed: 1))
  }

  @Test func differsForSimilarTexts() {
    var seen = Set<UInt64>()
    for n in 0..<50_000 {
      let print = print(Array("agent-\(n)".utf8))
      seen.insert(print.high)
      seen.insert(print.low)
    }
    #expect(seen.count == 100_000)
  }
}
