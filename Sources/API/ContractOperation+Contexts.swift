internal import HTTP
internal import Model

extension Operation {
  static let contexts = Operation(
    ids: ["listContexts"], tag: "contexts", summary: "The contexts, in order of id",
    answers: [
      Answer(
        status: .ok, summary: "A page.", content: [json("ContextPage")],
        links:
          ##""context": {"operationId": "getContext", "parameters": {"id": "$response.body#/contexts/0/id"}}"##
      )
    ], refusals: [.unavailable])

  static let context = Operation(
    ids: ["getContext"], tag: "contexts", summary: "One context",
    answers: [
      Answer(
        status: .ok, summary: "The context.", fields: ["ETag"], content: [json("ContextAnswer")],
        links: ##"""
          "change": {"operationId": "changeContext", "parameters": {"id": "$response.body#/context/id"}},
          "units": {"operationId": "listContextUnits", "parameters": {"id": "$response.body#/context/id"}}
          """##),
      Answer(status: .notModified, summary: "The caller has it.", fields: ["ETag"]),
    ], refusals: [.notFound, .unavailable])

  private static let changed =
    ##""context": {"operationId": "getContext", "parameters": {"id": "$response.body#/context/id"}}"##

  static let changeContext = Operation(
    ids: ["changeContext"], tag: "contexts", summary: "Change a context, or make it",
    text:
      "What the body leaves out stays as it is. First is taken away (`remove_agents`, `unpin_units`, null in `metadata`), "
      + "then added. What is there already is not added twice, and what isn't there need not be taken away. The "
      + "revision grows, the answer is the context after the change, and leaves only after that is durable. Who "
      + "asks does not join by asking. A context that doesn't exist is made, unless `If-Match` is given. "
      + "With authentication on it needs `context:write` and `context:read`: the answer shows the context.",
    body: [json("ContextPatch", Examples.contextPatches)],
    answers: [
      Answer(
        status: .ok, summary: "Changed, and durable.", fields: ["ETag"],
        content: [json("ContextAnswer", Examples.changedContexts)], links: changed),
      Answer(
        status: .created, summary: "Made, and durable.", fields: ["ETag"], content: [json("ContextAnswer")],
        links: changed),
    ],
    refusals: [.preconditionFailed, .payloadTooLarge, .unsupportedMediaType, .unavailable, .storageFull])
}
