internal import Bytes
internal import HTTP
internal import Model

/// The table of routes: a path and what it answers to.
public enum Route {
  /// A route's name in metrics and logs.
  public enum Name: String, CaseIterable, Sendable {
    case createUnit = "POST /workunit"
    case unit = "GET /workunit/{id}"
    case payload = "GET /workunit/{id}/payload"
    case units = "GET /workunits/{context_id}"
    case stream = "GET /stream"
    case livez = "GET /livez"
    case readyz = "GET /readyz"
    case healthz = "GET /healthz"
    case version = "GET /version"
    case metrics = "GET /metrics"
    case none = "none"

    /// Its place in `allCases`.
    var index: Int {
      switch self {
      case .createUnit: 0
      case .unit: 1
      case .payload: 2
      case .units: 3
      case .stream: 4
      case .livez: 5
      case .readyz: 6
      case .healthz: 7
      case .version: 8
      case .metrics: 9
      case .none: 10
      }
    }
    var methods: StaticString { self == .createUnit ? "POST" : "GET, HEAD" }
    func takes(_ method: Method) -> Bool {
      self == .createUnit ? method == .post : method == .get || method == .head
    }
  }

  /// A route and the segment of the path that names something.
  struct Match {
    var name: Name
    var subject: ByteRun
  }

  /// The route of a request's path, if there is one. `/v1` before any path means the same path.
  static func match(_ path: ByteRun, in bytes: UnsafeRawBufferPointer) -> Match? {
    var segments = PathSegments(path, in: bytes)
    guard var first = segments.next() else { return nil }
    if ASCII.equal(first.bytes(in: bytes), "v1") {
      guard let next = segments.next() else { return nil }
      first = next
    }
    let second = segments.next()
    let third = segments.next()
    guard segments.next() == nil else { return nil }
    let nothing = ByteRun(offset: 0, length: 0)
    let name = first.bytes(in: bytes)
    guard let second else { return single(name).map { Match(name: $0, subject: nothing) } }
    guard let third else {
      if ASCII.equal(name, "workunit") { return Match(name: .unit, subject: second) }
      if ASCII.equal(name, "workunits") { return Match(name: .units, subject: second) }
      if ASCII.equal(name, "stream"), ASCII.equal(second.bytes(in: bytes), "sse") {
        return Match(name: .stream, subject: nothing)
      }
      return nil
    }
    if ASCII.equal(name, "workunit"), ASCII.equal(third.bytes(in: bytes), "payload") {
      return Match(name: .payload, subject: second)
    }
    return nil
  }

  private static func single(_ name: UnsafeRawBufferPointer) -> Name? {
    switch name.count {
    case 5: return ASCII.equal(name, "livez") ? .livez : nil
    case 6:
      if ASCII.equal(name, "readyz") { return .readyz }
      return ASCII.equal(name, "stream") ? .stream : nil
    case 7:
      if ASCII.equal(name, "healthz") { return .healthz }
      if ASCII.equal(name, "version") { return .version }
      return ASCII.equal(name, "metrics") ? .metrics : nil
    case 8: return ASCII.equal(name, "workunit") ? .createUnit : nil
    case 10: return ASCII.equal(name, "stream-sse") ? .stream : nil
    default: return nil
    }
  }
}
