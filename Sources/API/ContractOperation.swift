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
}

extension Operation {
  static func reference(_ schema: String) -> String { ##"{"$ref":"#/components/schemas/\##(schema)"}"## }

  private static func json(_ schema: String, _ examples: [(name: String, value: String)] = []) -> Content {
    Content(media: "application/json", schema: reference(schema), examples: examples)
  }

  private static func either(
    _ schema: String, _ minimal: String, _ examples: [(name: String, value: String)]
  ) -> Content {
    Content(
      media: "application/json", schema: #"{"anyOf":[\#(reference(schema)),\#(reference(minimal))]}"#,
      examples: examples)
  }

  /// What every write of units can meet.
  private static let writeRefusals: [ErrorCode] = [
    .conflict, .fenceRejected, .preconditionFailed, .payloadTooLarge, .unsupportedMediaType,
    .idempotencyMismatch, .unavailable, .storageFull,
  ]

  private static let order =
    "Checked in this order: the idempotency key, an `id` that exists (200 if everything else is the same, else "
    + "409), the fence, `expected_sequence`. A 2xx leaves only after the write is durable."

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
    case .changeContext: plain("changeContext", "Change a context", [])
    case .acquireLocks: plain("acquireLocks", "Acquire locks", [])
    case .locks: plain("listLocks", "The locks that are held", [])
    case .lock: plain("getLock", "One lock", [])
    case .renewLock: plain("renewLock", "Renew a lock", [])
    case .releaseLock: plain("releaseLock", "Release a lock", [])
    case .stream: stream
    case .livez: plain("livez", "Whether the process lives", [])
    case .readyz: readyz
    case .healthz: plain("healthz", "Whether the server is ready, in one word", [.unavailable])
    case .version: version
    case .metrics: metrics
    case .openapi: openapi
    case .none: nil
    }
  }

  // MARK: Writing

  private static let createUnit = Operation(
    ids: ["createUnit"], tag: "units", summary: "Append one unit",
    text: "The context is made on first use, and the agent joins it. " + order,
    body: [json("NewWorkUnit", Examples.newUnits)],
    answers: [
      Answer(
        status: .created, summary: "Appended, and durable.", fields: ["Preference-Applied"],
        content: [either("UnitAnswer", "UnitReceipt", Examples.createdUnits)],
        links: ##"""
          "unit": {"operationId": "getUnit", "parameters": {"id": "$response.body#/work_unit/id"}},
          "payload": {"operationId": "getPayload", "parameters": {"id": "$response.body#/work_unit/id"}},
          "context": {"operationId": "getContext", "parameters": {"id": "$response.body#/work_unit/context_id"}},
          "units": {"operationId": "listUnits", "parameters": {"context_id": "$response.body#/work_unit/context_id"}}
          """##),
      Answer(
        status: .ok, summary: "A unit with this id and the same content was there: the stored one.",
        fields: ["Preference-Applied"], content: [either("UnitAnswer", "UnitReceipt", [])]),
    ], refusals: writeRefusals)

  private static let createUnits = Operation(
    ids: ["createUnits"], tag: "units", summary: "Append several units: all or none, in order",
    text:
      "As an array, as `{\"work_units\": […]}`, or one to a line (`application/x-ndjson`: the schema is that of all lines as an array), where a blank line "
      + "is nothing. Pointers in errors begin with the unit's place, from 0: `/3/type`, or `/work_units/3/type`. "
      + order,
    body: [
      json("UnitBatch", Examples.batches),
      Content(
        media: "application/x-ndjson", schema: reference("NewWorkUnits"), examples: Examples.lines),
    ],
    answers: [
      Answer(
        status: .created, summary: "Appended, and durable: all of them.", fields: ["Preference-Applied"],
        content: [either("UnitsAnswer", "UnitReceipts", Examples.createdBatches)],
        links:
          ##""unit": {"operationId": "getUnit", "parameters": {"id": "$response.body#/work_units/0/id"}}"##),
      Answer(
        status: .ok, summary: "All of the ids were there, with the same content: the stored units.",
        fields: ["Preference-Applied"], content: [either("UnitsAnswer", "UnitReceipts", [])]),
    ], refusals: writeRefusals)

  // MARK: Reading

  private static let unit = Operation(
    ids: ["getUnit"], tag: "units", summary: "One unit",
    answers: [
      Answer(
        status: .ok, summary: "The unit.", content: [json("UnitAnswer", Examples.found)],
        links: ##"""
          "payload": {"operationId": "getPayload", "parameters": {"id": "$response.body#/work_unit/id"}}
          """##)
    ], refusals: [.notFound, .unavailable])

  private static let payload = Operation(
    ids: ["getPayload"], tag: "units", summary: "The bytes of a unit's payload",
    text: "They never change.",
    answers: [
      Answer(
        status: .ok, summary: "All of them: as text if they were posted as text, else as bytes.",
        fields: ["ETag", "Accept-Ranges", "X-Content-Type-Options"], content: bytes),
      Answer(
        status: .partialContent, summary: "The range that was asked for.",
        fields: ["ETag", "Accept-Ranges", "Content-Range", "X-Content-Type-Options"], content: bytes),
      Answer(
        status: .notModified, summary: "The caller has them.",
        fields: ["ETag", "Accept-Ranges", "X-Content-Type-Options"]),
      Answer(
        status: .rangeNotSatisfiable, summary: "The range begins beyond the end.", fields: ["Content-Range"]),
    ], refusals: [.notFound, .unavailable])

  private static let bytes = [
    Content(media: "text/plain; charset=utf-8", schema: #"{"type":"string"}"#),
    Content(
      media: "application/octet-stream",
      schema: #"{"type":"string","contentMediaType":"application/octet-stream"}"#),
  ]

  private static let units = Operation(
    ids: ["listUnits", "listContextUnits"], tag: "units", summary: "The units of a context",
    text:
      "In order of sequence. Filters are combined: a unit matches if all of them let it through. A context that "
      + "doesn't exist has no units.",
    answers: [
      Answer(status: .ok, summary: "A page.", content: [json("UnitPage", [])])
    ], refusals: [.unavailable])

  private static let contexts = Operation(
    ids: ["listContexts"], tag: "contexts", summary: "The contexts, in order of id",
    answers: [
      Answer(
        status: .ok, summary: "A page.", content: [json("ContextPage")],
        links:
          ##""context": {"operationId": "getContext", "parameters": {"id": "$response.body#/contexts/0/id"}}"##
      )
    ], refusals: [.unavailable])

  private static let context = Operation(
    ids: ["getContext"], tag: "contexts", summary: "One context",
    answers: [
      Answer(status: .ok, summary: "The context.", fields: ["ETag"], content: [json("ContextAnswer")]),
      Answer(status: .notModified, summary: "The caller has it.", fields: ["ETag"]),
    ], refusals: [.notFound, .unavailable])

  private static let stream = Operation(
    ids: ["stream", "streamSSE", "streamSSEFlat"], tag: "streams", summary: "Follow contexts live",
    text:
      "Server-Sent Events that never end. `retry: 1000`; `subscribed` with where it starts; then, in the order of the "
      + "log, `workunit`, whose `id` is the cursor to resume from and whose `data` is a WorkUnit on one line; "
      + "`context`: the Context after a change; `lock`: `{\"action\", \"lock\"}`; every 15 s a comment and an `id`. "
      + "`gap`: `{\"after\", \"next\"}`, between which history is no longer kept.",
    answers: [
      Answer(status: .switchingProtocols, summary: "A WebSocket, which begins with `subscribed`."),
      Answer(
        status: .ok, summary: "The stream.", fields: ["Cache-Control", "X-Accel-Buffering"],
        content: [
          Content(
            media: "text/event-stream",
            schema: #"{"type":"string","description":"Events of the WHATWG's format."}"#)
        ]),
    ], refusals: [.gone, .upgradeRequired, .unavailable])

  // MARK: Service

  private static func plain(_ id: String, _ summary: String, _ refusals: [ErrorCode]) -> Operation {
    Operation(
      ids: [id], tag: "service", summary: summary,
      answers: [
        Answer(
          status: .ok, summary: "It is.",
          content: [
            Content(
              media: "text/plain; charset=utf-8", schema: #"{"const":"OK"}"#, examples: [("ok", "\"OK\"")])
          ])
      ], refusals: refusals)
  }

  private static let readyz = Operation(
    ids: ["readyz"], tag: "service",
    summary: "Whether the server is ready: recovered, log writable, store healthy",
    answers: [
      Answer(
        status: .ok, summary: "It is.",
        content: [json("Readiness", [("ready", #"{"status":"ready"}"#)])])
    ], refusals: [.unavailable])

  private static let version = Operation(
    ids: ["version"], tag: "service", summary: "Which server this is",
    answers: [Answer(status: .ok, summary: "Its name and version.", content: [json("Version")])])

  private static let metrics = Operation(
    ids: ["metrics"], tag: "service", summary: "What the server counts, for Prometheus",
    answers: [
      Answer(
        status: .ok, summary: "The text format 0.0.4.",
        content: [
          Content(media: "text/plain; version=0.0.4; charset=utf-8", schema: #"{"type":"string"}"#)
        ])
    ])

  private static let openapi = Operation(
    ids: ["openapi"], tag: "service", summary: "This document",
    answers: [
      Answer(
        status: .ok, summary: "OpenAPI 3.1.", fields: ["ETag"],
        content: [
          Content(
            media: "application/json", schema: #"{"type":"object","required":["openapi","info","paths"]}"#)
        ]),
      Answer(status: .notModified, summary: "The caller has it.", fields: ["ETag"]),
    ])
}
