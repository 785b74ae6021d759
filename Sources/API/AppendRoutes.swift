internal import Access
internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
public import Model

/// The two ways to append units by HTTP: one, and many that are all there or not at all.
extension LoopServices {
  // MARK: POST /workunit

  func createUnit(_ exchange: Exchange) async throws(Problem) {
    try noQuery(exchange)
    try requireJSON(exchange)
    let request = exchange.appendRequest
    request.reset()
    // Also of a refused one: an idle connection holds no drafts.
    defer { request.reset() }
    let draft = request.addDraft()
    if let problem = draft.parse(exchange.body) { throw problem }
    if let problem = try writer(exchange).take(draft) {
      auditRefusedUnit(exchange, problem)
      throw problem
    }
    try await append(request, .createUnit, exchange)
  }

  // MARK: POST /workunits

  func createUnits(_ exchange: Exchange) async throws(Problem) {
    let request = exchange.appendRequest
    defer { request.reset() }
    try noQuery(exchange)
    switch try ContentType(exchange) {
    case .other:
      throw Problem(.unsupportedMediaType, "the body must be application/json or application/x-ndjson")
    case .json:
      request.reset()
      let writer = try writer(exchange)
      if let problem = UnitBatch.parse(exchange.body, into: request, by: writer) {
        auditRefusedUnit(exchange, problem)
        throw problem
      }
    case .lines:
      if let problem = try readLines(exchange, isWhole: true) { throw problem }
    }
    guard request.count > 0 else { throw Problem(.invalidRequest, "the batch has no units") }
    if let problem = admitBatch(exchange, units: request.count) { throw problem }
    try await append(request, .createUnits, exchange)
  }

  /// Reads the lines of a body that is still arriving, so that a bad one is refused before the rest has come.
  /// - Returns: what is wrong with them.
  public func bodyArrives(_ exchange: Exchange) -> Problem? {
    var problem: Problem?
    do throws(Problem) {
      problem = try readLines(exchange, isWhole: false)
    } catch {
      problem = error
    }
    if problem != nil { exchange.appendRequest.reset() }
    return problem
  }

  /// Whether `bodyArrives` is to be called for the request whose head is there.
  public func readsAsItArrives(_ exchange: Exchange) -> Bool {
    guard exchange.head.method == .post,
      exchange.findRoute()?.name == .createUnits
    else { return false }
    return (try? ContentType(exchange)) == .lines
  }

  private func readLines(_ exchange: Exchange, isWhole: Bool) throws(Problem) -> Problem? {
    let request = exchange.appendRequest
    if !exchange.lines.isUnderWay { request.reset() }
    let problem = exchange.lines.read(
      exchange.body, isWhole: isWhole, into: request, by: try writer(exchange))
    if let problem { auditRefusedUnit(exchange, problem) }
    return problem
  }

  // MARK: The answer

  private func append(
    _ request: AppendRequest, _ route: Route.Name, _ exchange: Exchange
  ) async throws(Problem) {
    let isMinimal = exchange.prefersMinimal
    if let key = try idempotencyKey(exchange) {
      let print = Fingerprint.of(exchange.body, seed: UInt64(route.index))
      request.setKey(key, requestHash: ContentHash(high: print.high, low: print.low))
    }
    await engine.perform(request)
    let page: UnitPage
    let status: Status
    switch request.outcome {
    case .appended:
      status = .created
      page = UnitPage(request.units)
    case .exists:
      status = .ok
      page = try await engine.units((0..<request.count).compactMap { request.draft($0).id })
    case .answered(let positions):
      status = .created
      page = try await engine.units(at: positions)
    case .refused(let problem):
      throw problem
    case nil:
      throw Problem(.internal, "the append has no outcome")
    }
    guard page.units.count == request.count else {
      throw Problem(.internal, "what was appended before can't be read as a whole")
    }
    if route == .createUnits {
      exchange.answer(status, units: page.units, isMinimal: isMinimal)
    } else if let unit = page.units.first {
      if isMinimal { exchange.answerMinimal(status, unit: unit) } else { exchange.answer(status, unit: unit) }
    }
    withExtendedLifetime(page) {}
  }

  /// Borrowed from the head.
  private func idempotencyKey(_ exchange: Exchange) throws(Problem) -> UnsafeRawBufferPointer? {
    guard let key = try exchange.field(.idempotencyKey) else { return nil }
    guard !key.isEmpty, key.count <= Limits.idempotencyKeyBytesMax else {
      throw Problem(
        .invalidRequest, "Idempotency-Key is not of 1 to \(Limits.idempotencyKeyBytesMax) bytes")
    }
    return key
  }

  /// The agent of the credential; where authentication is off, the one that `X-Agent-ID` names. Borrowed from the exchange.
  func caller(_ exchange: Exchange) throws(Problem) -> UnsafeRawBufferPointer? {
    guard let value = try exchange.field(.xAgentID) else { return exchange.caller.agent }
    if let fault = Query.identifierFault(value) { throw Problem(.invalidRequest, "X-Agent-ID \(fault)") }
    guard let agent = exchange.caller.agent else { return value }
    guard JSONText.same(value, agent) else {
      auditDenial(exchange, nil, .route(exchange.route?.name ?? .none), reason: "agent")
      throw Problem(.permissionDenied, "X-Agent-ID is not the agent of the credential")
    }
    return agent
  }

  /// The unit that was read last is why its request is refused.
  private func auditRefusedUnit(_ exchange: Exchange, _ problem: Problem) {
    guard problem.code == .permissionDenied, let permissions = exchange.caller.permissions else { return }
    let request = exchange.appendRequest
    guard request.count > 0 else { return }
    let draft = request.draft(request.count - 1)
    let isContext = !permissions.allows(.contextWrite, context: draft.contextID)
    auditDenial(
      exchange, .contextWrite, .context([UInt8](draft.contextID)), reason: isContext ? "policy" : "agent")
  }

  private func writer(_ exchange: Exchange) throws(Problem) -> Writer {
    Writer(exchange.caller, agent: try caller(exchange))
  }
}

/// What a request's body is said to be.
enum ContentType: Equatable {
  /// Nothing was said, or JSON, with any parameters.
  case json
  /// NDJSON: one JSON text a line.
  case lines
  case other

  init(_ exchange: Exchange) throws(Problem) {
    guard let type = try exchange.field(.contentType) else {
      self = .json
      return
    }
    var end = type.firstIndex(of: UInt8(ascii: ";")) ?? type.count
    while end > 0, type[end - 1] == 0x20 || type[end - 1] == 0x09 { end -= 1 }
    let name = UnsafeRawBufferPointer(rebasing: type[..<end])
    if ASCII.equalIgnoringCase(name, "application/json") {
      self = .json
    } else {
      self = ASCII.equalIgnoringCase(name, "application/x-ndjson") ? .lines : .other
    }
  }
}
