internal import Storage
internal import Telemetry

/// What the store says of itself, once a second, and what the threads that read and write it take.
final class StoreMetrics: Sendable {
  let applies: Histogram
  let applyFailures: Counter
  let readWaits: Histogram
  let reads: Histogram
  let readsQueued: Gauge
  let readsRefused: Counter
  private let familyBytes: [Gauge]
  private let blobBytes: Gauge
  private let immutableMemtables: Gauge
  private let cacheBytes: Gauge
  private let tableReaderBytes: Gauge
  private let flushes: Gauge
  private let compactions: Gauge
  private let isStopped: Gauge
  private let delayedRate: Gauge
  private let backgroundErrors: Gauge

  init(_ registry: Registry) {
    applies = registry.histogram(
      "engram_store_apply_duration_seconds", "Time of one write of events into the store.", .seconds)
    applyFailures = registry.counter(
      "engram_store_apply_failures_total", "Writes that the store has refused; each is tried again.")
    readWaits = registry.histogram(
      "engram_store_read_wait_seconds", "Time that work for the read threads waits for one of them.", .seconds
    )
    reads = registry.histogram(
      "engram_store_read_duration_seconds", "Time that a read thread spends on one piece of work.", .seconds)
    readsQueued = registry.gauge("engram_store_reads_queued", "Work that waits for a read thread.")
    readsRefused = registry.counter(
      "engram_store_reads_refused_total", "Work that found the queue of the read threads full.")
    familyBytes = StoreFamily.allCases.map {
      registry.gauge(
        "engram_store_family_bytes", "Bytes of the store's files, by column family.",
        [Label("family", $0.name)])
    }
    blobBytes = registry.gauge("engram_store_blob_bytes", "Bytes of the store's blob files.")
    immutableMemtables = registry.gauge(
      "engram_store_immutable_memtables", "Memtables that are full and wait to be written to disk.")
    cacheBytes = registry.gauge("engram_store_cache_bytes", "Bytes in the store's cache of blocks.")
    tableReaderBytes = registry.gauge(
      "engram_store_table_reader_bytes",
      "Bytes of the indexes and filters of the store's files, held in memory.")
    flushes = registry.gauge("engram_store_running_flushes", "Flushes that are running.")
    compactions = registry.gauge("engram_store_running_compactions", "Compactions that are running.")
    isStopped = registry.gauge("engram_store_writes_stopped", "1 while the store takes no writes, else 0.")
    delayedRate = registry.gauge(
      "engram_store_delayed_write_rate_bytes",
      "Bytes per second to which the store slows writes now; 0 while it does not.")
    backgroundErrors = registry.gauge(
      "engram_store_background_errors", "Flushes and compactions that have failed since the start.")
  }

  func show(_ health: StoreHealth) {
    for (gauge, bytes) in zip(familyBytes, health.familyBytes) { gauge.set(Int64(clamping: bytes)) }
    blobBytes.set(Int64(clamping: health.blobFileBytes))
    immutableMemtables.set(Int64(clamping: health.immutableMemtables))
    cacheBytes.set(Int64(clamping: health.blockCacheBytes))
    tableReaderBytes.set(Int64(clamping: health.tableReaderBytes))
    flushes.set(Int64(clamping: health.runningFlushes))
    compactions.set(Int64(clamping: health.runningCompactions))
    isStopped.set(health.isWriteStopped ? 1 : 0)
    delayedRate.set(Int64(clamping: health.delayedWriteBytesPerSecond))
    backgroundErrors.set(Int64(clamping: health.backgroundErrors))
  }
}
