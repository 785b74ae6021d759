internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

extension LoopServices {
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
}
