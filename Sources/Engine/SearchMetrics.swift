internal import Telemetry

/// What index and searches count. Any thread.
final class SearchMetrics: Sendable {
  let indexed: Gauge
  let lag: Gauge
  let units: Counter
  let commits: Histogram
  let rebuilds: Counter
  let failures: Counter
  let overflows: Counter
  let queries: Histogram
  let partial: Counter
  let cancelled: Counter
  let refused: Counter
  let queued: Gauge

  init(_ registry: Registry) {
    indexed = registry.gauge(
      "engram_search_indexed_position", "Position up to which units are in the search index.")
    lag = registry.gauge(
      "engram_search_lag_positions", "Durable events that the search index has not taken yet.")
    units = registry.counter("engram_search_units_indexed_total", "Units added to the search index.")
    commits = registry.histogram(
      "engram_search_commit_duration_seconds", "Time of one commit of the search index.", .seconds)
    rebuilds = registry.counter(
      "engram_search_rebuilds_total", "Times that the search index was missing or damaged and made anew.")
    failures = registry.counter(
      "engram_search_failures_total", "Calls of the search index, or of the store for it, that failed.")
    overflows = registry.counter(
      "engram_search_overflows_total",
      "Times that the indexer fell so far behind that it turned from memory to the store.")
    queries = registry.histogram(
      "engram_search_query_duration_seconds", "Time of a search on its thread, waits not counted.", .seconds)
    partial = registry.counter(
      "engram_search_partial_total", "Searches that were answered with `partial`.")
    cancelled = registry.counter(
      "engram_search_cancelled_total", "Searches whose connection ended before they were done.")
    refused = registry.counter(
      "engram_search_refused_total", "Searches refused because too many waited.")
    queued = registry.gauge("engram_search_queued", "Searches that wait for a thread.")
  }
}
