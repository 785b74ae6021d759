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
    ("/openapi.json", .openapi, ""),
    ("/workunit/0190-x", .unit, "0190-x"),
    ("/workunit/0190-x/payload", .payload, "0190-x"),
    ("/workunits/team", .units, "team"),
    ("/contexts/team/workunits", .units, "team"),
    ("/stream", .stream, ""),
    ("/stream/sse", .stream, ""),
    ("/stream-sse", .stream, ""),
    ("/livez", .livez, ""),
    ("/readyz", .readyz, ""),
    ("/healthz", .healthz, ""),
    ("/version", .version, ""),
    ("/metrics", .metrics, ""),
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
    "/contexts/a/b/c",
    "/unknown", "/metrics/", "/version/", "/livez/", "/readyz/", "/none",
  ])
  func `any other path leads nowhere`(path: String) {
    #expect(match(path) == nil)
  }

  @Test func `every route but none is in the table of paths`() {
    let reached = Set(Self.paths.map(\.name))
    #expect(Set(Route.Name.allCases).subtracting(reached) == [.none])
  }

  @Test func `places agree with the order of cases`() {
    for (place, name) in Route.Name.allCases.enumerated() { #expect(name.index == place) }
  }

  @Test(arguments: Route.Name.allCases)
  func `methods are those that are named`(name: Route.Name) {
    let taken = Method.allCases.filter { name.takes($0) }
    let isWrite = name == .createUnit || name == .createUnits
    #expect(taken == (isWrite ? [.post] : [.get, .head]))
    #expect(name.methods.description == (isWrite ? "POST" : "GET, HEAD"))
  }
}
