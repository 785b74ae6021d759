internal import Bytes
internal import Engine
internal import EventLoop
internal import Model
internal import Storage
@_spi(Faults) internal import WAL

/// A rule of the server that a simulation can break, to show that its checks would notice.
public enum BrokenRule: Sendable, CaseIterable {
  /// Appends are answered before the disk has them.
  case repliesBeforeSync
  /// No empty batch bears witness to the last one.
  case skipsWitness
  /// A segment is used again under the salt of its earlier life.
  case keepsSalt
  /// Commands are decided against the time at which the last turn ended: what has fallen due since is overlooked.
  case overlooksDue
  /// A grant is told when it is decided.
  case grantsBeforeSync
  /// A start gives locks their full time again, and no event says so.
  case skipsRestart
  /// A loop doesn't offer its followers each batch.
  case skipsFollowers
}

/// What became of one seed.
public struct SimulationResult: Sendable {
  public var seed: UInt64
  /// The first thing that went wrong; empty when nothing did.
  public var violations: [String] = []
  /// A hash of all that happened: the same seed gives the same.
  public var traceHash: UInt64 = 0
  public var traceCount = 0
  /// The end of the trace, for people.
  public var traceLines: [String] = []
  public var counts = SimulationCounts()
}

/// How often a simulation went where it hurts.
public struct SimulationCounts: Sendable {
  public var appended = 0
  public var exists = 0
  /// By what is kept under an idempotency key.
  public var answered = 0
  public var refused = 0
  public var crashes = 0
  public var cutStarts = 0
  public var tornTails = 0
  public var logFailures = 0
  public var storageFull = 0
  public var damaged = 0
  public var reads = 0
  public var evictions = 0
  public var recycled = 0
  public var units = 0
  /// Of locks.
  public var grants = 0
  public var lockRefusals = 0
  public var deadlocks = 0
  public var expired = 0
  public var restarts = 0
  /// Connections that went while they waited.
  public var dropped = 0
  public var fenced = 0
  public var fencesRefused = 0
  /// Changes of contexts.
  public var patches = 0
  public var patchRefusals = 0
  /// Events that followers were shown, followers that came, and their reads of the store.
  public var shown = 0
  public var joins = 0
  public var storeReads = 0

  public init() {}

  public static func += (sum: inout SimulationCounts, part: SimulationCounts) {
    sum.appended += part.appended
    sum.exists += part.exists
    sum.answered += part.answered
    sum.refused += part.refused
    sum.crashes += part.crashes
    sum.cutStarts += part.cutStarts
    sum.tornTails += part.tornTails
    sum.logFailures += part.logFailures
    sum.storageFull += part.storageFull
    sum.damaged += part.damaged
    sum.reads += part.reads
    sum.evictions += part.evictions
    sum.recycled += part.recycled
    sum.units += part.units
    sum.grants += part.grants
    sum.lockRefusals += part.lockRefusals
    sum.deadlocks += part.deadlocks
    sum.expired += part.expired
    sum.restarts += part.restarts
    sum.dropped += part.dropped
    sum.fenced += part.fenced
    sum.fencesRefused += part.fencesRefused
    sum.patches += part.patches
    sum.patchRefusals += part.patchRefusals
    sum.shown += part.shown
    sum.joins += part.joins
    sum.storeReads += part.storeReads
  }
}

/// A server's lives in one thread, from a seed: clients post, the disk and the store take their time and
/// fail, power goes at any moment, and a naive model says what must be there afterwards.
///
/// Real: home (admission, sequencing, commit), window, log and its recovery. Simulated: disk, store, clock,
/// chance, threads and clients. One use; one thread.
public final class Simulation {
  static let segmentBytes: UInt64 = 64 << 10
  static let slabBytes = 32 << 10
  /// Of recovery's memory: small, so that batches cross it.
  static let scanBytes = 16 << 10
  /// Steps that finishing everything may take at most.
  static let quietStepsMax = 20_000

  let seed: UInt64
  let broken: BrokenRule?
  /// Whether each batch is looked for on the disk when it is published.
  let looksAtDisk: Bool
  var draw: SeededRandom
  let disk: SimulatedDisk
  let store: SimulatedStore
  let configuration: LogConfiguration
  let limits: EngineLimits
  let readsMax: Int
  var clock: UInt64
  var trace = Trace()
  var model = HistoryModel()
  var counts = SimulationCounts()
  var violations: [String] = []
  var clients: [SimulatedClient]
  var lockClients: [LockClient]
  var patchClients: [PatchClient]
  var followers: [SimulatedFollower] = []
  /// Requests for locks so far, and changes of contexts.
  var arrivals: UInt64 = 0
  var patchNumber: UInt64 = 0
  /// Paths that were granted in this step, and to which request.
  var granted: [(path: [UInt8], arrival: UInt64)] = []
  /// Microseconds of the monotonic clock of this life.
  var elapsed: UInt64 = 0
  /// When what up to a position was decided.
  var decisions: [(through: Position, at: UInt64)] = []
  var process: SimulatedProcess?
  /// The last batch that was handed to the log: a crash may leave it there.
  var inFlight: [[UInt8]] = []
  /// The last batch of history.
  var newest: Batch?
  /// The run ended early, as it should.
  var isOver = false

  init(seed: UInt64, broken: BrokenRule?, looksAtDisk: Bool) {
    self.seed = seed
    self.broken = broken
    self.looksAtDisk = looksAtDisk
    var draw = SeededRandom(seed: seed)
    disk = SimulatedDisk(seed: draw.next())
    store = SimulatedStore(seed: draw.next())
    var configuration = LogConfiguration(segmentBytes: Self.segmentBytes)
    configuration.scanBytes = Self.scanBytes
    configuration.sparesMin = 1 + draw.below(2)
    configuration.sparesMax = 3
    configuration.faults.skipsWitness = broken == .skipsWitness
    configuration.faults.keepsSalt = broken == .keepsSalt
    self.configuration = configuration
    var limits = EngineLimits()
    limits.slabBytes = Self.slabBytes
    limits.windowBytesMax = [8 << 10, 32 << 10, 256 << 10][draw.below(3)]
    limits.residentContextsMax = 1 + draw.below(Post.contexts)
    limits.loadsWaitingMax = [1, 4, 64][draw.below(3)]
    limits.backlogMax = [1, 4, 64][draw.below(3)]
    limits.unappliedBytesMax = [64 << 10, 1 << 20][draw.below(2)]
    limits.unappliedBytesPaced = [16 << 10, 48 << 10, 1 << 20][draw.below(3)]
    limits.pacedSecondsMax = draw.below(2)
    limits.logBytesMax = [256 << 10, 4 << 20][draw.below(2)]
    self.limits = limits
    readsMax = [1, 2, 16][draw.below(3)]
    clock = 1_700_000_000_000_000 + draw.next() % 1_000_000
    clients = (0..<3 + draw.below(6)).map { SimulatedClient(loop: $0 % 2) }
    lockClients = (0..<4 + draw.below(6)).map { number in
      LockClient(loop: number % 2, agent: Post.name("l", draw.below(LockClient.agents)))
    }
    patchClients = (0..<1 + draw.below(3)).map { PatchClient(loop: $0 % 2) }
    self.draw = draw
    makeFollowers()
  }

  /// Runs one seed.
  /// - Parameters:
  ///   - broken: a rule to break.
  ///   - looksAtDisk: false leaves it to crashes to find out that something visible wasn't durable.
  public static func run(seed: UInt64, breaking broken: BrokenRule? = nil, looksAtDisk: Bool = true)
    -> SimulationResult
  {
    let simulation = Simulation(seed: seed, broken: broken, looksAtDisk: looksAtDisk)
    simulation.run()
    return SimulationResult(
      seed: seed, violations: simulation.violations, traceHash: simulation.trace.hash,
      traceCount: simulation.trace.count,
      traceLines: simulation.violations.isEmpty ? [] : simulation.trace.lines, counts: simulation.counts)
  }

  var isSound: Bool { violations.isEmpty && !isOver }

  func violate(_ text: String) {
    if violations.isEmpty { violations.append(text) }
  }

  private func run() {
    let lives = 1 + draw.below(3)
    start()
    for life in 0..<lives where isSound {
      live(operations: 50 + draw.below(150), failing: true)
      guard isSound else { break }
      if draw.oneIn(6) { rotAfterWitness() } else { crash() }
      if isSound { start() }
      if life == lives - 1, isSound { finish() }
    }
    counts.units = model.units.count
    // What is still due would keep disk and log alive.
    disk.kill()
    end()
  }

  /// A last life without faults: everything is answered, everything is there, and again after a crash.
  private func finish() {
    live(operations: 25, failing: false)
    guard isSound else { return }
    quiesce()
    guard isSound else { return }
    verify()
    crash()
    start()
  }

  // MARK: Life

  private func live(operations: Int, failing: Bool) {
    if failing { plan(operations) }
    for _ in 0..<operations {
      guard isSound, let process, process.failure == nil, !disk.isDead else { return }
      pass(UInt64(draw.below(3) == 0 ? draw.below(3000) : 0))
      act(process, failing: failing)
      noteDecisions()
    }
  }

  /// Time passes, in microseconds, on both clocks.
  private func pass(_ time: UInt64) {
    clock += time
    elapsed += time
  }

  /// What will go wrong in this life.
  private func plan(_ operations: Int) {
    switch draw.below(8) {
    case 0, 1: disk.cutPower(atCall: disk.calls + 1 + draw.below(operations))
    case 2: disk.failCall(disk.calls + 1 + draw.below(operations / 2))
    case 3: disk.shortenCall(disk.calls + 1 + draw.below(operations / 2))
    case 4:
      disk.failCall(disk.calls + 1 + draw.below(operations / 2), code: SimulatedDisk.noSpace)
    default: break
    }
    var faults = SimulatedStore.Faults()
    faults.flushChance = [8, 64, 200][draw.below(3)]
    faults.incompleteChance = [0, 80, 250][draw.below(3)]
    if draw.oneIn(4) { faults.failingCall = 1 + draw.below(operations) }
    store.setFaults(faults)
  }

  private func act(_ process: SimulatedProcess, failing: Bool) {
    switch draw.below(160) {
    case 100..<130: useLocks(process)
    case 130..<136: patch(process)
    case 136..<160: follow(process)
    case 0..<34:
      post(process)
      if draw.oneIn(2) { endTurn(process) }
    case 34..<48: endTurn(process)
    case 48..<72: stepDisk(1 + draw.below(6))
    case 72..<80:
      trace.note(.read)
      process.stepRead(draw.below(1 << 16))
    case 80..<85: process.apply(1 + draw.below(6))
    case 85..<88:
      if draw.oneIn(2) { try? store.flush(wait: draw.oneIn(2)) }
      process.trim()
    case 88..<90:
      trace.note(.tick)
      process.log.tick()
    case 90..<92:
      trace.note(.witness)
      process.home.bearWitness()
    case 92..<93:
      jump()
      process.home.secondPassed()
    case 93..<96: process.drainMail()
    case 96..<99: look(process)
    default:
      guard failing else { return }
      let used = disk.fileNames.count
      disk.capacityBytes = draw.oneIn(2) ? UInt64(used) * Self.segmentBytes : .max
      trace.note(.space, disk.capacityBytes)
    }
    process.watched.step()
  }

  func endTurn(_ process: SimulatedProcess) {
    trace.note(.turn, process.home.tail.rawValue)
    process.endTurn(learnsApplied: draw.oneIn(2))
  }

  func stepDisk(_ count: Int) {
    for _ in 0..<count where disk.step() { trace.note(.disk, UInt64(disk.calls)) }
  }

  /// The clock is set, forwards or back.
  private func jump() {
    let by = UInt64(draw.below(3_600_000_000))
    clock = draw.oneIn(2) ? clock + by / 60 : clock - by
    // Now and then further than keys are kept.
    if draw.oneIn(8) { clock += Limits.idempotencyMicroseconds }
    trace.note(.clock, clock)
  }

  /// Lets everything end that is under way. Nothing fails any more.
  func quiesce() {
    disk.capacityBytes = .max
    store.setFaults(SimulatedStore.Faults())
    for _ in 0..<Self.quietStepsMax {
      guard isSound, let process, process.failure == nil, !disk.isDead else { return }
      let isAnswered =
        clients.allSatisfy { !$0.isWaiting } && patchClients.allSatisfy { $0.request == nil }
        && lockClients.allSatisfy { $0.request == nil && $0.owed.isEmpty }
      if isAnswered, areFollowersLive, process.home.isIdle, !disk.hasPending, process.isApplied,
        process.log.isIdle
      {
        trace.note(.quiesced, process.home.tail.rawValue)
        return checkFollowers()
      }
      // Waits end, and who is gone gives back what it was granted.
      pass(1_000)
      if let index = lockClients.firstIndex(where: { $0.request == nil && !$0.owed.isEmpty }) {
        giveBack(index, to: process)
      }
      for index in followers.indices {
        followers[index].queuedBytes = 0
        pump(index, process)
      }
      process.endTurn(learnsApplied: true)
      disk.step()
      process.stepRead(draw.below(1 << 16))
      process.apply(8)
      process.drainMail()
      process.log.tick()
      process.watched.step()
      noteDecisions()
    }
    violate("\(clients.count { $0.isWaiting }) appends are never answered, or something never ends")
  }
}

extension Simulation: ProcessWitness {
  func random() -> UInt64 { draw.next() }

  func note(_ event: Trace.Event, _ a: UInt64, _ b: UInt64) {
    if event == .evicted { counts.evictions += 1 }
    if event == .trimmed { counts.recycled += Int(b) }
    trace.note(event, a, b)
  }
}
