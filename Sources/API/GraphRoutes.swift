internal import Access
internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

extension LoopServices {
  // MARK: GET /workunit/{id}/relationships

  func relationships(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    let parameters = try Query(exchange, .relationships)
    let text = try Query.decode(exchange.bytes(subject))
    guard let id = text.withUnsafeBytes({ UnitID($0) }) else {
      throw Problem(.invalidRequest, "the id in the path is not a UUID")
    }
    var query = GraphQuery(root: id)
    if let name = try parameters.one("direction") {
      guard let directions = name.withUnsafeBytes({ RelationDirections(name: $0) }) else {
        throw Problem(at: "/direction", "is not incoming, outgoing or both")
      }
      query.directions = directions
    }
    for text in parameters.all("type") {
      guard let type = Query.relationshipType(text) else {
        throw Problem(at: "/type", "is not a type of relationships")
      }
      query.insert(type)
    }
    if let depth = try parameters.number("depth", in: 1...UInt64(Limits.graphDepthMax)) {
      query.depth = Int(depth)
    }
    if let limit = try parameters.number("limit", in: 1...UInt64(Limits.graphPageMax)) {
      query.limit = Int(limit)
    }
    try await answer(exchange, query)
  }

  // MARK: POST /search/relationships

  func searchRelationships(_ exchange: Exchange) async throws(Problem) {
    try noQuery(exchange)
    guard try ContentType(exchange) == .json else {
      throw Problem(.unsupportedMediaType, "the body must be application/json")
    }
    try await answer(exchange, try GraphQuery(exchange.body))
  }

  // MARK: The answer

  private func answer(_ exchange: Exchange, _ query: GraphQuery) async throws(Problem) {
    let request = GraphRequest(query, visibility: exchange.caller.contextVisibility)
    exchange.waits(for: request)
    let found: Result<GraphPage?, Problem>
    do throws(Problem) { found = .success(try await engine.graph(request)) } catch { found = .failure(error) }
    exchange.waits(for: nil)
    guard let page = try found.get() else {
      throw Problem(.notFound, "there is no unit with this id")
    }
    try exchange.requireRoom(for: page.units.reduce(0) { $0 + $1.bodyLength })
    let steps = page.steps.map { LoopServices.text($0) }
    let head: StaticString = "{\"results\":["
    let opening: StaticString = "{\"work_unit\":"
    let tail: StaticString = page.isPartial ? "],\"partial\":true}" : "],\"partial\":false}"
    var length = head.utf8CodeUnitCount + tail.utf8CodeUnitCount + max(0, steps.count - 1)
    for (unit, step) in zip(page.units, steps) {
      length += opening.utf8CodeUnitCount + unit.bodyLength + step.count
    }
    exchange.begin(.ok, .json, length: length)
    if !exchange.isHeadOnly {
      let output = exchange.socket.output
      output.write(head)
      for (place, (unit, step)) in zip(page.units, steps).enumerated() {
        if place > 0 { output.write(",") }
        output.write(opening)
        exchange.write(unit)
        step.withUnsafeBytes { output.write($0) }
      }
      output.write(tail)
    }
    withExtendedLifetime(page) {}
  }

  /// What stands behind a unit: how it was reached.
  private static func text(_ step: GraphPage.Step) -> [UInt8] {
    let fixedBytesMax = 112
    return ByteWriter.bytes(capacity: fixedBytesMax + step.metadata.count) { writer in
      writer.run(",\"relationship\":{\"type\":\"")
      writer.run(step.type.name)
      writer.run("\",\"metadata\":")
      step.metadata.withUnsafeBytes { writer.run($0) }
      writer.run(",\"direction\":\"")
      if step.isIncoming { writer.run("incoming") } else { writer.run("outgoing") }
      writer.run("\"},\"distance\":")
      writer.decimal(UInt64(step.distance))
      writer.run("}")
    }
  }
}
