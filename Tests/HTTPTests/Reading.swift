import HTTP

/// What came of feeding a head to a parser, with everything that the head says.
enum Reading: Equatable {
  case needMore
  case head(consumed: Int, Description)
  case failure(HTTPError)

  struct Description: Equatable {
    var method: HTTP.Method
    var methodText: String
    var target: String
    var path: String
    var query: String
    var authority: String
    var minorVersion: UInt8
    var keepAlive: Bool
    var expectsContinue: Bool
    var asksUpgrade: Bool
    var body: BodyFraming
    var fields: [String]
    var known: [KnownField: String]

    init(_ head: borrowing RequestHead, _ bytes: UnsafeRawBufferPointer) {
      method = head.method
      methodText = text(head.methodText.bytes(in: bytes))
      target = text(head.target.bytes(in: bytes))
      path = text(head.path.bytes(in: bytes))
      query = text(head.query.bytes(in: bytes))
      authority = text(head.authority.bytes(in: bytes))
      minorVersion = head.minorVersion
      keepAlive = head.keepAlive
      expectsContinue = head.expectsContinue
      asksUpgrade = head.asksUpgrade
      body = head.body
      fields = []
      for index in 0..<head.fieldCount {
        fields.append(
          "\(text(head.name(at: index).bytes(in: bytes))): \(text(head.value(at: index).bytes(in: bytes)))")
      }
      known = [:]
      for field in KnownField.allCases {
        if let value = head[field] { known[field] = text(value.bytes(in: bytes)) }
      }
    }
  }

  /// Feeds the first `cuts[0]` bytes, then the first `cuts[1]` and so on, then all of them, until there is an
  /// outcome. Each time the bytes stand in memory of their own, of just their size.
  init(_ bytes: [UInt8], cuts: some Sequence<Int> = [], limits: HTTPLimits = HTTPLimits()) {
    var parser = HeadParser(limits: limits)
    var head = RequestHead(fieldsMax: max(1, Int(limits.fieldsMax)))
    self.init(bytes, cuts: cuts, &parser, &head)
  }

  init(
    _ bytes: [UInt8], cuts: some Sequence<Int>, _ parser: inout HeadParser, _ head: inout RequestHead
  ) {
    for cut in cuts {
      self = Reading.feed(bytes[..<cut], &parser, &head)
      if self != .needMore { return }
    }
    self = Reading.feed(bytes[...], &parser, &head)
  }

  private static func feed(
    _ bytes: ArraySlice<UInt8>, _ parser: inout HeadParser, _ head: inout RequestHead
  ) -> Reading {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes)
    let buffer = UnsafeRawBufferPointer(copy)
    return switch parser.parse(buffer, into: &head) {
    case .needMore: .needMore
    case .head(let consumed): .head(consumed: consumed, Description(head, buffer))
    case .failure(let error): .failure(error)
    }
  }

  init(_ text: String, cuts: some Sequence<Int> = [], limits: HTTPLimits = HTTPLimits()) {
    self.init(Array(text.utf8), cuts: cuts, limits: limits)
  }

  var description: Description? {
    if case .head(_, let description) = self { return description }
    return nil
  }
}

/// Heads that are fine, as real clients send them and as RFC 9112 allows.
let goodHeads: [String] = [
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
  "\r\nGET /after/one/empty/line HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET / HTTP/1.0\r\n\r\n",
  "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
  "POST /workunit HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
    + "Content-Type: application/json\r\nContent-Length: 1024\r\nX-Agent-ID: agent-7\r\n"
    + "Idempotency-Key: 0190-aa\r\nPrefer: return=minimal\r\nX-Request-ID: r-1\r\n\r\n",
  "POST /workunits HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\nexpect: 100-Continue\r\n\r\n",
  "GET /stream?context=a&after=12 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
    + "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    + "Sec-WebSocket-Protocol: engram.v1+json\r\nOrigin: http://a\r\n\r\n",
  "PUT /locks/src/a%2Fb%20c.swift?x=1?y HTTP/1.1\r\nHOST: [::1]:80\r\nContent-Length: 0\r\n\r\n",
  "DELETE /locks/a|b[c]{d}?q=\"<>` HTTP/1.1\r\nHost: a.example.\r\nConnection: Close\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET http://a.example:80/p?q HTTP/1.1\r\nHost: A.example:80\r\n\r\n",
  "GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET HTTPS://[2001:db8::7]/ HTTP/1.1\r\nHost: [2001:DB8::7]\r\n\r\n",
  "GET http://only.target/ HTTP/1.0\r\n\r\n",
  "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
  "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
  "PATCH //two//slashes HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t padded \t \r\nZ: \"in\t side\" \u{00fc}\r\n\r\n",
  "TRACE / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nCookie: c=d\r\n!#$%&'*+-.^_`|~09azAZ: token\r\n\r\n",
  "HEAD / HTTP/1.7\r\nHost: a_b-c~d.e\r\nTE: trailers\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n",
  "QUERY-2 / HTTP/1.1\r\nHost: a%41\r\nContent-Length: 18446744073709551615\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a:\r\nContent-Length: 007\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n",
]
