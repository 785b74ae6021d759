import Bytes
import HTTP
import Testing

@Suite struct WebSocketHandshakeTests {
  /// The request of RFC 6455, section 1.3, with one line put in place of another, or left out.
  private func request(
    _ line: String = "GET /stream HTTP/1.1", _ change: [String: String?] = [:], more: [String] = []
  ) -> String {
    let fields = [
      ("Host", "server.example.com"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
      ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Origin", "http://example.com"),
      ("Sec-WebSocket-Version", "13"),
    ]
    var lines = [line]
    for (name, value) in fields {
      if let value = change[name] ?? value { lines.append("\(name): \(value)") }
    }
    return (lines + more).joined(separator: "\r\n") + "\r\n\r\n"
  }

  private func handshake(_ request: String) -> Result<WebSocketHandshake, WebSocketRefusal>? {
    withBytes(request) { bytes in
      var parser = HeadParser()
      var head = RequestHead()
      guard case .head = parser.parse(bytes, into: &head) else { return nil }
      do throws(WebSocketRefusal) {
        return .success(try WebSocketHandshake(head, bytes))
      } catch {
        return .failure(error)
      }
    }
  }

  private func refusal(_ request: String) -> WebSocketRefusal? {
    if case .failure(let refusal) = handshake(request) { return refusal }
    return nil
  }

  private func accepted(_ request: String) -> WebSocketHandshake? { try? handshake(request)?.get() }

  @Test func theExampleOfTheRFC() throws {
    let handshake = try #require(accepted(request()))
    #expect(handshake.accept == Array("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".utf8))
    #expect(!handshake.choosesSubprotocol)
  }

  static let good: [(change: [String: String?], more: [String])] = [
    (["Connection": "keep-alive, Upgrade"], []), (["Connection": "UPGRADE"], []),
    (["Connection": "keep-alive"], ["connection: upgrade"]), (["Upgrade": "WebSocket"], []),
    (["Upgrade": "h2c, websocket"], []), (["Upgrade": "h2c"], ["upgrade: websocket"]), (["Origin": nil], []),
    (["Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="], []),
    (["Sec-WebSocket-Key": "/////////////////////w=="], []),
    ([:], ["Content-Length: 0"]),
    // Extensions are offered in vain.
    ([:], ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]),
  ]

  @Test(arguments: good)
  func goodOnesAreAccepted(change: [String: String?], more: [String]) {
    #expect(accepted(request("GET /stream HTTP/1.1", change, more: more)) != nil)
  }

  static let bad: [(line: String, change: [String: String?], more: [String], refusal: WebSocketRefusal)] = {
    let get = "GET /stream HTTP/1.1"
    let key = "dGhlIHNhbXBsZSBub25jZQ=="
    return [
      ("POST /stream HTTP/1.1", [:], [], .notGet), ("HEAD /stream HTTP/1.1", [:], [], .notGet),
      ("GET /stream HTTP/1.0", [:], [], .oldVersion),
      (get, ["Connection": "close"], [], .notAsked), (get, ["Connection": nil], [], .notAsked),
      (get, ["Connection": "upgrades"], [], .notAsked), (get, ["Upgrade": nil], [], .notAsked),
      (get, ["Upgrade": "h2c"], [], .otherProtocol), (get, ["Upgrade": "websocket2"], [], .otherProtocol),
      (get, ["Upgrade": "web socket"], [], .otherProtocol),
      (get, [:], ["Content-Length: 1"], .hasBody), (get, [:], ["Transfer-Encoding: chunked"], .hasBody),
      (get, ["Sec-WebSocket-Version": nil], [], .otherVersion),
      (get, ["Sec-WebSocket-Version": "8"], [], .otherVersion),
      (get, ["Sec-WebSocket-Version": "013"], [], .otherVersion),
      (get, ["Sec-WebSocket-Version": "13, 8"], [], .otherVersion),
      (get, ["Sec-WebSocket-Version": ""], [], .otherVersion),
      (get, ["Sec-WebSocket-Version": "14", "Sec-WebSocket-Key": nil], [], .otherVersion),
      (get, [:], ["Sec-WebSocket-Version: 13"], .repeatedField),
      (get, [:], ["Sec-WebSocket-Key: \(key)"], .repeatedField),
      (get, ["Sec-WebSocket-Key": nil], [], .missingKey), (get, ["Sec-WebSocket-Key": ""], [], .invalidKey),
      // 15 and 17 bytes, no padding, an alphabet of another kind, bits left over, two keys.
      (get, ["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j"], [], .invalidKey),
      (get, ["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZTE="], [], .invalidKey),
      (get, ["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"], [], .invalidKey),
      (get, ["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub2_-ZQ=="], [], .invalidKey),
      (get, ["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZR=="], [], .invalidKey),
      (get, ["Sec-WebSocket-Key": "dGhl,HNhbXBsZSBub25jZQ=="], [], .invalidKey),
      (get, ["Sec-WebSocket-Key": "\(key), \(key)"], [], .invalidKey),
    ]
  }()

  @Test(arguments: bad)
  func badOnesAreRefused(line: String, change: [String: String?], more: [String], refusal: WebSocketRefusal) {
    #expect(self.refusal(request(line, change, more: more)) == refusal)
  }

  @Test func everyRefusalHasItsStatus() {
    for refusal in WebSocketRefusal.allCases {
      let status = refusal.status.code
      #expect(status == (refusal == .otherVersion ? 426 : refusal == .notGet ? 405 : 400))
      #expect(Self.bad.contains { $0.refusal == refusal })
      #expect(refusal.reason.utf8CodeUnitCount > 0)
    }
  }

  @Test(arguments: [
    (["Sec-WebSocket-Protocol: engram.v1+json"], true),
    (["Sec-WebSocket-Protocol: chat, engram.v1+json"], true),
    (["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: superchat,engram.v1+json"], true),
    ([], false), (["Sec-WebSocket-Protocol: chat"], false),
    (["Sec-WebSocket-Protocol: engram.v2+json"], false),
    (["Sec-WebSocket-Protocol: Engram.v1+json"], false), (["Sec-WebSocket-Protocol: "], false),
  ])
  func theSubprotocolIsChosenIfOffered(lines: [String], isChosen: Bool) {
    #expect(accepted(request(more: lines))?.choosesSubprotocol == isChosen)
  }

  @Test(arguments: [false, true])
  func theAnswer(isOffered: Bool) throws {
    let lines = isOffered ? ["Sec-WebSocket-Protocol: engram.v1+json"] : []
    let handshake = try #require(accepted(request(more: lines)))
    let date = DateCache(unixSeconds: 784_111_777)
    let answer = written(capacity: WebSocketHandshake.headBytesMax + 3) { writer in
      withBytes("r-1") { handshake.write(to: &writer, date: date, requestID: $0) }
    }
    var expected = [
      "HTTP/1.1 101 Switching Protocols", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Connection: Upgrade",
      "X-Request-ID: r-1", "Upgrade: websocket", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ]
    if isOffered { expected.append("Sec-WebSocket-Protocol: engram.v1+json") }
    #expect(answer == expected.joined(separator: "\r\n") + "\r\n\r\n")
  }
}
