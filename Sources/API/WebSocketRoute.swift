internal import Bytes
internal import EventLoop
internal import HTTP
internal import Model
internal import Router

extension LoopServices {
  /// The upgrade of `GET /stream`: answers the opening handshake (RFC 6455, section 4.2.2). The query is the first
  /// subscription.
  /// - Returns: the connection that is to take over the socket; nil if the request is not for a WebSocket.
  func webSocket(_ exchange: Exchange) async throws(Problem) -> (any UpgradedConnection)? {
    // Elsewhere an upgrade is ignored (RFC 9110, section 7.8): the paths of Server-Sent Events say what they are.
    guard exchange.head.asksUpgrade, exchange.head.method == .get, LoopServices.upgrades(exchange) else {
      return nil
    }
    let handshake: WebSocketHandshake
    do throws(WebSocketRefusal) {
      handshake = try WebSocketHandshake(exchange.head, exchange.headBytes)
    } catch {
      throw Problem(LoopServices.code(of: error), "\(error.reason)")
    }
    let agent = try caller(exchange).map { [UInt8]($0) } ?? []
    let query = try Query(exchange, .stream)
    let subscription = try subscription(query)
    var start: Position?
    if let cursor = try query.one("after") { start = try await position(of: cursor, at: "/after") }
    try renewCaller(exchange)
    try beginStream(exchange)
    answer(exchange, handshake)
    return WebSocketConnection(exchange, agent: agent, subscription, after: start)
  }

  /// Whether the path is `/stream`, with or without the version.
  private static func upgrades(_ exchange: Exchange) -> Bool {
    var segments = PathSegments(exchange.head.path, in: exchange.headBytes)
    var last: ByteRun?
    while let segment = segments.next() { last = segment }
    return last.map { PercentEncoding.equal(exchange.bytes($0), "stream") } ?? false
  }

  private static func code(of refusal: WebSocketRefusal) -> ErrorCode {
    switch refusal.status {
    case .methodNotAllowed: .methodNotAllowed
    case .upgradeRequired: .upgradeRequired
    default: .invalidRequest
    }
  }

  private func answer(_ exchange: Exchange, _ handshake: WebSocketHandshake) {
    exchange.status = Status.switchingProtocols.rawValue
    let room = WebSocketHandshake.headBytesMax + Limits.requestIDBytesMax
    let output = exchange.socket.output
    var writer = ByteWriter(output.reserve(room), capacity: room)
    exchange.withRequestID { handshake.write(to: &writer, date: date, requestID: $0) }
    output.commit(writer.count)
  }
}
