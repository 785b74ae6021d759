internal import Access
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
    guard let unit = page.units.first, exchange.caller.sees(unit) else {
      throw Problem(.notFound, "there is no unit with this id")
    }
    try exchange.requireRoom(for: unit.bodyLength)
    return page
  }

  func unit(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    let page = try await find(exchange, subject)
    for unit in page.units { exchange.answer(.ok, unit: unit) }
    withExtendedLifetime(page) {}
  }
}

extension Caller {
  /// Whether the caller may see a unit, or what else is of a context.
  func sees(_ event: EventView) -> Bool {
    guard let permissions else { return true }
    guard let context = event.contextID else { return false }
    return permissions.sees(context: context)
  }

  /// - Parameter context: the context's id.
  func sees(context: [UInt8]) -> Bool {
    guard let permissions else { return true }
    return context.withUnsafeBytes { permissions.sees(context: $0) }
  }
}
