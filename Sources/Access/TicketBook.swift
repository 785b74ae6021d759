internal import Bytes
public import Model
internal import Synchronization

/// Why no ticket is made.
public enum TicketRefusal: Error, Sendable, CaseIterable {
  /// The agent has as many that wait as it may have. 429.
  case agentLimit
  /// All agents together have. 503.
  case limit
  /// The system has no random bits. 503.
  case unavailable
}

/// Tickets: short credentials for browsers, whose streams can't send a field. Each is good for one stream, for half a
/// minute. Shared by all loops; any thread. Streams are rare beside requests, so a mutex guards it.
///
/// A ticket is kept as its digest, so that neither a dump of memory nor the time of a look-up gives one away.
public final class TicketBook: Sendable {
  public struct Ticket: Sendable {
    /// 43 characters of URL-safe base64.
    public var text: [UInt8]
    public var expiresAt: LogTime
  }

  private struct Entry {
    var principal: Principal
    var expiresAt: LogTime
    var number: UInt64
  }

  private struct State {
    var entries: [SHA256: Entry] = [:]
    /// How many of `entries` are each agent's.
    var counts: [[UInt8]: Int] = [:]
    /// Digests in the order in which they were made. Those of redeemed tickets go when they are met, or when they
    /// are more than half.
    var order: [(digest: SHA256, number: UInt64)] = []
    var first = 0
    var made: UInt64 = 0
    /// How long a ticket made now is good, in microseconds.
    var lifetime: UInt64

    init(lifetime: UInt64) { self.lifetime = lifetime }

    mutating func remove(_ digest: SHA256) -> Entry? {
      guard let entry = entries.removeValue(forKey: digest) else { return nil }
      let agent = entry.principal.agent
      if let count = counts[agent], count > 1 { counts[agent] = count - 1 } else { counts[agent] = nil }
      return entry
    }

    /// Forgets what has ended. All live equally long, or shorter: what stands in front of a live one is gone.
    mutating func forget(until now: LogTime) {
      while first < order.count {
        let (digest, number) = order[first]
        if let entry = entries[digest], entry.number == number {
          guard entry.expiresAt <= now else { break }
          _ = remove(digest)
        }
        first += 1
      }
      guard order.count >= 2 * entries.count + 64 else { return }
      order = order[first...].filter { entries[$0.digest]?.number == $0.number }
      first = 0
    }
  }

  private let state: Mutex<State>

  /// - Parameter lifetime: of a ticket, in microseconds.
  public init(lifetime: UInt64 = CredentialLimits.ticketMicroseconds) {
    state = Mutex(State(lifetime: lifetime))
  }

  /// Changes how long the tickets that are made from now on are good, in microseconds.
  public func change(lifetime: UInt64) { state.withLock { $0.lifetime = lifetime } }

  /// Tickets that wait to be redeemed.
  public var count: Int { state.withLock { $0.entries.count } }

  /// Digests that are held, redeemed ones included: for tests.
  var remembered: Int { state.withLock { $0.order.count } }

  /// A new ticket for a principal. It ends with the credential that it was made by, if that is sooner.
  public func make(for principal: Principal, now: LogTime) throws(TicketRefusal) -> Ticket {
    guard let secret = SecureRandom.bytes(32) else { throw .unavailable }
    let text = secret.withUnsafeBytes { Base64.encodeURL($0) }
    guard let digest = text.withUnsafeBytes({ SHA256(of: $0) }) else { throw .unavailable }
    let bearer = Principal(ticketOf: principal)
    let made: Result<LogTime, TicketRefusal> = state.withLock { state in
      state.forget(until: now)
      guard state.counts[bearer.agent, default: 0] < CredentialLimits.ticketsPerAgentMax else {
        return .failure(.agentLimit)
      }
      guard state.entries.count < CredentialLimits.ticketsMax else { return .failure(.limit) }
      let last = bearer.expiresAt.map { min($0, CredentialLimits.timeMax) * 1_000_000 } ?? .max
      let expiresAt = LogTime(microseconds: min(now.microseconds + state.lifetime, last))
      state.made += 1
      state.counts[bearer.agent, default: 0] += 1
      state.entries[digest] = Entry(principal: bearer, expiresAt: expiresAt, number: state.made)
      state.order.append((digest, state.made))
      return .success(expiresAt)
    }
    return Ticket(text: text, expiresAt: try made.get())
  }

  /// Redeems a ticket: it is good no more, whatever comes of it. Its principal has agent, roles and end of the one
  /// who made it.
  public func redeem(_ text: UnsafeRawBufferPointer, now: LogTime) throws(AuthenticationFailure) -> Principal
  {
    guard text.count == 43, let digest = SHA256(of: text) else { throw .ticket }
    let entry = state.withLock { $0.remove(digest) }
    guard let entry else { throw .ticket }
    guard now < entry.expiresAt, !entry.principal.isExpired(now: now.microseconds / 1_000_000) else {
      throw .expired
    }
    return entry.principal
  }
}

extension Principal {
  /// The one who comes with a ticket that `maker` had made.
  fileprivate convenience init(ticketOf maker: Principal) {
    self.init(
      agent: maker.agent, roles: maker.roles, provider: .ticket, expiresAt: maker.expiresAt,
      proof: maker.proof)
  }
}
