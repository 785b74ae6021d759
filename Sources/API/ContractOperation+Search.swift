internal import HTTP
internal import Model

extension Operation {
  static let search = Operation(
    ids: ["search"], tag: "search", summary: "Find units by their words, and by what they are",
    text:
      "All that is given must hold. Of `query` all words must be in the unit, in its payload (if that is text) or in the "
      + "values of its metadata; `\"a phrase\"`, `word*` (words that begin so) and `-word` (not that one) are "
      + "understood, anything else is text: any string is a valid query. Case and accents don't matter. Without words the "
      + "filters alone decide. What was posted a moment ago may be missing: name its `position` as `min_position`, and "
      + "how long you would wait. `partial` says that something may be missing: the index has not come to "
      + "`min_position`, is being built anew, or the query took too long. Pages of one query don't shift when "
      + "units are added. With authentication on it needs the verb `search`, and finds what the caller may read.",
    body: [json("Search", Examples.searches)],
    answers: [
      Answer(
        status: .ok, summary: "A page of what was found, the best first.",
        content: [json("SearchAnswer", Examples.foundBySearch)],
        links:
          ##""unit": {"operationId": "getUnit", "parameters": {"id": "$response.body#/results/0/work_unit/id"}}"##
      )
    ], refusals: [.payloadTooLarge, .unsupportedMediaType, .unavailable])
}
