internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

extension LoopServices {
  /// Bytes of records that one page may come to; a longer one is cut short, and its cursor goes on.
  static let pageBytesMax = 16 << 20

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
