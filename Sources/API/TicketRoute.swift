internal import Access
internal import Bytes
internal import EventLoop
internal import Glibc
internal import HTTP
internal import Model

extension LoopServices {
  // MARK: POST /auth/ticket

  /// Makes a ticket for the caller. Without authentication there is nothing to stand in for.
  func createTicket(_ exchange: Exchange) throws(Problem) {
    try noQuery(exchange)
    guard access != nil else {
      throw Problem(.notFound, "there are no tickets: authentication is off")
    }
    if !exchange.body.isEmpty {
      try requireJSON(exchange)
      var reader = BodyReader(exchange.body)
      try reader.readBody([]) { (_, _, _) throws(JSONError) in }
    }
    guard let principal = exchange.caller.principal else {
      throw Problem(.unauthenticated, "the request needs a credential that is accepted here")
    }
    let ticket: TicketBook.Ticket
    do throws(TicketRefusal) { ticket = try tickets.make(for: principal, now: LogTime.wall) } catch {
      switch error {
      case .agentLimit:
        throw Problem(
          .rateLimited, "\(CredentialLimits.ticketsPerAgentMax) tickets of this agent wait to be used")
      case .limit, .unavailable: throw Problem(.unavailable, "no ticket can be made now")
      }
    }
    let body = Array(
      "{\"ticket\":\"\(String(decoding: ticket.text, as: UTF8.self))\",\"expires_at\":\"\(ticket.expiresAt)\"}"
        .utf8)
    exchange.begin(.created, .json, length: body.count, fieldBytes: 32) { writer in
      writer.field("Cache-Control", "no-store")
    }
    body.withUnsafeBytes { exchange.socket.output.write($0) }
  }
}

extension Exchange {
  /// What the query presents as `ticket`; nil without one. Of several nobody can say which one is meant.
  func ticket() throws(AuthenticationFailure) -> [UInt8]? {
    guard !head.query.isEmpty else { return nil }
    var found: [UInt8]?
    var walk = QueryItems(head.query, in: headBytes)
    while let item = walk.next() {
      guard let name = try? Query.decode(bytes(item.name), plusIsSpace: true),
        name.elementsEqual(Parameter.ticket.name.utf8)
      else { continue }
      bearsCredential = true
      guard found == nil, let value = try? Query.decode(bytes(item.value), plusIsSpace: true) else {
        throw .ticket
      }
      found = value
    }
    return found
  }
}

extension LogTime {
  /// What the wall clock says, which may be set: for moments that clients are told and that credentials end at.
  static var wall: LogTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let seconds = UInt64(clamping: time.tv_sec)
    return LogTime(microseconds: seconds * 1_000_000 + UInt64(clamping: time.tv_nsec) / 1_000)
  }
}
