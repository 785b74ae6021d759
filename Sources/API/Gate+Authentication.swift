internal import Access
internal import Bytes
internal import EventLoop
internal import HTTP
internal import Model

/// The credential that a connection's last request came with, and what it was found to stand for: verified once for a
/// connection, a credential and an `AccessControl`, and not again before it ends.
struct HeldCredential {
  /// The whole value of `Authorization`; nil: the certificate that the connection was made with.
  private let value: [UInt8]?
  private let generation: UInt64
  let principal: Principal
  let permissions: Permissions

  /// - Parameter value: kept as long as this.
  init(_ value: [UInt8]?, _ principal: Principal, _ control: AccessControl) {
    self.value = value
    self.principal = principal
    permissions = control.policy.permissions(of: principal)
    generation = control.generation
  }

  var caller: Caller { .known(principal, permissions) }

  /// Whether it is what this request came with, and still good. Of values of one length it takes equally long for each.
  func holds(for value: UnsafeRawBufferPointer?, _ control: AccessControl, now: UInt64) -> Bool {
    guard generation == control.generation, !principal.isExpired(now: now) else { return false }
    guard let value, let own = self.value else { return value == nil && self.value == nil }
    return own.withUnsafeBytes { ConstantTime.equal($0, value) }
  }
}

/// Values of `Authorization` that connections hold, each kept once: a fleet may have thousands of connections under one
/// JWT of some kilobytes.
struct SharedValues {
  /// 2 MiB of the longest. Then all are forgotten here, and live on with the connections that hold them.
  private static let valuesMax = 256
  private let seed = UInt64.random(in: .min ... .max)
  private var known: [UInt64: [UInt8]] = [:]

  /// The bytes, in memory that others with the same share.
  mutating func share(_ value: UnsafeRawBufferPointer) -> [UInt8] {
    let print = Fingerprint.of(value, seed: seed).low
    if let found = known[print], found.elementsEqual(value) { return found }
    if known.count >= SharedValues.valuesMax { known.removeAll() }
    let made = Array(value)
    known[print] = made
    return made
  }
}

extension LoopServices {
  /// Who asks. What the request itself brings goes before the certificate that its connection was made with: a bad
  /// credential is refused, however good the certificate is.
  func authenticate(
    _ exchange: Exchange, _ access: AccessControl, _ route: Route.Name?
  ) throws(AuthenticationFailure) -> Caller {
    let now = LoopServices.unixSeconds
    guard exchange.head.has(.authorization) else {
      if route == .stream, let ticket = try exchange.ticket() { return try redeem(ticket, exchange, access) }
      return try authenticateConnection(exchange, access, now)
    }
    exchange.bearsCredential = true
    // Of two, nobody can say which one is meant.
    guard let run = try? exchange.head.single(.authorization) else {
      throw mayAuthenticate(exchange) == nil ? .malformedField : .tooOften
    }
    let value = exchange.bytes(run)
    if let held = exchange.credential, held.holds(for: value, access, now: now) { return held.caller }
    exchange.credential = nil
    guard mayAuthenticate(exchange) == nil else { throw .tooOften }
    let bearer = try BearerField.credential(value)
    return try hold(try access.authenticator.verify(bearer: bearer, now: now), value, exchange, access, now)
  }

  /// A stream's ticket, which is good no more: the stream goes on under what it was made by. It can't be guessed, and any
  /// page may make its visitors' browsers try: a bad one is no failure of the address.
  private func redeem(
    _ ticket: [UInt8], _ exchange: Exchange, _ access: AccessControl
  ) throws(AuthenticationFailure) -> Caller {
    let principal = try ticket.withUnsafeBufferPointer { text throws(AuthenticationFailure) -> Principal in
      try access.authenticator.verify(ticket: UnsafeRawBufferPointer(text), in: tickets, now: LogTime.wall)
    }
    return .known(principal, access.policy.permissions(of: principal))
  }

  private func authenticateConnection(
    _ exchange: Exchange, _ access: AccessControl, _ now: UInt64
  ) throws(AuthenticationFailure) -> Caller {
    guard access.authenticator.takesCertificates, !exchange.isForeign else { throw .missing }
    if let held = exchange.credential, held.holds(for: nil, access, now: now) { return held.caller }
    exchange.credential = nil
    guard mayAuthenticate(exchange) == nil else { throw .tooOften }
    guard let certificate = exchange.certificate else { throw .missing }
    exchange.bearsCredential = true
    return try hold(
      try access.authenticator.verify(certificate: certificate, now: now), nil, exchange, access, now)
  }

  private func hold(
    _ principal: Principal, _ value: UnsafeRawBufferPointer?, _ exchange: Exchange, _ access: AccessControl,
    _ now: UInt64
  ) throws(AuthenticationFailure) -> Caller {
    guard !principal.isExpired(now: now) else { throw .expired }
    let held = HeldCredential(value.map { values.share($0) }, principal, access)
    exchange.credential = held
    return held.caller
  }

  /// The clock itself, which costs little: no credential outlives its end by the pace of some timer.
  static var unixSeconds: UInt64 { UInt64(clamping: EventLoop.unixSeconds()) }
}
