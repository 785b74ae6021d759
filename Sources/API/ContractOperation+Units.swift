internal import HTTP
internal import Model

extension Operation {
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

  // MARK: Writing

  static let createUnit = Operation(
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

  static let createUnits = Operation(
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

  static let unit = Operation(
    ids: ["getUnit"], tag: "units", summary: "One unit",
    answers: [
      Answer(
        status: .ok, summary: "The unit.", content: [json("UnitAnswer", Examples.found)],
        links: ##"""
          "payload": {"operationId": "getPayload", "parameters": {"id": "$response.body#/work_unit/id"}}
          """##)
    ], refusals: [.notFound, .unavailable])

  static let payload = Operation(
    ids: ["getPayload"], tag: "units", summary: "The bytes of a unit's payload",
    text: "They never change.",
    answers: [
      Answer(
        status: .ok, summary: "All of them: as text if they were posted as text, else as bytes.",
        fields: ["ETag", "Accept-Ranges"], content: bytes),
      Answer(
        status: .partialContent, summary: "The range that was asked for.",
        fields: ["ETag", "Accept-Ranges", "Content-Range"], content: bytes),
      Answer(
        status: .notModified, summary: "The caller has them.",
        fields: ["ETag", "Accept-Ranges"]),
      Answer(
        status: .rangeNotSatisfiable, summary: "The range begins beyond the end.", fields: ["Content-Range"]),
    ], refusals: [.notFound, .unavailable])

  private static let bytes = [
    Content(media: "text/plain; charset=utf-8", schema: #"{"type":"string"}"#),
    Content(
      media: "application/octet-stream",
      schema: #"{"type":"string","contentMediaType":"application/octet-stream"}"#),
  ]

  static let units = Operation(
    ids: ["listUnits", "listContextUnits"], tag: "units", summary: "The units of a context",
    text:
      "In order of sequence. Filters are combined: a unit matches if all of them let it through. A context that "
      + "doesn't exist has no units.",
    answers: [
      Answer(status: .ok, summary: "A page.", content: [json("UnitPage", [])])
    ], refusals: [.unavailable])
}
