// Whether the time of a refusal tells how much of a guess is right. Measured, not argued: interleaved samples of each
// prefix, compared by their medians, and beside them a comparison that does stop early and must be found out.

import CAccessTesting
import Glibc
import Testing

@testable import Access

@Suite(.serialized) struct TimingTests {
  private static let prefixes = [0, 8, 16, 31]
  private static let samples = 300
  private static let calls = 400
  /// Of the median time. What is looked for is far larger: an early exit makes it 3 times or more from 0 to 31 bytes.
  private static let tolerance = 0.08

  /// A digest whose first bytes are those of `secret`, and the others are not.
  private static func guess(_ secret: [UInt8], _ right: Int) -> [UInt8] {
    secret.enumerated().map { $0 < right ? $1 : ~$1 }
  }

  private static func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// The median time of `body` for each prefix. The order of the prefixes turns from round to round, so that what
  /// slows the machine down slows all of them.
  private static func medians(_ body: (Int) -> Void) -> [Double] {
    var times = prefixes.map { _ in [UInt64]() }
    for round in 0..<samples {
      for step in prefixes.indices {
        let place = (round + step) % prefixes.count
        let start = nanoseconds()
        body(place)
        times[place].append(nanoseconds() - start)
      }
    }
    return times.map { Double($0.sorted()[samples / 2]) }
  }

  /// The largest deviation from what no right byte takes, as a share of it.
  private static func spread(_ medians: [Double]) -> Double {
    medians.dropFirst().map { abs($0 / medians[0] - 1) }.max() ?? 0
  }

  /// The least of three tries: noise comes and goes, a leak stays.
  private static func leastSpread(_ name: String, _ body: (Int) -> Void) -> Double {
    var least = Double.infinity
    for _ in 0..<3 where least > tolerance {
      let medians = medians(body)
      least = min(least, spread(medians))
      let shares = medians.map { "\(Int(($0 / medians[0] * 1000).rounded()))" }.joined(separator: " ")
      print("timing: \(name), \(prefixes) bytes right: \(shares) thousandths of \(Int(medians[0])) ns")
    }
    return least
  }

  @Test func anEarlyExitIsFoundOut() {
    let secret = (0..<32).map { UInt8($0 * 5 + 3) }
    let guesses = Self.prefixes.map { Self.guess(secret, $0) }
    let spread = Self.leastSpread("a comparison that stops early") { place in
      guesses[place].withUnsafeBufferPointer { guess in
        secret.withUnsafeBufferPointer { secret in
          guard let a = guess.baseAddress, let b = secret.baseAddress else { return }
          for _ in 0..<Self.calls { _ = test_equal_early(a, b, 32) }
        }
      }
    }
    #expect(spread > 3 * Self.tolerance, "the measurement would not see a leak: \(spread)")
  }

  @Test func comparingTakesOneTime() {
    let secret = (0..<32).map { UInt8($0 * 5 + 3) }
    let guesses = Self.prefixes.map { Self.guess(secret, $0) }
    let spread = Self.leastSpread("the comparison") { place in
      guesses[place].withUnsafeBytes { guess in
        secret.withUnsafeBytes { secret in
          for _ in 0..<Self.calls where ConstantTime.equal(guess, secret) {
            Issue.record("they are not equal")
          }
        }
      }
    }
    #expect(spread < Self.tolerance, "\(spread)")
  }

  /// The whole look-up, over digests that share so much with one of the file. Each prefix has many digests, so that
  /// where one happens to lie in the table is evened out.
  @Test func lookingUpTakesOneTime() throws {
    var lines = ""
    for n in 0..<200 { lines += "agent-\(n):r:\(digest("token-\(n)"))\n" }
    let table = try tokenTable(lines)
    let guesses = try Self.prefixes.map { right in
      try (0..<200).map { n in
        let secret = bytes(ofHexadecimal: digest("token-\(n)"))
        return try #require(Self.guess(secret, right).withUnsafeBytes { SHA256(bytes: $0) })
      }
    }
    let spread = Self.leastSpread("the look-up") { place in
      for guess in guesses[place] where table.find(guess) != nil { Issue.record("nobody has this token") }
    }
    #expect(spread < Self.tolerance, "\(spread)")
  }

  /// Wrong tokens of which so many characters are right.
  @Test func wrongTokensTakeOneTime() throws {
    let token = Array("engram_0123456789abcdef0123456789abcdef".utf8)
    let table = try tokenTable("anna:r:\(digest(String(decoding: token, as: UTF8.self)))")
    let guesses = Self.prefixes.map { right in token.enumerated().map { $0 < right ? $1 : $1 ^ 1 } }
    let spread = Self.leastSpread("a wrong token") { place in
      guesses[place].withUnsafeBytes { guess in
        for _ in 0..<100 where (try? table.verify(guess, now: 0)) != nil {
          Issue.record("nobody has this token")
        }
      }
    }
    #expect(spread < Self.tolerance, "\(spread)")
  }
}
