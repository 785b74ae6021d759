internal import Model

/// A parameter of routes: what a handler asks its query for, and what the contract says of it.
struct Parameter: Sendable {
  enum Place: String, Sendable {
    case path, query, header
  }

  /// As it stands on the wire. The name in a path is the template's.
  var name: String
  var place: Place
  /// One or two sentences for `description`.
  var summary: String
  /// JSON Schema of the value.
  var schema: String
  /// JSON of a value that is taken.
  var example: String?
  /// Whether names of this parameter go on behind a dot, as `metadata.KEY` does.
  var isFamily = false
  /// Whether several values stand in one, between commas.
  var isList = false

  init(
    _ place: Place, _ name: String, _ summary: String, _ schema: String, example: String? = nil,
    isFamily: Bool = false, isList: Bool = false
  ) {
    self.place = place
    self.name = name
    self.summary = summary
    self.schema = schema
    self.example = example
    self.isFamily = isFamily
    self.isList = isList
  }

  /// Whether both are one parameter of a request.
  func isSame(as other: Parameter) -> Bool { name == other.name && place == other.place }
}

extension Route.Name {
  /// The names that the query of this route may have.
  var queryNames: [String] { Self.queryNames[index] }

  private static let queryNames = allCases.map { route in
    route.parameters.filter { $0.place == .query && !$0.isFamily }.map(\.name)
  }

  /// What further names may begin with.
  var queryFamily: String? { Self.queryFamilies[index] }

  private static let queryFamilies = allCases.map { route in
    route.parameters.first { $0.place == .query && $0.isFamily }.map { $0.name + "." }
  }
}

extension Query {
  /// The query of a request, which may have the parameters that the table of routes has for `route`, and no others.
  init(_ exchange: Exchange, _ route: Route.Name) throws(Problem) {
    try self.init(exchange, known: route.queryNames, prefix: route.queryFamily)
  }
}

/// Patterns of JSON Schema (ECMA-262), as they stand in JSON.
enum Pattern {
  /// Text without control characters (C0, DEL and C1).
  static let plain = #"^[^\\u0000-\\u001f\\u007f-\\u009f]+$"#
  static let plainOrEmpty = #"^[^\\u0000-\\u001f\\u007f-\\u009f]*$"#
  /// Text of a field: visible ASCII at both ends.
  static let field = #"^[!-~]([ -~]*[!-~])?$"#
  /// A UUID of version 7 (RFC 9562), in either case.
  static let unitID =
    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
}

extension Parameter {
  private static let identifier = ##"{"$ref":"#/components/schemas/Identifier"}"##
  private static let type = ##"{"$ref":"#/components/schemas/WorkUnitTypeIn"}"##
  private static let relationshipType = ##"{"$ref":"#/components/schemas/RelationshipTypeIn"}"##
  private static let time = ##"{"$ref":"#/components/schemas/Time"}"##
  private static let whole = #"{"type":"integer","minimum":0,"maximum":\#(Limits.integerMax)}"#

  // MARK: Paths

  static let unitID = Parameter(
    .path, "id", "The unit's id.", ##"{"$ref":"#/components/schemas/UnitID"}"##,
    example: "\"\(Examples.unitID)\"")
  static let contextID = Parameter(
    .path, "context_id", "The context's id: one percent-encoded segment.", identifier, example: "\"demo\"")

  // MARK: Fields

  static let requestID = Parameter(
    .header, "X-Request-ID",
    "The caller's name for this request, which the answer carries back. One that isn't of 1 to "
      + "\(Limits.requestIDBytesMax) visible ASCII characters is ignored: the server makes its own.",
    #"{"type":"string"}"#, example: "\"req-1\"")
  static let callingAgent = Parameter(
    .header, "X-Agent-ID",
    "Who is asking. If the body names an agent too, both must be the same; one of them must be there. An id "
      + "beyond ASCII is sent in UTF-8.",
    #"{"type":"string","maxLength":\#(Limits.identifierBytesMax),"pattern":"\#(Pattern.field)"}"#,
    example: "\"anna\"")
  static let idempotencyKey = Parameter(
    .header, "Idempotency-Key",
    "Makes a retry safe, per agent, for \(Limits.idempotencyMicroseconds / 3_600_000_000) h of log time: a stored "
      + "success is answered again; another path or body with the key is a 422; while the first request is under "
      + "way, a duplicate waits for it.",
    #"{"type":"string","minLength":1,"maxLength":\#(Limits.idempotencyKeyBytesMax)}"#,
    example: "\"7b1f0c9e-post-1\"")
  static let prefer = Parameter(
    .header, "Prefer",
    "`return=minimal` (RFC 7240) asks for id, sequence and position only. Other preferences are ignored.",
    #"{"type":"string"}"#, example: #""return=minimal""#)
  static let ifNoneMatch = Parameter(
    .header, "If-None-Match",
    "An entity tag that the caller has, a list of them, or `*`: 304 if one is current.",
    #"{"type":"string"}"#, example: #""\"tag\"""#)
  static let range = Parameter(
    .header, "Range",
    "One range of bytes (RFC 9110, section 14): 206, or 416 beyond the end. Several ranges, other units and "
      + "malformed ones are ignored.", #"{"type":"string"}"#, example: #""bytes=0-1""#)
  static let ifRange = Parameter(
    .header, "If-Range", "The entity tag for which `Range` is meant: if it isn't current, the whole is sent.",
    #"{"type":"string"}"#)
  static let lastEventID = Parameter(
    .header, "Last-Event-ID", "The `id` of the last event that the caller saw. Beats `after`.",
    #"{"type":"string","pattern":"^(0|[1-9][0-9]*)$"}"#, example: "\"0\"")

  // MARK: Queries

  static let limit = Parameter(
    .query, "limit", "At most so many of one page.",
    #"{"type":"integer","minimum":1,"maximum":\#(Limits.pageMax),"default":\#(Limits.pageDefault)}"#,
    example: "10")
  static let cursor = Parameter(
    .query, "cursor",
    "The `next_cursor` of the page before, with the same query otherwise. Empty: the first page.",
    #"{"type":"string","pattern":"^[A-Za-z0-9_-]*$"}"#)
  static let after = Parameter(
    .query, "after", "Only units whose sequence is greater.", whole, example: "0")
  static let before = Parameter(
    .query, "before", "Only units whose sequence is less.", whole, example: "1000")
  static let reverse = Parameter(
    .query, "reverse", "Newest first.", #"{"type":"boolean","default":false}"#, example: "true")
  static let types = Parameter(
    .query, "type", "Only units of this type, or of one of several.", #"{"type":"array","items":\#(type)}"#,
    example: #"["MESSAGE","REASONING"]"#)
  static let agentOfUnits = Parameter(
    .query, "agent_id", "Only units of this agent.", identifier, example: "\"anna\"")
  static let since = Parameter(
    .query, "since", "Only units of this time and later.", time, example: "\"2020-01-01T00:00:00Z\"")
  static let until = Parameter(
    .query, "until", "Only units before this time.", time, example: "\"2100-01-01T00:00:00Z\"")
  static let metadata = Parameter(
    .query, "metadata",
    "`metadata.KEY=VALUE`: only units whose metadata have this pair. May stand for several keys; all must match.",
    #"{"type":"object","patternProperties":{"^metadata\\..":{"type":"string","maxLength":\#(Limits.metadataValueBytesMax)}},"#
      + #""propertyNames":{"pattern":"^metadata\\..","maxLength":\#(Limits.metadataKeyBytesMax + 9)},"#
      + #""additionalProperties":false,"maxProperties":\#(Limits.metadataPairsMax)}"#,
    example: #"{"metadata.mood":"good"}"#, isFamily: true)
  static let prefix = Parameter(
    .query, "prefix", "Only contexts whose id begins so.",
    #"{"type":"string","maxLength":\#(Limits.identifierBytesMax),"pattern":"\#(Pattern.plainOrEmpty)"}"#,
    example: "\"de\"")
  static let agentOfContexts = Parameter(
    .query, "agent_id", "Only contexts that this agent has joined.", identifier, example: "\"anna\"")
  static let ifMatch = Parameter(
    .header, "If-Match",
    "The context's entity tag, or several, or `*` for one that exists: the change is refused (412) unless the "
      + "revision, the part before the point, is current.", #"{"type":"string"}"#)
  static let include = Parameter(
    .query, "include",
    "What to add to the context: its pinned units, its newest \(Limits.pageDefault) units. With it the answer is "
      + "never a 304.",
    #"{"type":"array","items":{"enum":["pinned","recent"]},"minItems":1}"#,
    example: #"["pinned","recent"]"#, isList: true)
  static let verbose = Parameter(
    .query, "verbose", "Lists the checks.", #"{"type":"string","enum":["","true","false"]}"#,
    example: "\"true\"")

  // MARK: Locks

  static let resourcePath = Parameter(
    .path, "path",
    "What the lock protects: all that is left of the path. In a template it is one segment, percent-encoded (`%2F` is "
      + "`/`); slashes may also stand as they are, which OpenAPI can't say.",
    ##"{"$ref":"#/components/schemas/ResourcePath"}"##, example: "\"\(Examples.lockPath)\"")
  static let prefixOfPaths = Parameter(
    .query, "prefix", "Only locks whose path begins so.",
    #"{"type":"string","maxLength":\#(Limits.resourcePathBytesMax + 1),"pattern":"\#(Pattern.plainOrEmpty)"}"#,
    example: "\"repo/\"")
  static let agentOfLocks = Parameter(
    .query, "agent_id", "Only locks that this agent holds.", identifier, example: "\"anna\"")
  static let holder = Parameter(
    .query, "agent_id", "Who releases the lock, unless `X-Agent-ID` says so.", identifier, example: "\"anna\""
  )
  static let lockID = Parameter(
    .query, "lock_id", "The lock's id: it is released only if it is this one.",
    ##"{"$ref":"#/components/schemas/UnitID"}"##, example: "\"\(Examples.lockID)\"")
  static let force = Parameter(
    .query, "force", "Releases the lock whoever holds it, and says who did.",
    #"{"type":"boolean","default":false}"#, example: "true")

  // MARK: Graph

  static let direction = Parameter(
    .query, "direction",
    "Which relationships to follow: `outgoing`, to the units that a unit names; `incoming`, to those that name it.",
    #"{"enum":["incoming","outgoing","both"],"default":"both"}"#, example: "\"incoming\"")
  static let relationshipTypes = Parameter(
    .query, "type", "Only relationships of this type, or of one of several. By name or number.",
    #"{"type":"array","items":\#(relationshipType)}"#, example: #"["RESPONDS_TO","CAUSES"]"#)
  static let depth = Parameter(
    .query, "depth", "How many steps to go.",
    #"{"type":"integer","minimum":1,"maximum":\#(Limits.graphDepthMax),"default":1}"#, example: "2")
  static let graphLimit = Parameter(
    .query, "limit", "At most so many units.",
    #"{"type":"integer","minimum":1,"maximum":\#(Limits.graphPageMax),"default":\#(Limits.graphPageDefault)}"#,
    example: "10")

  // MARK: Streams

  static let contexts = Parameter(
    .query, "context", "A context to follow, or several; none: all. Events of locks ignore it.",
    #"{"type":"array","items":\#(identifier),"maxItems":\#(Limits.subscriptionContextsMax)}"#,
    example: #"["demo"]"#)
  static let start = Parameter(
    .query, "after", "The cursor to begin behind; `0`: from the start. Without it only what is new is sent.",
    #"{"type":"string","pattern":"^(0|[1-9][0-9]*)$"}"#, example: "\"0\"")
  static let streamTypes = Parameter(
    .query, "type", "Of units only those of this type, or of one of several. Other events ignore it.",
    #"{"type":"array","items":\#(type)}"#, example: #"["MESSAGE","REASONING"]"#)
  static let agents = Parameter(
    .query, "agent", "Of units only those of this agent, or of one of several. Other events ignore it.",
    #"{"type":"array","items":\#(identifier),"maxItems":\#(Limits.subscriptionAgentsMax)}"#,
    example: #"["anna"]"#)
  static let events = Parameter(
    .query, "events", "Which events to send. Repeated, or separated by commas.",
    #"{"type":"array","items":{"enum":["workunit","context","lock"]},"default":["workunit"]}"#,
    example: #"["workunit","context"]"#)
  static let ticket = Parameter(
    .query, "ticket",
    "A ticket of `POST /auth/ticket`, for those who can't send `Authorization`, which goes before it. It is good once. "
      + "Without authentication it is ignored.", #"{"type":"string"}"#)
  static let lock = Parameter(
    .query, "lock",
    "Of locks' events only those of paths that begin so, byte by byte; a leading slash is dropped. It asks for none: "
      + "`events` does.",
    #"{"type":"string","maxLength":\#(Limits.resourcePathBytesMax),"pattern":"\#(Pattern.plainOrEmpty)"}"#,
    example: "\"repo/\"")
}
