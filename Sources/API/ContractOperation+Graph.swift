internal import HTTP
internal import Model

extension Operation {
  private static let walk =
    "Each unit once, never the one that the walk begins at, nearest first; within one distance in the order of the "
    + "relationships: of the nearer unit first, of each what it names, then who names it, oldest first. `relationship` is the "
    + "one by which the unit was reached first, seen from the nearer unit. A unit that is named but doesn't exist (yet) is "
    + "left out, and found as soon as it does. `partial`: there was more to look at than one request may; what was found "
    + "is answered."

  private static let links =
    ##""unit": {"operationId": "getUnit", "parameters": {"id": "$response.body#/results/0/work_unit/id"}}"##

  static let relationships = Operation(
    ids: ["listRelationships"], tag: "graph", summary: "The units around a unit, along relationships",
    text: walk,
    answers: [
      Answer(
        status: .ok, summary: "What was found.", content: [json("GraphAnswer", Examples.graphAroundUnit)],
        links: links)
    ], refusals: [.notFound, .unavailable])

  static let searchRelationships = Operation(
    ids: ["searchRelationships"], tag: "graph",
    summary: "The same, asked in a body, with a filter on the units",
    text: "Units that the filter refuses are not answered, but walked through. " + walk,
    body: [json("GraphQuery", Examples.graphQueries)],
    answers: [
      Answer(
        status: .ok, summary: "What was found.", content: [json("GraphAnswer", Examples.graphs)], links: links
      )
    ], refusals: [.notFound, .payloadTooLarge, .unsupportedMediaType, .unavailable])
}
