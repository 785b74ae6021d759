import CAllocations
import Glibc
import Workloads

/// Runs each workload a few times and holds it to what it may allocate.
enum Smoke {
  private static let passes = 5

  /// Prints a line for each workload, and `N passed, N failed` at the end.
  /// - Returns: the exit code.
  static func run(_ workloads: [Workload]) -> Int32 {
    var failed = 0
    func tell(_ name: String, _ complaint: String?, _ figure: String = "") {
      if complaint != nil { failed += 1 }
      print("\(complaint == nil ? "ok    " : "FAILED") \(name)\(complaint.map { ": \($0)" } ?? figure)")
    }
    tell(Workload.saboteur.name, sabotage())
    for workload in workloads {
      do {
        let worst = try allocations(workload)
        let isTooMany = worst > workload.allocationsMax ?? .max
        tell(
          workload.name,
          isTooMany ? "\(worst) allocations in a pass, at most \(workload.allocationsMax ?? 0)" : nil,
          worst == 0 ? "" : ": \(worst) allocations in a pass of \(workload.operations.rawValue)")
      } catch {
        tell(workload.name, "\(error)")
      }
    }
    print("\(workloads.count + 1 - failed) passed, \(failed) failed")
    return failed == 0 ? 0 : 1
  }

  /// The most that a warm pass allocated.
  private static func allocations(_ workload: Workload) throws -> Int {
    let pass = try workload.make()
    let count = workload.operations.rawValue
    var worst: UInt64 = 0
    for number in 0..<Workload.warmupPasses + passes {
      try pass.prepare(count)
      let before = testing_allocations()
      try pass.run(count)
      let made = testing_allocations() - before
      if number >= Workload.warmupPasses { worst = max(worst, made) }
    }
    return Int(worst)
  }

  /// A counter that counts too little would find fault with nothing.
  private static func sabotage() -> String? {
    let expected = Workload.saboteur.operations.rawValue
    do {
      let counted = try allocations(Workload.saboteur)
      return counted == expected ? nil : "\(counted) are counted instead of \(expected)"
    } catch {
      return "\(error)"
    }
  }
}
