public import Engine
public import HTTP
public import Telemetry

/// What the routes of one loop have at hand. Loop thread, except the counters.
public final class LoopServices {
  public let engine: LoopEngine
  public let service: any ServiceStatus
  public let metrics: APIMetrics
  public let streams: StreamHub
  public var date = DateCache()
  let drafts = UnitDraftPool()
  var requestIDs = RequestIDs()

  public init(engine: LoopEngine, service: any ServiceStatus, metrics: APIMetrics) {
    self.engine = engine
    self.service = service
    self.metrics = metrics
    streams = StreamHub(engine: engine, metrics: metrics)
    engine.observer = streams
  }
}

/// One condition of readiness.
public struct ReadinessCheck: Sendable {
  public var name: String
  public var isFulfilled: Bool
  public var detail: String

  public init(_ name: String, _ isFulfilled: Bool, _ detail: String) {
    self.name = name
    self.isFulfilled = isFulfilled
    self.detail = detail
  }
}

/// What the server says about itself. Any thread.
public protocol ServiceStatus: AnyObject, Sendable {
  var version: String { get }
  var isReady: Bool { get }
  var checks: [ReadinessCheck] { get }
  var exposition: [UInt8] { get }
}

/// What the routes of one loop count.
public final class APIMetrics: Sendable {
  let durations: [Histogram]
  /// By status code less 100.
  private let responses: [Counter]
  let streams: Gauge
  let delivered: Counter

  public init(_ registry: Registry) {
    durations = Route.Name.allCases.map { route in
      registry.histogram(
        "engram_http_request_duration_seconds",
        "Time from the complete request to its answer in the outbox, by route; a write's includes its sync.",
        .seconds, [Label("route", route.rawValue)])
    }
    var counters = [Counter](repeating: Counter(), count: 500)
    for status in Status.allCases {
      counters[Int(status.rawValue) - 100] = registry.counter(
        "engram_http_responses_total", "Answers by status code.", [Label("code", "\(status.rawValue)")])
    }
    responses = counters
    streams = registry.gauge("engram_streams", "Live streams that are open.")
    delivered = registry.counter("engram_stream_events_total", "Events framed for live streams.")
  }

  /// Counts an answer. Any thread.
  public func record(_ route: Route.Name, status: UInt16, nanoseconds: UInt64) {
    durations[route.index].record(nanoseconds)
    let place = Int(status) - 100
    if responses.indices.contains(place) { responses[place].add() }
  }
}
