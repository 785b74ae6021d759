internal import Model

/// What is counted: each has a bucket of its own.
public enum RateKind: Int, Sendable, CaseIterable {
  case requests
  /// Of request bodies and messages, as received.
  case bytes
  /// Units appended, by whatever way.
  case publishes
  /// Searches and walks along relationships.
  case searches
  /// Authentications that failed. Of addresses only.
  case failures

  public static let count = 5
}

/// How much one bucket gives.
public struct Rate: Sendable, Equatable {
  /// The largest number that can be set: with it, sums in billionths stay within 63 bits.
  public static let max: UInt64 = 4_000_000_000

  /// In the long run. 0: as much as is asked for.
  public var perSecond: UInt64
  /// At once, after a pause. 0: as much as in a second.
  public var burst: UInt64

  public init(perSecond: UInt64 = 0, burst: UInt64 = 0) {
    self.perSecond = perSecond
    self.burst = burst
  }

  public var isLimited: Bool { perSecond > 0 }
  /// What a full bucket holds.
  public var capacity: UInt64 { burst > 0 ? burst : perSecond }
}

/// The buckets of one agent, or of one address.
public struct RateSet: Sendable, Equatable {
  public var requests = Rate()
  public var bytes = Rate()
  public var publishes = Rate()
  public var searches = Rate()
  /// Of addresses only.
  public var failures = Rate()

  public init() {}

  public subscript(kind: RateKind) -> Rate {
    switch kind {
    case .requests: requests
    case .bytes: bytes
    case .publishes: publishes
    case .searches: searches
    case .failures: failures
    }
  }

  public var isLimited: Bool { limitsRequests || failures.isLimited }

  /// Whether something else than failures is limited.
  var limitsRequests: Bool {
    requests.isLimited || bytes.isLimited || publishes.isLimited || searches.isLimited
  }
}

/// `[limits]`: how much may be asked for in a time. All off by default.
public struct RateSettings: Sendable, Equatable {
  public var agent = RateSet()
  /// Of everything that comes from an address, authenticated or not.
  public var address = RateSet()

  public init() {}

  public var isLimited: Bool { agent.isLimited || address.isLimited }
}

/// `[limits]`: how much may be there at once. 0: no limit of its own.
public struct CapSettings: Sendable, Equatable {
  /// Open connections from one address (IPv6: from one network of 64 bits). Answer: closed at once.
  public var connectionsPerAddressMax = 0
  /// Open connections on which one agent has authenticated. Answer: 429 `rate_limited`, closed.
  public var connectionsPerAgentMax = 0
  /// Open streams of one agent, over SSE and WebSocket. Answer: 429 `rate_limited`.
  public var subscriptionsPerAgentMax = 0
  /// Paths that one agent holds or waits for. Answer: 429 `rate_limited`.
  public var locksPerAgentMax = 100
  /// Bytes of bodies and messages that are being gathered from one address. Answer: 503 `unavailable`, closed.
  public var inflightBytesPerAddressMax = Limits.inflightBodyBytesMax / 2
  /// The same for one agent.
  public var inflightBytesPerAgentMax = Limits.inflightBodyBytesMax / 4

  public init() {}
}

/// `[browser]`: what pages of browsers may do.
public struct BrowserSettings: Sendable, Equatable {
  /// Origins whose pages may open WebSockets and send what changes something, beside the server's own:
  /// `https://console.example`.
  public var origins: [String] = []
  /// Names by which the server is called: what `Host` may say, beside those of this machine on a loopback address.
  public var hosts: [String] = []
  /// Origins whose pages may also read answers; `*` for all. Empty: CORS is off.
  public var corsOrigins: [String] = []
  /// Whether these pages' requests may carry cookies and client certificates.
  public var corsCredentials = false
  /// How long a browser may remember the answer to a preflight.
  public var corsMaxAgeSeconds: UInt64 = 600

  public init() {}
}
