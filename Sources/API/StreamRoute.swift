internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model
internal import Notifier

extension LoopServices {
  /// Contexts that one subscription may name.
  static let streamContextsMax = 256

  /// `GET /stream`, `/stream/sse`, `/stream-sse`: answers with an event stream that follows contexts live.
  func stream(_ exchange: Exchange) throws(Problem) {
    if exchange.head.asksUpgrade {
      throw Problem(.invalidRequest, "WebSocket is not served by this version; ask without Upgrade")
    }
    let query = try Query(exchange, .stream)
    let subscription = try subscription(query)
    let head = engine.window.head
    var start = head
    // An EventSource that resumes sends back the last id it saw.
    let resumed = try exchange.field(.lastEventID).map { [UInt8]($0) }
    let asked = try query.one("after")
    if let cursor = resumed ?? asked {
      guard let position = Query.decimal(cursor) else {
        throw Problem(at: resumed == nil ? "/after" : "/Last-Event-ID", "is not a cursor of this server")
      }
      start = Position(position)
      guard start <= head else { throw Problem(.gone, "the cursor lies ahead of this server's history") }
    }
    exchange.keeps = false
    exchange.begin(.ok, .eventStream, length: nil, fieldBytes: 96) { writer in
      writer.field("Cache-Control", "no-store")
      writer.field("X-Accel-Buffering", "no")
    }
    guard !exchange.isHeadOnly else { return }
    EventStream(socket: exchange.socket, hub: streams, subscription: subscription, after: start).begin()
  }

  private func subscription(_ query: Query) throws(Problem) -> Subscription {
    var subscription = Subscription()
    let contexts = query.all("context")
    guard contexts.count <= LoopServices.streamContextsMax else {
      throw Problem(at: "/context", "stands more than \(LoopServices.streamContextsMax) times")
    }
    if !contexts.isEmpty {
      var names: [[UInt8]] = []
      for context in contexts {
        let name = try Query.identifier(context, at: "/context")
        if !names.contains(name) { names.append(name) }
      }
      subscription.contexts = names
    }
    for text in query.all("type") {
      let type = text.withUnsafeBytes { bytes in
        WorkUnitType(name: bytes) ?? Query.decimal(text).flatMap { WorkUnitType(number: Int64(clamping: $0)) }
      }
      guard let type else { throw Problem(at: "/type", "is not a type of work units") }
      subscription.types.insert(type.rawValue)
    }
    for agent in query.all("agent") {
      subscription.agents.append(try Query.identifier(agent, at: "/agent"))
    }
    for kinds in query.all("events") {
      for kind in kinds.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
      where !kind.elementsEqual("workunit".utf8) {
        throw Problem(at: "/events", "names something else than workunit, which is all that is sent so far")
      }
    }
    return subscription
  }
}
