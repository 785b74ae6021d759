import EngramTesting
import Testing

/// The simulation's checks can fail: each rule, broken on purpose, is noticed.
struct BrokenRulesTests {
  /// Seeds after which a broken rule must have been noticed.
  private static let seedsMax: UInt64 = 400

  /// The first violation, and how many seeds it took.
  private static func firstViolation(
    _ rule: BrokenRule, looksAtDisk: Bool = true, _ isMeant: (String) -> Bool
  ) -> (seed: UInt64, text: String)? {
    for seed in 0..<seedsMax {
      let result = Simulation.run(seed: seed, breaking: rule, looksAtDisk: looksAtDisk)
      if let text = result.violations.first(where: isMeant) { return (seed, text) }
    }
    return nil
  }

  private static func report(_ rule: BrokenRule, _ found: (seed: UInt64, text: String)?) {
    print("broken rule \(rule): \(found.map { "seed \($0.seed): \($0.text)" } ?? "not noticed")")
  }

  @Test func `a reply before the sync is seen at once`() {
    let found = Self.firstViolation(.repliesBeforeSync) { $0.contains("a crash could take it back") }
    Self.report(.repliesBeforeSync, found)
    #expect(found != nil)
  }

  @Test func `a reply before the sync is seen after a crash`() {
    let found = Self.firstViolation(.repliesBeforeSync, looksAtDisk: false) { $0.contains("the log ends at") }
    Self.report(.repliesBeforeSync, found)
    #expect(found != nil)
  }

  @Test func `without witnesses damage passes for a torn tail`() {
    let found = Self.firstViolation(.skipsWitness) { $0.contains("which was proven durable, passes") }
    Self.report(.skipsWitness, found)
    #expect(found != nil)
  }

  @Test func `with the salt of an earlier life a crash passes for damage`() {
    let found = Self.firstViolation(.keepsSalt) { $0.contains("refuses after a crash") }
    Self.report(.keepsSalt, found)
    #expect(found != nil)
  }

  // MARK: Locks and followers

  @Test func `a lock that is due when a command is decided is seen`() {
    let found = Self.firstViolation(.overlooksDue) { $0.contains("is due") }
    Self.report(.overlooksDue, found)
    #expect(found != nil)
  }

  @Test func `a grant that is told before it is durable is seen`() {
    let found = Self.firstViolation(.grantsBeforeSync) { $0.contains("is told before it is durable") }
    Self.report(.grantsBeforeSync, found)
    #expect(found != nil)
  }

  @Test func `a start that gives locks their time and doesn't say so is seen`() {
    let found = Self.firstViolation(.skipsRestart) { $0.contains("restart") }
    Self.report(.skipsRestart, found)
    #expect(found != nil)
  }

  @Test func `an event that a follower isn't offered is missed`() {
    let found = Self.firstViolation(.skipsFollowers) { $0.contains("misses position") }
    Self.report(.skipsFollowers, found)
    #expect(found != nil)
  }
}
