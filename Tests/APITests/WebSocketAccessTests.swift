import Access
import Bytes
import HTTP
import Model
import Telemetry
import Testing

@testable import API

/// What a WebSocket's credential allows, and until when.
@Suite struct WebSocketAccessTests {
  private typealias Desk = WebSocketDesk

  private static func policy(_ resources: String...) throws -> Policy {
    Policy([
      try PolicyRule(agents: ["ann"], verbs: ["context:read", "context:write"], resources: resources)
    ])
  }

  private static func publish(_ ref: Int, context: String, agent: String? = nil, more: String = "") -> [UInt8]
  {
    let agent = agent.map { "\"agent_id\":\"\($0)\"," } ?? ""
    return Desk.text(
      "{\"type\":\"publish\",\"ref\":\(ref),\"work_unit\":{\"context_id\":\"\(context)\",\(agent)"
        + "\"type\":\"MESSAGE\",\"payload\":\"x\"\(more)}}")
  }

  /// The refs that were refused, with the code.
  private func refusals(_ desk: Desk) throws -> [String] {
    try desk.taken().filter { $0.opcode == .text }.map(\.text).filter { $0.contains("\"error\"") }.map {
      text in
      func member(_ name: String) -> String {
        let rest = text.split(separator: "\"\(name)\":").dropFirst().first ?? "?"
        return String(rest.filter { $0 != "\"" }.prefix { $0 != "," })
      }
      let (ref, code) = (member("ref"), member("code"))
      return "\(ref) \(code)"
    }
  }

  @Test func `units go only where the credential may write, and by its agent`() throws {
    let desk = try Desk(caller: try TokenDesk.caller(try Self.policy("context/team/**")))
    _ = try desk.begun()
    desk.arrives(
      Self.publish(1, context: "team/x") + Self.publish(2, context: "other")
        + Self.publish(3, context: "team/x", agent: "bob") + Self.publish(4, context: "team/x", agent: "ann")
        + Self.publish(5, context: "team", more: ",\"fence\":{\"resource_path\":\"hidden\",\"token\":1}"))
    #expect(
      try refusals(desk) == ["2 permission_denied", "3 permission_denied", "5 fence_rejected"])
    // The others are under way.
    #expect(desk.metrics.publishesInFlight.value == 2)
    #expect(!desk.isEnding)
  }

  @Test func `the audit has what was refused, and where it came from`() throws {
    let address = ClientAddress(ipv4: 0xc000_0201)
    let desk = try Desk(caller: try TokenDesk.caller(try Self.policy("context/team/**")), address: address)
    let written = Written()
    desk.services.audit = written
    _ = try desk.begun()
    desk.arrives(
      Self.publish(1, context: "other") + Self.publish(2, context: "team/x", agent: "bob")
        + Self.publish(3, context: "team/x"))
    let events = written.take()
    #expect(events.map(\.reason) == ["policy", "agent"])
    for event in events {
      #expect(event.kind == .denial && event.address == address && event.verb == .contextWrite)
      #expect(event.agent == Array("ann".utf8) && event.isAgentKnown)
    }
  }

  @Test func `a refusal doesn't say whether the context is there`() throws {
    let desk = try Desk(caller: try TokenDesk.caller(try Self.policy("context/team/**")))
    _ = try desk.begun()
    desk.arrives(Self.publish(1, context: "there") + Self.publish(1, context: "not-there"))
    let texts = try desk.taken().map(\.text)
    #expect(texts.count == 2 && texts[0] == texts[1] && !texts[0].contains("there"))
  }

  @Test func `a new policy counts from the next publish on`() throws {
    let desk = try Desk(caller: try TokenDesk.caller(try Self.policy("context/team/**")))
    _ = try desk.begun()
    desk.services.access = try AccessControl(agents: ["ann"], try Self.policy("context/other"))
    desk.arrives(Self.publish(1, context: "team/x") + Self.publish(2, context: "other"))
    #expect(try refusals(desk) == ["1 permission_denied"])
    #expect(desk.metrics.publishesInFlight.value == 1)
  }

  @Test func `a stream that begins behind a reload begins as of then`() throws {
    let first = try Self.policy("context/team/**")
    let desk = try Desk(caller: try TokenDesk.caller(first))
    let exchange = Exchange(socket: desk.socket, services: desk.services)
    exchange.caller = try TokenDesk.caller(first)
    let written = Written()
    desk.services.audit = written
    // Nothing has changed: the same policy.
    desk.services.access = try AccessControl(agents: ["ann"], first)
    let permissions = exchange.caller.permissions
    try desk.services.renewCaller(exchange)
    #expect(exchange.caller.permissions === permissions)
    desk.services.access = try AccessControl(agents: ["ann"], try Self.policy("context/other"))
    try desk.services.renewCaller(exchange)
    let renewed = try #require(exchange.caller.permissions)
    #expect(renewed !== permissions)
    #expect(Array("other".utf8).withUnsafeBytes { renewed.sees(context: $0) })
    #expect(written.take().isEmpty)
    // A token that is gone by then, authentication that is on by then, and one that has ended.
    desk.services.access = try AccessControl(agents: ["bob"], first)
    #expect(throws: Problem.self) { try desk.services.renewCaller(exchange) }
    exchange.caller = .open
    #expect(throws: Problem.self) { try desk.services.renewCaller(exchange) }
    desk.services.access = try AccessControl(agents: ["ann"], first)
    exchange.caller = try TokenDesk.caller(first, expiresAt: 1000)
    #expect(throws: Problem.self) { try desk.services.renewCaller(exchange) }
    // Each is written down, with the agent that is known.
    let events = written.take()
    #expect(events.map(\.reason) == ["expired", "missing", "expired"])
    #expect(events.map(\.agent) == [Array("ann".utf8), [], Array("ann".utf8)])
    #expect(events.allSatisfy { $0.kind == .authenticationFailure })
  }

  @Test func `a credential that is taken back closes with 1008, whatever is followed`() throws {
    for isIdle in [false, true] {
      let desk = try Desk(caller: try TokenDesk.caller(try Self.policy("context/**")))
      _ = try desk.begun()
      if isIdle { desk.arrives(Desk.text(#"{"type":"unsubscribe"}"#)) }
      desk.services.access = try AccessControl(agents: ["bob"], try Self.policy("context/**"))
      let frames = try desk.taken()
      #expect(frames.last?.opcode == .close && frames.last?.code == 1008)
      // Nothing is taken any more.
      desk.arrives(Self.publish(1, context: "c"))
      #expect(desk.metrics.publishesInFlight.value == 0)
      #expect(try desk.taken().isEmpty)
    }
  }
}
