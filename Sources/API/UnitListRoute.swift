internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

extension LoopServices {
  // MARK: GET /workunits/{context_id}, GET /contexts/{id}/workunits

  private static let metadataPrefix = "metadata."

  /// A list and what its cursors are bound to.
  private struct UnitQuery {
    var list: UnitList
    var isEmpty = false
    /// Of everything that decides which units match and in which order, the limit apart.
    var hash: UInt64
  }

  /// Filters may all be given at once, and a unit must satisfy each: `after` and `before` (sequences, both exclusive),
  /// `since` (inclusive) and `until` (exclusive), `type` (repeatable: any of them), `agent_id` (once: a unit has one),
  /// `metadata.KEY=VALUE` (repeatable: all of them; decoded bytes are compared).
  func units(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    let query = try unitQuery(exchange, subject)
    // A context that the caller may not read has no units, as one that doesn't exist.
    if query.isEmpty || !exchange.caller.sees(context: query.list.context) {
      return exchange.answer(.ok, .json, "{\"work_units\":[],\"next_cursor\":\"\"}")
    }
    // One more than asked for, to know whether there is more.
    var list = query.list
    list.limit += 1
    var page = try await engine.units(list)
    try exchange.requireRoom(for: page.units.reduce(0) { $0 + $1.bodyLength })
    var reached = page.reached
    if page.units.count > query.list.limit, let next = page.units.popLast()?.unit?.sequence.rawValue {
      // Up to the one that was left out, nothing is missing.
      reached = list.reverse ? next + 1 : next - 1
    }
    let cursor = reached.map { PageCursor(queryHash: query.hash, sequence: Sequence($0)).text() } ?? []
    write(page.units, cursor, to: exchange)
    withExtendedLifetime(page) {}
  }

  private func unitQuery(_ exchange: Exchange, _ subject: ByteRun) throws(Problem) -> UnitQuery {
    let parameters = try Query(exchange, .units)
    let context = try Query.identifier(try Query.decode(exchange.bytes(subject)), at: "/context_id")
    let numbers = 0...Limits.integerMax
    let after = try parameters.number("after", in: numbers) ?? 0
    let before = try parameters.number("before", in: numbers) ?? Limits.integerMax
    let reverse = try parameters.flag("reverse")
    let limit = try parameters.limit()
    let filter = try filter(parameters)
    let identity = context + [0] + Array("\(after).\(before).\(reverse).".utf8) + filter.identity
    let hash = identity.withUnsafeBytes { Fingerprint.of($0).low }
    var first = after + 1
    var last = before == 0 ? 0 : before - 1
    if let text = try parameters.one("cursor"), !text.isEmpty {
      let cursor = try Query.cursor { () throws(PageCursor.Fault) in try PageCursor(text, of: hash) }
      let reached = cursor.sequence.rawValue
      if reverse {
        last = min(last, reached == 0 ? 0 : reached - 1)
      } else {
        first = max(first, min(reached, Limits.integerMax) + 1)
      }
    }
    let list = UnitList(
      context: context, range: first...max(first, last), reverse: reverse, filter: filter, limit: limit)
    return UnitQuery(list: list, isEmpty: first > last, hash: hash)
  }

  private func filter(_ parameters: Query) throws(Problem) -> UnitFilter {
    var filter = UnitFilter()
    for text in parameters.all("type") {
      guard let type = Query.type(text) else { throw Problem(at: "/type", "is not a type of work units") }
      filter.insert(type)
    }
    filter.agent = try parameters.identifier("agent_id")
    filter.since = try parameters.time("since")
    filter.until = try parameters.time("until")
    for item in parameters.items where item.name.utf8.starts(with: LoopServices.metadataPrefix.utf8) {
      let key = Array(item.name.utf8.dropFirst(LoopServices.metadataPrefix.utf8.count))
      guard key.count <= Limits.metadataKeyBytesMax else {
        throw Problem(
          at: Problem.pointer(to: item.name), "has a key of more than \(Limits.metadataKeyBytesMax) bytes")
      }
      guard item.value.count <= Limits.metadataValueBytesMax else {
        throw Problem(
          at: Problem.pointer(to: item.name), "has a value of more than \(Limits.metadataValueBytesMax) bytes"
        )
      }
      filter.insert(UnitFilter.Pair(key: key, value: item.value))
      guard filter.metadata.count <= Limits.metadataPairsMax else {
        throw Problem(
          at: Problem.pointer(to: item.name),
          "is one of more than \(Limits.metadataPairsMax) pairs of metadata")
      }
    }
    return filter
  }

  private func write(_ units: [EventView], _ cursor: [UInt8], to exchange: Exchange) {
    let length = listLength(units) + 15 + 17 + cursor.count + 2
    exchange.begin(.ok, .json, length: length)
    guard !exchange.isHeadOnly else { return }
    exchange.socket.output.write("{\"work_units\":")
    writeList(units, to: exchange)
    exchange.socket.output.write(",\"next_cursor\":\"")
    cursor.withUnsafeBytes { exchange.socket.output.write($0) }
    exchange.socket.output.write("\"}")
  }

  /// Bytes that `writeList` writes, less the brackets.
  func listLength(_ units: [EventView]) -> Int {
    units.reduce(max(0, units.count - 1)) { $0 + $1.bodyLength }
  }

  /// An array of units.
  func writeList(_ units: [EventView], to exchange: Exchange) {
    exchange.socket.output.write("[")
    for (place, unit) in units.enumerated() {
      if place > 0 { exchange.socket.output.write(",") }
      exchange.write(unit)
    }
    exchange.socket.output.write("]")
  }
}

extension Query {
  /// Reads a cursor, or throws what is wrong with it.
  static func cursor<Cursor>(
    _ read: () throws(PageCursor.Fault) -> Cursor
  ) throws(Problem) -> Cursor {
    do throws(PageCursor.Fault) { return try read() } catch {
      throw Problem(
        at: "/cursor", error == .otherQuery ? "belongs to another query" : "is not a cursor of this server")
    }
  }
}
