internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

extension LoopServices {
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
}
