internal import Access
internal import HTTP
internal import Model

extension Operation {
  static let createTicket = Operation(
    ids: ["createTicket"], tag: "credentials", summary: "A ticket for one stream",
    text:
      "For browsers, whose `EventSource` and `WebSocket` send no `Authorization`: the ticket goes into the stream's "
      + "query as `ticket`, and stands for whoever made it. It is good once, and until `expires_at`. An agent may have "
      + "\(CredentialLimits.ticketsPerAgentMax) that aren't used yet. Without authentication there are none (404). The "
      + "body is empty, or an object without members.",
    answers: [
      Answer(
        status: .created, summary: "The ticket, which is shown once.", fields: ["Cache-Control"],
        content: [json("Ticket")])
    ], refusals: [.notFound, .payloadTooLarge, .unsupportedMediaType, .rateLimited, .unavailable])
}

extension Schemas {
  static let credentials = #"""
    "Ticket": {
      "type": "object", "required": ["ticket", "expires_at"],
      "properties": {
        "ticket": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
        "expires_at": {"$ref": "#/components/schemas/Time"}
      }
    }
    """#
}
