import HTTP
import Testing

@testable import API

@Suite struct RouteTests {
  /// The route of a path, with what it names.
  private func match(_ path: String) -> (name: Route.Name, subject: String)? {
    // Bytes before the path, as in a request, so that runs that count from elsewhere show.
    let bytes = Array("GET \(path) HTTP/1.1".utf8)
    return bytes.withUnsafeBytes { bytes in
      let run = ByteRun(offset: 4, length: UInt32(path.utf8.count))
      guard let match = Route.match(run, in: bytes) else { return nil }
      return (match.name, String(decoding: match.subject.bytes(in: bytes), as: UTF8.self))
    }
  }

  private static let paths: [(path: String, name: Route.Name, subject: String)] = [
    ("/workunit", .createUnit, ""),
    ("/workunits", .createUnits, ""),
    ("/contexts", .contexts, ""),
    ("/contexts/team", .context, "team"),
    ("/locks", .locks, ""),
    ("/locks/a", .lock, "a"),
    ("/locks/a/b", .lock, "a/b"),
    ("/openapi.json", .openapi, ""),
    ("/workunit/0190-x", .unit, "0190-x"),
    ("/workunit/0190-x/payload", .payload, "0190-x"),
    ("/workunit/0190-x/relationships", .relationships, "0190-x"),
    ("/search/relationships", .searchRelationships, ""),
    ("/workunits/team", .units, "team"),
    ("/contexts/team/workunits", .units, "team"),
    ("/search", .search, ""),
    ("/stream", .stream, ""),
    ("/stream/sse", .stream, ""),
    ("/stream-sse", .stream, ""),
    ("/livez", .livez, ""),
    ("/readyz", .readyz, ""),
    ("/healthz", .healthz, ""),
    ("/version", .version, ""),
    ("/metrics", .metrics, ""),
    ("/auth/ticket", .createTicket, ""),
    // What stands for the server's own letters is decoded, what names something is left to its reader.
    ("/%68ealthz", .healthz, ""),
    ("/work%75nit", .createUnit, ""),
    ("/stream/%73%73%65", .stream, ""),
    ("/workunits/a%2Fb", .units, "a%2Fb"),
    ("/contexts/a%20b/%77orkunits", .units, "a%20b"),
    ("/workunit/%/payload", .payload, "%"),
    ("/workunits/v1", .units, "v1"),
    // An empty name is the route's to refuse.
    ("/workunit/", .unit, ""),
    ("/workunits/", .units, ""),
    ("/workunit//payload", .payload, ""),
    ("/contexts//workunits", .units, ""),
    ("/contexts/", .context, ""),
    // All that stands behind `/locks/` is the lock's path, whatever it is: its reader refuses what is none.
    ("/locks/", .lock, ""),
    ("/locks//", .lock, "/"),
    ("/locks//a", .lock, "/a"),
    ("/locks/a/", .lock, "a/"),
    ("/locks/a//b/../c", .lock, "a//b/../c"),
    ("/locks/a%2Fb", .lock, "a%2Fb"),
    ("/%6cocks/%61/b", .lock, "%61/b"),
    ("/locks/v1/workunit", .lock, "v1/workunit"),
    ("/locks/locks", .lock, "locks"),
  ]

  @Test(arguments: ["", "/v1", "/%761", "/v%31"])
  func `every path leads to its route, with v1 before it or not`(prefix: String) throws {
    for (path, name, subject) in Self.paths {
      let found = try #require(match(prefix + path), "\(prefix)\(path)")
      #expect(found.name == name, "\(prefix)\(path)")
      #expect(found.subject == subject, "\(prefix)\(path)")
    }
  }

  @Test(arguments: [
    "", "/", "*", "//", "/v1", "/v1/", "/v1/v1/healthz", "/v2/healthz", "/healthz/", "/healthz/x",
    "//healthz",
    "/HEALTHZ", "/Healthz", "/healthzz", "/health", "/healthz%", "/health%7", "/health%7x", "/healthz%00",
    "/%2568ealthz", "/stream/", "/stream/ws", "/stream/sse/", "/stream-sse/x", "/workunits/a/",
    "/workunits/a/b", "/workunit/a/", "/workunit/a/payloads", "/workunit/a/payload/", "/workunit/a/payload/b",
    "/contexts/a/", "/contexts/a/workunit", "/openapi", "/openapi.json/", "/contexts/a/workunits/",
    "/contexts/a/b/c", "/workunit/a/relationships/", "/workunits/a/relationships", "/search/relationship",
    "/search/relationships/", "/search/relationships/a",
    "/unknown", "/metrics/", "/version/", "/livez/", "/readyz/", "/none", "/auth", "/auth/",
    "/auth/tickets", "/auth/ticket/", "/ticket",
    "/lock", "/lock/a", "/Locks", "/locks%2Fa", "/v1/v1/locks",
  ])
  func `any other path leads nowhere`(path: String) {
    #expect(match(path) == nil)
  }

  @Test func `every route but none is in the table of paths, by one of its methods`() {
    let reached = Set(Self.paths.flatMap { row in Method.allCases.compactMap { row.name.taking($0) } })
    #expect(Set(Route.Name.allCases).subtracting(reached) == [.none])
  }

  @Test func `places agree with the order of cases`() {
    for (place, name) in Route.Name.allCases.enumerated() { #expect(name.index == place) }
  }

  /// The methods of each path that takes others than GET and HEAD, and what they mean there.
  private static let methods: [Route.Name: [(method: Method, name: Route.Name)]] = [
    .createUnit: [(.post, .createUnit)],
    .createUnits: [(.post, .createUnits)],
    .search: [(.post, .search)],
    .searchRelationships: [(.post, .searchRelationships)],
    .createTicket: [(.post, .createTicket)],
    .context: [(.get, .context), (.head, .context), (.patch, .changeContext)],
    .locks: [(.get, .locks), (.head, .locks), (.post, .acquireLocks)],
    .lock: [(.get, .lock), (.head, .lock), (.put, .renewLock), (.delete, .releaseLock)],
  ]

  @Test func `methods lead to the routes of a path, and those are what Allow names`() {
    for found in Set(Self.paths.map(\.name)) {
      let expected = Self.methods[found] ?? [(.get, found), (.head, found)]
      for method in Method.allCases {
        #expect(
          found.taking(method) == expected.first { $0.method == method }?.name, "\(method) of \(found)")
      }
      let allowed = expected.map { "\($0.method)".uppercased() }
      #expect(found.methods.description == allowed.joined(separator: ", "))
    }
  }

  @Test func `a method leads to one route of a path at most`() {
    for path in Set(Route.Name.allCases.flatMap(\.paths)) {
      let routes = Route.Name.allCases.filter { $0.paths.contains(path) }
      for method in Method.allCases {
        #expect(routes.count { $0.takes(method) } <= 1, "\(method) \(path)")
      }
    }
  }
}
