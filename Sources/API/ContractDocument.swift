internal import Bytes
internal import HTTP
internal import Model

/// `/openapi.json`: the table of routes (`Route.Name`), `Operation`, `Parameter` and `Schemas` as one OpenAPI 3.1
/// document. Made once per process, when it is first asked for.
struct ContractDocument: Sendable {
  let bytes: [UInt8]
  /// A strong entity tag: the document's fingerprint.
  let tag: String

  init(version: String) {
    bytes = ContractDocument.compact(ContractDocument.text(version))
    let print = bytes.withUnsafeBytes { Fingerprint.of($0) }
    tag = "\"\(String(print.high, radix: 16))\(String(print.low, radix: 16))\""
  }

  // MARK: The document

  static func text(_ version: String) -> String {
    #"""
    {
      "openapi": "3.1.1",
      "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
      "info": {"title": "Engram", "version": \#(quoted(version)), "description": \#(quoted(preface))},
      "servers": [{"url": "/"}, {"url": "/v1", "description": "The same."}],
      "tags": [
        {"name": "units", "description": "Work units: what agents post."},
        {"name": "contexts", "description": "What units are posted into."},
        {"name": "locks", "description": "Who works on what: each has one holder at most, for a time."},
        {"name": "search", "description": "Finding units by what they say and what they are."},
        {"name": "graph", "description": "What units lead to, along their relationships."},
        {"name": "streams", "description": "Following live."},
        {"name": "credentials", "description": "Who is asking, where authentication is on."},
        {"name": "service", "description": "How the server is."}
      ],
      "security": \#(Operation.Security.credential.text),
      "paths": {\#(paths)},
      "components": {
        "securitySchemes": {\#(Operation.Security.schemes)},
        "headers": {\#(fields.map { "\(quoted($0.name)):\($0.value)" }.joined(separator: ","))},
        "schemas": {\#(Schemas.all)}
      }
    }
    """#
  }

  private static let preface = """
    Engram stores and carries the work of fleets of AI agents. Every path also answers under `/v1`. Bodies are JSON \
    in UTF-8: integers within 2^53, without fraction and exponent, no member twice, at most \(Limits.jsonDepthMax) levels, at most \
    \(Limits.bodyBytesMax >> 20) MiB. A request head is at most \(Limits.headBytesMax >> 10) KiB and \
    \(Limits.headFieldsMax) fields. Members and query parameters that are not described here are refused. A path \
    that is not described is a 404 `not_found`, a method that is not described a 405 `method_not_allowed` with \
    `Allow`. Lengths are counted in bytes of UTF-8, which JSON Schema can't say: where it says characters, text \
    beyond ASCII may have fewer. HEAD answers as GET does, without the content.

    Where authentication is on, every request but those for `/livez`, `/readyz`, `/healthz`, `/version` and this document \
    needs a credential (401 `unauthenticated`, whatever the path), which decides who the agent is: `X-Agent-ID` or an \
    `agent_id` that says otherwise is a 403. What a policy doesn't allow is denied. A read of what the caller may not \
    read is answered as if it weren't there (404, an empty list, no event); a change of what it may not change is a 403 \
    `permission_denied`, whether or not it is there.
    """

  /// Fields of answers: `components.headers`.
  static let fields: [(name: String, value: String)] = [
    (
      "X-Request-ID",
      #"{"required":true,"schema":{"type":"string"},"description":"The request's name: the caller's or the server's."}"#
    ),
    (
      "ETag",
      #"{"required":true,"schema":{"type":"string"},"description":"The entity tag, for If-None-Match and If-Match."}"#
    ),
    ("Accept-Ranges", #"{"required":true,"schema":{"const":"bytes"}}"#),
    (
      "Content-Range",
      #"{"required":true,"schema":{"type":"string","pattern":"^bytes ([0-9]+-[0-9]+|\\*)/[0-9]+$"}}"#
    ),
    ("X-Content-Type-Options", #"{"required":true,"schema":{"const":"nosniff"}}"#),
    (
      "RateLimit",
      #"{"required":false,"schema":{"type":"string"},"description":"Where rates are limited: what is left (r), and the seconds until all of it is back (t)."}"#
    ),
    (
      "RateLimit-Policy",
      #"{"required":false,"schema":{"type":"string"},"description":"Where rates are limited: how much (q) in how many seconds (w)."}"#
    ),
    ("Cache-Control", #"{"required":true,"schema":{"const":"no-store"}}"#),
    ("X-Accel-Buffering", #"{"required":true,"schema":{"const":"no"}}"#),
    (
      "Preference-Applied",
      #"{"required":false,"schema":{"const":"return=minimal"},"description":"With Prefer: return=minimal."}"#
    ),
    (
      "Retry-After",
      #"{"required":true,"schema":{"type":"integer","minimum":0},"description":"Seconds to wait."}"#
    ),
    (
      "WWW-Authenticate",
      #"{"required":true,"schema":{"type":"string","pattern":"^Bearer "},"description":"RFC 6750: what is wrong with a credential isn't said."}"#
    ),
    ("Upgrade", #"{"required":true,"schema":{"const":"websocket"}}"#),
    ("Sec-WebSocket-Version", #"{"required":true,"schema":{"const":"13"}}"#),
    (
      "Sec-WebSocket-Accept",
      #"{"required":true,"schema":{"type":"string"},"description":"What proves that the key was read."}"#
    ),
    (
      "Sec-WebSocket-Protocol",
      #"{"required":false,"schema":{"const":"engram.v1+json"},"description":"If it was offered."}"#
    ),
  ]

  private static var paths: String {
    let routes = Route.Name.allCases.filter { Operation.of($0) != nil }
    var seen: Set<String> = []
    return routes.flatMap(\.paths).filter { seen.insert($0).inserted }.map { path in
      "\(quoted(path)):{\(item(path, routes.filter { $0.paths.contains(path) }))}"
    }.joined(separator: ",")
  }

  /// A path's parameters and methods. What all of its routes take stands at the path, the rest at the operations.
  private static func item(_ path: String, _ routes: [Route.Name]) -> String {
    let taken = routes.map { parameters(of: $0, at: path) }
    let shared = taken.dropFirst().reduce(taken.first ?? []) { found, others in
      found.filter { one in others.contains { $0.isSame(as: one) } }
    }
    var members = [#""parameters":[\#(shared.map(text).joined(separator: ","))]"#]
    for (route, taken) in zip(routes, taken) {
      guard let operation = Operation.of(route),
        let id = zip(route.paths, operation.ids).first(where: { $0.0 == path })?.1
      else { continue }
      let own = taken.filter { one in !shared.contains { $0.isSame(as: one) } }
      for method in Method.allCases where route.takes(method) {
        let takesUpgrade = method == .get && path == "/stream"
        let content = text(
          takesUpgrade ? operation : operation.withoutUpgrade, id, own, isHead: method == .head)
        members.append("\(quoted("\(method)".lowercased())):{\(content)}")
      }
    }
    return members.joined(separator: ",")
  }

  private static func parameters(of route: Route.Name, at path: String) -> [Parameter] {
    [Parameter.requestID]
      + route.parameters.map { parameter in
        var named = parameter
        if parameter.place == .path { named.name = subject(of: path) }
        return named
      }
  }

  /// What stands between braces in a template.
  static func subject(of path: String) -> String {
    String(path.drop { $0 != "{" }.dropFirst().prefix { $0 != "}" })
  }

  private static func text(_ parameter: Parameter) -> String {
    var members = [
      #""name":\#(quoted(parameter.name)),"in":"\#(parameter.place.rawValue)","schema":\#(parameter.schema)"#,
      #""description":\#(quoted(parameter.summary))"#,
    ]
    if parameter.place == .path { members.append(#""required":true"#) }
    if parameter.isFamily { members.append(#""style":"form","explode":true"#) }
    if parameter.isList { members.append(#""style":"form","explode":false"#) }
    if let example = parameter.example { members.append(#""example":\#(example)"#) }
    return "{\(members.joined(separator: ","))}"
  }

  private static func text(_ operation: Operation, _ id: String, _ parameters: [Parameter], isHead: Bool)
    -> String
  {
    let name = isHead ? "head" + id.prefix(1).uppercased() + id.dropFirst() : id
    var members = [
      #""operationId":\#(quoted(name)),"tags":[\#(quoted(operation.tag))],"summary":\#(quoted(operation.summary))"#
    ]
    if !operation.text.isEmpty { members.append(#""description":\#(quoted(operation.text))"#) }
    if !parameters.isEmpty {
      members.append(#""parameters":[\#(parameters.map(text).joined(separator: ","))]"#)
    }
    if operation.security != .credential { members.append(#""security":\#(operation.security.text)"#) }
    if !operation.body.isEmpty {
      members.append(#""requestBody":{"required":true,"content":{\#(text(operation.body))}}"#)
    }
    var answers = operation.answers.map { "\"\($0.status.code)\":{\(text($0, isHead: isHead))}" }
    answers += problems(operation, isHead: isHead)
    members.append(#""responses":{\#(answers.joined(separator: ","))}"#)
    return members.joined(separator: ",")
  }

  private static func text(_ contents: [Operation.Content]) -> String {
    contents.map { content in
      let examples = content.examples.map { "\(quoted($0.name)):{\"value\":\($0.value)}" }.joined(
        separator: ",")
      let shown = examples.isEmpty ? "" : #","examples":{\#(examples)}"#
      return #"\#(quoted(content.media)):{"schema":\#(content.schema)\#(shown)}"#
    }.joined(separator: ",")
  }

  private static func text(_ answer: Operation.Answer, isHead: Bool) -> String {
    // Where HTTP ends there is nothing more to say of it.
    let fields = (answer.status == .switchingProtocols ? ["X-Request-ID"] : everyField) + answer.fields
    var members = [#""description":\#(quoted(answer.summary)),"headers":{\#(references(fields))}"#]
    if !answer.content.isEmpty, !isHead { members.append(#""content":{\#(text(answer.content))}"#) }
    if let links = answer.links, !isHead { members.append(#""links":{\#(links)}"#) }
    return members.joined(separator: ",")
  }

  /// What every answer has, and what it has where rates are limited.
  private static let everyField = ["X-Request-ID", "X-Content-Type-Options", "RateLimit", "RateLimit-Policy"]

  private static func references(_ fields: [String]) -> String {
    fields.map { ##"\##(quoted($0)):{"$ref":"#/components/headers/\##($0)"}"## }.joined(separator: ",")
  }

  // MARK: Errors

  /// The statuses that each route may answer, and their codes: its own refusals, what any request may meet, and
  /// what isn't understood as HTTP.
  static func refusals(_ operation: Operation) -> [(status: Int, codes: [ErrorCode])] {
    var codes: [Int: [ErrorCode]] = [:]
    func add(_ status: Int, _ code: ErrorCode) {
      if codes[status]?.contains(code) != true { codes[status, default: []].append(code) }
    }
    // 503 to anyone: bodies that are gathered have a limit together. 500: a fault of ours. 403: `Host` and `Origin`,
    // 429: rates and caps.
    let everywhere: [ErrorCode] = [
      .invalidRequest, .payloadTooLarge, .headTooLarge, .internal, .unavailable, .permissionDenied,
      .rateLimited,
    ]
    for code in everywhere + operation.security.refusals + operation.refusals { add(code.status, code) }
    for error in HTTPError.allCases { add(error.status.code, Exchange.code(of: error)) }
    return codes.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  private static func problems(_ operation: Operation, isHead: Bool) -> [String] {
    refusals(operation).map { status, codes in
      let phrase = Status(rawValue: UInt16(status))?.phrase ?? ""
      var fields = everyField
      if codes.contains(where: \.asksToRetry) { fields.append("Retry-After") }
      if codes.contains(.unauthenticated) { fields.append("WWW-Authenticate") }
      if codes.contains(.upgradeRequired) { fields += ["Upgrade", "Sec-WebSocket-Version"] }
      let names = codes.map { "\"\($0.name)\"" }.joined(separator: ",")
      let content =
        isHead
        ? ""
        : ##","content":{"\##(Problem.mediaType)":{"schema":{"$ref":"#/components/schemas/Problem","##
          + #""properties":{"status":{"const":\#(status)},"code":{"enum":[\#(names)]}}}}}"#
      let text = "\(phrase): \(codes.map { "`\($0.name)`" }.joined(separator: ", "))."
      return #""\#(status)":{"description":\#(quoted(text)),"headers":{\#(references(fields))}\#(content)}"#
    }
  }

  // MARK: Text

  /// A JSON string.
  static func quoted(_ text: String) -> String {
    var text = text
    let bytes = text.withUTF8 { text in
      let text = UnsafeRawBufferPointer(text)
      return [UInt8](unsafeUninitializedCapacity: JSONText.quotedCount(text)) { memory, count in
        guard let base = memory.baseAddress else { return }
        var writer = ByteWriter(base, capacity: memory.count)
        JSONText.writeQuoted(text, to: &writer)
        count = writer.count
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// JSON without the white space between its tokens.
  static func compact(_ text: String) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(text.utf8.count)
    var isInside = false
    var isEscaped = false
    for byte in text.utf8 {
      if isInside {
        isInside = isEscaped || byte != UInt8(ascii: "\"")
        isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
      } else {
        if byte == 0x20 || byte == 0x0a { continue }
        isInside = byte == UInt8(ascii: "\"")
      }
      out.append(byte)
    }
    return out
  }
}
