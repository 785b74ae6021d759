import Glibc
import Telemetry
import Testing

@testable import Server

/// The page of metrics against a server that has made all of them.
extension WithServer {
  @Suite struct MetricsTests {
    private func page() throws -> String {
      let root = "\(#filePath)".split(separator: "/").dropLast(3).joined(separator: "/")
      let path = "/\(root)/Sources/Telemetry/METRICS.md"
      let file = try #require(fopen(path, "r"), "\(path) can't be read")
      defer { fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 1 << 20)
      let count = fread(&bytes, 1, bytes.count, file)
      return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// A metric's name, type and labels, as its line of the page has them.
    private struct Entry: Equatable, CustomStringConvertible {
      var name: String
      var kind: String
      var labels: [String]
      var description: String { "\(name) \(kind) \(labels)" }
    }

    private func entries(of page: String) -> [Entry] {
      page.split(separator: "\n").compactMap { line in
        let cells = line.split(separator: "|").map { $0.split(separator: " ").map(String.init) }
        guard cells.count >= 4, let name = cells[0].first, name.hasPrefix("`"), let kind = cells[1].first
        else {
          return nil
        }
        func bare(_ text: String) -> String { text.filter { $0 != "`" && $0 != "," && $0 != ";" } }
        return Entry(name: bare(name), kind: bare(kind), labels: cells[1].dropFirst().map(bare).sorted())
      }
    }

    /// The same out of an exposition.
    private func entries(exposed text: String) -> [Entry] {
      var found: [Entry] = []
      for line in text.split(separator: "\n") {
        if line.hasPrefix("# TYPE ") {
          let words = line.split(separator: " ")
          found.append(Entry(name: String(words[2]), kind: String(words[3]), labels: []))
        } else if !line.hasPrefix("#"), let last = found.indices.last, found[last].labels.isEmpty,
          let open = line.firstIndex(of: "{"), let close = line.lastIndex(of: "}")
        {
          found[last].labels = line[line.index(after: open)..<close].split(separator: "\",")
            .compactMap { $0.split(separator: "=").first.map(String.init) }.filter { $0 != "le" }.sorted()
        }
      }
      return found
    }

    @Test func `the page lists every metric with its type and labels, and no other`() throws {
      let directory = try TemporaryDirectory()
      let server = try Server.make(directory)
      server.start()
      defer { server.stop() }
      let listed = entries(of: try page())
      let exposed = entries(exposed: String(decoding: server.registry.render(), as: UTF8.self))
      #expect(exposed.map(\.name) == server.registry.names)
      #expect(exposed.count > 50)
      #expect(Set(listed.map(\.name)).count == listed.count, "a metric is listed twice")
      for entry in exposed where !listed.contains(entry) { Issue.record("not on the page: \(entry)") }
      for entry in listed where !exposed.contains(entry) { Issue.record("not in the server: \(entry)") }
    }

    @Test func `requests, streams and refusals are counted`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try Client(server)
        try client.send(Array(Request.get("/workunit/nothing").utf8))
        _ = try client.answer()
        try client.send(Array(Request.get("/nowhere").utf8))
        _ = try client.answer()
        try client.send(Array(Request.get("/metrics").utf8))
        let text = try client.answer().body
        for line in [
          #"engram_http_responses_total{code="400",route="GET /workunit/{id}"} 1"#,
          #"engram_http_responses_total{code="404",route="none"} 1"#,
          #"engram_http_problems_total{code="invalid_request"} 1"#,
          #"engram_http_problems_total{code="not_found"} 1"#, "engram_ready 1", "engram_connections 1",
        ] {
          #expect(text.contains("\n\(line)\n"), "\(line)")
        }
      }
    }
  }
}
