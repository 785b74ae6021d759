import EngramTesting
import EventLoop
import Model
import Testing
import WAL

/// One scenario, with each of its calls failing in turn, until it passes untouched. What was acknowledged
/// before the
/// failure is there afterwards, and nothing is acknowledged that isn't.
struct FailEveryCallTests {
  enum Failure: CaseIterable, Sendable { case inputOutput, noSpace, short, power }

  /// A first life of two segments with a trim, a restart, a witness.
  /// - Returns: bodies acknowledged, by position; and whether all went well.
  private static func scenario(_ disk: SimulatedDisk) -> (acknowledged: [UInt64: [UInt8]], passed: Bool) {
    var acknowledged: [UInt64: [UInt8]] = [:]
    var passed = true
    func append(_ world: LogWorld, _ sizes: [Int]) {
      guard world.log.isIdle, world.log.failure == nil else { return }
      let batch = world.composer.batch(sizes)
      let before = world.outcomes.list.count
      let outcome = world.append(batch)
      guard world.outcomes.list.count > before, outcome == .ok else {
        passed = false
        world.composer.next = world.log.tail.lastPosition.next
        return
      }
      for index in 0..<batch.count {
        acknowledged[batch.record(index).position.rawValue] = Array(batch.record(index).body)
      }
    }
    do {
      let first = try LogWorld(disk)
      disk.drain()
      for _ in 0..<3 { append(first, [20_000]) }
      append(first, [100])
      first.log.trim(through: Position(1))
      first.log.tick()
      disk.drain()
      if first.log.isIdle, first.witness() != .ok { passed = false }
      if !first.log.isIdle || first.log.failure != nil { return (acknowledged, false) }
      let second = try LogWorld(disk)
      disk.drain()
      append(second, [10, 20])
    } catch {
      passed = false
    }
    return (acknowledged, passed)
  }

  @Test(arguments: Failure.allCases) func `no failing call costs what was acknowledged`(_ failure: Failure)
    throws
  {
    var call = 0
    var met = 0
    while true {
      call += 1
      let disk = SimulatedDisk(seed: UInt64(call))
      switch failure {
      case .inputOutput: disk.failCall(call, code: SimulatedDisk.inputOutput)
      case .noSpace: disk.failCall(call, code: SimulatedDisk.noSpace)
      case .short: disk.shortenCall(call)
      case .power: disk.cutPower(atCall: call)
      }
      let (acknowledged, passed) = Self.scenario(disk)
      if !passed { met += 1 }
      let untouched = disk.calls < call
      disk.crash()
      let start = LogWorld.start(disk)
      let log = try #require(start.log, "call \(call): \(start.error?.description ?? "")")
      for (position, body) in acknowledged {
        #expect(start.bodies[position] == body, "call \(call), position \(position)")
      }
      #expect(start.bodies.count == Int(log.tail.lastPosition.rawValue))
      if untouched {
        #expect(passed && acknowledged.count == 6)
        break
      }
      try #require(call < 1_000)
    }
    #expect(call > 20 && met > 2)
  }
}
