internal import HTTP
internal import Model

/// What the contract says of a route beyond its paths, methods and parameters.
struct Operation {
  struct Content {
    var media: String
    /// JSON Schema.
    var schema: String
    /// By name: the example of an answer bears the name of the request's that it answers.
    var examples: [(name: String, value: String)] = []
  }

  struct Answer {
    var status: Status
    var summary: String
    /// Names in `ContractDocument.fields`.
    var fields: [String] = []
    var content: [Content] = []
    /// JSON of `links`.
    var links: String?
  }

  /// `operationId`, one for each path of the route.
  var ids: [String]
  var tag: String
  var summary: String
  var text = ""
  var body: [Content] = []
  var answers: [Answer]
  /// What can go wrong here besides what can go wrong everywhere.
  var refusals: [ErrorCode] = []
  var security = Security.credential

  /// What a request has to come with, where authentication is on.
  enum Security {
    /// A credential in `Authorization`, or a certificate.
    case credential
    /// The same, or a ticket.
    case ticket
    case nothing
  }
}

extension Operation.Security {
  /// `security`: any one of these. The empty one stands for a server whose authentication is off.
  var text: String {
    switch self {
    case .credential: #"[{},{"bearer":[]},{"certificate":[]}]"#
    case .ticket: #"[{},{"bearer":[]},{"certificate":[]},{"ticket":[]}]"#
    case .nothing: "[]"
    }
  }

  var refusals: [ErrorCode] {
    switch self {
    case .credential, .ticket: [.unauthenticated, .permissionDenied]
    case .nothing: []
    }
  }

  /// `components.securitySchemes`.
  static let schemes = #"""
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token or a JWT."},
    "certificate": {"type": "mutualTLS", "description": "The client's certificate: without Authorization, its name is the agent's."},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket", "description": "Of POST /auth/ticket: once, and for streams only."}
    """#
}

extension Operation {
  static func reference(_ schema: String) -> String { ##"{"$ref":"#/components/schemas/\##(schema)"}"## }

  static func json(_ schema: String, _ examples: [(name: String, value: String)] = []) -> Content {
    Content(media: "application/json", schema: reference(schema), examples: examples)
  }

  /// The operation of a route; nil for none.
  static func of(_ route: Route.Name) -> Operation? {
    switch route {
    case .createUnit: createUnit
    case .createUnits: createUnits
    case .unit: unit
    case .payload: payload
    case .units: units
    case .contexts: contexts
    case .context: context
    case .changeContext: changeContext
    case .acquireLocks: acquireLocks
    case .locks: locks
    case .lock: lock
    case .renewLock: renewLock
    case .releaseLock: releaseLock
    case .search: search
    case .relationships: relationships
    case .searchRelationships: searchRelationships
    case .stream: stream
    case .livez: plain("livez", "Whether the process lives", [])
    case .readyz: readyz
    case .healthz: plain("healthz", "Whether the server is ready, in one word", [.unavailable])
    case .version: version
    case .metrics: metrics
    case .openapi: openapi
    case .createTicket: createTicket
    case .none: nil
    }
  }
}
