import Bytes
import EngramTesting
import EventLoop
import Model
@_spi(Faults) import WAL

/// Collects outcomes.
final class Outcomes: CommitCompletion {
  private(set) var list: [CommitOutcome] = []
  private(set) var numbers: [UInt64] = []
  var last: CommitOutcome? { list.last }

  func commitCompleted(number: UInt64, outcome: CommitOutcome) {
    list.append(outcome)
    numbers.append(number)
  }
}

/// Composes records and batches; bodies are told apart by position and `flavour`.
final class Composer {
  let builder: BatchBuilder
  var next = Position(1)
  var flavour: UInt8 = 0

  init(limit: Int = 60 << 10, batchBytesMax: Int = 60 << 10, slabBytes: Int = 128 << 10) {
    builder = BatchBuilder(
      pool: SlabPool(slabBytes: slabBytes, keptMax: 4), batchBytesMax: batchBytesMax, batchBytesLimit: limit)
  }

  private static let pattern = (0..<128 << 10).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

  static func body(_ position: Position, bytes: Int, flavour: UInt8) -> [UInt8] {
    let from = Int(truncatingIfNeeded: position.rawValue &* 7 &+ UInt64(flavour) &* 911) % 4_096
    return Array(pattern[from..<from + bytes])
  }

  /// Adds one record with a body of `bytes`; false if it needs another batch.
  func add(_ bytes: Int, kind: UInt8 = EventKind.unit.rawValue, flags: UInt8? = nil, namespace: UInt16 = 0)
    -> Bool
  {
    let context: [UInt8] = Array("context".utf8)
    guard let room = builder.reserve(bytes + 64) else { return false }
    var writer = EventRecordWriter(
      at: room, capacity: bytes + 64, kind: .unit, position: next,
      logTime: LogTime(microseconds: 1_000 + next.rawValue), namespace: namespace)
    room.storeBytes(of: kind, toByteOffset: 4, as: UInt8.self)
    if let flags { room.storeBytes(of: flags, toByteOffset: 5, as: UInt8.self) }
    context.withUnsafeBytes { writer.field(.contextID, $0) }
    writer.beginBody()
    Self.body(next, bytes: bytes, flavour: flavour).withUnsafeBytes { writer.out.run($0) }
    builder.commit(writer.finish())
    next = next.next
    return true
  }

  /// A sealed batch of records with bodies of these sizes. Traps if they don't fit.
  func batch(_ sizes: [Int]) -> Batch {
    for size in sizes { precondition(add(size)) }
    guard let batch = builder.seal() else { preconditionFailure("an empty batch") }
    return batch
  }
}

extension Batch {
  var recordBodies: [[UInt8]] { (0..<count).map { Array(record($0).body) } }
}

/// A simulated disk with a log on it, and what a test needs to drive them.
final class LogWorld {
  let disk: SimulatedDisk
  var configuration: LogConfiguration
  var log: LocalLog
  var composer = Composer()
  let outcomes = Outcomes()
  private(set) var recovered: RecoveredLog
  private(set) var read: [Batch]

  static let segmentBytes: UInt64 = 64 << 10

  init(
    _ disk: SimulatedDisk = SimulatedDisk(seed: 1), after: Position = .zero, witness: Position = .zero,
    configuration: LogConfiguration = LogConfiguration(segmentBytes: LogWorld.segmentBytes), salts: UInt64 = 7
  ) throws {
    self.disk = disk
    self.configuration = configuration
    var batches: [Batch] = []
    recovered = try LogRecovery.run(disk, configuration: configuration, after: after, witness: witness) {
      batches.append($0)
    }
    read = batches
    var random = SeededRandom(seed: salts &+ UInt64(disk.calls))
    log = try LocalLog(disk, recovered: recovered, configuration: configuration) { random.next() }
    composer.next = log.tail.lastPosition.next
  }

  /// Appends one batch and waits for its outcome.
  @discardableResult
  func append(_ sizes: [Int]) -> CommitOutcome { append(composer.batch(sizes)) }

  @discardableResult
  func append(_ batch: Batch) -> CommitOutcome {
    log.append(batch, number: log.tail.number + 1, term: log.tail.term, completion: outcomes)
    return wait()
  }

  @discardableResult
  func witness() -> CommitOutcome {
    log.appendWitness(completion: outcomes)
    return wait()
  }

  @discardableResult
  func seal() -> CommitOutcome {
    log.seal(completion: outcomes)
    return wait()
  }

  @discardableResult
  func claim(_ term: UInt64) -> CommitOutcome {
    log.claim(term, completion: outcomes)
    return wait()
  }

  /// Steps the disk until the log is idle.
  func wait() -> CommitOutcome {
    while !log.isIdle, disk.step() {}
    return outcomes.last ?? .unknown
  }

  /// Fills the current segment until the log goes on in a further one.
  func fillSegment() {
    let count = log.segmentCount
    while log.segmentCount == count { append([3_000]) }
  }

  /// What a start says of the disk as it is.
  static func start(_ disk: SimulatedDisk, after: Position = .zero, witness: Position = .zero) -> Start {
    var bodies: [UInt64: [UInt8]] = [:]
    do {
      let log = try LogRecovery.run(
        disk, configuration: LogConfiguration(segmentBytes: segmentBytes), after: after, witness: witness
      ) { batch in
        for index in 0..<batch.count {
          bodies[batch.record(index).position.rawValue] = Array(batch.record(index).body)
        }
      }
      return Start(log: log, bodies: bodies)
    } catch {
      return Start(bodies: bodies, error: error)
    }
  }

  struct Start {
    var log: RecoveredLog?
    var bodies: [UInt64: [UInt8]]
    var error: LogError?

    var damage: LogDamage? { if case .damage(let damage) = error { damage } else { nil } }
    var unsupported: LogDamage? { if case .unsupported(let damage) = error { damage } else { nil } }
  }
}
