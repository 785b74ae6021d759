internal import Bytes
internal import Engine
internal import EventLoop
public import HTTP
public import Model

extension Exchange {
  /// JSON of a unit up to this size is copied into the outbox; more is sent from the slab that holds it.
  static let copiedBytesMax = 16 << 10
  /// JSON up to this size is written in one piece, with what stands around it; the rest of a chunk is left empty.
  private static let smallBytesMax = 8 << 10

  /// Writes the head of an answer of `length` bytes. `fields` may take `fieldBytes` for further fields.
  func begin(
    _ status: Status, _ media: MediaType, length: Int?, fieldBytes: Int = 0,
    _ fields: (inout ByteWriter) -> Void = { _ in }
  ) {
    begin(status, media, length: length, fieldBytes: fieldBytes, bodyBytes: 0, fields) { _ in }
  }

  /// Writes a head and, in the same piece of the outbox, the first `bodyBytes` of the body: `body` writes them.
  private func begin(
    _ status: Status, _ media: MediaType, length: Int?, fieldBytes: Int, bodyBytes: Int,
    _ fields: (inout ByteWriter) -> Void, body: (inout ByteWriter) -> Void
  ) {
    self.status = status.rawValue
    let furtherBytes = furtherFieldBytes
    let room = ResponseHead.bytesMax + Limits.requestIDBytesMax + fieldBytes + furtherBytes + bodyBytes
    let memory = socket.output.reserve(room)
    var writer = ByteWriter(memory, capacity: room)
    let answer = ResponseHead(
      status, media, length: length.map { UInt64($0) }, persistence: Persistence(head, keep: keeps))
    withRequestID { answer.begin(&writer, date: services.date, requestID: $0) }
    fields(&writer)
    if furtherBytes > 0 { writeFurtherFields(to: &writer) }
    writer.endHead()
    body(&writer)
    socket.output.commit(writer.count)
  }

  func answer(_ status: Status, _ media: MediaType, _ body: StaticString) {
    begin(status, media, length: body.utf8CodeUnitCount)
    if !isHeadOnly { socket.output.write(body) }
  }

  func answer(_ status: Status, _ media: MediaType, _ body: [UInt8]) {
    begin(status, media, length: body.count)
    if !isHeadOnly { body.withUnsafeBytes { socket.output.write($0) } }
  }

  /// Answers with a problem; `allow` names the methods of a 405.
  public func answer(_ problem: Problem, allow: StaticString? = nil) {
    answer(problem, as: Status(rawValue: UInt16(problem.status)) ?? .internalServerError, allow: allow)
  }

  /// Answers a request that couldn't be understood as HTTP; the connection is closed behind it.
  public func answer(_ error: HTTPError) {
    keeps = false
    answer(Problem(Exchange.code(of: error), "\(error.reason)"), as: error.status)
    services.metrics.count(.none, status: error.status.rawValue)
  }

  /// The code that a request is refused with that couldn't be understood as HTTP.
  static func code(of error: HTTPError) -> ErrorCode {
    switch error.status {
    case .contentTooLarge: .payloadTooLarge
    case .requestHeaderFieldsTooLarge: .headTooLarge
    default: .invalidRequest
    }
  }

  private func answer(_ problem: Problem, as status: Status, allow: StaticString? = nil) {
    services.metrics.count(problem.code)
    let body = withRequestID { problem.json(requestID: $0, status: Int(status.rawValue)) }
    begin(status, .problem, length: body.count, fieldBytes: 128) { writer in
      if let allow { writer.field("Allow", allow) }
      if problem.code.asksToRetry { writer.field("Retry-After", max(retrySeconds, 1)) }
      if problem.code == .unauthenticated {
        // RFC 6750, section 3: what is wrong with a credential nobody is told.
        writer.field(
          "WWW-Authenticate",
          bearsCredential ? "Bearer realm=\"engram\", error=\"invalid_token\"" : "Bearer realm=\"engram\"")
      }
      if problem.code == .upgradeRequired {
        // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
        writer.field("Connection", "Upgrade")
        writer.field("Upgrade", "websocket")
        writer.field(WebSocketHandshake.versionField.name, WebSocketHandshake.versionField.value)
      }
    }
    if !isHeadOnly { body.withUnsafeBytes { socket.output.write($0) } }
  }

  /// `{"work_unit": …}`
  func answer(_ status: Status, unit: EventView) {
    let body = unit.body
    let length = 14 + body.count
    if length <= Exchange.smallBytesMax, !isHeadOnly {
      return begin(status, .json, length: length, fieldBytes: 0, bodyBytes: length, { _ in }) { writer in
        writer.run("{\"work_unit\":")
        writer.run(body)
        writer.run("}")
      }
    }
    begin(status, .json, length: length)
    guard !isHeadOnly else { return }
    socket.output.write("{\"work_unit\":")
    write(unit)
    socket.output.write("}")
  }

  /// `{"id", "sequence", "position"}`
  func answerMinimal(_ status: Status, unit: EventView) {
    let body = ByteWriter.bytes(capacity: Exchange.briefBytesMax) { Exchange.writeBrief(unit, to: &$0) }
    beginMinimal(status, length: body.count)
    if !isHeadOnly { body.withUnsafeBytes { socket.output.write($0) } }
  }

  /// `{"work_units": […]}`, of whole units or of what `answerMinimal` says of each.
  func answer(_ status: Status, units: [EventView], isMinimal: Bool) {
    guard isMinimal else {
      let length = units.reduce(15 + 2 + max(0, units.count - 1)) { $0 + $1.bodyLength }
      begin(status, .json, length: length)
      guard !isHeadOnly else { return }
      socket.output.write("{\"work_units\":[")
      write(list: units)
      return socket.output.write("]}")
    }
    let body = ByteWriter.bytes(capacity: 32 + units.count * (Exchange.briefBytesMax + 1)) { writer in
      for (place, unit) in units.enumerated() {
        writer.run(place == 0 ? "{\"work_units\":[" : ",")
        Exchange.writeBrief(unit, to: &writer)
      }
      writer.run("]}")
    }
    beginMinimal(status, length: body.count)
    if !isHeadOnly { body.withUnsafeBytes { socket.output.write($0) } }
  }

  /// Puts units' JSON into the outbox, commas between them. What one request has just appended lies in one slab, and
  /// is sent from there if it is much.
  private func write(list units: [EventView]) {
    let runs = units.map(\.body)
    if let first = units.first, runs.reduce(0, { $0 + $1.count }) > Exchange.copiedBytesMax,
      let slab = services.engine.window.slab(holding: first), runs.allSatisfy(slab.holds)
    {
      return socket.output.write(shared: slab, runs, between: ",")
    }
    write(copying: units)
  }

  /// As many in one piece of the outbox as it has room for.
  private func write(copying units: [EventView]) {
    var next = 0
    while next < units.count {
      guard units[next].bodyLength < Exchange.smallBytesMax else {
        if next > 0 { socket.output.write(",") }
        write(units[next])
        next += 1
        continue
      }
      let room = socket.output.reserveRest(atLeast: units[next].bodyLength + 1)
      guard let base = room.baseAddress else { return }
      var writer = ByteWriter(base, capacity: room.count)
      while next < units.count, units[next].bodyLength < min(writer.remaining, Exchange.smallBytesMax) {
        if next > 0 { writer.run(",") }
        writer.run(units[next].body)
        next += 1
      }
      socket.output.commit(writer.count)
    }
  }

  private static let briefBytesMax = 128

  private static func writeBrief(_ unit: EventView, to writer: inout ByteWriter) {
    guard let head = unit.unit else { return }
    writer.run("{\"id\":\"")
    head.id.write(to: &writer)
    writer.run("\",\"sequence\":")
    writer.decimal(head.sequence.rawValue)
    writer.run(",\"position\":")
    writer.decimal(unit.position.rawValue)
    writer.run("}")
  }

  private func beginMinimal(_ status: Status, length: Int) {
    begin(status, .json, length: length, fieldBytes: 64) {
      $0.field("Preference-Applied", "return=minimal")
    }
  }

  /// Puts a unit's JSON into the outbox.
  func write(_ unit: EventView) {
    let body = unit.body
    if body.count > Exchange.copiedBytesMax, let slab = services.engine.window.slab(holding: unit) {
      socket.output.write(shared: slab, body)
    } else {
      socket.output.write(body)
    }
  }
}
