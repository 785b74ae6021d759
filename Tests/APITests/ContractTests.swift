import Access
import Bytes
import Glibc
import HTTP
import Model
import Testing

@testable import API

/// The contract against the tables that the server answers by.
@Suite struct ContractTests {
  private static let routes = Route.Name.allCases.filter { $0 != .none }
  private static let document = JSON.read(ContractDocument(version: "1").bytes)

  private func item(_ path: String) throws -> JSON {
    try #require(Self.document?["paths"]?[path], "\(path) is not in the document")
  }

  /// An operation's place in the document.
  private func operation(_ route: Route.Name, _ path: String, _ method: Method) throws -> JSON {
    try #require(try item(path)["\(method)"], "\(method) \(path)")
  }

  private static func methods(_ route: Route.Name) -> [Method] {
    Method.allCases.filter { route.takes($0) }
  }

  @Test func `the document is JSON, and has every route and no other`() throws {
    let document = try #require(Self.document)
    #expect(document["openapi"] == .text("3.1.1"))
    let paths = try #require(document["paths"]?.names)
    #expect(paths.sorted() == Set(Self.routes.flatMap(\.paths)).sorted())
    let ids = try paths.flatMap { path in
      try item(path).members.filter { $0.name != "parameters" }.map { $0.value["operationId"] }
    }
    #expect(!ids.contains(nil), "an operation has no name")
    #expect(Set(ids.compactMap { $0?.string }).count == ids.count, "an operationId stands twice")
  }

  @Test(arguments: routes)
  func `templates lead to their route by its methods, with every segment filled`(route: Route.Name) throws {
    #expect(!route.paths.isEmpty)
    #expect(!Self.methods(route).isEmpty)
    for template in route.paths {
      let subject = ContractDocument.subject(of: template)
      let path = template.split(separator: "/").map { $0.hasPrefix("{") ? "a-name" : String($0) }
        .joined(separator: "/")
      for prefix in ["/", "/v1/"] {
        let bytes = Array((prefix + path).utf8)
        let found = bytes.withUnsafeBytes { bytes in
          Route.match(ByteRun(offset: 0, length: UInt32(bytes.count)), in: bytes).map {
            ($0.name, String(decoding: $0.subject.bytes(in: bytes), as: UTF8.self))
          }
        }
        for method in Self.methods(route) {
          #expect(found?.0.taking(method) == route, "\(method) \(prefix)\(path)")
        }
        #expect(found?.1 == (subject.isEmpty ? "" : "a-name"))
      }
    }
  }

  @Test(arguments: routes)
  func `methods and parameters are those of the table`(route: Route.Name) throws {
    for path in route.paths {
      let item = try item(path)
      let siblings = Self.routes.filter { $0.paths.contains(path) }
      let taken = siblings.flatMap { Self.methods($0).map { "\($0)" } }
      #expect(item.names.filter { $0 != "parameters" }.sorted() == taken.sorted(), "\(path)")
      var expected = ["header X-Request-ID"]
      for parameter in route.parameters {
        let name = parameter.place == .path ? ContractDocument.subject(of: path) : parameter.name
        expected.append("\(parameter.place.rawValue) \(name)")
      }
      for method in Self.methods(route) {
        let operation = try self.operation(route, path, method)
        let lists = [item["parameters"], operation["parameters"]].compactMap { $0?.elements }
        let documented = lists.joined().compactMap { parameter -> String? in
          guard let name = parameter["name"]?.string, let place = parameter["in"]?.string else { return nil }
          return "\(place) \(name)"
        }
        #expect(documented.sorted() == expected.sorted(), "\(method) \(path)")
      }
    }
  }

  @Test func `a parameter that all of a path's methods take stands at the path, others at the method`() throws
  {
    let lock = try item("/locks/{path}")
    #expect(lock["parameters"]?.elements.map { $0["name"]?.string } == ["X-Request-ID", "path"])
    #expect(lock["get"]?["parameters"] == nil)
    let release = try #require(lock["delete"]?["parameters"]?.elements)
    #expect(release.map { $0["name"]?.string } == ["X-Agent-ID", "agent_id", "lock_id", "force"])
    let context = try item("/contexts/{id}")
    #expect(
      context["patch"]?["parameters"]?.elements.map { $0["name"]?.string } == ["X-Agent-ID", "If-Match"])
    #expect(context["head"]?["parameters"] == context["get"]?["parameters"])
  }

  @Test func `no other names than those of the table are asked of a query`() throws {
    // A handler that lists names of its own would not be held by the table: the sources have none.
    let folder = "\(#filePath)".split(separator: "/").dropLast(3).joined(separator: "/")
    let names = try entries("/\(folder)/Sources/API").filter { $0.hasSuffix(".swift") }
    #expect(names.contains("StreamRoute.swift"))
    for name in names {
      let listing = try text("/\(folder)/Sources/API/\(name)").contains("known: [\"")
      #expect(!listing, "\(name) lists names of its own")
    }
  }

  @Test func `every error code and status is documented`() throws {
    let document = try #require(Self.document)
    let codes = try #require(document["components"]?["schemas"]?["ErrorCode"]?["enum"]?.elements)
    #expect(codes.compactMap(\.string) == ErrorCode.allCases.map { "\($0.name)" })
    for route in Self.routes {
      let operation = try #require(Operation.of(route))
      #expect(operation.ids.count == route.paths.count)
      let answers = operation.answers.map(\.status.code) + ContractDocument.refusals(operation).map(\.status)
      #expect(Set(answers).count == answers.count, "\(route) has a status twice")
      for status in HTTPError.allCases.map(\.status.code) { #expect(answers.contains(status), "\(route)") }
      for path in route.paths {
        for method in Self.methods(route) {
          let responses = try #require(try self.operation(route, path, method)["responses"])
          let isUpgraded = method == .get && path == "/stream"
          let expected = answers.filter { isUpgraded || ($0 != 101 && $0 != 426) }
          #expect(Set(responses.names) == Set(expected.map { "\($0)" }), "\(method) \(path)")
        }
      }
    }
  }

  @Test(arguments: routes)
  func `what a request has to come with is what the gate asks for`(route: Route.Name) throws {
    let schemes = try #require(Self.document?["components"]?["securitySchemes"]).names
    var head = RequestHead()
    var parser = HeadParser()
    let bytes = Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
    _ = bytes.withUnsafeBytes { parser.parse($0, into: &head) }
    for path in route.paths {
      for method in Self.methods(route) {
        let operation = try self.operation(route, path, method)
        let security = operation["security"] ?? Self.document?["security"]
        let names = security?.elements.flatMap(\.names) ?? []
        #expect(Set(names).isSubset(of: Set(schemes)))
        #expect(names.contains("ticket") == (route == .stream), "\(method) \(path)")
        let asks = try #require(operation["responses"]).names.contains("401")
        #expect(asks == !names.isEmpty, "\(method) \(path)")
        // Without a query `/readyz` is open; with one it isn't.
        #expect(asks == (!route.isOpen(head) || route == .readyz), "\(method) \(path)")
      }
    }
  }

  @Test func `only GET of the stream is upgraded`() throws {
    for (path, method) in [
      ("/stream", "get"), ("/stream", "head"), ("/stream/sse", "get"), ("/livez", "get"),
    ] {
      let names = try #require(try item(path)[method]?["responses"]).names
      let isUpgraded = path == "/stream" && method == "get"
      #expect(names.contains("101") == isUpgraded, "\(method) \(path)")
      #expect(names.contains("426") == isUpgraded, "\(method) \(path)")
    }
  }

  @Test func `every reference leads somewhere`() throws {
    let document = try #require(Self.document)
    var found = 0
    func walk(_ value: JSON) {
      for (name, member) in value.members {
        if name == "$ref", let target = member.string {
          found += 1
          var place: JSON? = document
          for step in target.dropFirst(2).split(separator: "/") { place = place?[String(step)] }
          #expect(place != nil, "\(target) is not in the document")
        }
        walk(member)
      }
      for element in value.elements { walk(element) }
    }
    walk(document)
    #expect(found > 100)
  }

  @Test func `limits are those of the model`() throws {
    let schemas = try #require(Self.document?["components"]?["schemas"])
    func limit(_ path: String...) -> Int? {
      path.reduce(schemas as JSON?) { $0?[$1] }?.number
    }
    #expect(limit("Identifier", "maxLength") == Limits.identifierBytesMax)
    #expect(limit("Metadata", "maxProperties") == Limits.metadataPairsMax)
    #expect(limit("Metadata", "propertyNames", "maxLength") == Limits.metadataKeyBytesMax)
    #expect(limit("Metadata", "additionalProperties", "maxLength") == Limits.metadataValueBytesMax)
    #expect(limit("NewWorkUnits", "maxItems") == Limits.batchUnitsMax)
    #expect(limit("NewWorkUnit", "properties", "relationships", "maxItems") == Limits.relationshipsMax)
    #expect(limit("NewWorkUnit", "properties", "expected_sequence", "maximum") == Int(Limits.integerMax))
    #expect(limit("ResourcePath", "maxLength") == Limits.resourcePathBytesMax + 1)
    #expect(limit("UnitPage", "properties", "work_units", "maxItems") == Limits.pageMax)
    #expect(limit("Context", "properties", "agent_ids", "maxItems") == Limits.contextAgentsMax)
    #expect(limit("ContextPatch", "properties", "display_name", "maxLength") == Limits.displayNameBytesMax)
    #expect(limit("ContextPatch", "properties", "add_agents", "maxItems") == Limits.contextAgentsMax)
    #expect(limit("ContextPatch", "properties", "unpin_units", "maxItems") == Limits.contextPinsMax)
    #expect(limit("SeveralNewLocks", "properties", "resource_paths", "maxItems") == Limits.lockPathsMax)
    #expect(limit("NewLock", "properties", "ttl_seconds", "maximum") == 86_400)
    #expect(limit("NewLock", "properties", "ttl_seconds", "default") == 60)
    #expect(limit("NewLock", "properties", "wait_seconds", "maximum") == Int(Limits.lockWaitSecondsMax))
    #expect(limit("LockPage", "properties", "locks", "maxItems") == Limits.pageMax)
    #expect(limit("GraphQuery", "properties", "depth", "maximum") == Limits.graphDepthMax)
    #expect(limit("GraphQuery", "properties", "limit", "maximum") == Limits.graphPageMax)
    #expect(limit("GraphAnswer", "properties", "results", "maxItems") == Limits.graphPageMax)
    let page = try #require(JSON.read(Array(Parameter.limit.schema.utf8)))
    #expect(page["maximum"]?.number == Limits.pageMax)
    #expect(page["default"]?.number == Limits.pageDefault)
  }

  @Test func `the page of limits has those of credentials`() throws {
    let page = try text(besideSources: "Sources/API/LIMITS.md")
    let limits: [(String, Int)] = [
      ("tokenBytesMax", CredentialLimits.tokenBytesMax), ("jwtBytesMax", CredentialLimits.jwtBytesMax),
      ("rolesMax", CredentialLimits.rolesMax), ("roleBytesMax", CredentialLimits.roleBytesMax),
      ("audiencesMax", CredentialLimits.audiencesMax),
      ("certificateBytesMax", CredentialLimits.certificateBytesMax),
      ("tokensMax", CredentialLimits.tokensMax),
      ("tokenFileBytesMax", CredentialLimits.tokenFileBytesMax), ("keysMax", CredentialLimits.keysMax),
      ("keyFileBytesMax", CredentialLimits.keyFileBytesMax),
      ("keyIDBytesMax", CredentialLimits.keyIDBytesMax),
      ("secretBytesMin", CredentialLimits.secretBytesMin),
      ("secretBytesMax", CredentialLimits.secretBytesMax),
      ("rsaBits", CredentialLimits.rsaBits.upperBound), ("ticketsMax", CredentialLimits.ticketsMax),
      ("ticketsPerAgentMax", CredentialLimits.ticketsPerAgentMax),
      ("ticketMicroseconds", Int(CredentialLimits.ticketMicroseconds)),
    ]
    for (name, number) in limits {
      let rows = page.split(separator: "\n").filter { $0.contains("`\(name)`") }
      #expect(rows.count == 1 && rows[0].contains("\(number)"), "\(name) \(number)")
    }
  }

  @Test func `the page of limits has each with its number`() throws {
    let page = try text(besideSources: "Sources/API/LIMITS.md")
    let limits: [(String, Int)] = [
      ("headBytesMax", Limits.headBytesMax), ("headFieldsMax", Limits.headFieldsMax),
      ("bodyBytesMax", Limits.bodyBytesMax), ("jsonDepthMax", Limits.jsonDepthMax),
      ("integerMax", Int(Limits.integerMax)), ("ignoredMembersMax", Limits.ignoredMembersMax),
      ("idempotencyKeyBytesMax", Limits.idempotencyKeyBytesMax),
      ("idempotencyMicroseconds", Int(Limits.idempotencyMicroseconds)),
      ("requestIDBytesMax", Limits.requestIDBytesMax), ("identifierBytesMax", Limits.identifierBytesMax),
      ("payloadBytesMax", Limits.payloadBytesMax), ("metadataPairsMax", Limits.metadataPairsMax),
      ("metadataKeyBytesMax", Limits.metadataKeyBytesMax),
      ("metadataValueBytesMax", Limits.metadataValueBytesMax), ("relationshipsMax", Limits.relationshipsMax),
      ("batchUnitsMax", Limits.batchUnitsMax), ("contextAgentsMax", Limits.contextAgentsMax),
      ("contextPinsMax", Limits.contextPinsMax), ("displayNameBytesMax", Limits.displayNameBytesMax),
      ("resourcePathBytesMax", Limits.resourcePathBytesMax), ("lockPathsMax", Limits.lockPathsMax),
      ("lockTTLMicrosecondsMin", Int(Limits.lockTTLMicrosecondsMin)),
      ("lockTTLMicrosecondsMax", Int(Limits.lockTTLMicrosecondsMax)),
      ("lockTTLMicrosecondsDefault", Int(Limits.lockTTLMicrosecondsDefault)),
      ("lockWaitSecondsMax", Int(Limits.lockWaitSecondsMax)), ("agentLocksMax", Limits.agentLocksMax),
      ("lockMetadataBytesMax", Limits.lockMetadataBytesMax), ("locksMax", Limits.locksMax),
      ("lockBytesMax", Limits.lockBytesMax), ("lockWaitersMax", Limits.lockWaitersMax),
      ("pageMax", Limits.pageMax),
      ("pageDefault", Limits.pageDefault), ("graphDepthMax", Limits.graphDepthMax),
      ("graphPageDefault", Limits.graphPageDefault), ("graphPageMax", Limits.graphPageMax),
      ("graphEdgesMax", Limits.graphEdgesMax), ("graphTypesMax", Limits.graphTypesMax),
      ("outboxBytesMax", Limits.outboxBytesMax), ("logBytesMax", Limits.logBytesMax),
      ("messageBytesMax", Limits.messageBytesMax), ("messageFragmentsMax", Limits.messageFragmentsMax),
      ("messageEmptyFragmentsMax", Limits.messageEmptyFragmentsMax),
      ("messageRefBytesMax", Limits.messageRefBytesMax),
      ("publishesInFlightMax", Limits.publishesInFlightMax),
      ("publishBytesInFlightMax", Limits.publishBytesInFlightMax),
      ("unappliedBytesMax", Limits.unappliedBytesMax), ("inflightBodyBytesMax", Limits.inflightBodyBytesMax),
    ]
    for (name, number) in limits {
      let line = page.split(separator: "\n").first { $0.contains("`\(name)`") }
      #expect(line?.split { !$0.isNumber }.contains("\(number)") == true, "\(name): \(number)")
    }
    let declared = try text(besideSources: "Sources/Model/Limits.swift").split(separator: "\n")
      .filter { $0.contains("public static let") }
    #expect(declared.count >= limits.count)
    for line in declared {
      let name = line.split(separator: "let ")[1].prefix { $0.isLetter }
      #expect(page.contains("`\(name)`"), "\(name) is not on the page")
    }
    for code in ErrorCode.allCases {
      #expect(page.contains("| `\(code.name)` | \(code.status) |"), "\(code.name)")
    }
  }

  @Test func `examples of requests are read as the server reads them`() throws {
    #expect(Examples.newUnits.map(\.name) == Examples.createdUnits.map(\.name))
    #expect((Examples.batches + Examples.lines).map(\.name) == Examples.createdBatches.map(\.name))
    let draft = UnitDraft()
    for (name, value) in Examples.newUnits {
      let problem = Array(value.utf8).withUnsafeBytes { draft.parse($0) }
      #expect(problem == nil, "\(name): \(problem?.detail ?? "")")
    }
    for (name, value) in Examples.batches + Examples.lines {
      let body = try #require(JSON.read(Array(value.utf8)), "\(name) is not JSON")
      #expect((body["work_units"] ?? body).elements.count == 2)
    }
    // Each throws what is wrong with it, and fails the test.
    for (_, value) in Examples.newLocks { try Array(value.utf8).withUnsafeBytes { _ = try LockDraft($0) } }
    for (_, value) in Examples.renewals { try Array(value.utf8).withUnsafeBytes { _ = try LockRenewal($0) } }
    for (_, value) in Examples.searches { try Array(value.utf8).withUnsafeBytes { _ = try SearchDraft($0) } }
    for (_, value) in Examples.contextPatches {
      try Array(value.utf8).withUnsafeBytes { _ = try ContextPatch($0) }
    }
    for (_, value) in Examples.graphQueries {
      try Array(value.utf8).withUnsafeBytes { _ = try GraphQuery($0) }
    }
    for (requests, answers) in [
      (Examples.newLocks, Examples.grantedLocks), (Examples.renewals, Examples.renewedLocks),
      (Examples.contextPatches, Examples.changedContexts), (Examples.searches, Examples.foundBySearch),
      (Examples.graphQueries, Examples.graphs),
    ] {
      #expect(requests.map(\.name) == answers.map(\.name))
    }
  }

  @Test func `white space goes between tokens only`() {
    let text = #"{ "a b" : [ 1 , "c\" d\\" , " " ] }"#
    #expect(String(decoding: ContractDocument.compact(text), as: UTF8.self) == #"{"a b":[1,"c\" d\\"," "]}"#)
  }
}

// MARK: Files of the checkout

func text(besideSources path: String) throws -> String {
  let root = "\(#filePath)".split(separator: "/").dropLast(3).joined(separator: "/")
  return try text("/\(root)/\(path)")
}

private func text(_ path: String) throws -> String {
  let file = try #require(fopen(path, "r"), "\(path) can't be read")
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 16)
  while case let count = fread(&piece, 1, piece.count, file), count > 0 { bytes += piece[..<count] }
  return String(decoding: bytes, as: UTF8.self)
}

private func entries(_ path: String) throws -> [String] {
  let directory = try #require(opendir(path), "\(path) can't be read")
  defer { closedir(directory) }
  var names: [String] = []
  while let entry = readdir(directory) {
    names.append(
      withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      })
  }
  return names
}
