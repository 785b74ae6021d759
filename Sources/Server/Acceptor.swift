internal import API
internal import Access
internal import Engine
internal import EventLoop
internal import HTTP
internal import Synchronization
internal import Telemetry

/// The connections of one loop: takes them in, keeps count, and sends them home at the end. Loop thread.
final class Acceptor: ListenerDelegate, TimerTarget, ConnectionPool, @unchecked Sendable {
  private static let dateTick: UInt64 = 250_000_000

  private(set) var limits: ConnectionLimits
  let services: LoopServices
  /// What new connections speak; nil: plain HTTP. Loop thread once started.
  var tls: TLSContext?
  private let budget: ConnectionBudget
  private let timerLag: Histogram
  private var timerDue: UInt64 = 0
  private var connections: [ObjectIdentifier: HTTPConnection] = [:]
  /// Called once when draining and nothing is left.
  private var emptied: (@Sendable () -> Void)?

  init(services: LoopServices, limits: ConnectionLimits, budget: ConnectionBudget, timerLag: Histogram) {
    self.timerLag = timerLag
    self.services = services
    self.limits = limits
    self.budget = budget
    services.bodies = self
  }

  private var loop: EventLoop { services.engine.loop }
  var isDraining: Bool { budget.isDraining.load(ordering: .relaxed) }

  /// Begins to keep the date of answers. Loop thread.
  func start() {
    services.date.refresh(unixSeconds: EventLoop.unixSeconds())
    timerDue = loop.now &+ Acceptor.dateTick
    _ = loop.setTimer(after: Acceptor.dateTick, self, tag: 0)
  }

  /// What a reload has changed: for connections that are open too, when their timers look next. Loop thread.
  func adopt(_ limits: ConnectionLimits) { self.limits = limits }

  func timerFired(tag: UInt64) {
    // The clock itself: what ran before in this turn has kept the timer waiting too.
    let now = EventLoop.monotonicNanoseconds()
    timerLag.record(now > timerDue ? now - timerDue : 0)
    start()
  }

  func listener(_ listener: Listener, accepted socket: Socket) {
    // One that isn't started is closed by the listener.
    guard !isDraining, let lease = lease(for: socket) else {
      budget.connectionsRefused.wrappingAdd(1, ordering: .relaxed)
      return
    }
    if let tls, !socket.startTLS(tls) {
      budget.connectionsRefused.wrappingAdd(1, ordering: .relaxed)
      return
    }
    budget.connections.wrappingAdd(1, ordering: .relaxed)
    let connection = HTTPConnection(socket: socket, services: services, acceptor: self, lease: lease)
    connections[ObjectIdentifier(connection)] = connection
    connection.start()
  }

  /// Nil if there are as many connections as there may be, in all or from this address.
  private func lease(for socket: Socket) -> ConnectionLease? {
    let address = socket.peerHost.map { ClientAddress(high: $0.high, low: $0.low) } ?? .unknown
    guard budget.open.wrappingAdd(1, ordering: .relaxed).newValue <= limits.connectionsMax else {
      leaseEnded()
      return nil
    }
    let lease = ConnectionLease(self, address: address, addresses: budget.addresses, agents: budget.agents)
    if lease == nil {
      budget.connectionsOverShare.wrappingAdd(1, ordering: .relaxed)
      leaseEnded()
    }
    return lease
  }

  func leaseEnded() { budget.open.wrappingSubtract(1, ordering: .relaxed) }

  // MARK: What waits to be read

  var answers: AnswerRoom {
    AnswerRoom(waiting: budget.answerBytes.load(ordering: .relaxed), most: limits.answerBytesMax)
  }

  func queued(_ bytes: Int) { budget.answerBytes.wrappingAdd(bytes, ordering: .relaxed) }

  func count(_ lapse: ConnectionClock.Lapse) { budget.counter(lapse).add() }

  // MARK: The end of connections

  func closed(_ connection: HTTPConnection) { forget(connection) }

  /// From here on the stream hub knows it.
  func becameStream(_ connection: HTTPConnection) { forget(connection) }

  /// A stream that began while the server goes away ends with the others.
  func endStreamsIfDraining() {
    if isDraining { services.streams.closeAll() }
  }

  private func forget(_ connection: HTTPConnection) {
    guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
    budget.connections.wrappingSubtract(1, ordering: .relaxed)
    reportIfEmpty()
  }

  /// Reserves memory for a body; false when all of them together would take too much.
  func charge(_ bytes: Int) -> Bool {
    let sum = budget.bodyBytes.wrappingAdd(bytes, ordering: .relaxed).newValue
    if sum <= limits.inflightBodyBytesMax { return true }
    uncharge(bytes)
    budget.bodiesRefused.wrappingAdd(1, ordering: .relaxed)
    return false
  }

  func uncharge(_ bytes: Int) { budget.bodyBytes.wrappingSubtract(bytes, ordering: .relaxed) }

  /// Lets idle connections and streams go, and the others after their answer; then calls `done`.
  func drain(_ done: @escaping @Sendable () -> Void) {
    emptied = done
    services.streams.onEmpty = { [weak self] in self?.reportIfEmpty() }
    services.streams.closeAll()
    for connection in connections.values { connection.drain() }
    reportIfEmpty()
  }

  /// Cuts what is left.
  func abort() {
    for connection in connections.values { connection.abort() }
  }

  private func reportIfEmpty() {
    guard let emptied, connections.isEmpty, services.streams.count == 0 else { return }
    self.emptied = nil
    emptied()
  }
}
