internal import Synchronization

/// A label of a series: `loop="0"`.
public struct Label: Hashable, Sendable {
  public let name: String
  public let value: String

  /// The name is a letter or `_`, then letters, digits or `_`; not `le`, and not beginning with `__` (required).
  /// The value is any text.
  public init(_ name: String, _ value: String) {
    precondition(Names.isLabel(name), "not a label name: \(name)")
    self.name = name
    self.value = value
  }
}

/// All metrics of a process, and their text for Prometheus (exposition format 0.0.4).
///
/// Metrics are registered while the server starts; reading and rendering are for any thread. Series of one name
/// form a family, with one help text and one type. Several of equal name and labels (one per loop, so that
/// loops don't share cache lines) are shown as their sum. Names follow the conventions of `promtool check
/// metrics`: `_total` ends a counter and nothing else, base units, unit last.
public final class Registry: Sendable {
  enum Source: Sendable {
    case counter(Counter)
    case countedBy(@Sendable () -> UInt64)
    case timedBy(@Sendable () -> UInt64)
    case gauge(Gauge)
    case measuredBy(@Sendable () -> Double)
    case histogram(Histogram)
  }

  enum Kind: String {
    case counter, gauge, histogram
  }

  struct Series: Sendable {
    let labels: [Label]
    var sources: [Source]
  }

  struct Family: Sendable {
    let name: String
    let help: String
    let kind: Kind
    let scale: Histogram.Scale?
    var series: [Series]
  }

  private let families = Mutex<[Family]>([])

  public init() {}

  /// A new counter. `name` ends in `_total`.
  public func counter(_ name: String, _ help: String, _ labels: [Label] = []) -> Counter {
    let counter = Counter()
    add(name, help, .counter, nil, labels, .counter(counter))
    return counter
  }

  /// A counter that is kept elsewhere and asked for at each scrape, by any thread.
  public func counter(
    _ name: String, _ help: String, _ labels: [Label] = [], from read: @escaping @Sendable () -> UInt64
  ) {
    add(name, help, .counter, nil, labels, .countedBy(read))
  }

  /// A counter of seconds that is kept elsewhere, in nanoseconds. `name` ends in `_seconds_total`.
  public func secondsCounter(
    _ name: String, _ help: String, _ labels: [Label] = [],
    nanoseconds read: @escaping @Sendable () -> UInt64
  ) {
    precondition(name.hasSuffix("_seconds_total"), "a counter of seconds: \(name)")
    add(name, help, .counter, nil, labels, .timedBy(read))
  }

  /// A new gauge, at 0.
  public func gauge(_ name: String, _ help: String, _ labels: [Label] = []) -> Gauge {
    let gauge = Gauge()
    add(name, help, .gauge, nil, labels, .gauge(gauge))
    return gauge
  }

  /// A gauge that is computed at each scrape, by the thread that scrapes.
  public func gauge(
    _ name: String, _ help: String, _ labels: [Label] = [], from read: @escaping @Sendable () -> Double
  ) {
    add(name, help, .gauge, nil, labels, .measuredBy(read))
  }

  /// A new histogram. `name` ends in `_seconds` or `_bytes` for these scales.
  public func histogram(
    _ name: String, _ help: String, _ scale: Histogram.Scale, _ labels: [Label] = []
  ) -> Histogram {
    let histogram = Histogram(scale)
    add(name, help, .histogram, scale, labels, .histogram(histogram))
    return histogram
  }

  private func add(
    _ name: String, _ help: String, _ kind: Kind, _ scale: Histogram.Scale?, _ labels: [Label],
    _ source: Source
  ) {
    precondition(Names.isMetric(name, kind, scale), "a metric name against the conventions: \(name)")
    precondition(!help.isEmpty, "a metric without help: \(name)")
    precondition(Set(labels.map(\.name)).count == labels.count, "a label twice: \(name)")
    let sorted = labels.sorted { $0.name < $1.name }
    families.withLock { families in
      guard let index = families.firstIndex(where: { $0.name == name }) else {
        let series = Series(labels: sorted, sources: [source])
        families.append(Family(name: name, help: help, kind: kind, scale: scale, series: [series]))
        return
      }
      precondition(families[index].kind == kind && families[index].scale == scale, "two types of \(name)")
      if let known = families[index].series.firstIndex(where: { $0.labels == sorted }) {
        families[index].series[known].sources.append(source)
      } else {
        families[index].series.append(Series(labels: sorted, sources: [source]))
      }
    }
  }

  /// The names of all families, in order of registration: every one of them has its page.
  public var names: [String] { families.withLock { $0.map(\.name) } }

  /// The exposition, in UTF-8; its content type is `text/plain; version=0.0.4; charset=utf-8`. Reads without
  /// stopping those who count; callbacks run on this thread, outside the registry's lock.
  public func render() -> [UInt8] {
    let families = families.withLock { $0 }
    var exposition = Exposition()
    for family in families { exposition.append(family) }
    return exposition.bytes
  }
}

/// What names may look like.
enum Names {
  static func isLabel(_ name: String) -> Bool {
    isIdentifier(name) && name != "le" && !name.hasPrefix("__")
  }

  static func isMetric(_ name: String, _ kind: Registry.Kind, _ scale: Histogram.Scale?) -> Bool {
    guard isIdentifier(name), !name.utf8.contains(where: { $0 &- 0x41 < 26 }) else { return false }
    for reserved in ["_count", "_sum", "_bucket"] where name.hasSuffix(reserved) { return false }
    guard name.hasSuffix("_total") == (kind == .counter) else { return false }
    return switch scale {
    case .seconds: name.hasSuffix("_seconds")
    case .bytes: name.hasSuffix("_bytes")
    case .count, nil: true
    }
  }

  private static func isIdentifier(_ name: String) -> Bool {
    guard let first = name.utf8.first, first &- 0x30 >= 10 else { return false }
    return name.utf8.allSatisfy { $0 == 0x5f || $0 &- 0x30 < 10 || ($0 | 0x20) &- 0x61 < 26 }
  }
}
