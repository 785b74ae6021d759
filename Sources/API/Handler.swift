internal import Access
internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

/// What a connection does after a request was handled.
public enum Disposition {
  /// The answer is in the outbox.
  case answered
  /// The connection is a live stream from here on: the stream is the socket's delegate and owns it.
  case streaming
  /// The answer is in the outbox, and ends HTTP on this connection.
  case upgraded(any UpgradedConnection)
}

/// What goes on with a connection's socket where HTTP has ended.
public protocol UpgradedConnection: AnyObject {
  /// Takes over the socket: becomes its delegate. In the turn of the answer, on the loop.
  /// - Parameters:
  ///   - rest: what arrived behind the request; changed in place.
  ///   - isEnded: whether the peer's end came behind that.
  func takeOver(_ rest: UnsafeMutableRawBufferPointer, isEnded: Bool)
}

extension LoopServices {
  /// Finds the request's route, and answers what needs nothing but this process: the health of the service, and
  /// requests that lead nowhere. A task switch would cost such a request a tenth of its CPU.
  /// - Returns: false if the request is for `handle`.
  public func answerAtOnce(_ exchange: Exchange) -> Bool {
    if let refusal = exchange.refusal {
      refuse(exchange, refusal)
      return true
    }
    if exchange.isPreflight {
      answerPreflight(exchange)
      finish(exchange, .none)
      return true
    }
    guard let route = exchange.findRoute() else {
      exchange.answer(Problem(.notFound, "there is nothing at this path"))
      finish(exchange, .none)
      return true
    }
    guard let name = route.name.taking(exchange.head.method) else {
      exchange.answer(
        Problem(.methodNotAllowed, "this path answers to \(route.name.methods)"), allow: route.name.methods)
      finish(exchange, route.name)
      return true
    }
    exchange.route?.name = name
    do throws(Problem) {
      switch name {
      case .healthz: try health(exchange)
      case .livez: try live(exchange)
      case .readyz: try readiness(exchange)
      case .version: try version(exchange)
      default: return false
      }
    } catch {
      exchange.answer(error)
    }
    finish(exchange, name)
    return true
  }

  /// Answers a request whose route was found. Suspends where the disk has to be waited for; runs on the loop.
  public func handle(_ exchange: Exchange) async -> Disposition {
    guard let route = exchange.route else { return .answered }
    do throws(Problem) {
      // What is appended is answered, as large as it came; now is the last moment to say no.
      if route.name.isAppend, !exchange.prefersMinimal { try exchange.requireRoom(for: exchange.body.count) }
      switch route.name {
      case .createUnit: try await createUnit(exchange)
      case .createUnits: try await createUnits(exchange)
      case .unit: try await unit(exchange, route.subject)
      case .payload: try await payload(exchange, route.subject)
      case .units: try await units(exchange, route.subject)
      case .contexts: try await contexts(exchange)
      case .context: try await context(exchange, route.subject)
      case .changeContext: try await changeContext(exchange, route.subject)
      case .acquireLocks: try await acquireLocks(exchange)
      case .locks: try await locks(exchange)
      case .lock: try await lock(exchange, route.subject)
      case .renewLock: try await renewLock(exchange, route.subject)
      case .releaseLock: try await releaseLock(exchange, route.subject)
      case .search: try await search(exchange)
      case .relationships: try await relationships(exchange, route.subject)
      case .searchRelationships: try await searchRelationships(exchange)
      case .metrics: try exposition(exchange)
      case .openapi: try contract(exchange)
      case .createTicket: try createTicket(exchange)
      case .stream:
        if let connection = try await webSocket(exchange) {
          finish(exchange, .stream)
          return .upgraded(connection)
        }
        try await stream(exchange)
        if !exchange.isHeadOnly {
          finish(exchange, .stream)
          return .streaming
        }
      case .healthz, .livez, .readyz, .version, .none: break
      }
    } catch {
      exchange.answer(error)
    }
    finish(exchange, route.name)
    return .answered
  }

  func finish(_ exchange: Exchange, _ route: Route.Name) {
    let spent = EventLoop.monotonicNanoseconds() &- exchange.startedAt
    metrics.record(route, status: exchange.status, nanoseconds: spent)
  }

  /// Refuses any query parameter.
  func noQuery(_ exchange: Exchange) throws(Problem) {
    if !exchange.head.query.isEmpty { _ = try Query(exchange, known: []) }
  }

  /// Refuses a body of another type.
  func requireJSON(_ exchange: Exchange) throws(Problem) {
    guard try ContentType(exchange) == .json else {
      throw Problem(.unsupportedMediaType, "the body must be application/json")
    }
  }

  // MARK: The service

  private func live(_ exchange: Exchange) throws(Problem) {
    try noQuery(exchange)
    exchange.answer(.ok, .text, "OK")
  }

  private func health(_ exchange: Exchange) throws(Problem) {
    try noQuery(exchange)
    guard service.isReady else { throw Problem(.unavailable, unfulfilled(exchange)) }
    exchange.answer(.ok, .text, "OK")
  }

  /// Why the server isn't ready: in detail for those who may see its metrics.
  private func unfulfilled(_ exchange: Exchange) -> String {
    if let permissions = exchange.caller.permissions, !permissions.allows(.metrics) {
      return "the server is not ready"
    }
    let reasons = service.checks.filter { !$0.isFulfilled }.map { "\($0.name): \($0.detail)" }
    return "the server is not ready (\(reasons.joined(separator: "; ")))"
  }

  private func readiness(_ exchange: Exchange) throws(Problem) {
    let query = try Query(exchange, .readyz)
    // A name without a value asks for it too: `?verbose`.
    var isVerbose = query.all("verbose") == [[]]
    if !isVerbose { isVerbose = try query.flag("verbose") }
    guard service.isReady else { throw Problem(.unavailable, unfulfilled(exchange)) }
    guard isVerbose else { return exchange.answer(.ok, .json, "{\"status\":\"ready\"}") }
    var text = "{\"status\":\"ready\",\"checks\":["
    for (place, check) in service.checks.enumerated() {
      if place > 0 { text += "," }
      text += "{\"name\":\"\(check.name)\",\"ok\":\(check.isFulfilled),\"detail\":\"\(check.detail)\"}"
    }
    exchange.answer(.ok, .json, Array((text + "]}").utf8))
  }

  private func version(_ exchange: Exchange) throws(Problem) {
    try noQuery(exchange)
    exchange.answer(.ok, .json, Array("{\"name\":\"engram\",\"version\":\"\(service.version)\"}".utf8))
  }

  private func exposition(_ exchange: Exchange) throws(Problem) {
    try noQuery(exchange)
    exchange.answer(.ok, .prometheus, service.exposition)
  }
}
