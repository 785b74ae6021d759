import EngramTesting
import Model
import Testing
import WAL

/// A log and how to move it on, for the suite that every implementation of `CommitLog` passes.
final class Bench {
  let log: any CommitLog
  let composer = Composer()
  let outcomes = Outcomes()
  private let step: () -> Bool

  enum Kind: String, CaseIterable, Sendable { case local, simulated }

  init(_ kind: Kind) throws {
    switch kind {
    case .local:
      let disk = SimulatedDisk(seed: 11)
      let world = try LogWorld(disk)
      log = world.log
      step = { disk.step() }
      disk.drain()
    case .simulated:
      let simulated = SimulatedLog()
      log = simulated
      step = { simulated.step() }
    }
  }

  func wait() -> CommitOutcome? {
    let before = outcomes.list.count
    while outcomes.list.count == before, step() {}
    return outcomes.list.count > before ? outcomes.last : nil
  }

  func append(_ batch: Batch, number: UInt64? = nil, term: UInt64? = nil) -> CommitOutcome? {
    log.append(
      batch, number: number ?? log.tail.number + 1, term: term ?? log.tail.term, completion: outcomes)
    return wait()
  }

  func append(_ sizes: [Int]) -> CommitOutcome? { append(composer.batch(sizes)) }

  func claim(_ term: UInt64) -> CommitOutcome? {
    log.claim(term, completion: outcomes)
    return wait()
  }

  func seal() -> CommitOutcome? {
    log.seal(completion: outcomes)
    return wait()
  }

  func witness() -> CommitOutcome? {
    log.appendWitness(completion: outcomes)
    return wait()
  }

  func bodies(after position: UInt64) throws -> [[UInt8]] {
    var bodies: [[UInt8]] = []
    _ = try log.tail(after: Position(position)) { bodies += $0.recordBodies }
    return bodies
  }
}

/// What the engine relies on, whatever the log lies on.
@Suite(.serialized) struct CommitLogConformanceTests {
  @Test(arguments: Bench.Kind.allCases) func `a batch moves the tail when it is durable, not before`(
    _ kind: Bench.Kind
  ) throws {
    let bench = try Bench(kind)
    #expect(bench.log.tail == .start && bench.log.isIdle)
    let batch = bench.composer.batch([10, 20])
    bench.log.append(batch, number: 1, term: 1, completion: bench.outcomes)
    #expect(bench.log.tail == .start && !bench.log.isIdle && bench.outcomes.list.isEmpty)
    #expect(bench.wait() == .ok)
    #expect(bench.log.tail.number == 1 && bench.log.tail.lastPosition == Position(2) && bench.log.isIdle)
    #expect(batch.number == 1 && batch.term == 1 && bench.outcomes.numbers == [1])
    #expect(bench.log.logBytes >= 4_096)
  }

  @Test(arguments: Bench.Kind.allCases) func `the same batches give the same chain`(_ kind: Bench.Kind) throws
  {
    let bench = try Bench(kind)
    let twin = SimulatedLog()
    let composer = Composer()
    for sizes in [[1], [2, 3], [5_000]] {
      #expect(bench.append(sizes) == .ok)
      twin.append(composer.batch(sizes), number: twin.tail.number + 1, term: 1, completion: bench.outcomes)
      twin.step()
      #expect(bench.log.tail == twin.tail)
    }
  }

  @Test(arguments: Bench.Kind.allCases) func `only the successor of the tail is taken`(_ kind: Bench.Kind)
    throws
  {
    let bench = try Bench(kind)
    #expect(bench.append([1]) == .ok)
    let batch = bench.composer.batch([2])
    #expect(bench.append(batch, number: 1) == .fenced)
    #expect(bench.append(batch, number: 3) == .fenced)
    #expect(bench.append(batch, number: 2, term: 0) == .fenced)
    #expect(bench.append(batch, number: 2, term: 2) == .fenced)
    #expect(bench.log.tail.number == 1)
    #expect(bench.append(batch, number: 2) == .ok)
  }

  @Test(arguments: Bench.Kind.allCases) func `repeating an append is harmless`(_ kind: Bench.Kind) throws {
    let bench = try Bench(kind)
    #expect(bench.append([1]) == .ok)
    let batch = bench.composer.batch([2])
    #expect(bench.append(batch) == .ok)
    let tail = bench.log.tail
    #expect(bench.append(batch, number: 2) == .ok)
    #expect(bench.log.tail == tail)
    let other = Composer()
    other.next = Position(2)
    other.flavour = 1
    #expect(bench.append(other.batch([2]), number: 2) == .fenced)
    #expect(try bench.bodies(after: 1).count == 1)
  }

  @Test(arguments: Bench.Kind.allCases) func `a claim fences the term before`(_ kind: Bench.Kind) throws {
    let bench = try Bench(kind)
    #expect(bench.append([1]) == .ok)
    #expect(bench.claim(1) == .ok)
    #expect(bench.claim(0) == .fenced)
    #expect(bench.claim(5) == .ok)
    #expect(bench.log.tail.term == 5 && bench.log.tail.number == 1)
    let batch = bench.composer.batch([2])
    #expect(bench.append(batch, term: 1) == .fenced)
    #expect(bench.claim(4) == .fenced)
    #expect(bench.append(batch, term: 5) == .ok)
  }

  @Test(arguments: Bench.Kind.allCases) func `a seal ends the term`(_ kind: Bench.Kind) throws {
    let bench = try Bench(kind)
    #expect(bench.append([1]) == .ok)
    #expect(bench.seal() == .ok)
    #expect(
      bench.log.tail.isSealed && bench.log.tail.number == 2 && bench.log.tail.lastPosition == Position(1))
    #expect(bench.seal() == .ok && bench.log.tail.number == 2)
    let batch = bench.composer.batch([2])
    #expect(bench.append(batch) == .fenced)
    #expect(bench.claim(1) == .fenced)
    #expect(bench.claim(2) == .ok)
    #expect(!bench.log.tail.isSealed)
    #expect(bench.append(batch) == .ok)
    #expect(try bench.bodies(after: 0).count == 2)
  }

  @Test(arguments: Bench.Kind.allCases) func `a witness takes a number and no position, once`(
    _ kind: Bench.Kind
  ) throws {
    let bench = try Bench(kind)
    #expect(bench.witness() == .ok && bench.log.tail.number == 0)
    #expect(bench.append([1]) == .ok)
    #expect(bench.witness() == .ok)
    #expect(bench.log.tail.number == 2 && bench.log.tail.lastPosition == Position(1))
    #expect(bench.witness() == .ok && bench.log.tail.number == 2)
    #expect(bench.append([2]) == .ok && bench.log.tail.lastPosition == Position(2))
  }

  @Test(arguments: Bench.Kind.allCases) func `a barrier waits for what is in flight`(_ kind: Bench.Kind)
    throws
  {
    let bench = try Bench(kind)
    let barrier = Outcomes()
    bench.log.append(bench.composer.batch([1]), number: 1, term: 1, completion: bench.outcomes)
    bench.log.barrier(completion: barrier)
    #expect(barrier.list.isEmpty)
    #expect(bench.wait() == .ok)
    #expect(barrier.list == [.ok])
    bench.log.barrier(completion: bench.outcomes)
    #expect(bench.outcomes.list.count == 1)
    #expect(bench.wait() == .ok)
  }

  @Test(arguments: Bench.Kind.allCases) func `the tail is read from any position`(_ kind: Bench.Kind) throws {
    let bench = try Bench(kind)
    for _ in 0..<4 { #expect(bench.append([30, 40]) == .ok) }
    for position: UInt64 in 0...8 {
      var read: [UInt64] = []
      let tail = try bench.log.tail(after: Position(position)) { batch in
        for index in 0..<batch.count { read.append(batch.record(index).position.rawValue) }
      }
      #expect(tail == bench.log.tail)
      // Whole batches: the first may begin at or below the position.
      #expect(read == (position == 8 ? [] : Array(position / 2 * 2 + 1...8)))
    }
  }

  @Test(arguments: Bench.Kind.allCases) func `what was trimmed is told, and never the end`(_ kind: Bench.Kind)
    throws
  {
    let bench = try Bench(kind)
    for _ in 0..<40 { #expect(bench.append([5_000]) == .ok) }
    let before = bench.log.logBytes
    bench.log.trim(through: Position(35))
    #expect(bench.log.logBytes < before)
    #expect(throws: LogError.self) { try bench.bodies(after: 0) }
    #expect(try bench.bodies(after: 35).count >= 5)
    bench.log.trim(through: Position(40))
    #expect(bench.append([1]) == .ok)
    #expect(try bench.bodies(after: 40).count == 1)
  }
}
