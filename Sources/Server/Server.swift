internal import API
public import Access
internal import Engine
internal import EventLoop
internal import Glibc
public import Logging
internal import Model
public import Settings
internal import Storage
internal import Synchronization
internal import Telemetry
internal import WAL

/// Why a server didn't start, or ended: what to print, and the exit code (sysexits.h).
public struct ServerFailure: Error, CustomStringConvertible {
  public var exitCode: Int32
  public var description: String

  public init(_ exitCode: Int32, _ description: String) {
    self.exitCode = exitCode
    self.description = description
  }
}

/// A whole server: lifecycle and wiring. Made, started and ended by the main thread.
public final class Server: @unchecked Sendable {
  /// Seconds that answers under way are waited for at the end.
  static let drainSeconds: UInt64 = 10
  /// Seconds that a start waits for the log to take its first event.
  static let beginSeconds: UInt64 = 5

  let configuration: Configuration
  /// The settings that are in force: what a reload has changed included. Main thread.
  var settings: Settings
  /// Of the access control that is in force. Main thread.
  var generation: UInt64 = 1
  let logger: Logger
  /// Tests read it, and the loops' counters.
  let registry = Registry()
  let loops: [EventLoop]
  let engine: LiveEngine
  private let lock: DirectoryLock
  private let listeners: [Listener]
  let acceptors: [Acceptor]
  let budget: ConnectionBudget
  let audit: AuditLog
  /// What is in force of rates and of rules for browsers.
  let traffic: Mutex<Traffic>
  let door: TLSDoor
  private let status: ServerStatus
  /// Outlive reloads; what they stand for is looked up again when they are redeemed.
  let tickets: TicketBook
  /// Posted when something ends: see `Ending`.
  private let ending: Ending
  private let report: StartReport

  /// Takes the data directory, recovers what is in it, and binds. Blocks; nothing is served yet.
  public init(_ configuration: Configuration, logger: Logger) throws(ServerFailure) {
    self.configuration = configuration
    settings = configuration.settings
    self.logger = logger
    ProcessMemory.keepFreed()
    try Server.checkExposure(configuration, logger)
    door = TLSDoor(configuration.tls)
    lock = try Server.lock(configuration.dataDirectory)
    loops = try Server.makeLoops(configuration.loops)
    let ending = Ending()
    self.ending = ending
    let metrics = EngineMetrics(registry)
    var options = StoreOptions()
    options.upgradeProgress = { units, related in
      logger.notice("upgrading the store: \(units) units read, \(related) of which name others")
    }
    budget = ConnectionBudget(configuration.caps)
    audit = try AuditLog(configuration.audit, logger: logger, registry: registry)
    var limits = EngineLimits()
    limits.agentLocksMax = configuration.caps.locksPerAgentMax
    do throws(StartError) {
      (engine, report) = try LiveEngine.open(
        configuration.dataDirectory, loops: loops, limits: limits, storeOptions: options,
        search: configuration.search,
        metrics: metrics,
        onFatal: { ending.fail($0) })
    } catch {
      throw ServerFailure(error.isDamage ? EX_DATAERR : EX_IOERR, "\(configuration.dataDirectory): \(error)")
    }
    do throws(ListenError) {
      listeners = try Listener.bindAll(
        address: configuration.address, port: configuration.port, loops: loops)
    } catch {
      // What the engine has begun comes back to its loops: it ends as after a run, and lets the directory go.
      for loop in loops { loop.start() }
      Server.end(engine, loops)
      throw ServerFailure(EX_UNAVAILABLE, "cannot listen on \(configuration.listen): \(error)")
    }
    let api = APIMetrics(registry)
    let timerLag = ServerMetrics.timerLag(registry)
    status = ServerStatus(version: configuration.version, engine: engine, registry: registry)
    tickets = TicketBook(lifetime: Server.ticketLifetime(configuration.settings))
    let traffic = Traffic(configuration)
    var acceptors: [Acceptor] = []
    for engine in engine.engines {
      let services = LoopServices(engine: engine, service: status, metrics: api, tickets: tickets)
      services.access = configuration.access
      services.audit = audit
      traffic.give(to: services)
      let acceptor = Acceptor(
        services: services, limits: configuration.connections, budget: budget, timerLag: timerLag)
      acceptor.tls = configuration.tls
      acceptors.append(acceptor)
    }
    self.acceptors = acceptors
    self.traffic = Mutex(traffic)
    ServerMetrics.register(registry, loops: loops, budget: budget, status: status)
    ServerMetrics.register(registry, loops: loops, door: door)
  }

  private static func lock(_ path: String) throws(ServerFailure) -> DirectoryLock {
    do throws(DirectoryLock.Failure) {
      return try DirectoryLock(path)
    } catch {
      switch error {
      case .held:
        throw ServerFailure(
          EX_CANTCREAT,
          "another process uses the data directory \(path); stop it, or choose another --data-dir")
      case .failed(let code, let operation):
        throw ServerFailure(EX_CANTCREAT, "\(operation): \(String(cString: strerror(code)))")
      }
    }
  }

  private static func makeLoops(_ count: Int) throws(ServerFailure) -> [EventLoop] {
    do throws(RingError) {
      var options = LoopOptions()
      options.descriptorsReserved = descriptors().reserved
      var loops: [EventLoop] = []
      for index in 0..<count { loops.append(try EventLoop(index: index, options: options)) }
      return loops
    } catch {
      throw ServerFailure(EX_UNAVAILABLE, "\(error)")
    }
  }

  /// The open files that the process may have. A quarter is for log and store, and at most so many: a store of 100 GB has
  /// a thousand tables.
  static func descriptors() -> (forConnections: Int, reserved: Int) {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return (.max, 0) }
    let reserved = min(limit.rlim_cur / 4, 4096)
    return (Int(clamping: limit.rlim_cur - reserved), Int(clamping: reserved))
  }

  /// The port that is served: the kernel's choice if 0 was asked for.
  public var port: UInt16 { listeners.first?.port ?? configuration.port }
  /// `address:port` as served.
  public var address: String {
    var served = configuration
    served.port = port
    return served.listen
  }

  /// Events that the start read from the log.
  public var recoveredEvents: Int { report.recoveredEvents }

  /// Logs what the start found that an operator may want to know.
  private func logStart() {
    if let torn = report.tornTail {
      logger.notice(
        "cut a torn tail that was never acknowledged",
        metadata: ["file": "\(torn.file)", "offset": "\(torn.offset)", "records": "\(torn.count)"])
    }
    if let fault = report.registrationFault { logger.notice("\(fault)") }
    logger.debug(
      "log opened",
      metadata: [
        "primitive": "\(report.primitive.rawValue)", "registered_slabs": "\(report.registeredSlabs)",
        "scanned_bytes": "\(report.scannedBytes)", "position": "\(report.tail.rawValue)",
      ])
  }

  // MARK: Life

  /// Starts the loops and begins to accept.
  public func start() {
    logStart()
    if let tls = door.context { log(tls) }
    logKernelTLS()
    engine.indexer?.onNotice = { [logger] in IndexReport.log($0, logger) }
    let begun = Countdown(1)
    engine.start { begun.countDown() }
    for acceptor in acceptors {
      acceptor.services.engine.loop.perform { acceptor.start() }
      acceptor.services.engine.loop.start()
    }
    // Locks are held for their full time again before anybody may ask. With the storage full that waits for room, and
    // what can be read is served meanwhile.
    if !begun.wait(seconds: Server.beginSeconds) {
      logger.warning("the log takes no event yet that gives locks their time again: writes wait for it")
    }
    for (acceptor, listener) in zip(acceptors, listeners) {
      listener.delegate = acceptor
      listener.loop.perform { listener.start() }
    }
    status.isServing.store(true, ordering: .releasing)
    audit.record(AuditEvent(.start, .success))
  }

  /// Has every loop act by a newer one from its next turn on. Any thread; returns before they do.
  public func setAccess(_ access: AccessControl?) {
    for acceptor in acceptors {
      acceptor.services.engine.loop.perform { acceptor.services.access = access }
    }
  }

  /// Waits for SIGTERM or SIGINT, then ends in order; reloads on SIGHUP. Throws when the server had to give up.
  /// - Parameter source: where a reload reads the settings.
  public func waitForEnd(_ source: SettingsSource) throws(ServerFailure) {
    var occasion = ending.wait()
    while occasion == .reload {
      reload(source)
      occasion = ending.wait()
    }
    if case .failure(let reason) = occasion {
      // Nothing is acknowledged any more, and nothing is put in order: a restart finds what is durable.
      throw ServerFailure(EX_IOERR, reason)
    }
    logger.notice("stopping")
    stop()
  }

  /// Stops accepting, answers what is under way, ends the streams, makes everything durable, and closes.
  func stop() {
    budget.isDraining.store(true, ordering: .releasing)
    let engine = engine
    engine.homeLoop.perform { engine.beginEnding() }
    let left = Countdown(acceptors.count)
    for (acceptor, listener) in zip(acceptors, listeners) {
      listener.loop.perform {
        listener.stopAccepting()
        acceptor.drain { left.countDown() }
      }
    }
    if !left.wait(seconds: Server.drainSeconds) {
      logger.warning(
        "some answers were still under way after \(Server.drainSeconds) s; their connections are cut")
      for acceptor in acceptors {
        acceptor.services.engine.loop.perform { acceptor.abort() }
      }
    }
    let durable = Countdown(1)
    engine.homeLoop.perform { engine.drain { durable.countDown() } }
    _ = durable.wait(seconds: Server.drainSeconds)
    status.isServing.store(false, ordering: .releasing)
    Server.end(engine, loops)
    audit.record(AuditEvent(.stop, .success))
    audit.end()
  }

  /// Ends the engine's threads and the loops, and closes log and store. The loops run.
  private static func end(_ engine: LiveEngine, _ loops: [EventLoop]) {
    engine.quiesce()
    for loop in loops.reversed() { loop.stop() }
    for loop in loops.reversed() { loop.join() }
    engine.close()
  }

  /// Signals before the server waits for them are kept. To be called before any handler is installed.
  public static func prepareSignals() { Ending.prepare() }

  /// A signal asks for the end. Safe in a signal handler.
  public static func signalled() { Ending.signalled() }

  /// A signal asks for a reload. Safe in a signal handler.
  public static func hungUp() { Ending.hungUp() }
}
