internal import Access
internal import Bytes
internal import EventLoop
internal import HTTP
public import Model

/// The credential that a connection's last request came with, and what it was found to stand for: verified once for a
/// connection, a credential and an `AccessControl`, and not again before it ends.
struct HeldCredential {
  /// The whole value of `Authorization`.
  private let value: [UInt8]
  private let generation: UInt64
  let principal: Principal
  let permissions: Permissions

  init(_ value: UnsafeRawBufferPointer, _ principal: Principal, _ control: AccessControl) {
    self.value = Array(value)
    self.principal = principal
    permissions = control.policy.permissions(of: principal)
    generation = control.generation
  }

  /// Whether it is what this request came with, and still good. Takes as long whatever is presented, for one length.
  func holds(for value: UnsafeRawBufferPointer, _ control: AccessControl, now: UInt64) -> Bool {
    guard generation == control.generation, value.count == self.value.count, !principal.isExpired(now: now)
    else { return false }
    return self.value.withUnsafeBytes { own in
      var difference: UInt8 = 0
      for index in 0..<own.count { difference |= own[index] ^ value[index] }
      return difference == 0
    }
  }
}

/// The gate: every request comes by here when its head is there, and before its body is read, so that nobody makes
/// the server gather what it won't act upon.
extension LoopServices {
  /// Finds the request's route, who asks, and whether the route is for them at all. What depends on the body, or on what
  /// is stored, the route itself decides by `exchange.caller`.
  /// - Returns: what the request is refused with; also kept by the exchange.
  public func admit(_ exchange: Exchange) -> Problem? {
    guard let access else {
      exchange.caller = .open
      return nil
    }
    exchange.refusal = refusal(exchange, access)
    return exchange.refusal
  }

  /// Answers a request that `admit` refused. Where its body isn't there yet, the connection can't live on.
  public func refuse(_ exchange: Exchange, _ problem: Problem) {
    exchange.isHeadOnly = exchange.head.method == .head
    exchange.answer(problem)
    let route = Route.match(exchange.head.path, in: exchange.headBytes)
    finish(exchange, route?.name.taking(exchange.head.method) ?? route?.name ?? .none)
  }

  private func refusal(_ exchange: Exchange, _ access: AccessControl) -> Problem? {
    let route = Route.match(exchange.head.path, in: exchange.headBytes)
    let name = route?.name.taking(exchange.head.method)
    exchange.caller = .unknown
    if let name, name.isOpen(exchange.head) { return nil }
    guard let caller = authenticate(exchange, access) else {
      return Problem(.unauthenticated, "the request needs a credential that is accepted here")
    }
    exchange.caller = caller
    guard let route, let name, let permissions = caller.permissions else { return nil }
    return denial(exchange, name, route.subject, permissions)
  }

  // MARK: Who

  /// Nil if the request doesn't come with a credential that is accepted.
  private func authenticate(_ exchange: Exchange, _ access: AccessControl) -> Caller? {
    guard exchange.head.has(.authorization) else { return nil }
    exchange.bearsCredential = true
    // Two of them: nobody can say which is meant.
    guard let run = try? exchange.head.single(.authorization) else { return nil }
    let value = exchange.bytes(run)
    let now = unixSeconds
    if let held = exchange.credential, held.holds(for: value, access, now: now) {
      return .known(held.principal, held.permissions)
    }
    exchange.credential = nil
    guard let bearer = LoopServices.bearer(value),
      let principal = access.checker.authenticate(bearer: bearer, now: now),
      !principal.isExpired(now: now)
    else { return nil }
    let held = HeldCredential(value, principal, access)
    exchange.credential = held
    return .known(held.principal, held.permissions)
  }

  /// Seconds since 1970. A vDSO call: no credential outlives its end by the pace of some timer.
  private var unixSeconds: UInt64 { UInt64(clamping: EventLoop.unixSeconds()) }

  /// What stands behind `Bearer` (RFC 6750, section 2.1); nil if the value is something else.
  private static func bearer(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    let scheme: StaticString = "bearer"
    let count = scheme.utf8CodeUnitCount
    guard value.count > count + 1, value[count] == UInt8(ascii: " "),
      ASCII.equalIgnoringCase(UnsafeRawBufferPointer(rebasing: value[..<count]), scheme)
    else { return nil }
    var start = count
    while start < value.count, value[start] == UInt8(ascii: " ") { start += 1 }
    return UnsafeRawBufferPointer(rebasing: value[start...])
  }

  // MARK: What

  /// Why the caller may not use the route at all, or not for what its path names.
  private func denial(
    _ exchange: Exchange, _ route: Route.Name, _ subject: ByteRun, _ permissions: Permissions
  ) -> Problem? {
    switch route {
    case .search, .searchRelationships: needs(.search, permissions)
    case .metrics, .readyz: needs(.metrics, permissions)
    case .createUnit, .createUnits: needs(.contextWrite, permissions)
    case .acquireLocks: needs(.lockAcquire, permissions)
    case .changeContext:
      // What isn't an id the route refuses.
      (try? Query.decode(exchange.bytes(subject))).flatMap {
        LoopServices.denial(ofChanging: $0, permissions)
      }
    case .renewLock: needs(.lockAcquire, of: subject, exchange, permissions)
    case .releaseLock:
      permissions.allows(.lockForce) ? nil : needs(.lockAcquire, of: subject, exchange, permissions)
    case .unit, .payload, .units, .contexts, .context, .locks, .lock, .relationships, .stream, .livez,
      .healthz,
      .version, .openapi, .none:
      // What the caller may not read is to look as if it weren't there: the routes see to that.
      nil
    }
  }

  /// The answer to a change shows the context as it is then: who may not read it can't be answered.
  private static func denial(ofChanging context: [UInt8], _ permissions: Permissions) -> Problem? {
    context.withUnsafeBytes { id in
      guard permissions.allows(.contextWrite, context: id) else { return Denial.of(.contextWrite) }
      return permissions.allows(.contextRead, context: id) ? nil : Denial.of(.contextRead)
    }
  }

  private func needs(_ verb: Verb, _ permissions: Permissions) -> Problem? {
    permissions.allows(verb) ? nil : Denial.of(verb)
  }

  private func needs(
    _ verb: Verb, of path: ByteRun, _ exchange: Exchange, _ permissions: Permissions
  ) -> Problem? {
    guard let decoded = try? Query.decode(exchange.bytes(path)),
      let path = try? ResourcePath.canonical(decoded)
    else { return nil }
    return path.withUnsafeBytes { permissions.allows(verb, lock: $0) } ? nil : Denial.of(verb)
  }
}

/// What a caller is told who may not do something: the same whether the thing is there or not.
enum Denial {
  static func of(_ verb: Verb) -> Problem {
    Problem(.permissionDenied, "the credential doesn't allow \(verb.rawValue) here")
  }

  /// Of something that the request's body names at `pointer`.
  static func of(_ verb: Verb, at pointer: String) -> Problem {
    Problem(.permissionDenied, at: pointer, "is not open to the credential for \(verb.rawValue)")
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
