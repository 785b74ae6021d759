import Telemetry
import Testing

@Suite struct RegistryTests {
  private func text(_ registry: Registry) -> String { String(decoding: registry.render(), as: UTF8.self) }

  @Test func rendersCountersAndGauges() {
    let registry = Registry()
    let get = registry.counter("engram_requests_total", "Requests answered.", [Label("method", "GET")])
    get.add(3)
    registry.counter("engram_requests_total", "Requests answered.", [Label("method", "POST")]).add(4)
    registry.gauge("engram_connections", "Open connections.").set(-2)
    registry.gauge("engram_log_bytes", "Bytes of log.") { 1.5 }
    registry.counter("engram_switches_total", "Counted elsewhere.") { 9 }
    #expect(
      text(registry) == """
        # HELP engram_requests_total Requests answered.
        # TYPE engram_requests_total counter
        engram_requests_total{method="GET"} 3
        engram_requests_total{method="POST"} 4
        # HELP engram_connections Open connections.
        # TYPE engram_connections gauge
        engram_connections -2
        # HELP engram_log_bytes Bytes of log.
        # TYPE engram_log_bytes gauge
        engram_log_bytes 1.5
        # HELP engram_switches_total Counted elsewhere.
        # TYPE engram_switches_total counter
        engram_switches_total 9

        """)
    #expect(
      registry.names
        == ["engram_requests_total", "engram_connections", "engram_log_bytes", "engram_switches_total"])
  }

  @Test func sumsEqualSeriesOfSeveralLoops() {
    let registry = Registry()
    for loop in 0..<3 {
      registry.counter("a_total", "Summed.").add(UInt64(loop))
      registry.counter("b_total", "Apart.", [Label("loop", "\(loop)")]).add(UInt64(loop))
      registry.gauge("c", "Summed.", [Label("x", "1"), Label("y", "2")]).add(10)
      registry.gauge("c", "Summed.", [Label("y", "2"), Label("x", "1")]) { 0.5 }
    }
    let lines = text(registry).split(separator: "\n").filter { !$0.hasPrefix("#") }
    #expect(
      lines == [
        "a_total 3", "b_total{loop=\"0\"} 0", "b_total{loop=\"1\"} 1", "b_total{loop=\"2\"} 2",
        "c{x=\"1\",y=\"2\"} 31.5",
      ])
  }

  @Test func aHistogramIsCumulative() {
    let registry = Registry()
    let first = registry.histogram("engram_commit_seconds", "Commit.", .seconds, [Label("disk", "a")])
    let second = registry.histogram("engram_commit_seconds", "Commit.", .seconds, [Label("disk", "a")])
    first.record(1500)
    second.record(1_000_000_000)
    second.record(100_000_000_001)
    let lines = text(registry).split(separator: "\n")
    #expect(lines.contains("# TYPE engram_commit_seconds histogram"))
    #expect(lines.contains("engram_commit_seconds_bucket{disk=\"a\",le=\"0.000001\"} 0"))
    #expect(lines.contains("engram_commit_seconds_bucket{disk=\"a\",le=\"0.0000015\"} 1"))
    #expect(lines.contains("engram_commit_seconds_bucket{disk=\"a\",le=\"0.786432\"} 1"))
    #expect(lines.contains("engram_commit_seconds_bucket{disk=\"a\",le=\"1.048576\"} 2"))
    #expect(lines.contains("engram_commit_seconds_bucket{disk=\"a\",le=\"67.108864\"} 2"))
    #expect(lines.contains("engram_commit_seconds_bucket{disk=\"a\",le=\"+Inf\"} 3"))
    #expect(lines.contains("engram_commit_seconds_sum{disk=\"a\"} 101.000001501"))
    #expect(lines.contains("engram_commit_seconds_count{disk=\"a\"} 3"))
    #expect(lines.count == 2 + 54 + 2)
  }

  @Test func sizesAreShownInBytes() {
    let registry = Registry()
    registry.histogram("engram_batch_bytes", "Batch.", .bytes).record(4096)
    registry.histogram("engram_batch_units", "Units.", .count).record(3)
    let lines = text(registry).split(separator: "\n")
    #expect(lines.contains("engram_batch_bytes_bucket{le=\"2048\"} 0"))
    #expect(lines.contains("engram_batch_bytes_bucket{le=\"4096\"} 1"))
    #expect(lines.contains("engram_batch_bytes_sum 4096"))
    #expect(lines.contains("engram_batch_units_bucket{le=\"2\"} 0"))
    #expect(lines.contains("engram_batch_units_bucket{le=\"4\"} 1"))
  }

  @Test func textIsEscaped() {
    let registry = Registry()
    registry.gauge("a", "Back\\slash, \"quotes\"\nand a line.", [Label("path", "C:\\\"x\"\né")]).set(1)
    #expect(
      text(registry)
        == "# HELP a Back\\\\slash, \"quotes\"\\nand a line.\n# TYPE a gauge\na{path=\"C:\\\\\\\"x\\\"\\né\"} 1\n"
    )
  }

  @Test(arguments: [
    (Double.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (0, "0"), (-1, "-1"), (0.1, "0.1"),
    (1e300, "1e+300"), (123_456_789, "123456789"), (1.25e-7, "1.25e-07"),
  ])
  func fractionsAreShown(value: Double, expected: String) {
    let registry = Registry()
    registry.gauge("a", "A.") { value }
    #expect(text(registry).hasSuffix("\na \(expected)\n"))
  }

  @Test func aNameAgainstTheConventionsIsAProgrammersError() async {
    await #expect(processExitsWith: .failure) { _ = Registry().counter("engram_requests", "No suffix.") }
    await #expect(processExitsWith: .failure) {
      _ = Registry().gauge("engram_things_total", "Not a counter.")
    }
    await #expect(processExitsWith: .failure) { _ = Registry().gauge("engramThings", "Camels.") }
    await #expect(processExitsWith: .failure) { _ = Registry().gauge("a-b", "A hyphen.") }
    await #expect(processExitsWith: .failure) { _ = Registry().gauge("a_count", "Reserved.") }
    await #expect(processExitsWith: .failure) { _ = Registry().histogram("a", "No unit.", .seconds) }
    await #expect(processExitsWith: .failure) { _ = Label("le", "Reserved.") }
    await #expect(processExitsWith: .failure) {
      let registry = Registry()
      _ = registry.gauge("a", "A gauge.")
      _ = registry.histogram("a", "And a histogram.", .count)
    }
  }
}
