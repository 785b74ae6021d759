import Glibc
import Logging
import Testing

@testable import Server

extension WithServer {
  @Suite struct ServerTests {
    /// Why a server can't be made.
    private func failure(_ make: () throws(ServerFailure) -> Server) -> ServerFailure? {
      do throws(ServerFailure) {
        _ = try make()
        return nil
      } catch {
        return error
      }
    }

    @Test func `pipelined requests are answered in order`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try Client(server)
        var all = ""
        for number in 0..<50 {
          // Those that are answered at once, and those that wait for the disk.
          all += Request.get("/healthz", "X-Request-ID: health-\(number)")
          all += Request.post(Request.unit("pipe", "\(number)"), "X-Request-ID: post-\(number)")
          all += Request.get("/nowhere", "X-Request-ID: nowhere-\(number)")
          all += Request.get("/workunits/pipe?limit=1&reverse=true", "X-Request-ID: list-\(number)")
        }
        try client.send(all)
        for number in 0..<50 {
          let healthy = try client.answer()
          #expect(healthy.field("X-Request-ID") == "health-\(number)")
          #expect(healthy.status == 200 && healthy.body == "OK")
          let created = try client.answer()
          #expect(created.field("X-Request-ID") == "post-\(number)")
          #expect(created.status == 201 && created.body.contains("\"sequence\":\(number + 1),"))
          let missing = try client.answer()
          #expect(missing.field("X-Request-ID") == "nowhere-\(number)")
          #expect(missing.status == 404)
          let listed = try client.answer()
          #expect(listed.field("X-Request-ID") == "list-\(number)")
          // A request sees what the one before it on the connection wrote.
          #expect(listed.status == 200 && listed.body.contains("\"payload\":\"\(number)\""))
        }
      }
    }

    @Test func `requests cut anywhere are answered alike`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { server in
        let client = try Client(server)
        let bytes = Array((Request.post(Request.unit("cut", "whole")) + Request.get("/livez")).utf8)
        for cut in stride(from: 1, to: bytes.count, by: 3) {
          try client.send(Array(bytes[..<cut]))
          try client.send(Array(bytes[cut...]))
          #expect(try client.answer().status == 201)
          #expect(try client.answer().body == "OK")
        }
      }
    }

    @Test func `a second server on the same data directory is refused`() throws {
      let directory = try TemporaryDirectory()
      try Server.with(directory) { _ in
        let refused = try #require(failure { () throws(ServerFailure) in try Server.make(directory) })
        #expect(refused.exitCode == 73)
        #expect(refused.description.contains(directory.path))
      }
      // The first has let it go.
      #expect(try Server.with(directory) { server in try Client(server).get("/healthz").status } == 200)
    }

    @Test(arguments: ["0.0.0.0", "::", "192.0.2.1"])
    func `an address beyond loopback is refused`(address: String) throws {
      let directory = try TemporaryDirectory()
      var configuration = Configuration()
      configuration.address = address
      configuration.port = 0
      configuration.dataDirectory = directory.path + "/untouched"
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let refused = try #require(
        failure { () throws(ServerFailure) in try Server(configuration, logger: logger) })
      #expect(refused.exitCode == 78)
      #expect(access(configuration.dataDirectory, F_OK) != 0)
    }

    @Test func `a port in use is an error, and gives the directory back`() throws {
      let first = try TemporaryDirectory()
      let second = try TemporaryDirectory()
      try Server.with(first) { server in
        let port = server.port
        let refused = try #require(
          failure { () throws(ServerFailure) in try Server.make(second, port: port) })
        #expect(refused.exitCode == 69)
        #expect(refused.description.contains("127.0.0.1:\(port)"))
        #expect(try Client(server).get("/healthz").status == 200)
      }
      #expect(try Server.with(second) { server in try Client(server).get("/healthz").status } == 200)
    }

    @Test func `a restart has the units`() throws {
      let directory = try TemporaryDirectory()
      let (ids, cursor) = try Server.with(directory) { server in
        let client = try Client(server)
        let answers = try (0..<20).map { try client.post(Request.unit("kept", "payload \($0)")) }
        #expect(answers.allSatisfy { $0.status == 201 })
        return (answers.map { id(in: $0.body) }, try client.get("/workunits/kept").body)
      }
      #expect(Set(ids).count == 20)
      try Server.with(directory) { server in
        let client = try Client(server)
        #expect(try client.get("/workunits/kept").body == cursor)
        for (number, id) in ids.enumerated() {
          #expect(try client.get("/workunit/\(id)/payload").body == "payload \(number)")
        }
        #expect(try client.post(Request.unit("kept", "next")).body.contains("\"sequence\":21,"))
      }
    }

    @Test func `what is under way is answered when the server ends, and then the connection`() throws {
      let directory = try TemporaryDirectory()
      let server = try Server.make(directory)
      server.start()
      let client = try Client(server)
      #expect(try client.post(Request.unit("end", "last")).status == 201)
      server.stop()
      #expect(throws: TestFailure.self) { try client.get("/healthz") }
    }

    private func id(in body: String) -> String {
      guard let found = body.firstRange(of: "\"id\":\"") else { return "" }
      return String(body[found.upperBound...].prefix(36))
    }
  }
}
