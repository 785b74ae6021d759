import Bytes
import HTTP
import Testing

@Suite struct ResponseHeadTests {
  private let date = DateCache(unixSeconds: 784_111_777)
  private let dateLine = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

  private let nosniff = "X-Content-Type-Options: nosniff\r\n"

  private func head(_ response: ResponseHead, id: String = "") -> String {
    withBytes(id) { id in
      written(capacity: ResponseHead.bytesMax + id.count) {
        response.write(to: &$0, date: date, requestID: id)
      }
    }
  }

  @Test func writesACreated() {
    #expect(
      head(ResponseHead(.created, .json, length: 512), id: "r-1")
        == "HTTP/1.1 201 Created\r\n\(dateLine)Content-Type: application/json\r\nContent-Length: 512\r\n"
        + "\(nosniff)X-Request-ID: r-1\r\n\r\n")
  }

  @Test func writesWhatIsAskedAndNoMore() {
    #expect(head(ResponseHead(.notModified)) == "HTTP/1.1 304 Not Modified\r\n\(dateLine)\(nosniff)\r\n")
    #expect(
      head(ResponseHead(.ok, .eventStream, persistence: .close))
        == "HTTP/1.1 200 OK\r\n\(dateLine)Content-Type: text/event-stream\r\nConnection: close\r\n"
        + "\(nosniff)\r\n")
    #expect(
      head(ResponseHead(.ok, .text, length: 0, persistence: .keepAlive))
        == "HTTP/1.1 200 OK\r\n\(dateLine)Content-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n"
        + "Connection: keep-alive\r\n\(nosniff)\r\n")
  }

  @Test func a204AndA101HaveNoLength() {
    #expect(
      head(ResponseHead(.noContent, length: 0)) == "HTTP/1.1 204 No Content\r\n\(dateLine)\(nosniff)\r\n")
    #expect(
      head(ResponseHead(.switchingProtocols, length: 0, persistence: .upgrade))
        == "HTTP/1.1 101 Switching Protocols\r\n\(dateLine)Connection: Upgrade\r\n\r\n")
  }

  @Test func takesFurtherFields() {
    let expected = "ETag: \"3.7\"\r\nRetry-After: 2\r\nAllow: GET, HEAD\r\n\r\n"
    let all = written(capacity: ResponseHead.bytesMax + 100) { writer in
      ResponseHead(.ok).begin(&writer, date: date, requestID: UnsafeRawBufferPointer(start: nil, count: 0))
      withBytes("\"3.7\"") { writer.field("ETag", $0) }
      writer.field("Retry-After", 2 as UInt64)
      writer.field("Allow", "GET, HEAD")
      writer.endHead()
    }
    #expect(all == "HTTP/1.1 200 OK\r\n\(dateLine)\(nosniff)\(expected)")
    #expect(ResponseHead.fieldBytes(name: 4, value: 5) == "ETag: \"3.7\"\r\n".utf8.count)
  }

  @Test func theBoundHolds() {
    // Room is exactly what is promised: a write beyond it would trap.
    for status in Status.allCases {
      for mediaType in MediaType.allCases {
        for persistence in [Persistence.implied, .keepAlive, .close, .upgrade] {
          let all = head(ResponseHead(status, mediaType, length: .max, persistence: persistence), id: "i")
          #expect(all.hasPrefix("HTTP/1.1 \(status.code) \(status.phrase)\r\n"))
          #expect(all.utf8.count <= ResponseHead.bytesMax)
        }
      }
    }
  }

  @Test(
    arguments: [
      (0, "0"), (9, "9"), (10, "10"), (99, "99"), (100, "100"), (12_345, "12345"),
      (UInt64.max, "18446744073709551615"), (9_999_999_999, "9999999999"), (10_000_000_000, "10000000000"),
    ] as [(UInt64, String)])
  func writesDecimals(value: UInt64, expected: String) {
    #expect(written(capacity: expected.utf8.count) { $0.decimal(value) } == expected)
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, Persistence.implied),
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, .close),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true, .close),
    ("GET / HTTP/1.0\r\n\r\n", true, .close),
    ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, .keepAlive),
    ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, .close),
  ])
  func saysWhetherTheConnectionStays(request: String, keep: Bool, expected: Persistence) {
    withBytes(request) { bytes in
      var parser = HeadParser()
      var head = RequestHead()
      _ = parser.parse(bytes, into: &head)
      let persistence = Persistence(head, keep: keep)
      #expect(persistence == expected)
    }
  }

  @Test func theContinueIsWhole() {
    #expect("\(ResponseHead.continueLine)" == "HTTP/1.1 100 Continue\r\n\r\n")
  }
}
