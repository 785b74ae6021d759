public import Access
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

/// What is told to the audit about who was refused what.
extension LoopServices {
  /// Nobody who is known may ask.
  func auditFailure(_ exchange: Exchange, _ reason: AuthenticationFailure, _ route: Route.Name) {
    guard let audit else { return }
    var event = event(.authenticationFailure, .failure, exchange)
    event.resource = Array(route.rawValue.utf8)
    event.reason = reason.rawValue
    audit.record(event)
  }

  /// A handshake failed of the client's certificate: there is no request that could say more. One that isn't good counts
  /// against its address like any bad credential; none doesn't, because any page can make its visitors' browsers come
  /// without. Loop thread.
  public func refusedCertificate(of address: ClientAddress, isMissing: Bool) {
    if !isMissing { rates?.countFailure(of: address, now: engine.loop.now) }
    guard let audit else { return }
    var event = AuditEvent(.authenticationFailure, .failure)
    event.address = address
    event.reason = AuthenticationFailure.certificate.rawValue
    audit.record(event)
  }

  /// Who asks may not.
  func auditDenial(_ exchange: Exchange, _ verb: Verb?, _ resource: AuditResource, reason: String = "policy")
  {
    guard let audit else { return }
    var event = event(.denial, .failure, exchange)
    event.verb = verb
    event.resource = resource.text
    event.reason = reason
    audit.record(event)
  }

  /// What a publish is refused with, which may be a denial. The request that made the WebSocket is long over: there is no
  /// id to name.
  func refused(
    _ problem: Problem, _ draft: UnitDraft, by caller: Caller, from address: ClientAddress
  ) -> Problem {
    guard let audit, problem.code == .permissionDenied, let permissions = caller.permissions else {
      return problem
    }
    let isContext = !permissions.allows(.contextWrite, context: draft.contextID)
    var event = AuditEvent(.denial, .failure)
    event.address = address
    event.name(caller)
    event.verb = .contextWrite
    event.resource = AuditResource.context([UInt8](draft.contextID)).text
    event.reason = isContext ? "policy" : "agent"
    audit.record(event)
    return problem
  }

  /// The agent that asks, where the body or the query may name it; nil if nobody is named. Who names another than that
  /// of the credential is refused, and written down.
  func asker(
    _ exchange: Exchange, named: [UInt8]?, _ verb: Verb, _ resource: AuditResource
  ) throws(Problem) -> [UInt8]? {
    let caller = try caller(exchange)
    do throws(Problem) {
      return try Asker.find(body: named, caller: caller, isAuthenticated: exchange.caller.isAuthenticated)
    } catch {
      if error.code == .permissionDenied { auditDenial(exchange, verb, resource, reason: "agent") }
      throw error
    }
  }

  /// What a request is refused with whose credential was good when the gate let it in, and isn't now.
  func outlived(_ exchange: Exchange, _ detail: String) -> Problem {
    let isKnown = exchange.caller.principal != nil
    if isKnown { exchange.bearsCredential = true }
    auditFailure(exchange, isKnown ? .expired : .missing, exchange.routeName ?? .none)
    return Problem(.unauthenticated, detail)
  }

  /// A lock was taken from who held it.
  func auditForcedRelease(_ exchange: Exchange, of lock: LockState) {
    guard let audit else { return }
    var event = event(.forcedRelease, .success, exchange)
    event.verb = .lockForce
    event.resource = AuditResource.lock(lock.path).text
    event.reason = "force"
    audit.record(event)
  }

  private func event(
    _ kind: AuditEvent.Kind, _ outcome: AuditEvent.Outcome, _ exchange: Exchange
  ) -> AuditEvent {
    var event = AuditEvent(kind, outcome)
    event.requestID = exchange.withRequestID { [UInt8]($0) }
    event.address = exchange.address
    event.agent = exchange.namedAgent
    event.name(exchange.caller)
    return event
  }
}

/// What a denial is about.
enum AuditResource {
  case context([UInt8])
  case lock([UInt8])
  case route(Route.Name)

  var text: [UInt8] {
    switch self {
    case .context(let id): Array("context/".utf8) + id
    case .lock(let path): Array("lock/".utf8) + path
    case .route(let name): Array(name.rawValue.utf8)
    }
  }
}

extension AuditEvent {
  /// Has the agent of the caller's credential, if there is one.
  fileprivate mutating func name(_ caller: Caller) {
    guard let principal = caller.principal else { return }
    agent = principal.agent
    isAgentKnown = true
  }
}

extension Exchange {
  /// The agent that `X-Agent-ID` names where nobody proves who it is; empty if none.
  fileprivate var namedAgent: [UInt8] {
    guard case .open = caller, let run = head[.xAgentID] else { return [] }
    return [UInt8](bytes(run))
  }
}
