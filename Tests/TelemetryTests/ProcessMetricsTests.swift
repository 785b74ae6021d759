import Glibc
import Testing

@testable import Telemetry

/// What the kernel says of this very process.
@Suite(.serialized) struct ProcessMetricsTests {
  /// The value of a series without labels, or with these.
  private func value(_ registry: Registry, _ series: String) throws -> Double {
    let text = String(decoding: registry.render(), as: UTF8.self)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(series + " ") }, "\(series)")
    return try #require(line.split(separator: " ").last.flatMap { Double($0) })
  }

  @Test func `figures are those of a living process`() throws {
    let registry = Registry()
    let process = ProcessMetrics(registry)
    let resident = try value(registry, "process_resident_memory_bytes")
    #expect(resident > Double(1 << 20))
    #expect(try value(registry, "process_virtual_memory_bytes") >= resident)
    #expect(try value(registry, "process_cpu_seconds_total") > 0)
    #expect(try value(registry, "process_max_fds") >= value(registry, "process_open_fds"))
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let started = try value(registry, "process_start_time_seconds")
    #expect(started > 0 && started <= Double(now.tv_sec) + 1)
    withExtendedLifetime(process) {}
  }

  @Test func `descriptors that are opened are seen`() throws {
    let registry = Registry()
    let process = ProcessMetrics(registry)
    let before = try value(registry, "process_open_fds")
    let opened = (0..<50).map { _ in open("/dev/null", O_RDONLY | O_CLOEXEC) }
    defer { for descriptor in opened { close(descriptor) } }
    process.sample()
    // Others of this process may open and close theirs meanwhile.
    #expect(try value(registry, "process_open_fds") > before + 25)
  }

  @Test func `every thread is counted under some name`() {
    let threads = ProcessMetrics.threads()
    #expect(threads.map(\.name) == ProcessMetrics.threadNames)
    #expect(threads.reduce(0) { $0 + $1.count } >= 1)
    #expect(threads.reduce(0) { $0 + $1.busy } > 0)
  }

  @Test func `nanoseconds are shown as seconds, summed over sources`() {
    let registry = Registry()
    registry.secondsCounter("a_seconds_total", "Time.", nanoseconds: { 1_500_000_000 })
    registry.secondsCounter("a_seconds_total", "Time.", nanoseconds: { 1 })
    let text = String(decoding: registry.render(), as: UTF8.self)
    #expect(text.hasSuffix("a_seconds_total 1.500000001\n"))
  }
}
