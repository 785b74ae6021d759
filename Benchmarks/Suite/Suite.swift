import Benchmark
import CAllocations
import Glibc
import Workloads

extension BenchmarkMetric {
  /// Allocations by the thread that runs the benchmark, counted by `CAllocations`.
  static var allocations: BenchmarkMetric { .custom("allocations") }
  /// Nanoseconds that the thread was running: other programs don't show in it, as they do in the wall clock.
  static var threadTime: BenchmarkMetric { .custom("thread time") }
  /// Of a pass: `run.py` divides by it.
  static var operations: BenchmarkMetric {
    .custom("operations", polarity: .prefersLarger, useScalingFactor: false)
  }
}

/// What a benchmark works on: it goes when that is done, with its memory and its directory.
private final class Running {
  var pass: (any Pass)?
}

private func threadTime() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

private func register(_ workload: Workload) {
  let running = Running()
  let configuration = Benchmark.Configuration(
    metrics: [.throughput, .wallClock, .instructions, .threadTime, .allocations, .operations],
    warmupIterations: Workload.warmupPasses,
    scalingFactor: workload.operations == .one ? .one : .kilo, maxDuration: .milliseconds(500),
    maxIterations: 2000)
  Benchmark(
    workload.name, configuration: configuration,
    closure: { benchmark in
      guard let pass = running.pass else { return benchmark.error("\(workload.name) was not set up") }
      do {
        let count = workload.operations.rawValue
        try pass.prepare(count)
        benchmark.startMeasurement()
        let started = threadTime()
        let before = testing_allocations()
        try pass.run(count)
        let allocations = testing_allocations() - before
        let ended = threadTime()
        benchmark.stopMeasurement()
        benchmark.measurement(.threadTime, ended - started)
        benchmark.measurement(.allocations, Int(allocations))
        benchmark.measurement(.operations, count)
      } catch {
        benchmark.error("\(workload.name): \(error)")
      }
    },
    setup: { running.pass = try workload.make() },
    teardown: { running.pass = nil })
}

let benchmarks: @Sendable () -> Void = {
  for workload in Workload.all { register(workload) }
}
