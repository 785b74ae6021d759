internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

extension LoopServices {
  /// Bytes of records that one page may come to; a longer one is cut short, and its cursor goes on.
  static let pageBytesMax = 16 << 20

  // MARK: POST /workunit

  func createUnit(_ exchange: Exchange) async throws(Problem) {
    try noQuery(exchange)
    try requireJSON(exchange)
    if exchange.head.has(.idempotencyKey) {
      throw Problem(
        .invalidRequest, "Idempotency-Key is not served by this version; choose the unit's id instead")
    }
    let isMinimal = exchange.head.lists("return=minimal", in: .prefer, bytes: exchange.headBytes)
    let request = exchange.appendRequest
    request.reset()
    if let problem = request.draft.parse(exchange.body) { throw problem }
    if let problem = request.draft.resolveAgent(try caller(exchange), isAuthenticated: false) {
      throw problem
    }
    await engine.append(request)
    switch request.outcome {
    case .appended(let unit):
      write(unit, .created, isMinimal, to: exchange)
    case .exists(let id):
      let page = try await engine.unit(id)
      guard let unit = page.units.first else {
        throw Problem(.internal, "the unit that was appended before is gone")
      }
      write(unit, .ok, isMinimal, to: exchange)
      withExtendedLifetime(page) {}
    case .refused(let problem):
      throw problem
    case nil:
      throw Problem(.internal, "the append has no outcome")
    }
    request.reset()
  }

  private func write(_ unit: EventView, _ status: Status, _ isMinimal: Bool, to exchange: Exchange) {
    if isMinimal {
      exchange.answerMinimal(status, unit: unit)
    } else {
      exchange.answer(status, unit: unit)
    }
  }

  /// A body is JSON: no Content-Type, or that of JSON with any parameters.
  private func requireJSON(_ exchange: Exchange) throws(Problem) {
    guard let type = try exchange.field(.contentType) else { return }
    var end = type.firstIndex(of: UInt8(ascii: ";")) ?? type.count
    while end > 0, type[end - 1] == 0x20 || type[end - 1] == 0x09 { end -= 1 }
    guard ASCII.equalIgnoringCase(UnsafeRawBufferPointer(rebasing: type[..<end]), "application/json") else {
      throw Problem(.unsupportedMediaType, "the body must be application/json")
    }
  }

  /// The agent that `X-Agent-ID` names.
  private func caller(_ exchange: Exchange) throws(Problem) -> UnsafeRawBufferPointer? {
    guard let value = try exchange.field(.xAgentID) else { return nil }
    if let fault = Query.identifierFault(value) { throw Problem(.invalidRequest, "X-Agent-ID \(fault)") }
    return value
  }

  // MARK: GET /workunit/{id} and its payload

  func find(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) -> UnitPage {
    try noQuery(exchange)
    let text = try Query.decode(exchange.bytes(subject))
    guard let id = text.withUnsafeBytes({ UnitID($0) }) else {
      throw Problem(.invalidRequest, "the id in the path is not a UUID")
    }
    let page = try await engine.unit(id)
    guard !page.units.isEmpty else { throw Problem(.notFound, "there is no unit with this id") }
    return page
  }

  func unit(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    let page = try await find(exchange, subject)
    for unit in page.units { exchange.answer(.ok, unit: unit) }
    withExtendedLifetime(page) {}
  }

  // MARK: GET /workunits/{context_id}

  private struct UnitQuery {
    var context: [UInt8]
    var first: UInt64 = 1
    var last = Limits.integerMax
    var reverse = false
    var limit = Limits.pageDefault
    /// Of everything that decides which units match and in which order.
    var hash: UInt64 = 0
  }

  func units(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    var query = try unitQuery(exchange, subject)
    if query.first > query.last {
      return exchange.answer(.ok, .json, "{\"work_units\":[],\"next_cursor\":\"\"}")
    }
    // One more than asked for, to know whether there is more.
    var page = try await engine.units(
      in: query.context, query.first...query.last, reverse: query.reverse, limit: query.limit + 1,
      bytesMax: LoopServices.pageBytesMax)
    var hasMore = page.isCutShort
    if page.units.count > query.limit {
      page.units.removeLast(page.units.count - query.limit)
      hasMore = true
    }
    let reached = page.units.last?.unit?.sequence.rawValue
    if let reached {
      query.first = reached
    } else {
      query.first = query.reverse ? query.last + 1 : query.first - 1
    }
    let cursor =
      hasMore ? PageCursor(queryHash: query.hash, sequence: Sequence(query.first)).text() : []
    write(page, cursor, to: exchange)
    withExtendedLifetime(page) {}
  }

  private func unitQuery(_ exchange: Exchange, _ subject: ByteRun) throws(Problem) -> UnitQuery {
    let parameters = try Query(exchange, known: ["limit", "after", "before", "reverse", "cursor"])
    let context = try Query.identifier(try Query.decode(exchange.bytes(subject)), at: "/context_id")
    var query = UnitQuery(context: context)
    let numbers = 0...Limits.integerMax
    let after = try parameters.number("after", in: numbers) ?? 0
    let before = try parameters.number("before", in: numbers) ?? Limits.integerMax
    query.reverse = try parameters.flag("reverse")
    query.limit = Int(try parameters.number("limit", in: 1...UInt64(Limits.pageMax)) ?? UInt64(query.limit))
    query.first = after + 1
    query.last = before == 0 ? 0 : before - 1
    let identity = context + [0] + Array("\(after).\(before).\(query.reverse)".utf8)
    query.hash = identity.withUnsafeBytes { Fingerprint.of($0).low }
    guard let text = try parameters.one("cursor"), !text.isEmpty else { return query }
    do throws(PageCursor.Fault) {
      let cursor = try PageCursor(text, of: query.hash)
      if query.reverse {
        query.last = min(query.last, cursor.sequence.rawValue == 0 ? 0 : cursor.sequence.rawValue - 1)
      } else {
        query.first = max(query.first, cursor.sequence.rawValue &+ 1)
      }
    } catch {
      throw Problem(
        at: "/cursor", error == .otherQuery ? "belongs to another query" : "is not a cursor of this server")
    }
    return query
  }

  private func write(_ page: UnitPage, _ cursor: [UInt8], to exchange: Exchange) {
    let separators = max(0, page.units.count - 1)
    let length = page.units.reduce(15 + 18 + 1 + cursor.count + separators) { $0 + $1.bodyLength }
    exchange.begin(.ok, .json, length: length)
    guard !exchange.isHeadOnly else { return }
    exchange.socket.output.write("{\"work_units\":[")
    for (place, unit) in page.units.enumerated() {
      if place > 0 { exchange.socket.output.write(",") }
      exchange.write(unit)
    }
    exchange.socket.output.write("],\"next_cursor\":\"")
    cursor.withUnsafeBytes { exchange.socket.output.write($0) }
    exchange.socket.output.write("\"}")
  }
}
