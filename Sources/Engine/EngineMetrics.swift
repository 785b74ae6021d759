public import Telemetry

/// What the engine counts. Written on the home thread, read on any.
public final class EngineMetrics: Sendable {
  let units: Counter
  let lockEvents: Counter
  let contextChanges: Counter
  let batches: Counter
  let batchUnits: Histogram
  let batchBytes: Histogram
  let syncs: Histogram
  let refusals: Counter
  let keyHits: Counter
  let keyMismatches: Counter
  let position: Gauge
  let applied: Gauge
  let persisted: Gauge
  let windowBytes: Gauge
  let unappliedBytes: Gauge
  let logBytes: Gauge
  let logSegments: Gauge
  let logSpares: Gauge
  let freeBytes: Gauge
  let storeBytes: Gauge
  let storeMemoryBytes: Gauge
  let storePendingBytes: Gauge
  let waiting: Gauge
  let contexts: Gauge
  let durable: Gauge
  let mailboxes: Gauge
  let store: StoreMetrics
  let process: ProcessMetrics
  let search: SearchMetrics

  public init(_ registry: Registry) {
    units = registry.counter("engram_units_appended_total", "Units sequenced into the log.")
    lockEvents = registry.counter(
      "engram_lock_events_total", "Locks acquired, renewed, released and expired, together.")
    contextChanges = registry.counter("engram_context_changes_total", "Changes of contexts by PATCH.")
    batches = registry.counter("engram_commit_batches_total", "Batches handed to the log.")
    batchUnits = registry.histogram("engram_commit_batch_units", "Events in a commit batch.", .count)
    batchBytes = registry.histogram(
      "engram_commit_batch_size_bytes", "Bytes of a commit batch on disk, padding included.", .bytes)
    syncs = registry.histogram(
      "engram_log_sync_duration_seconds", "Time of one durable write of the log.", .seconds)
    refusals = registry.counter("engram_appends_refused_total", "Appends refused, for whatever reason.")
    keyHits = registry.counter(
      "engram_idempotency_hits_total", "Requests answered with what is kept under their Idempotency-Key.")
    keyMismatches = registry.counter(
      "engram_idempotency_mismatches_total", "Requests refused: their Idempotency-Key was another request's.")
    position = registry.gauge("engram_log_position", "Position of the newest event.")
    applied = registry.gauge(
      "engram_store_applied_position", "Position up to which the store has applied events.")
    persisted = registry.gauge(
      "engram_store_persisted_position", "Position up to which the store has events on disk.")
    windowBytes = registry.gauge("engram_window_bytes", "Bytes of log in the recent window.")
    unappliedBytes = registry.gauge(
      "engram_unapplied_bytes", "Bytes of log that are durable and not applied to the store.")
    logBytes = registry.gauge("engram_log_bytes", "Bytes of log on disk that the store has not persisted.")
    logSegments = registry.gauge("engram_log_segments", "Segments in use.")
    logSpares = registry.gauge("engram_log_spare_segments", "Segments made ahead or free for use again.")
    freeBytes = registry.gauge("engram_disk_free_bytes", "Free space of the data directory's file system.")
    storeBytes = registry.gauge("engram_store_bytes", "Bytes of the store's files.")
    storeMemoryBytes = registry.gauge("engram_store_memory_bytes", "Bytes of the store's memtables.")
    storePendingBytes = registry.gauge(
      "engram_store_pending_compaction_bytes", "Bytes that the store's compaction has before it.")
    waiting = registry.gauge(
      "engram_appends_waiting", "Appends that wait for a look-up or for room in the open batch.")
    contexts = registry.gauge("engram_resident_contexts", "Contexts in memory.")
    durable = registry.gauge("engram_log_durable_position", "Position up to which events are durable.")
    mailboxes = registry.gauge(
      "engram_mailbox_messages", "Messages between the home loop and the others that wait.")
    store = StoreMetrics(registry)
    process = ProcessMetrics(registry)
    search = SearchMetrics(registry)
  }
}
