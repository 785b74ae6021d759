internal import HTTP
internal import Model

extension Operation {
  static func plain(_ id: String, _ summary: String, _ refusals: [ErrorCode]) -> Operation {
    Operation(
      ids: [id], tag: "service", summary: summary,
      answers: [
        Answer(
          status: .ok, summary: "It is.",
          content: [
            Content(
              media: "text/plain; charset=utf-8", schema: #"{"const":"OK"}"#, examples: [("ok", "\"OK\"")])
          ])
      ], refusals: refusals, security: .nothing)
  }

  static let readyz = Operation(
    ids: ["readyz"], tag: "service",
    summary: "Whether the server is ready: recovered, log writable, store healthy",
    text: "With `verbose` each check is listed, and a credential is needed that may see the metrics.",
    answers: [
      Answer(
        status: .ok, summary: "It is.",
        content: [json("Readiness", [("ready", #"{"status":"ready"}"#)])])
    ], refusals: [.unavailable])

  static let version = Operation(
    ids: ["version"], tag: "service", summary: "Which server this is",
    answers: [Answer(status: .ok, summary: "Its name and version.", content: [json("Version")])],
    security: .nothing)

  static let metrics = Operation(
    ids: ["metrics"], tag: "service", summary: "What the server counts, for Prometheus",
    text: "Needs the verb `metrics`.",
    answers: [
      Answer(
        status: .ok, summary: "The text format 0.0.4.",
        content: [
          Content(media: "text/plain; version=0.0.4; charset=utf-8", schema: #"{"type":"string"}"#)
        ])
    ])

  static let openapi = Operation(
    ids: ["openapi"], tag: "service", summary: "This document",
    answers: [
      Answer(
        status: .ok, summary: "OpenAPI 3.1.", fields: ["ETag"],
        content: [
          Content(
            media: "application/json", schema: #"{"type":"object","required":["openapi","info","paths"]}"#)
        ]),
      Answer(status: .notModified, summary: "The caller has it.", fields: ["ETag"]),
    ], security: .nothing)
}
