import EngramTesting
import EventLoop
import Model
@_spi(Faults) import WAL

/// One seeded life of a log: batches, witnesses, trims, failing calls, crashes at any call, also during
/// recovery, twice in a
/// row; and a dictionary model that says what must be there. Violations are collected, so that a broken rule
/// can be shown to be seen.
struct CrashRun {
  let seed: UInt64
  var faults = LogFaults()
  /// Damages what is proven durable once in a while: it has to be reported.
  var rots = false

  private(set) var violations: [String] = []
  private(set) var crashes = 0
  private(set) var torn = 0
  private(set) var acknowledged = 0
  private(set) var damaged = 0

  private var random: SeededRandom
  private var disk: SimulatedDisk
  /// By position − 1: what was acknowledged, or found at a start and shown since.
  private var durable: [[UInt8]] = []
  /// In flight when the crash came.
  private var pending: [[UInt8]] = []
  /// What the store has persisted, and the highest that anything outside the log knows.
  private var persisted = 0
  private var known = 0
  private var flavour: UInt8 = 0

  init(seed: UInt64) {
    self.seed = seed
    random = SeededRandom(seed: seed)
    disk = SimulatedDisk(seed: seed &* 31 &+ 1)
  }

  private var configuration: LogConfiguration {
    var configuration = LogConfiguration(segmentBytes: LogWorld.segmentBytes)
    configuration.faults = faults
    configuration.sparesMax = 3
    // Small, so that batches cross the memory that a segment is read in.
    configuration.scanBytes = 8 << 10
    return configuration
  }

  mutating func run(lives: Int = 4) {
    for _ in 0..<lives {
      guard violations.isEmpty, let world = start() else { return }
      live(world)
      if rots, violations.isEmpty, random.oneIn(2) { return rot(world) }
      crash()
    }
    if violations.isEmpty { _ = start() }
  }

  private mutating func crash() {
    crashes += 1
    if random.oneIn(3) { disk.kill() } else { disk.crash() }
  }

  /// Starts, perhaps with crashes in the middle; compares what was read with the model.
  private mutating func start() -> LogWorld? {
    while true {
      let cut = random.oneIn(3)
      if cut { disk.cutPower(atCall: disk.calls + 1 + random.below(20)) }
      do {
        let world = try LogWorld(
          disk, after: Position(UInt64(persisted)), witness: Position(UInt64(known)),
          configuration: configuration, salts: random.next())
        compare(world)
        return violations.isEmpty ? world : nil
      } catch LogError.disk where cut {
        crash()
      } catch is DiskError where cut {
        crash()
      } catch {
        violations.append("seed \(seed): a start refuses after a crash: \(error)")
        return nil
      }
    }
  }

  private mutating func compare(_ world: LogWorld) {
    if world.recovered.tornTail != nil { torn += 1 }
    let end = Int(world.recovered.tail.lastPosition.rawValue)
    if end < durable.count {
      violations.append("seed \(seed): \(durable.count) records were acknowledged, the log ends at \(end)")
      return
    }
    if end != durable.count, end != durable.count + pending.count {
      violations.append(
        "seed \(seed): a part of a batch was taken: \(end) of \(durable.count) + \(pending.count)")
      return
    }
    if end > durable.count { durable += pending }
    pending = []
    var position = persisted
    for batch in world.read {
      for index in 0..<batch.count {
        let record = batch.record(index)
        let at = Int(record.position.rawValue)
        guard at > persisted else { continue }
        position += 1
        if at != position || at > durable.count || durable[at - 1] != Array(record.body) {
          violations.append("seed \(seed): position \(position) changed or is invented")
          return
        }
      }
    }
    if position != max(durable.count, persisted) {
      violations.append("seed \(seed): records up to \(durable.count) expected, read up to \(position)")
    }
    // Now it is shown to readers, and indexed.
    known = max(known, random.below(durable.count + 1))
  }

  private mutating func live(_ world: LogWorld) {
    flavour &+= 1
    world.composer.flavour = flavour
    let operations = 1 + random.below(24)
    if random.oneIn(2) { disk.cutPower(atCall: disk.calls + 1 + random.below(2 * operations)) }
    if random.oneIn(8) { disk.shortenCall(disk.calls + 1 + random.below(operations)) }
    if random.oneIn(8) { disk.failCall(disk.calls + 1 + random.below(operations)) }
    for _ in 0..<operations where world.log.failure == nil && !disk.isDead {
      switch random.below(10) {
      case 0: world.witness()
      case 1:
        persisted = max(persisted, random.below(durable.count + 1))
        known = max(known, persisted)
        world.log.trim(through: Position(UInt64(persisted)))
      case 2: world.log.tick()
      case 3: disk.step()
      default: append(world)
      }
    }
    // Often the process goes down with something in flight.
    if random.oneIn(2), world.log.failure == nil, !disk.isDead { submit(world) }
  }

  private mutating func submit(_ world: LogWorld) {
    let sizes = (0...random.below(4)).map { _ in random.below(random.oneIn(4) ? 9_000 : 900) }
    let batch = world.composer.batch(sizes)
    pending = batch.recordBodies
    world.log.append(
      batch, number: world.log.tail.number + 1, term: world.log.tail.term, completion: world.outcomes)
  }

  private mutating func append(_ world: LogWorld) {
    submit(world)
    let before = world.outcomes.list.count
    _ = world.wait()
    guard world.outcomes.list.count > before else { return }
    switch world.outcomes.last {
    case .ok:
      durable += pending
      pending = []
      acknowledged += 1
      if random.oneIn(4) { known = durable.count }
    case .storageFull:
      world.composer.next = world.log.tail.lastPosition.next
      pending = []
    default:
      break
    }
  }

  /// Everything durable is proven, and then a bit of it flips: the start has to refuse.
  private mutating func rot(_ world: LogWorld) {
    guard world.log.failure == nil, !disk.isDead, world.log.isIdle else { return crash() }
    world.witness()
    guard world.outcomes.last == .ok, world.log.failure == nil, !disk.isDead, durable.count > persisted,
      let place = LogWorld.place(of: persisted + 1 + random.below(durable.count - persisted), on: disk)
    else { return crash() }
    disk.crash()
    disk.rot(
      place.name, at: place.offset + UInt64(random.below(place.bytes)), mask: 1 << UInt8(random.below(8)))
    damaged += 1
    do {
      _ = try LogWorld(disk, after: Position(UInt64(persisted)), configuration: configuration)
      violations.append("seed \(seed): damage to an acknowledged record was taken for a torn tail")
    } catch {
      guard case LogError.damage = error else {
        violations.append("seed \(seed): damage is reported as \(error)")
        return
      }
    }
  }
}

extension LogWorld {
  /// Where a record's bytes lie: found by their frame, position and checksum.
  static func place(of position: Int, on disk: SimulatedDisk) -> (name: String, offset: UInt64, bytes: Int)? {
    var found: (name: String, offset: UInt64, bytes: Int)?
    var newest: UInt64 = 0
    for name in disk.fileNames {
      guard let bytes = disk.contents(name), bytes.count >= 4096 else { continue }
      let index = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 32, as: UInt64.self) }
      guard index > newest else { continue }
      let salt = Array(bytes[64..<72])
      bytes.withUnsafeBytes { memory in
        for batch in stride(from: 4096, to: memory.count, by: 4096)
        where Array(memory[batch + 8..<batch + 16]) == salt {
          let end = batch + 128 + Int(memory.loadUnaligned(fromByteOffset: batch + 44, as: UInt32.self))
          var offset = batch + 128
          while offset < min(end, memory.count),
            let record = EventView(UnsafeRawBufferPointer(rebasing: memory[offset...]))
          {
            if record.position.rawValue == UInt64(position), record.isIntact {
              found = (name, UInt64(offset), record.length)
              newest = index
            }
            offset = (offset + record.length + 7) & ~7
          }
        }
      }
    }
    return found
  }
}
