package import Bytes
public import EventLoop
internal import Glibc
public import Model
internal import Search
public import Storage
public import WAL

/// Why the engine can't start.
public enum StartError: Error, CustomStringConvertible {
  case log(LogError)
  case store(StoreError)
  case disk(DiskError)
  /// The log and the store don't belong together, or contradict each other.
  case mismatch(String)

  /// Whether what is on disk is damaged, rather than the system unwilling.
  public var isDamage: Bool {
    switch self {
    case .log(.disk), .disk: false
    case .log, .mismatch: true
    case .store(let error): error.severity == .integrity
    }
  }

  public var description: String {
    switch self {
    case .log(let error): "\(error)"
    case .store(let error): "\(error)"
    case .disk(let error): "\(error.operation) \(error.file): \(String(cString: strerror(error.code)))"
    case .mismatch(let text): text
    }
  }
}

/// What a start has found.
public struct StartReport: Sendable {
  public var tail = Position.zero
  public var recoveredEvents = 0
  public var scannedBytes: UInt64 = 0
  public var tornTail: TornTail?
  public var primitive = DurablePrimitive.directSync
  /// Slabs that the ring knows, and why not all.
  public var registeredSlabs = 0
  public var registrationFault: String?
}

/// The parts of an engine, as a start has put them together from log and store.
struct RecoveredParts {
  var store: any EventStore
  var disk: RingDisk
  var log: LocalLog
  var home: Home
  /// What the log holds that the store hasn't persisted.
  var batches: [Batch]
}

extension Home {
  /// The home of a log that was just recovered: its window holds what the store may lack, and its sequencer goes
  /// on from the last event. Blocks.
  /// - Parameter batches: every batch behind the store's lowest mark, in order.
  package convenience init(
    recovered log: any CommitLog, batches: [Batch], store: any EventStore, limits: EngineLimits,
    metrics: EngineMetrics, pool: SlabPool
  ) throws(StoreError) {
    let tail = log.tail.lastPosition
    let base = batches.first.map { Position($0.firstPosition.rawValue - 1) } ?? tail
    let window = WindowIndex(head: base)
    var sequencer = Sequencer(
      tail: tail, logTime: LogTime(microseconds: 0), residentContextsMax: limits.residentContextsMax,
      residentAgentsMax: limits.residentAgentsMax)
    // The store may know of later events than the first batches: what the log holds of a lock has the last word.
    _ = try store.locks { event in
      sequencer.replayLock(event)
      return true
    }
    for batch in batches {
      window.append(batch)
      for offset in 0..<batch.count { try Home.replay(batch.record(offset), store, &sequencer) }
    }
    if batches.isEmpty, tail > .zero {
      // Time goes on where the last event left it, even if the clock was set back meanwhile.
      _ = try store.event(at: tail) { sequencer.observe($0) }
    }
    self.init(
      log: log, store: store, sequencer: sequencer, window: window, applied: store.appliedPosition(),
      limits: limits, metrics: metrics, pool: pool)
    for batch in batches where batch.lastPosition > applied {
      adopt(batch)
      adoptKeys(batch)
    }
    oweRestart()
  }

  private static func replay(
    _ event: EventView, _ store: any EventStore, _ sequencer: inout Sequencer
  ) throws(StoreError) {
    guard let id = event.contextID else {
      sequencer.observe(event)
      return sequencer.replayLock(event)
    }
    if let context = sequencer.contexts.find(id) { return sequencer.replay(event, in: context) }
    var context = ResidentContext(new: id)
    switch Home.load(id, from: store, tier: .disk) {
    case .found(let loaded):
      context = ResidentContext(loaded.state, lastPosition: loaded.lastPosition)
    case .notFound, .incomplete:
      break
    case .failed(let problem):
      throw StoreError(operation: "replay", message: problem.detail, severity: .integrity)
    }
    sequencer.contexts.insert(context, applied: .zero)
    sequencer.replay(event, in: context)
  }
}

extension LiveEngine {
  /// Opens log (`wal/`) and store (`db/`) below `directory`, which exists and is locked, recovers what the last
  /// process left, and wires an engine over `loops`, which are not started yet. Blocks.
  /// - Parameter search: whether units are indexed, below `search/`. An index that can't be opened stops no start.
  public static func open(
    _ directory: String, loops: [EventLoop], limits: EngineLimits = EngineLimits(),
    configuration: LogConfiguration = LogConfiguration(), storeOptions: StoreOptions = StoreOptions(),
    search: Bool = false, metrics: EngineMetrics, onFatal: @escaping @Sendable (String) -> Void
  ) throws(StartError) -> (LiveEngine, StartReport) {
    var report = StartReport()
    let disk = try Recovery.disk("\(directory)/wal", loops[0])
    let ballast = Ballast(besides: disk.path)
    ballast.giveIfShort()
    let path = "\(directory)/db"
    var store = try Recovery.existingStore(path, storeOptions)
    var batches: [Batch] = []
    let recovered: RecoveredLog
    do throws(LogError) {
      recovered = try LogRecovery.run(
        disk, configuration: configuration, after: store?.marksAtOpen.lowest ?? .zero,
        witness: store?.marksAtOpen.highest ?? .zero
      ) { batches.append($0) }
    } catch {
      store?.close()
      throw .log(error)
    }
    let identity = try Recovery.identity(recovered, store)
    do throws(StoreError) {
      if store == nil { store = try RocksStore(path: path, logUUID: identity.bytes, options: storeOptions) }
      guard let store else {
        throw StoreError(operation: "open", message: "no store", severity: .operational)
      }
      if let free = FreeSpace.bytes(at: directory) {
        ballast.makeUp(free: free, keeping: limits.freeBytesMin)
      }
      report.tail = recovered.tail.lastPosition
      report.recoveredEvents = recovered.records
      report.scannedBytes = recovered.scannedBytes
      report.tornTail = recovered.tornTail
      let log = try Recovery.log(disk, recovered, configuration, identity)
      report.primitive = Recovery.probe(disk)
      try Recovery.applyExcess(of: batches, to: store, keeping: limits.unappliedBytesMax / 2)
      let applier = try Applier(store: store, replayThrough: report.tail, onFailure: onFatal)
      let pool = SlabPool(slabBytes: limits.slabBytes, keptMax: limits.slabsKept)
      let registration = loops[0].registerSlabs(pool, count: limits.registeredSlabs)
      report.registeredSlabs = registration.registered
      report.registrationFault = registration.reason
      let home = try Home(
        recovered: log, batches: batches, store: store, limits: limits, metrics: metrics, pool: pool)
      let service =
        search
        ? Recovery.search(directory, identity, store, applier, head: report.tail, metrics) : nil
      let engine = LiveEngine(
        RecoveredParts(store: store, disk: disk, log: log, home: home, batches: batches), loops: loops,
        metrics: metrics, applier: applier, readPool: try ReadPool(),
        walkPool: try ReadPool(queuedMax: Limits.graphsQueuedMax), search: service)
      engine.onFatal = onFatal
      return (engine, report)
    } catch {
      store?.close()
      throw .store(error)
    }
  }
}

/// The steps of a start.
private enum Recovery {
  /// Applies the oldest of what the log holds beyond the store until no more than `keeping` bytes are left, so that
  /// there is room for writes from the start.
  static func applyExcess(
    of batches: [Batch], to store: any EventStore, keeping: Int
  ) throws(StoreError) {
    var left = batches.reduce(0) { $0 + $1.paddedBytes }
    var next = 0
    while left > keeping, next < batches.count {
      var records: [EventView] = []
      var upTo = Position.zero
      while next < batches.count, records.count < 1000 {
        let batch = batches[next]
        for offset in 0..<batch.count { records.append(batch.record(offset)) }
        if batch.count > 0 { upTo = batch.lastPosition }
        left -= batch.paddedBytes
        next += 1
      }
      if !records.isEmpty { try store.apply(records, upTo: upTo) }
    }
    if next > 0 { try store.flush(wait: false) }
  }

  static func search(
    _ directory: String, _ identity: LogID, _ store: any EventStore, _ applier: Applier, head: Position,
    _ metrics: EngineMetrics
  ) -> SearchService {
    let files = SearchFiles(directory: directory, log: identity.bytes)
    let metrics = metrics.search
    let indexer = Indexer(store: store, applier: applier, files: files, head: head, metrics: metrics)
    return SearchService(indexer: indexer, store: store, metrics: metrics) { () throws(SearchError) in
      try files.finder()
    }
  }

  static func disk(_ path: String, _ loop: EventLoop) throws(StartError) -> RingDisk {
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
      throw .disk(DiskError(code: errno, operation: "mkdir", file: path))
    }
    do throws(DiskError) { return try RingDisk(path: path, loop: loop) } catch { throw .disk(error) }
  }

  /// The store, unless there is none yet.
  static func existingStore(_ path: String, _ options: StoreOptions) throws(StartError) -> RocksStore? {
    guard access("\(path)/CURRENT", F_OK) == 0 else { return nil }
    do throws(StoreError) {
      return try RocksStore(path: path, logUUID: nil, options: options)
    } catch {
      throw .store(error)
    }
  }

  /// The UUID that log and store have in common; a new one for the first start.
  static func identity(_ recovered: RecoveredLog, _ store: RocksStore?) throws(StartError) -> LogID {
    if let log = recovered.log {
      if let store, store.logUUID != log.bytes {
        throw .mismatch("the store in db/ belongs to another log than the one in wal/")
      }
      return log
    }
    if let store, let own = LogID(store.logUUID) { return own }
    return LogID(first: .random(in: .min ... .max), second: .random(in: .min ... .max))
  }

  static func log(
    _ disk: RingDisk, _ recovered: RecoveredLog, _ configuration: LogConfiguration, _ identity: LogID
  ) throws(StoreError) -> LocalLog {
    // A new log draws its UUID first.
    var drawn = recovered.log == nil ? [identity.second, identity.first] : []
    do throws(DiskError) {
      return try LocalLog(disk, recovered: recovered, configuration: configuration) {
        drawn.popLast() ?? .random(in: .min ... .max)
      }
    } catch {
      throw StoreError(
        operation: "start the log", message: "\(error.operation) \(error.file): errno \(error.code)",
        severity: .operational)
    }
  }

  /// Chooses the durable primitive by measuring; the default stays if there is nothing to measure on.
  static func probe(_ disk: RingDisk) -> DurablePrimitive {
    let scratch = "probe.scratch"
    _ = try? disk.remove(scratch)
    guard (try? disk.create(scratch, bytes: 64 << 10)) != nil else { return disk.primitive }
    _ = try? disk.probe(on: scratch)
    _ = try? disk.remove(scratch)
    return disk.primitive
  }
}

extension LogID {
  /// As the store keeps it: 16 bytes, little-endian words.
  var bytes: [UInt8] {
    [first, second].flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } }
  }

  init?(_ bytes: [UInt8]) {
    guard bytes.count == 16 else { return nil }
    self = bytes.withUnsafeBytes { memory in
      LogID(
        first: UInt64(littleEndian: memory.loadUnaligned(as: UInt64.self)),
        second: UInt64(littleEndian: memory.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }
}
