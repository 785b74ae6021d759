internal import Bytes
internal import HTTP
internal import Model

/// The table of routes: a path and what it answers to.
public enum Route {
  /// A route's name in metrics and logs.
  public enum Name: String, CaseIterable, Sendable {
    case createUnit = "POST /workunit"
    case createUnits = "POST /workunits"
    case unit = "GET /workunit/{id}"
    case payload = "GET /workunit/{id}/payload"
    case units = "GET /workunits/{context_id}"
    case contexts = "GET /contexts"
    case context = "GET /contexts/{id}"
    case changeContext = "PATCH /contexts/{id}"
    case acquireLocks = "POST /locks"
    case locks = "GET /locks"
    case lock = "GET /locks/{path}"
    case renewLock = "PUT /locks/{path}"
    case releaseLock = "DELETE /locks/{path}"
    case search = "POST /search"
    case relationships = "GET /workunit/{id}/relationships"
    case searchRelationships = "POST /search/relationships"
    case stream = "GET /stream"
    case livez = "GET /livez"
    case readyz = "GET /readyz"
    case healthz = "GET /healthz"
    case version = "GET /version"
    case metrics = "GET /metrics"
    case openapi = "GET /openapi.json"
    case createTicket = "POST /auth/ticket"
    case none = "none"

    /// Its place in `allCases`.
    var index: Int {
      switch self {
      case .createUnit: 0
      case .createUnits: 1
      case .unit: 2
      case .payload: 3
      case .units: 4
      case .contexts: 5
      case .context: 6
      case .changeContext: 7
      case .acquireLocks: 8
      case .locks: 9
      case .lock: 10
      case .renewLock: 11
      case .releaseLock: 12
      case .search: 13
      case .relationships: 14
      case .searchRelationships: 15
      case .stream: 16
      case .livez: 17
      case .readyz: 18
      case .healthz: 19
      case .version: 20
      case .metrics: 21
      case .openapi: 22
      case .createTicket: 23
      case .none: 24
      }
    }
    func takes(_ method: Method) -> Bool {
      switch self {
      case .createUnit, .createUnits, .acquireLocks, .search, .searchRelationships, .createTicket:
        method == .post
      case .changeContext: method == .patch
      case .renewLock: method == .put
      case .releaseLock: method == .delete
      default: method == .get || method == .head
      }
    }
    /// Whether anybody reads a request's body.
    var takesBody: Bool {
      switch self {
      case .createUnit, .createUnits, .changeContext, .acquireLocks, .renewLock, .search,
        .searchRelationships, .createTicket:
        true
      default: false
      }
    }
    var isAppend: Bool { self == .createUnit || self == .createUnits }
    /// Routes of the same paths, by other methods.
    private var siblings: [Name] {
      switch self {
      case .context: [.changeContext]
      case .locks: [.acquireLocks]
      case .lock: [.renewLock, .releaseLock]
      default: []
      }
    }
    /// The route of this one's path that takes the method.
    func taking(_ method: Method) -> Name? {
      takes(method) ? self : siblings.first { $0.takes(method) }
    }
    /// For `Allow`: all methods of the path that `match` leads to.
    var methods: StaticString {
      switch self {
      case .createUnit, .createUnits, .search, .searchRelationships, .createTicket: "POST"
      case .context: "GET, HEAD, PATCH"
      case .locks: "GET, HEAD, POST"
      case .lock: "GET, HEAD, PUT, DELETE"
      default: "GET, HEAD"
      }
    }

    /// The paths that lead here, as templates; `/v1` may stand before each. What `match` finds and what the
    /// contract says is held against them by tests.
    var paths: [String] {
      switch self {
      case .createUnit: ["/workunit"]
      case .createUnits: ["/workunits"]
      case .unit: ["/workunit/{id}"]
      case .payload: ["/workunit/{id}/payload"]
      case .units: ["/workunits/{context_id}", "/contexts/{id}/workunits"]
      case .contexts: ["/contexts"]
      case .context, .changeContext: ["/contexts/{id}"]
      case .locks, .acquireLocks: ["/locks"]
      case .lock, .renewLock, .releaseLock: ["/locks/{path}"]
      case .search: ["/search"]
      case .relationships: ["/workunit/{id}/relationships"]
      case .searchRelationships: ["/search/relationships"]
      case .stream: ["/stream", "/stream/sse", "/stream-sse"]
      case .livez: ["/livez"]
      case .readyz: ["/readyz"]
      case .healthz: ["/healthz"]
      case .version: ["/version"]
      case .metrics: ["/metrics"]
      case .openapi: ["/openapi.json"]
      case .createTicket: ["/auth/ticket"]
      case .none: []
      }
    }

    /// The parameters that are taken, beyond those of every request.
    var parameters: [Parameter] {
      switch self {
      case .createUnit, .createUnits: [.callingAgent, .idempotencyKey, .prefer]
      case .unit: [.unitID]
      case .payload: [.unitID, .ifNoneMatch, .range, .ifRange]
      case .units:
        [
          .contextID, .limit, .after, .before, .reverse, .types, .agentOfUnits, .since, .until, .metadata,
          .cursor,
        ]
      case .contexts: [.prefix, .agentOfContexts, .limit, .cursor]
      case .context: [.contextID, .include, .ifNoneMatch]
      case .changeContext: [.contextID, .callingAgent, .ifMatch]
      case .acquireLocks: [.callingAgent]
      case .locks: [.prefixOfPaths, .agentOfLocks, .limit, .cursor]
      case .lock: [.resourcePath]
      case .renewLock: [.resourcePath, .callingAgent]
      case .releaseLock: [.resourcePath, .callingAgent, .holder, .lockID, .force]
      case .relationships: [.unitID, .direction, .relationshipTypes, .depth, .graphLimit]
      case .searchRelationships: []
      case .stream: [.contexts, .start, .streamTypes, .agents, .events, .lock, .ticket, .lastEventID]
      case .readyz: [.verbose]
      case .openapi: [.ifNoneMatch]
      case .search, .livez, .healthz, .version, .metrics, .createTicket, .none: []
      }
    }
  }

  /// A route and the part of the path that names something: a segment, or all that stands behind `/locks/`.
  struct Match {
    var name: Name
    var subject: ByteRun
  }

  /// The route of a request's path, if there is one. `/v1` before any path means the same path.
  static func match(_ path: ByteRun, in bytes: UnsafeRawBufferPointer) -> Match? {
    func spells(_ run: ByteRun, _ name: StaticString) -> Bool {
      PercentEncoding.equal(run.bytes(in: bytes), name)
    }
    var segments = PathSegments(path, in: bytes)
    guard var first = segments.next() else { return nil }
    if spells(first, "v1") {
      guard let next = segments.next() else { return nil }
      first = next
    }
    if spells(first, "locks"), case let rest = segments.rest, first.end < path.end {
      return Match(name: .lock, subject: rest)
    }
    let second = segments.next()
    let third = segments.next()
    guard segments.next() == nil else { return nil }
    let nothing = ByteRun(offset: 0, length: 0)
    guard let second else {
      return single(first.bytes(in: bytes)).map { Match(name: $0, subject: nothing) }
    }
    guard let third else {
      if spells(first, "workunit") { return Match(name: .unit, subject: second) }
      if spells(first, "workunits") { return Match(name: .units, subject: second) }
      if spells(first, "contexts") { return Match(name: .context, subject: second) }
      if spells(first, "search"), spells(second, "relationships") {
        return Match(name: .searchRelationships, subject: nothing)
      }
      if spells(first, "auth"), spells(second, "ticket") {
        return Match(name: .createTicket, subject: nothing)
      }
      return spells(first, "stream") && spells(second, "sse") ? Match(name: .stream, subject: nothing) : nil
    }
    if spells(first, "workunit"), spells(third, "payload") { return Match(name: .payload, subject: second) }
    if spells(first, "workunit"), spells(third, "relationships") {
      return Match(name: .relationships, subject: second)
    }
    if spells(first, "contexts"), spells(third, "workunits") { return Match(name: .units, subject: second) }
    return nil
  }

  /// The route of a path of one segment.
  private static func single(_ segment: UnsafeRawBufferPointer) -> Name? {
    func spells(_ name: StaticString) -> Bool { PercentEncoding.equal(segment, name) }
    if spells("workunit") { return .createUnit }
    if spells("workunits") { return .createUnits }
    if spells("contexts") { return .contexts }
    if spells("locks") { return .locks }
    if spells("search") { return .search }
    if spells("openapi.json") { return .openapi }
    if spells("healthz") { return .healthz }
    if spells("stream") || spells("stream-sse") { return .stream }
    if spells("livez") { return .livez }
    if spells("readyz") { return .readyz }
    if spells("version") { return .version }
    return spells("metrics") ? .metrics : nil
  }
}
