internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model
internal import Router

extension LoopServices {
  /// `GET /stream`, `/stream/sse`, `/stream-sse`: answers with an event stream that follows live.
  func stream(_ exchange: Exchange) async throws(Problem) {
    let query = try Query(exchange, .stream)
    let subscription = try subscription(query)
    var start: Position?
    // An EventSource that resumes sends back the last id it saw.
    let resumed = try exchange.field(.lastEventID).map { [UInt8]($0) }
    let asked = try query.one("after")
    if let cursor = resumed ?? asked {
      start = try await position(of: cursor, at: resumed == nil ? "/after" : "/Last-Event-ID")
    }
    try renewCaller(exchange)
    if !exchange.isHeadOnly { try beginStream(exchange) }
    exchange.keeps = false
    exchange.begin(.ok, .eventStream, length: nil, fieldBytes: 96) { writer in
      writer.field("Cache-Control", "no-store")
      writer.field("X-Accel-Buffering", "no")
    }
    guard !exchange.isHeadOnly else { return }
    EventStream(exchange).begin(subscription, after: start)
  }

  /// The position of a cursor, from which a stream may start in this turn.
  func position(of cursor: [UInt8], at pointer: String) async throws(Problem) -> Position {
    guard let position = Query.decimal(cursor).map({ Position($0) }) else {
      throw Problem(at: pointer, "is not a cursor of this server")
    }
    guard position <= engine.window.head else { throw StreamHub.aheadOfHistory }
    try await streams.checkKept(position)
    return position
  }

  /// What the query of a stream asks for, over either transport.
  func subscription(_ query: Query) throws(Problem) -> Subscription {
    var subscription = Subscription()
    let contexts = query.all("context")
    if !contexts.isEmpty {
      subscription.contexts = try identifiers(contexts, at: "/context", max: Limits.subscriptionContextsMax)
    }
    for text in query.all("type") {
      guard let type = Query.type(text) else { throw Problem(at: "/type", "is not a type of work units") }
      subscription.types.insert(type.rawValue)
    }
    subscription.agents = try identifiers(query.all("agent"), at: "/agent", max: Limits.subscriptionAgentsMax)
    var kinds: EventKinds = []
    for names in query.all("events") {
      for name in names.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
        guard let kind = EventKinds(name: name) else {
          throw Problem(at: "/events", "names something else than workunit, context and lock")
        }
        kinds.formUnion(kind)
      }
    }
    if !kinds.isEmpty { subscription.kinds = kinds }
    if let prefix = try query.one("lock") {
      subscription.lockPrefix = try LoopServices.lockPrefix(prefix, at: "/lock")
    }
    return subscription
  }

  private func identifiers(_ texts: [[UInt8]], at pointer: String, max: Int) throws(Problem) -> [[UInt8]] {
    guard texts.count <= max else { throw Problem(at: pointer, "stands more than \(max) times") }
    var names: [[UInt8]] = []
    for text in texts {
      let name = try Query.identifier(text, at: pointer)
      if !names.contains(name) { names.append(name) }
    }
    return names
  }

  /// What canonical paths of locks are to begin with: as in a path, a leading slash is dropped.
  static func lockPrefix(_ text: [UInt8], at pointer: String) throws(Problem) -> [UInt8] {
    let prefix = text.first == UInt8(ascii: "/") ? Array(text.dropFirst()) : text
    guard prefix.count <= Limits.resourcePathBytesMax else {
      throw Problem(at: pointer, "is more than \(Limits.resourcePathBytesMax) bytes")
    }
    guard prefix.withUnsafeBytes({ JSONText.isUTF8($0) }) else { throw Problem(at: pointer, "is not UTF-8") }
    guard !prefix.withUnsafeBytes({ JSONText.hasControl($0) }) else {
      throw Problem(at: pointer, "contains a control character")
    }
    return prefix
  }
}
