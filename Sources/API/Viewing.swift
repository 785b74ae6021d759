internal import Access
internal import Model

/// Who follows a stream: what they may see, and until when. A value; a credential that is asked for anew makes another.
struct Viewing {
  let caller: Caller
  /// What events are to be asked for; nil: everything is seen.
  let viewer: Permissions?
  /// When the credential ends, in nanoseconds since 1970; nil: never.
  let endsAt: UInt64?

  init(_ caller: Caller) {
    self.caller = caller
    viewer = caller.permissions.flatMap { $0.seesAllContexts && $0.seesAllLocks ? nil : $0 }
    endsAt = caller.principal?.expiresAt.map { seconds in
      let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
      return overflow ? .max : nanoseconds
    }
  }

  /// Whether the credential has ended.
  /// - Parameter now: nanoseconds since 1970.
  func isOver(now: UInt64) -> Bool { endsAt.map { now >= $0 } ?? false }

  /// Nanoseconds until the credential ends, by the clock on the wall; nil: never.
  func left(now: UInt64) -> UInt64? { endsAt.map { $0 > now ? $0 - now : 0 } }

  /// Whether the configuration is the one that said what the caller may do: each has permissions of its own.
  func stands(under access: AccessControl?) -> Bool {
    switch (caller, access) {
    case (.open, nil): true
    case (.known(let principal, let permissions), let access?):
      access.policy.permissions(of: principal) === permissions
    case (.open, _), (.unknown, _), (.known, nil): false
    }
  }

  /// Who it is under another configuration; nil: nobody, and the stream is to end.
  func renewed(by access: AccessControl?, now: UInt64) -> Viewing? {
    switch (caller, access) {
    case (.open, nil): return self
    case (.known(let principal, _), let access?):
      guard let found = access.authenticator.renew(principal, now: now / 1_000_000_000) else { return nil }
      return Viewing(.known(found, access.policy.permissions(of: found)))
    case (.open, _), (.unknown, _), (.known, nil): return nil
    }
  }
}

extension LoopServices {
  /// Finds out who asks for a stream as of now: since the gate let the request in, it may have waited for the disk, and the
  /// configuration may have been read again. To be called in the turn in which the stream begins.
  func renewCaller(_ exchange: Exchange) throws(Problem) {
    let viewing = Viewing(exchange.caller)
    let now = streams.wallClock()
    if viewing.stands(under: access), !viewing.isOver(now: now) { return }
    guard let renewed = viewing.renewed(by: access, now: now) else {
      throw outlived(exchange, "the request needs a credential that is accepted here")
    }
    exchange.caller = renewed.caller
  }
}

/// Whether those who follow see the event in hand: each is asked for once per event, as followers mostly share what they
/// may do with others. Loop thread.
struct ViewerAnswers {
  /// Answers that are kept: beyond it, everybody is asked.
  static let keptMax = 16

  private var kept: [(viewer: Permissions, sees: Bool)] = []

  /// Another event is in hand.
  mutating func begin() {
    if !kept.isEmpty { kept.removeAll(keepingCapacity: true) }
  }

  mutating func sees(_ viewer: Permissions, _ event: EventView) -> Bool {
    for answer in kept where answer.viewer === viewer { return answer.sees }
    let sees = viewer.sees(event)
    if kept.count < ViewerAnswers.keptMax { kept.append((viewer, sees)) }
    return sees
  }
}
