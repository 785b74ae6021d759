extension Schema {
  // MARK: Rates

  public static let agentRequests = rate("agent_requests", "Requests of one agent.")
  public static let agentRequestBurst = burst("agent_request", agentRequests)
  public static let agentBytes = rate("agent_bytes", "Bytes of bodies and messages of one agent.")
  public static let agentByteBurst = burst("agent_byte", agentBytes)
  public static let agentPublishes = rate("agent_publishes", "Units that one agent appends.")
  public static let agentPublishBurst = burst("agent_publish", agentPublishes)
  public static let agentSearches = rate(
    "agent_searches", "Searches and walks along relationships of one agent.")
  public static let agentSearchBurst = burst("agent_search", agentSearches)
  public static let addressRequests = rate("address_requests", "Requests of one address (IPv6: of a /64).")
  public static let addressRequestBurst = burst("address_request", addressRequests)
  public static let addressBytes = rate("address_bytes", "Bytes of bodies and messages of one address.")
  public static let addressByteBurst = burst("address_byte", addressBytes)
  public static let addressPublishes = rate("address_publishes", "Units that come from one address.")
  public static let addressPublishBurst = burst("address_publish", addressPublishes)
  public static let addressSearches = rate(
    "address_searches", "Searches and walks along relationships of one address.")
  public static let addressSearchBurst = burst("address_search", addressSearches)
  public static let addressFailures = rate(
    "address_failures",
    "Failed authentications of one address; beyond, no new credential is looked at. Behind a proxy, 0.", 20)
  public static let addressFailureBurst = burst("address_failure", addressFailures, 200)

  /// Each burst, and the rate without which it does nothing.
  static let bursts = [
    (agentRequestBurst, agentRequests), (agentByteBurst, agentBytes), (agentPublishBurst, agentPublishes),
    (agentSearchBurst, agentSearches), (addressRequestBurst, addressRequests),
    (addressByteBurst, addressBytes), (addressPublishBurst, addressPublishes),
    (addressSearchBurst, addressSearches), (addressFailureBurst, addressFailures),
  ]

  // MARK: Caps

  public static let connectionsPerAddressMax = cap(
    "connections_per_address_max",
    "Open connections of one address (IPv6: of a /64). At the limit new ones are closed at once.")
  public static let connectionsPerAgentMax = cap(
    "connections_per_agent_max", "Open connections of one agent. At the limit: 429.")
  public static let subscriptionsPerAgentMax = cap(
    "subscriptions_per_agent_max", "Streams of one agent. At the limit: 429.")
  public static let locksPerAgentMax = Key<Int>(
    "limits.locks_per_agent_max", .integer(1...100_000), .integer(100), change: .reload,
    help: "Paths that one agent holds or waits for. At the limit: 429.")
  public static let inflightBytesMax = Key<Int>(
    "limits.inflight_bytes_max", .integer(inflightBytesMin...(64 << 30)),
    .integer(inflightBytesStandard), change: .reload,
    help: "Bytes of bodies that are being gathered, all connections together. At the limit: 503.")
  public static let inflightBytesPerAddressMax = bytes(
    "inflight_bytes_per_address_max", inflightBytesStandard / addressPart,
    standardText: "half of `inflight_bytes_max`",
    """
    The same, of one address (IPv6: of a /64). 16777216 at least, unless set. Behind a proxy, where all have one address, \
    0 or `inflight_bytes_max`.
    """)
  public static let inflightBytesPerAgentMax = bytes(
    "inflight_bytes_per_agent_max", inflightBytesStandard / agentPart,
    standardText: "a quarter of `inflight_bytes_max`",
    "The same, of one agent. 16777216 at least, unless set.")
  /// One body, of the largest size.
  static let inflightBytesMin = 16 << 20
  private static let inflightBytesStandard = 256 << 20
  private static let addressPart = 2
  private static let agentPart = 4
  /// What is a part of `inflightBytesMax` where nobody says otherwise, and which.
  static let inflightParts = [
    (inflightBytesPerAddressMax, addressPart), (inflightBytesPerAgentMax, agentPart),
  ]
  public static let answerBytesMax = bytes(
    "answer_bytes_max", 512 << 20,
    """
    Bytes of answers that wait for slow readers, all connections together. At the limit answers of more than 64 KiB are \
    refused, from half of it on to those for whom much of it waits. Beyond: 503.
    """)

  // MARK: Times

  public static let firstRequestSeconds = seconds(
    "first_request", 1...3600, 30, "From a connection's begin to its first byte; then it is closed.")
  public static let headSeconds = seconds(
    "head", 1...300, 10, "From a request's first byte to the end of its head; then 408.")
  public static let bodySeconds = seconds("body", 1...300, 20, "Without a byte of a body; then 408.")
  public static let bodyTotalSeconds = seconds(
    "body_total", 1...3600, 120, "For a whole body, whatever its pace; then 408.")
  public static let bodyPaceMin = pace("body", "The least pace of a body, after the first seconds; then 408.")
  public static let answerPaceMin = pace(
    "answer", "The least pace at which a peer takes its answers, after the first seconds; then it is cut.")
  public static let idleSeconds = seconds(
    "idle", 1...86400, 600, "Between two requests; then the connection is closed.")
  public static let stallSeconds = seconds(
    "stall", 1...3600, 30, "Without a byte taken by a peer that has answers waiting; then it is cut.")

  static let limits =
    bursts.flatMap { [$0.1.entry, $0.0.entry] } + [
      connectionsPerAddressMax.entry, connectionsPerAgentMax.entry, subscriptionsPerAgentMax.entry,
      locksPerAgentMax.entry, inflightBytesMax.entry, inflightBytesPerAddressMax.entry,
      inflightBytesPerAgentMax.entry, answerBytesMax.entry, firstRequestSeconds.entry, headSeconds.entry,
      bodySeconds.entry, bodyTotalSeconds.entry, bodyPaceMin.entry, answerPaceMin.entry, idleSeconds.entry,
      stallSeconds.entry,
    ]

  private static func rate(_ name: String, _ help: String, _ standard: Int = 0) -> Key<Int> {
    Key(
      "limits.\(name)_per_second", .integer(0...4_000_000_000), .integer(standard), change: .reload,
      help: "\(help) Beyond: 429.")
  }

  private static func burst(_ name: String, _ rate: Key<Int>, _ standard: Int = 0) -> Key<Int> {
    Key(
      "limits.\(name)_burst", .integer(0...4_000_000_000), .integer(standard), change: .reload,
      help: "How many may come at once. 0: as many as `\(rate.entry.name)`.")
  }

  private static func cap(_ name: String, _ help: String) -> Key<Int> {
    Key("limits.\(name)", .integer(0...1_000_000), .integer(0), change: .reload, help: help)
  }

  private static func bytes(
    _ name: String, _ standard: Int, standardText: String? = nil, _ help: String
  ) -> Key<Int> {
    Key(
      "limits.\(name)", .integer(0...(64 << 30)), .integer(standard), standardText: standardText,
      change: .reload, help: help)
  }

  private static func pace(_ name: String, _ help: String) -> Key<Int> {
    Key(
      "limits.\(name)_bytes_per_second_min", .integer(0...(1 << 20)), .integer(512), change: .reload,
      help: help)
  }

  private static func seconds(
    _ name: String, _ range: ClosedRange<Int>, _ standard: Int, _ help: String
  ) -> Key<Int> {
    Key("limits.\(name)_seconds", .integer(range), .integer(standard), change: .reload, help: help)
  }
}
