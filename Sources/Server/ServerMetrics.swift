internal import EventLoop
internal import Synchronization
internal import Telemetry

/// What the server counts besides engine and routes: its connections and its loops.
enum ServerMetrics {
  /// How late the loops' timers are: measured four times a second on each loop, so that it costs no request anything.
  static func timerLag(_ registry: Registry) -> Histogram {
    registry.histogram(
      "engram_loop_timer_lag_seconds",
      "How much later than asked for a timer fires: the time that a loop is busy with something else.",
      .seconds)
  }

  static func register(
    _ registry: Registry, loops: [EventLoop], budget: ConnectionBudget, status: ServerStatus
  ) {
    registry.gauge(
      "engram_build_info", "Always 1; the version is in the label.", [Label("version", status.version)]
    ) { 1 }
    registry.gauge("engram_ready", "1 while `/readyz` answers 200, else 0.") { status.isReady ? 1 : 0 }
    registry.gauge("engram_connections", "Open HTTP connections, streams not counted.") {
      Double(budget.connections.load(ordering: .relaxed))
    }
    registry.counter(
      "engram_connections_refused_total", "Connections closed at once: too many, or the server was stopping."
    ) { budget.connectionsRefused.load(ordering: .relaxed) }
    registry.gauge("engram_connections_open", "Open connections, streams included.") {
      Double(budget.open.load(ordering: .relaxed))
    }
    registry.counter(
      "engram_connections_over_share_total",
      "Of the refused connections: those whose address had as many as it may."
    ) { budget.connectionsOverShare.load(ordering: .relaxed) }
    for lapse in ConnectionClock.Lapse.allCases {
      let counter = budget.counter(lapse)
      registry.counter(
        "engram_connections_timed_out_total", "Connections that were ended because their peer was too slow.",
        [Label("reason", lapse.name)]
      ) { counter.value }
    }
    registry.gauge(
      "engram_answer_bytes", "Bytes of large answers that wait for their clients to read, streams aside."
    ) { Double(budget.answerBytes.load(ordering: .relaxed)) }
    registry.gauge("engram_body_bytes", "Bytes of request bodies that are being gathered.") {
      Double(budget.bodyBytes.load(ordering: .relaxed))
    }
    registry.counter(
      "engram_bodies_refused_total",
      "Request bodies refused because all of them together took too much memory."
    ) { budget.bodiesRefused.load(ordering: .relaxed) }
    for loop in loops { register(registry, loop) }
  }

  /// What TLS came to, all loops together.
  static func register(_ registry: Registry, loops: [EventLoop], door: TLSDoor) {
    let counters = loops.map(\.counters)
    let name = "engram_tls_handshakes_total"
    let help = "TLS handshakes that succeeded: with a signature (full), or by a ticket (resumed)."
    registry.counter(name, help, [Label("kind", "full")]) { counters.reduce(0) { $0 + $1.tls.full.value } }
    registry.counter(name, help, [Label("kind", "resumed")]) {
      counters.reduce(0) { $0 + $1.tls.resumed.value }
    }
    for failure in TLSFailure.allCases {
      registry.counter(
        "engram_tls_handshake_failures_total", "TLS handshakes that failed.",
        [Label("cause", failure.rawValue)]
      ) { counters.reduce(0) { $0 + $1.tls.failures(failure) } }
    }
    registry.counter(
      "engram_tls_handshakes_refused_total",
      "Connections closed at once because too many TLS handshakes were under way."
    ) { counters.reduce(0) { $0 + $1.tls.refused.value } }
    registry.counter(
      "engram_tls_broken_sessions_total", "TLS sessions that ended by a record that was damaged or forged."
    ) { counters.reduce(0) { $0 + $1.tls.broken.value } }
    registry.gauge("engram_tls_handshakes_open", "TLS handshakes under way.") {
      Double(door.context?.handshakesUnderWay ?? 0)
    }
    registry.gauge(
      "engram_tls_certificate_expiry_timestamp_seconds", "When the server's certificate ends; 0 without TLS."
    ) { Double(door.context?.certificateExpires ?? 0) }
  }

  private static func register(_ registry: Registry, _ loop: EventLoop) {
    let counters = loop.counters
    func counter(_ name: String, _ help: String, _ read: @escaping @Sendable (LoopCounters) -> UInt64) {
      registry.counter(name, help, [Label("loop", "\(loop.index)")]) { read(counters) }
    }
    counter("engram_loop_turns_total", "Turns of the event loop.") { $0.turns.value }
    counter("engram_loop_enters_total", "System calls to the ring.") { $0.enters.value }
    counter("engram_loop_completions_total", "Completions reaped.") { $0.completions.value }
    counter("engram_loop_enqueues_total", "Jobs enqueued on the loop by itself.") { $0.enqueues.value }
    counter("engram_loop_remote_enqueues_total", "Jobs enqueued on the loop by other threads.") {
      $0.remoteEnqueues.value
    }
    counter("engram_loop_wakes_total", "Times that another thread woke the loop.") { $0.wakes.value }
    counter("engram_loop_submission_stalls_total", "Times that the submission queue was full.") {
      $0.sqFull.value
    }
    counter("engram_loop_completion_overflows_total", "Turns that found the completion queue overflown.") {
      $0.cqOverflow.value
    }
    counter("engram_receive_buffer_shortages_total", "Times without a buffer to receive into.") {
      $0.bufferShortages.value
    }
    counter("engram_connections_accepted_total", "Connections accepted.") { $0.accepted.value }
    counter("engram_accept_pauses_total", "Times that accepting paused for want of descriptors or memory.") {
      $0.acceptPauses.value
    }
    counter("engram_received_bytes_total", "Bytes received from clients.") { $0.receivedBytes.value }
    counter("engram_sent_bytes_total", "Bytes sent to clients.") { $0.sentBytes.value }
  }
}
