import Access
import Engine
import EventLoop
import Glibc
import HTTP
import Model
import Testing

@testable import API

/// The gate without a server. Tokens: their file's digests are of `alice-token` and `bob-token`.
@Suite(.serialized) struct GateTests {
  private let desk: Desk
  private let written = Written()
  private var services: LoopServices { desk.exchange.services }

  private static let tokens = """
    alice:writer:\(Digests.alice)
    bob:reader:\(Digests.bob)
    gone:writer:\(Digests.gone):1000
    """

  /// SHA-256 of the tokens, by `printf %s alice-token | sha256sum`.
  private enum Digests {
    static let alice = "9c220f200955d76c0a38d308225e0ef10c5f971acaf2f8d1d8f732affa5bd1dc"
    static let bob = "97dd3707015dcf069cf73022ed7173b1165db6eff24b441cb57fd069a8c4e525"
    static let gone = "1e99c30fd397ce5a3896a1bf1de55d22758fd5500a821f6e725cda946b49bfd2"
  }

  init() throws {
    desk = try Desk()
    desk.exchange.services.audit = written
    desk.exchange.services.access = try Self.control(1)
  }

  private static func control(_ generation: UInt64, tokens: String = tokens) throws -> AccessControl {
    let table = try Array(tokens.utf8).withUnsafeBytes { try TokenTable(parsing: $0) }
    let policy = Policy([
      try PolicyRule(
        roles: ["writer"],
        verbs: ["context:read", "context:write", "lock:read", "lock:acquire", "search", "metrics"],
        resources: ["context/team/**", "lock/team/**"]),
      try PolicyRule(
        roles: ["reader"], verbs: ["context:read", "context:write"], resources: ["context/{agent}"]),
    ])
    return AccessControl(
      authenticator: Authenticator([.tokens(table)]), policy: policy, generation: generation)
  }

  private static let alice = "Authorization: Bearer alice-token"
  private static let bob = "Authorization: Bearer bob-token"

  @discardableResult
  private func admit(_ method: String = "GET", _ target: String, _ fields: String...) throws -> ErrorCode? {
    try desk.with(target, method: method, fields: fields) { services.admit($0)?.code }
  }

  @Test func `where authentication is off, everybody passes`() throws {
    services.access = nil
    #expect(try admit("POST", "/workunit") == nil)
    #expect(try admit("GET", "/nowhere", "Authorization: Bearer nonsense") == nil)
    guard case .open = desk.exchange.caller else {
      Issue.record("not open")
      return
    }
    #expect(written.take().isEmpty)
  }

  @Test(arguments: Route.Name.allCases.filter { $0 != .none })
  func `every route asks for a credential, but for those that tell nothing`(_ route: Route.Name) throws {
    let open: Set<Route.Name> = [.livez, .readyz, .healthz, .version, .openapi]
    for path in route.paths {
      let target = path.replacing("{id}", with: "x").replacing("{context_id}", with: "x").replacing(
        "{path}", with: "x")
      for method in Method.allCases where route.takes(method) {
        let name = "\(method)".uppercased()
        for prefix in ["", "/v1"] {
          let code = try admit(name, prefix + target)
          #expect(code == (open.contains(route) ? nil : .unauthenticated), "\(name) \(prefix)\(target)")
        }
      }
    }
  }

  @Test func `what isn't there is no more open than what is`() throws {
    for target in [
      "/", "/nowhere", "/contexts/a/b/c", "/v1", "/v2/contexts", "/LIVEZ", "/livez/", "/livez/x",
    ] {
      #expect(try admit("GET", target) == .unauthenticated, "\(target)")
    }
    // Neither is what isn't done there.
    #expect(try admit("DELETE", "/contexts") == .unauthenticated)
    #expect(try admit("POST", "/livez") == .unauthenticated)
    #expect(try admit("DELETE", "/contexts", Self.alice) == nil)
    #expect(try admit("GET", "/nowhere", Self.alice) == nil)
  }

  @Test func `the details of readiness are for those who may see metrics`() throws {
    #expect(try admit("GET", "/readyz") == nil)
    #expect(try admit("GET", "/readyz?verbose") == .unauthenticated)
    #expect(try admit("GET", "/readyz?verbose", Self.bob) == .permissionDenied)
    #expect(try admit("GET", "/readyz?verbose", Self.alice) == nil)
  }

  @Test(arguments: [
    "Bearer", "Bearer ", "Basic YWxpY2U6dG9rZW4=", "alice-token", "Bearer wrong", "Bearer alice-token x",
    "Bearer alice-tokem", "bearer", "Bearer gone-token", "Token alice-token",
    "Bearer alice-token,alice-token",
  ]) func `a credential that isn't one is refused`(_ value: String) throws {
    #expect(try admit("GET", "/contexts", "Authorization: " + value) == .unauthenticated)
    #expect(desk.exchange.bearsCredential)
    #expect(desk.exchange.credential == nil)
    let events = written.take()
    #expect(events.map(\.kind) == [.authenticationFailure])
    #expect(events.first?.reason.isEmpty == false && events.first?.requestID.isEmpty == false)
    // Nothing of what was presented is written down.
    for event in events {
      #expect(!event.reason.contains("alice"))
      #expect(!String(decoding: event.resource, as: UTF8.self).contains("token"))
    }
  }

  @Test func `of two credentials none counts`() throws {
    #expect(try admit("GET", "/contexts", Self.alice, Self.alice) == .unauthenticated)
    #expect(written.take().first?.reason == "malformed_field")
    #expect(try admit("GET", "/contexts") == .unauthenticated)
    #expect(!desk.exchange.bearsCredential)
    #expect(written.take().first?.reason == "missing")
  }

  @Test func `the scheme is written as one likes`() throws {
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR  "] {
      #expect(try admit("GET", "/contexts", "Authorization: \(scheme) alice-token") == nil)
    }
  }

  @Test func `a credential is verified once, until it, its configuration or its time is another`() throws {
    try admit("GET", "/contexts", Self.alice)
    let first = desk.exchange.credential?.principal
    #expect(first?.agent == Array("alice".utf8))
    try admit("GET", "/contexts", Self.alice)
    #expect(desk.exchange.credential?.principal === first)
    // Another one on the same connection.
    try admit("GET", "/contexts", Self.bob)
    #expect(desk.exchange.credential?.principal.agent == Array("bob".utf8))
    // A bad one leaves nothing behind.
    #expect(try admit("GET", "/contexts", "Authorization: Bearer bob-tokex") == .unauthenticated)
    #expect(desk.exchange.credential == nil)
    #expect(desk.exchange.caller.principal == nil)
    #expect(try admit("GET", "/contexts") == .unauthenticated)
    // The configuration is read again: the token is gone.
    #expect(try admit("GET", "/contexts", Self.alice) == nil)
    services.access = try Self.control(2, tokens: "bob:reader:\(Digests.bob)")
    #expect(try admit("GET", "/contexts", Self.alice) == .unauthenticated)
    #expect(try admit("GET", "/contexts", Self.bob) == nil)
  }

  @Test func `one that ends is refused on the connection that it was good for`() throws {
    let now = LoopServices.unixSeconds
    services.access = try Self.control(3, tokens: "alice:writer:\(Digests.alice):\(now + 2)")
    #expect(try admit("GET", "/contexts", Self.alice) == nil)
    let held = try #require(desk.exchange.credential)
    let access = try #require(services.access)
    Array("Bearer alice-token".utf8).withUnsafeBytes { value in
      #expect(held.holds(for: value, access, now: now + 1))
      #expect(!held.holds(for: value, access, now: now + 2))
      #expect(!held.holds(for: nil, access, now: now))
      #expect(!held.holds(for: UnsafeRawBufferPointer(rebasing: value.dropLast()), access, now: now))
    }
    Array("Bearer alice-tokem".utf8).withUnsafeBytes { #expect(!held.holds(for: $0, access, now: now)) }
  }

  @Test func `a certificate is worth nothing once an authority of its time is gone`() throws {
    let naming = CertificateNaming(MutualTLSSettings())
    let policy = Policy([
      try PolicyRule(agents: ["*"], verbs: ["context:read"], resources: ["context/**"])
    ])
    func reload(_ sources: [Authenticator.Source], authorities: UInt64, generation: UInt64) {
      services.access = AccessControl(
        authenticator: Authenticator(sources, authorityGeneration: authorities), policy: policy,
        generation: generation)
    }
    // One failure of the address, and it may not try again.
    var rates = RateSettings()
    rates.address.failures = Rate(perSecond: 1, burst: 1)
    services.rates = RateLimiter(rates)
    var certificate = PeerCertificate()
    certificate.uris = [Array("alice".utf8)]
    certificate.authorityGeneration = 1
    desk.exchange.certificate = certificate
    reload([.certificates(naming)], authorities: 1, generation: 1)
    #expect(try admit("GET", "/contexts") == nil)
    reload([.certificates(naming)], authorities: 1, generation: 2)
    #expect(try admit("GET", "/contexts") == nil && desk.exchange.keeps)
    reload([.certificates(naming)], authorities: 2, generation: 3)
    for _ in 0..<3 {
      #expect(try admit("GET", "/contexts") == .unauthenticated)
      #expect(written.take().map(\.reason) == ["authority"])
      // Another handshake is the only way on.
      #expect(!desk.exchange.keeps && desk.exchange.credential == nil)
    }
    reload([], authorities: 1, generation: 4)
    #expect(try admit("GET", "/contexts") == .unauthenticated)
  }

  @Test func `routes that the caller may not use at all are refused at the head`() throws {
    for (method, target) in [
      ("POST", "/search"), ("POST", "/search/relationships"), ("GET", "/metrics"), ("POST", "/locks"),
      ("PUT", "/locks/team/x"), ("DELETE", "/locks/team/x"), ("DELETE", "/locks/team/x?force=true"),
      ("PATCH", "/contexts/alice"),
    ] {
      #expect(try admit(method, target, Self.bob) == .permissionDenied, "\(method) \(target)")
      #expect(written.take().map(\.kind) == [.denial])
    }
    for (method, target) in [
      ("POST", "/search"), ("GET", "/metrics"), ("POST", "/locks"), ("PUT", "/locks/team/x"),
      ("DELETE", "/locks/%74eam/x"), ("PATCH", "/contexts/team%2Fx"), ("POST", "/workunit"),
      ("POST", "/workunits"),
    ] {
      #expect(try admit(method, target, Self.alice) == nil, "\(method) \(target)")
    }
    for (method, target) in [
      ("PUT", "/locks/other"), ("DELETE", "/locks/teamx"), ("PATCH", "/contexts/other"),
      ("PATCH", "/contexts/team-x"),
    ] {
      #expect(try admit(method, target, Self.alice) == .permissionDenied, "\(method) \(target)")
    }
    // What is read only looks as if it weren't there.
    for target in ["/contexts/other", "/workunits/other", "/locks/other", "/locks", "/contexts", "/stream"] {
      #expect(try admit("GET", target, Self.bob) == nil)
    }
  }

  @Test func `the audit has who was refused what`() throws {
    try admit("PATCH", "/contexts/other%0A", Self.alice, "X-Request-ID: r-1")
    let event = try #require(written.take().first)
    #expect(event.kind == .denial && event.outcome == .failure)
    #expect(event.agent == Array("alice".utf8) && event.requestID == Array("r-1".utf8))
    #expect(event.verb == .contextWrite && event.resource == Array("context/other\n".utf8))
  }

  @Test func `the agent is the credential's, and a field that says otherwise is refused`() throws {
    func caller(_ fields: String...) throws -> [UInt8]? {
      try desk.with("/contexts", fields: fields) { exchange in
        _ = services.admit(exchange)
        return try services.caller(exchange).map { [UInt8]($0) }
      }
    }
    #expect(try caller(Self.alice) == Array("alice".utf8))
    #expect(try caller(Self.alice, "X-Agent-ID: alice") == Array("alice".utf8))
    let problem = #expect(throws: Problem.self) { try caller(Self.alice, "X-Agent-ID: bob") }
    #expect(problem?.code == .permissionDenied)
    services.access = nil
    #expect(try caller("X-Agent-ID: bob") == Array("bob".utf8))
    #expect(try caller() == nil)
  }

  @Test func `who names another agent than the credential's is refused, and written down`() throws {
    func asker(_ named: String?, _ fields: String...) throws -> [UInt8]? {
      try desk.with("/locks", method: "POST", fields: fields) { exchange in
        _ = services.admit(exchange)
        return try services.asker(
          exchange, named: named.map { Array($0.utf8) }, .lockAcquire, .lock(Array("team/x".utf8)))
      }
    }
    #expect(try asker("alice", Self.alice) == Array("alice".utf8))
    #expect(try asker(nil, Self.alice) == Array("alice".utf8))
    #expect(written.take().isEmpty)
    let problem = #expect(throws: Problem.self) { try asker("bob", Self.alice) }
    #expect(problem?.code == .permissionDenied)
    let event = try #require(written.take().first)
    #expect(event.kind == .denial && event.reason == "agent" && event.verb == .lockAcquire)
    #expect(event.agent == Array("alice".utf8) && event.isAgentKnown)
    #expect(event.resource == Array("lock/team/x".utf8))
    // Where nobody has a credential, it is a mistake and no denial.
    services.access = nil
    #expect(throws: Problem.self) { try asker("bob", "X-Agent-ID: alice") }
    #expect(written.take().isEmpty)
  }

  @Test(arguments: [("GET", "/stream"), ("POST", "/locks")])
  func `a credential that ends while its request waits is written down`(method: String, target: String) throws
  {
    try desk.with(target, method: method, fields: [Self.alice]) { exchange in
      #expect(services.admit(exchange) == nil)
      services.access = try Self.control(2, tokens: "bob:reader:\(Digests.bob)")
      services.readmit(exchange)
      #expect(exchange.refusal?.code == .unauthenticated)
    }
    let events = written.take()
    #expect(events.map(\.kind) == [.authenticationFailure] && events.map(\.reason) == ["expired"])
    #expect(events.first?.agent == Array("alice".utf8) && events.first?.isAgentKnown == true)
    #expect(events.first?.resource == Array("\(method) \(target)".utf8))
  }

  @Test func `what a peer calls itself is no agent that is known`() throws {
    try admit("GET", "/contexts", "X-Agent-ID: alice")
    #expect(written.take().map(\.isAgentKnown) == [false])
    services.access = nil
    try desk.with("/contexts", fields: ["X-Agent-ID: alice"]) { exchange in
      _ = services.admit(exchange)
      services.auditDenial(exchange, nil, .route(.contexts), reason: "origin")
    }
    let event = try #require(written.take().first)
    #expect(event.agent == Array("alice".utf8) && !event.isAgentKnown)
  }

  @Test func `a unit is taken from whom it may come from, for where it may go to`() throws {
    func take(_ unit: String, _ credential: String = Self.alice) throws -> Problem? {
      try desk.with("/workunit", method: "POST", fields: [credential]) { exchange in
        #expect(services.admit(exchange) == nil)
        let body = Array(unit.utf8)
        return body.withUnsafeBytes { body in
          let draft = UnitDraft()
          if let problem = draft.parse(body) { return problem }
          return Writer(exchange.caller, agent: nil).take(draft)
        }
      }
    }
    func unit(_ context: String, _ more: String = "") -> String {
      #"{"context_id":"\#(context)","type":"MESSAGE","payload":""\#(more)}"#
    }
    #expect(try take(unit("team/x")) == nil)
    #expect(try take(unit("team/x", #","agent_id":"alice""#)) == nil)
    #expect(try take(unit("team/x", #","agent_id":"bob""#))?.code == .permissionDenied)
    let problem = try take(unit("other"))
    #expect(problem?.code == .permissionDenied && problem?.errors.map(\.pointer) == ["/context_id"])
    #expect(try take(unit("bob"), Self.bob) == nil)
    #expect(try take(unit("alice"), Self.bob)?.code == .permissionDenied)
    // A fence names a lock: one that the caller may not know of is as one that nobody holds.
    #expect(try take(unit("team/x", #","fence":{"resource_path":"team/l","token":1}"#)) == nil)
    let fenced = try take(unit("team/x", #","fence":{"resource_path":"other","token":1}"#))
    #expect(fenced?.code == .fenceRejected && fenced?.errors.map(\.pointer) == ["/fence"])
  }

  @Test func `each request has its own route, whatever the one before was`() throws {
    try desk.with("/livez") { exchange in
      #expect(services.admit(exchange) == nil)
      #expect(exchange.findRoute()?.name == .livez)
    }
    try desk.with("/search", method: "POST") { exchange in
      #expect(services.admit(exchange)?.code == .unauthenticated)
      #expect(exchange.findRoute()?.name == .search)
    }
    try desk.with("/nowhere") { #expect($0.findRoute()?.name == nil) }
  }

  @Test func `connections under one credential keep it once`() {
    var values = SharedValues()
    func place(_ text: String) -> UnsafeRawPointer? {
      Array(text.utf8).withUnsafeBytes { values.share($0) }.withUnsafeBytes { $0.baseAddress }
    }
    let text = String(repeating: "t", count: 4000)
    #expect(place(text) == place(text))
    #expect(place(text) != place(text + "t"))
    for number in 0..<1000 { _ = place("\(number)") }
    #expect(Array(text.utf8).withUnsafeBytes { values.share($0) } == Array(text.utf8))
  }

  @Test func `the page of policies has every route and verb`() throws {
    let page = try text(besideSources: "Sources/Access/POLICY.md")
    for route in Route.Name.allCases where route != .none {
      #expect(page.contains("`\(route.rawValue)`"), "\(route.rawValue)")
    }
    for verb in Verb.allCases { #expect(page.contains("`\(verb.rawValue)`"), "\(verb.rawValue)") }
  }

  @Test func `nobody who isn't known may do anything`() {
    #expect(Caller.unknown.isAuthenticated && Caller.unknown.agent == nil)
    for verb in Verb.allCases { #expect(Caller.unknown.permissions?.allows(verb) == false) }
    #expect(Caller.unknown.contextVisibility != nil && Caller.unknown.lockVisibility != nil)
    #expect(Caller.open.permissions == nil && Caller.open.contextVisibility == nil)
  }
}
