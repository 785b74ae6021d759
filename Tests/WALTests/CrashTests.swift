import EngramTesting
import Glibc
import Testing
@_spi(Faults) import WAL

/// Promise 1: what was acknowledged is there after a crash, unchanged; and nothing else is.
struct CrashTests {
  /// All runs of `seeds` together; the first violation of each is printed with its seed.
  private static func run(
    _ seeds: Range<UInt64>, rots: Bool = false, stopsAtViolation: Bool = false,
    _ breakRule: (inout LogFaults) -> Void = { _ in }
  ) -> (violations: [String], crashes: Int, torn: Int, acknowledged: Int, damaged: Int) {
    var sum = (violations: [String](), crashes: 0, torn: 0, acknowledged: 0, damaged: 0)
    for seed in seeds {
      var run = CrashRun(seed: seed)
      run.rots = rots
      breakRule(&run.faults)
      run.run()
      sum.violations += run.violations
      sum.crashes += run.crashes
      sum.torn += run.torn
      sum.acknowledged += run.acknowledged
      sum.damaged += run.damaged
      if stopsAtViolation, !sum.violations.isEmpty { break }
    }
    return sum
  }

  /// `ENGRAM_LOG_SEEDS` asks for more of them than the 2,000 of every run.
  private static let seeds = getenv("ENGRAM_LOG_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 2_000

  @Test(arguments: stride(from: UInt64(0), to: seeds, by: 500).map { $0..<$0 + 500 })
  func `after any crash every acknowledged record is there, and nothing is invented`(seeds: Range<UInt64>) {
    let sum = Self.run(seeds)
    print(
      "crash runs, seeds \(seeds): \(sum.crashes) crashes, \(sum.torn) torn tails, "
        + "\(sum.acknowledged) batches"
    )
    #expect(sum.violations.isEmpty, "\(sum.violations.prefix(3))")
    // The runs have to go where it hurts.
    #expect(sum.torn > 20 && sum.acknowledged > 5_000 && sum.crashes > 1_500)
  }

  @Test func `damage to what is proven durable stops the start`() {
    let sum = Self.run(10_000..<10_400, rots: true)
    print("rot runs: \(sum.damaged) damaged")
    #expect(sum.violations.isEmpty, "\(sum.violations.prefix(3))")
    #expect(sum.damaged > 60)
  }

  // Broken rules: the runs above would see each of them.

  @Test func `without witnesses damage passes for a torn tail`() {
    let sum = Self.run(10_000..<10_400, rots: true, stopsAtViolation: true) { $0.skipsWitness = true }
    #expect(sum.violations.contains { $0.contains("taken for a torn tail") })
  }

  @Test func `with the salt of an earlier life a crash passes for damage`() {
    let sum = Self.run(0..<500, stopsAtViolation: true) { $0.keepsSalt = true }
    #expect(sum.violations.contains { $0.contains("refuses after a crash") })
  }

  @Test func `without a sync at the start a second crash takes back what was shown`() {
    let sum = Self.run(0..<500, stopsAtViolation: true) { $0.skipsSynchronize = true }
    #expect(!sum.violations.isEmpty)
  }

  @Test func `a short write taken for whole loses what was acknowledged`() {
    let sum = Self.run(0..<500, stopsAtViolation: true) { $0.ignoresShortWrites = true }
    #expect(!sum.violations.isEmpty)
  }
}
