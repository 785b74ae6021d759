internal import Access
internal import Bytes
internal import EventLoop
internal import HTTP
internal import Model

/// What stands before authentication: whether the server answers to the name it is called by, whether the page that a
/// request comes from may send it, and whether its address asks too much. Each is a refusal that costs a head.
extension LoopServices {
  /// Looks at a request's head, before its body has come and before anybody is asked who it is from. Sets what the
  /// answer says of rates and to pages of other origins.
  /// - Returns: why the request is refused: 403 or 429.
  func door(_ exchange: Exchange) -> Problem? {
    if let browser {
      guard let host = LoopServices.host(exchange), browser.answers(to: host) else {
        return deny(exchange, "host", "the server isn't called by this name: see browser.hosts")
      }
      if browser.allowsCORS { exchange.crossOrigin = .depends }
      if exchange.head.has(.origin) {
        if let problem = look(atOriginOf: exchange, browser, host) { return problem }
      }
    }
    guard let rates, rates.limitsAddresses, !LoopServices.isProbe(exchange) else { return nil }
    let now = exchange.socket.loop.now
    let (costs, isBatch) = costs(of: exchange)
    if isBatch, let problem = take(rates.mayPublish(exchange.address, now: now), .address, exchange) {
      return problem
    }
    return take(rates.admit(exchange.address, costs, now: now), .address, exchange)
  }

  // MARK: Host

  /// The name that a request calls the server by: an absolute target's goes before `Host` (RFC 9112, section 3.2.2).
  /// Empty if there is none, as HTTP/1.0 allows. Nil if the two differ, which no browser sends.
  private static func host(_ exchange: Exchange) -> UnsafeRawBufferPointer? {
    let named = exchange.head[.host].map { exchange.bytes($0) }
    guard !exchange.head.authority.isEmpty, exchange.head.method != .connect else {
      return named ?? loopback
    }
    let authority = exchange.bytes(exchange.head.authority)
    guard let named else { return authority }
    return JSONText.same(named, authority) ? authority : nil
  }

  /// For who says no name: a browser always does.
  private static var loopback: UnsafeRawBufferPointer {
    let name: StaticString = "localhost"
    return UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
  }

  // MARK: Origin

  private func look(
    atOriginOf exchange: Exchange, _ browser: BrowserRules, _ host: UnsafeRawBufferPointer
  ) -> Problem? {
    let method = exchange.head.method
    guard let line = try? exchange.head.single(.origin) else {
      return deny(exchange, "origin", "Origin stands more than once")
    }
    let standing = browser.standing(origin: exchange.bytes(line), host: host)
    if standing.contains(.reads) { exchange.crossOrigin = .granted }
    exchange.isForeign = !standing.contains(.showsCertificates)
    if browser.allowsCORS, method == .options, exchange.head.has(.accessControlRequestMethod) {
      guard standing.contains(.reads) else {
        return deny(exchange, "origin", "pages of this origin may not read answers: see browser.cors_origins")
      }
      exchange.isPreflight = true
      return nil
    }
    // A WebSocket is open to any page unless the server looks (RFC 6455, section 10.2).
    guard LoopServices.isUnsafe(method) || exchange.head.asksUpgrade else { return nil }
    // Who brings a credential of its own is whom that names, and not the visitor.
    if standing.contains(.acts) || access != nil && standing.contains(.actsByCredential) { return nil }
    return deny(exchange, "origin", "pages of this origin may not do this: see browser.origins")
  }

  /// Whether a method may change something (RFC 9110, section 9.2.1).
  private static func isUnsafe(_ method: Method) -> Bool {
    switch method {
    case .get, .head, .options, .trace: false
    default: true
    }
  }

  /// Answers what a browser asks before it sends a page's request (Fetch, section 3.3.3). It carries no credential.
  func answerPreflight(_ exchange: Exchange) {
    exchange.begin(.noContent, .none, length: nil, fieldBytes: 512) { writer in
      writer.field("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
      writer.field(
        "Access-Control-Allow-Headers",
        """
        Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Last-Event-ID, Prefer, \
        Range, X-Agent-ID, X-Request-ID
        """)
      writer.field("Access-Control-Max-Age", browser?.corsMaxAgeSeconds ?? 0)
    }
  }

  private func deny(_ exchange: Exchange, _ reason: String, _ detail: String) -> Problem {
    auditDenial(exchange, nil, .route(exchange.routeName ?? .none), reason: reason)
    return Problem(.permissionDenied, detail)
  }

  // MARK: Rates

  /// What an agent's request costs it, once it is known; to be called behind authentication.
  /// - Returns: why it is refused: its buckets are too empty, or it has as many connections as it may.
  func charge(_ exchange: Exchange, agent: UnsafeRawBufferPointer) -> Problem? {
    if let lease = exchange.lease, !lease.belongs(to: agent) {
      exchange.keeps = false
      return Problem(.rateLimited, "the agent has as many connections as it may")
    }
    guard let rates, rates.limitsAgents else { return nil }
    let now = exchange.socket.loop.now
    let (costs, isBatch) = costs(of: exchange)
    if isBatch, let problem = take(rates.mayPublish(agent: agent, now: now), .agent, exchange) {
      return problem
    }
    return take(rates.admit(agent: agent, costs, now: now), .agent, exchange)
  }

  /// Whether a credential that was not verified before may be looked at: its address has not failed too often.
  func mayAuthenticate(_ exchange: Exchange) -> Problem? {
    guard let rates else { return nil }
    let verdict = rates.mayAuthenticate(exchange.address, now: exchange.socket.loop.now)
    return take(verdict, .address, exchange)
  }

  /// A credential was none: counts against its address.
  func countFailure(_ exchange: Exchange) {
    rates?.countFailure(of: exchange.address, now: exchange.socket.loop.now)
  }

  /// A part of a body came in chunks: it counts against the next request, whatever becomes of this one.
  public func chargeBody(_ exchange: Exchange, bytes: Int) {
    guard let rates, bytes > 0 else { return }
    var costs = RateCosts()
    costs.bytes = UInt64(bytes)
    let now = exchange.socket.loop.now
    rates.charge(exchange.address, costs, now: now)
    exchange.withAgent { rates.charge(agent: $0, costs, now: now) }
  }

  /// The units of a batch, which are counted once it is read.
  func admitBatch(_ exchange: Exchange, units: Int) -> Problem? {
    guard let rates else { return nil }
    var costs = RateCosts()
    costs.publishes = UInt64(units)
    let now = exchange.socket.loop.now
    let verdict = rates.admit(exchange.address, costs, now: now)
    if let problem = take(verdict, .address, exchange) { return problem }
    return exchange.withAgent { agent in
      take(rates.admit(agent: agent, costs, now: now), .agent, exchange)
    } ?? nil
  }

  /// The connection becomes a stream. Throws if its agent has as many as it may.
  func beginStream(_ exchange: Exchange) throws(Problem) {
    guard exchange.lease?.beginStream() ?? true else {
      throw Problem(.rateLimited, "the agent has as many streams as it may")
    }
  }

  /// What a message over WebSocket costs.
  /// - Parameter agent: whose credential the connection was opened with.
  func admitMessage(
    _ costs: RateCosts, from address: ClientAddress, agent: [UInt8]?, now: UInt64
  ) throws(Problem) {
    guard let rates else { return }
    var scope = RateLimiter.Scope.address
    var verdict = rates.admit(address, costs, now: now)
    if verdict.refusal == nil, let agent {
      scope = .agent
      verdict = agent.withUnsafeBytes { rates.admit(agent: $0, costs, now: now) }
    }
    guard let kind = verdict.refusal else { return }
    metrics.countRefusal(scope, kind)
    throw Problem(.rateLimited, LoopServices.detail(scope, kind, verdict.retrySeconds))
  }

  /// What can be told by the head, and whether units are still to be counted.
  private func costs(of exchange: Exchange) -> (costs: RateCosts, isBatch: Bool) {
    var costs = RateCosts()
    costs.requests = 1
    switch exchange.head.body {
    case .length(let length): costs.bytes = length
    case .none: break
    // Of chunks that nobody has counted yet: who is in debt for earlier ones doesn't send more.
    case .chunked: costs.bytes = 1
    }
    let route = exchange.routeName
    switch route {
    case .createUnit: costs.publishes = 1
    case .search, .searchRelationships, .relationships: costs.searches = 1
    default: break
    }
    return (costs, route == .createUnits)
  }

  /// An orchestrator that gets no answer ends the server; these answers cost nothing. Only as probes ask.
  private static func isProbe(_ exchange: Exchange) -> Bool {
    switch exchange.routeName {
    case .livez, .readyz, .healthz: !exchange.hasBody
    default: false
    }
  }

  /// Puts what the buckets say into the answer.
  private func take(_ verdict: RateVerdict, _ scope: RateLimiter.Scope, _ exchange: Exchange) -> Problem? {
    exchange.tell(verdict, scope)
    guard let kind = verdict.refusal else { return nil }
    exchange.retrySeconds = max(exchange.retrySeconds, verdict.retrySeconds)
    metrics.countRefusal(scope, kind)
    return Problem(.rateLimited, LoopServices.detail(scope, kind, verdict.retrySeconds))
  }

  static func detail(_ scope: RateLimiter.Scope, _ kind: RateKind, _ seconds: UInt64) -> String {
    let who = scope == .agent ? "the agent" : "the address"
    let what =
      switch kind {
      case .requests: "sends too many requests"
      case .bytes: "sends too many bytes"
      case .publishes: "appends too many work units"
      case .searches: "searches too often"
      case .failures: "has failed to authenticate too often"
      }
    return "\(who) \(what); try again in \(seconds) s"
  }
}
