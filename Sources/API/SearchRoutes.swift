internal import Access
internal import Engine
internal import HTTP
internal import Model
internal import Search

extension LoopServices {
  // MARK: POST /search

  /// Finds units. Who is gone before they are found is not answered.
  func search(_ exchange: Exchange) async throws(Problem) {
    try noQuery(exchange)
    try requireJSON(exchange)
    let draft = try SearchDraft(exchange.body)
    let request = try SearchRequest(
      draft, text: try engine.searchText(draft.text), visibility: exchange.caller.contextVisibility)
    exchange.waits(for: request)
    let answer: Result<[UInt8], Problem>
    do throws(Problem) { answer = .success(try await engine.search(request)) } catch {
      answer = .failure(error)
    }
    exchange.waits(for: nil)
    let found = try answer.get()
    try exchange.requireRoom(for: found.count)
    exchange.answer(.ok, .json, found)
  }
}

extension SearchRequest {
  /// What a body asks for. Throws if its cursor isn't one of this query.
  convenience init(
    _ draft: SearchDraft, text: SearchText, visibility: (any Visibility)? = nil
  ) throws(Problem) {
    var query = SearchQuery()
    query.text = draft.text
    query.contexts = draft.contexts
    query.agents = draft.agents
    query.filter = draft.filter
    // Times become positions once the store has been asked.
    query.filter.since = nil
    query.filter.until = nil
    let order = text.isBlank ? .recent : draft.order ?? .relevance
    query.order = order == .relevance ? .relevance : .recent
    query.limit = draft.limit
    query.offset = draft.offset
    let hash = draft.hash(order: order)
    if let text = draft.cursor {
      query.resume = try Query.cursor { () throws(PageCursor.Fault) in try SearchCursor(text, of: hash) }
        .resume
    }
    self.init(
      query, text: text, since: draft.filter.since, until: draft.filter.until, queryHash: hash,
      highlights: draft.highlights,
      minPosition: draft.minPosition, waitNanoseconds: draft.waitNanoseconds,
      visibility: visibility)
  }
}
