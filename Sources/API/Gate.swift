internal import Access
internal import EventLoop
internal import HTTP
public import Model

/// The gate: every request comes by here when its head is there, and before its body is read, so that nobody makes
/// the server gather what it won't act upon.
extension LoopServices {
  /// Finds the request's route, who asks, and whether the route is for them at all. What depends on the body, or on what
  /// is stored, the route itself decides by `exchange.caller`.
  /// - Returns: what the request is refused with; also kept by the exchange.
  public func admit(_ exchange: Exchange) -> Problem? {
    exchange.caller = access == nil ? .open : .unknown
    exchange.refusal = door(exchange)
    if let access, exchange.refusal == nil, !exchange.isPreflight {
      exchange.refusal = refusal(exchange, access)
    }
    // Where a stream begins, nothing of the request may be left over.
    if exchange.refusal == nil, exchange.hasBody, exchange.routeName == .stream {
      exchange.refusal = Problem(.invalidRequest, "a stream is asked for without a body")
    }
    return exchange.refusal
  }

  /// Whether somebody will read the body of a request that `admit` let in. Any other isn't waited for.
  public func readsBody(_ exchange: Exchange) -> Bool {
    !exchange.isPreflight && exchange.routeName?.takesBody ?? false
  }

  /// Looks at a request again whose body came later than its head: by now its credential may have ended, or another
  /// policy may hold. Sets `refusal`.
  public func readmit(_ exchange: Exchange) {
    guard exchange.refusal == nil, let before = exchange.caller.permissions else { return }
    do throws(Problem) {
      try renewCaller(exchange)
      guard let route = exchange.findRoute(), let name = exchange.routeName,
        let permissions = exchange.caller.permissions, permissions !== before
      else { return }
      exchange.refusal = denial(exchange, name, route.subject, permissions)
    } catch {
      exchange.refusal = error
    }
  }

  /// Answers a request that `admit` refused. Where its body isn't there yet, the connection can't live on.
  public func refuse(_ exchange: Exchange, _ problem: Problem) {
    exchange.isHeadOnly = exchange.head.method == .head
    exchange.answer(problem)
    finish(exchange, exchange.routeName ?? exchange.findRoute()?.name ?? .none)
  }

  private func refusal(_ exchange: Exchange, _ access: AccessControl) -> Problem? {
    let route = exchange.findRoute()
    let name = exchange.routeName
    if let name, name.isOpen(exchange.head) { return nil }
    do throws(AuthenticationFailure) {
      exchange.caller = try authenticate(exchange, access, name)
    } catch {
      auditFailure(exchange, error, name ?? .none)
      if error == .tooOften, let problem = mayAuthenticate(exchange) { return problem }
      if error == .authority {
        // On this connection no certificate helps any more, and who was let in before guesses nothing.
        exchange.keeps = false
      } else if exchange.bearsCredential, error != .ticket {
        countFailure(exchange)
      }
      return Problem(.unauthenticated, "the request needs a credential that is accepted here")
    }
    if let problem = exchange.withAgent({ charge(exchange, agent: $0) }) ?? nil { return problem }
    guard let route, let name, let permissions = exchange.caller.permissions else { return nil }
    return denial(exchange, name, route.subject, permissions)
  }

  /// Why the caller may not use the route at all, or not for what its path names.
  private func denial(
    _ exchange: Exchange, _ route: Route.Name, _ subject: ByteRun, _ permissions: Permissions
  ) -> Problem? {
    func needs(_ verb: Verb) -> Problem? {
      permissions.allows(verb) ? nil : denied(exchange, verb, .route(route))
    }
    switch route {
    case .search, .searchRelationships: return needs(.search)
    case .metrics, .readyz: return needs(.metrics)
    case .createUnit, .createUnits: return needs(.contextWrite)
    case .acquireLocks: return needs(.lockAcquire)
    case .changeContext:
      // What isn't an id the route refuses. The answer shows the context: who may not read it can't be answered.
      guard let id = try? Query.decode(exchange.bytes(subject)) else { return nil }
      for verb in [Verb.contextWrite, .contextRead]
      where !id.withUnsafeBytes({ permissions.allows(verb, context: $0) }) {
        return denied(exchange, verb, .context(id))
      }
      return nil
    case .renewLock, .releaseLock:
      if route == .releaseLock, permissions.allows(.lockForce) { return nil }
      guard let decoded = try? Query.decode(exchange.bytes(subject)),
        let path = try? ResourcePath.canonical(decoded),
        !path.withUnsafeBytes({ permissions.allows(.lockAcquire, lock: $0) })
      else { return nil }
      return denied(exchange, .lockAcquire, .lock(path))
    case .unit, .payload, .units, .contexts, .context, .locks, .lock, .relationships, .stream, .livez,
      .healthz, .version, .openapi, .createTicket, .none:
      // What the caller may not read is to look as if it weren't there: the routes see to that.
      return nil
    }
  }

  /// What a caller is told who may not do something: the same whether the thing is there or not.
  func denied(_ exchange: Exchange, _ verb: Verb, _ resource: AuditResource) -> Problem {
    auditDenial(exchange, verb, resource)
    return Problem(.permissionDenied, "the credential doesn't allow \(verb.rawValue) here")
  }
}

extension Route.Name {
  /// Whether it is answered without a credential: what tells of nothing but that the server is there, and what anybody
  /// can read in its documentation.
  func isOpen(_ head: borrowing RequestHead) -> Bool {
    switch self {
    case .livez, .healthz, .version, .openapi: true
    // The list of checks is for those who look after the server.
    case .readyz: head.query.isEmpty
    default: false
    }
  }
}
