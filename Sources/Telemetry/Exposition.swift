/// Writes families of metrics in Prometheus' text format 0.0.4
/// (prometheus.io/docs/instrumenting/exposition_formats).
struct Exposition {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ family: Registry.Family) {
    append("# HELP \(family.name) \(Exposition.escaped(family.help, quotes: false))\n")
    append("# TYPE \(family.name) \(family.kind.rawValue)\n")
    for series in family.series {
      let labels = series.labels.map { "\($0.name)=\"\(Exposition.escaped($0.value, quotes: true))\"" }
      switch family.kind {
      case .counter: line(family.name, labels, Exposition.counted(series.sources))
      case .gauge: line(family.name, labels, Exposition.measured(series.sources))
      case .histogram: append(histograms: series.sources, family, labels)
      }
    }
  }

  private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

  private mutating func line(_ name: String, _ labels: [String], _ value: String) {
    append(name)
    if !labels.isEmpty { append("{\(labels.joined(separator: ","))}") }
    append(" \(value)\n")
  }

  /// Buckets count everything up to their bound, and `_count` is the last of them, so that one scrape agrees
  /// with itself while others go on recording.
  private mutating func append(histograms: [Registry.Source], _ family: Registry.Family, _ labels: [String]) {
    guard let scale = family.scale else { return }
    var below: UInt64 = 0
    var sum: UInt64 = 0
    for index in 0...scale.bounds {
      for case .histogram(let histogram) in histograms { below &+= histogram.count(inBucket: index) }
      let bound = index == scale.bounds ? "+Inf" : Exposition.shown(scale.bound(index), scale)
      line("\(family.name)_bucket", labels + ["le=\"\(bound)\""], String(below))
    }
    for case .histogram(let histogram) in histograms { sum &+= histogram.sum }
    line("\(family.name)_sum", labels, Exposition.shown(sum, scale))
    line("\(family.name)_count", labels, String(below))
  }

  private static func counted(_ sources: [Registry.Source]) -> String {
    var isTime = false
    var sum: UInt64 = 0
    for source in sources {
      switch source {
      case .counter(let counter): sum &+= counter.value
      case .countedBy(let read): sum &+= read()
      case .timedBy(let read):
        isTime = true
        sum &+= read()
      default: break
      }
    }
    return isTime ? shown(sum, .seconds) : String(sum)
  }

  /// Gauges of whole numbers are summed and shown exactly; a computed one makes the sum a fraction.
  private static func measured(_ sources: [Registry.Source]) -> String {
    var whole: Int64 = 0
    var fraction: Double?
    for source in sources {
      switch source {
      case .gauge(let gauge): whole &+= gauge.value
      case .measuredBy(let read): fraction = (fraction ?? 0) + read()
      default: break
      }
    }
    guard let fraction else { return String(whole) }
    return shown(fraction + Double(whole))
  }

  private static func shown(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : value.description
  }

  /// Nanoseconds as seconds without rounding, other values as they are.
  private static func shown(_ value: UInt64, _ scale: Histogram.Scale) -> String {
    guard scale.isNanoseconds else { return String(value) }
    var fraction = String(value % 1_000_000_000)
    guard fraction != "0" else { return String(value / 1_000_000_000) }
    fraction = String(repeating: "0", count: 9 - fraction.utf8.count) + fraction
    while fraction.hasSuffix("0") { fraction.removeLast() }
    return "\(value / 1_000_000_000).\(fraction)"
  }

  /// Backslash and line feed, and in label values the quotation mark too.
  private static func escaped(_ text: String, quotes: Bool) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\"" where quotes: out += "\\\""
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
