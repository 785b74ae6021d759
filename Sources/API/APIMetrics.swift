internal import Access
internal import HTTP
internal import Model
public import Telemetry

/// What the routes of all loops count. Any thread.
public final class APIMetrics: Sendable {
  private static let statusesMax = 500
  private static let statuses = Status.allCases.filter { $0.rawValue >= 200 || $0 == .switchingProtocols }

  let durations: [Histogram]
  /// `statusesMax` for each route, by status code less 100.
  private let responses: [Counter]
  /// By raw value of `ErrorCode`.
  private let problems: [Counter]
  /// For each scope of rates, by kind.
  private let rateRefusals: [Counter]
  /// By raw value of `StreamFormat`.
  private let streams: [Gauge]
  let laggingStreams: Gauge
  /// Of units, contexts and locks.
  private let delivered: [Counter]
  let streamLags: Counter
  private let streamsClosed: [Counter]
  let publishesInFlight: Gauge
  private let publishDurations: Histogram
  /// By raw value of `ErrorCode`.
  private let messageErrors: [Counter]

  public init(_ registry: Registry) {
    durations = Route.Name.allCases.map { route in
      registry.histogram(
        "engram_http_request_duration_seconds",
        "Time from the complete request to its answer in the outbox, by route; a write's includes its sync.",
        .seconds, [Label("route", route.rawValue)])
    }
    responses = Route.Name.allCases.flatMap { route in APIMetrics.responses(of: route, registry) }
    problems = ErrorCode.allCases.map { code in
      registry.counter(
        "engram_http_problems_total", "Answers that are a problem document, by its code.",
        [Label("code", "\(code.name)")])
    }
    rateRefusals = RateLimiter.Scope.allCases.flatMap { scope in
      RateKind.allCases.map { kind in
        registry.counter(
          "engram_rate_limited_total", "Requests and messages refused because a bucket was too empty.",
          [Label("scope", "\(scope)"), Label("kind", "\(kind)")])
      }
    }
    streams = StreamFormat.allCases.map { format in
      registry.gauge(
        "engram_streams", "Live streams that are open.",
        [Label("format", format == .sse ? "sse" : "websocket")])
    }
    laggingStreams = registry.gauge(
      "engram_streams_lagging",
      "Open streams that catch up with history instead of getting events as they come.")
    delivered = ["workunit", "context", "lock"].map { kind in
      registry.counter(
        "engram_stream_events_total", "Events framed for live streams.", [Label("kind", kind)])
    }
    streamLags = registry.counter(
      "engram_stream_lags_total", "Times that a live stream's outbox was full, so that it fell behind.")
    streamsClosed = StreamEnd.allCases.map { end in
      registry.counter(
        "engram_streams_closed_total", "Streams that have ended, by reason.", [Label("reason", end.rawValue)])
    }
    publishesInFlight = registry.gauge(
      "engram_publishes_in_flight", "Work units published over WebSocket that are not answered yet.")
    publishDurations = registry.histogram(
      "engram_publish_duration_seconds",
      "Time from a whole message that publishes a work unit to its ack in the outbox, its sync included.",
      .seconds)
    messageErrors = ErrorCode.allCases.map { code in
      registry.counter(
        "engram_websocket_errors_total",
        "Messages over WebSocket that were answered with an error, by its code.",
        [Label("code", "\(code.name)")])
    }
  }

  /// One counter for each status that the contract has for the route, and one for all others: `other` stays at 0.
  private static func responses(of route: Route.Name, _ registry: Registry) -> [Counter] {
    func counter(_ code: String) -> Counter {
      registry.counter(
        "engram_http_responses_total", "Answers by route and status code.",
        [Label("route", route.rawValue), Label("code", code)])
    }
    let documented = statuses(of: route)
    var counters = [Counter](repeating: counter("other"), count: statusesMax)
    for status in statuses where documented.contains(status.code) {
      counters[status.code - 100] = counter("\(status.code)")
    }
    return counters
  }

  /// The statuses that a route may answer with. Requests that lead to no route: 404, and whatever isn't HTTP.
  static func statuses(of route: Route.Name) -> Set<Int> {
    var found = Set(HTTPError.allCases.map(\.status.code))
    guard let operation = Operation.of(route) else {
      return found.union([ErrorCode.notFound, .unavailable, .internal].map(\.status))
    }
    found.formUnion(operation.answers.map(\.status.code))
    found.formUnion(ContractDocument.refusals(operation).map(\.status))
    return found.union([ErrorCode.methodNotAllowed.status])
  }

  /// Counts an answer.
  public func record(_ route: Route.Name, status: UInt16, nanoseconds: UInt64) {
    durations[route.index].record(nanoseconds)
    count(route, status: status)
  }

  /// Counts an answer to what was no request: there is no time that it took.
  func count(_ route: Route.Name, status: UInt16) {
    let place = Int(status) - 100
    guard place >= 0, place < APIMetrics.statusesMax else { return }
    responses[route.index * APIMetrics.statusesMax + place].add()
  }

  func countRefusal(_ scope: RateLimiter.Scope, _ kind: RateKind) {
    rateRefusals[scope.rawValue * RateKind.count + kind.rawValue].add()
  }

  func count(_ code: ErrorCode) { problems[Int(code.rawValue)].add() }

  func streams(_ format: StreamFormat) -> Gauge { streams[format.rawValue] }

  /// Counts events framed for streams.
  func countDelivered(_ kind: EventKind?, _ count: Int) {
    if let place = APIMetrics.place(of: kind) { delivered[place].add(UInt64(count)) }
  }

  /// Events of a kind that were framed for streams.
  func delivered(_ kind: EventKind) -> UInt64 { APIMetrics.place(of: kind).map { delivered[$0].value } ?? 0 }

  private static func place(of kind: EventKind?) -> Int? {
    switch kind {
    case .unit: 0
    case .context: 1
    case .lock: 2
    case .restart, nil: nil
    }
  }

  /// Counts a publish that was acknowledged.
  func countPublish(nanoseconds: UInt64) { publishDurations.record(nanoseconds) }

  /// Counts a message that was answered with an error.
  func countError(_ code: ErrorCode) { messageErrors[Int(code.rawValue)].add() }

  func count(_ end: StreamEnd) { streamsClosed[end.place].add() }
}

/// Why a stream ended.
enum StreamEnd: String, CaseIterable {
  /// The client went away.
  case client
  /// It took nothing for too long.
  case stalled
  /// History could not be read.
  case failed
  /// The server goes away.
  case shutdown
  /// Nothing was heard of it for too long.
  case silent
  /// It broke a rule of its protocol.
  case violated
  /// There was no memory for what it sent.
  case refused
  /// Its credential has ended, or is good no more.
  case revoked

  var place: Int {
    switch self {
    case .client: 0
    case .stalled: 1
    case .failed: 2
    case .shutdown: 3
    case .silent: 4
    case .violated: 5
    case .refused: 6
    case .revoked: 7
    }
  }
}
