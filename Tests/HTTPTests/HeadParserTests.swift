import HTTP
import Testing

@Suite struct HeadParserTests {
  @Test func readsAPost() throws {
    let request = goodHeads[5]
    guard case .head(let consumed, let head) = Reading(request) else {
      Issue.record("not read")
      return
    }
    #expect(consumed == request.utf8.count)
    #expect(head.method == .post)
    #expect(head.target == "/workunit")
    #expect(head.path == "/workunit")
    #expect(head.query == "")
    #expect(head.minorVersion == 1)
    #expect(head.keepAlive)
    #expect(!head.expectsContinue)
    #expect(head.body == .length(1024))
    #expect(head.fields.count == 9)
    #expect(head.known[.xAgentID] == "agent-7")
    #expect(head.known[.idempotencyKey] == "0190-aa")
    #expect(head.known[.prefer] == "return=minimal")
    #expect(head.known[.xRequestID] == "r-1")
    #expect(head.known[.userAgent] == "curl/7.88.1")
    #expect(head.known[.authorization] == nil)
  }

  @Test func splitsTheTarget() throws {
    let lock = try #require(Reading(goodHeads[8]).description)
    #expect(lock.method == .put)
    #expect(lock.target == "/locks/src/a%2Fb%20c.swift?x=1?y")
    #expect(lock.path == "/locks/src/a%2Fb%20c.swift")
    #expect(lock.query == "x=1?y")
    #expect(lock.body == .length(0))

    let options = try #require(Reading("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").description)
    #expect(options.path == "*")

    let absolute = try #require(Reading("GET http://A.b:80/p?q HTTP/1.1\r\nHost: a.B:80\r\n\r\n").description)
    #expect(absolute.authority == "A.b:80")
    #expect(absolute.path == "/p")
    #expect(absolute.query == "q")

    let bare = try #require(Reading("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n").description)
    #expect(bare.path == "/")
    #expect(bare.query == "q")

    let tunnel = try #require(Reading("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").description)
    #expect(tunnel.authority == "a:443")
    #expect(tunnel.path == "")
    #expect(!tunnel.keepAlive)
  }

  @Test(arguments: [
    ("GET", HTTP.Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("PATCH", .patch),
    ("DELETE", .delete), ("OPTIONS", .options), ("TRACE", .trace), ("PURGE", .other), ("M-SEARCH", .other),
    ("X", .other), ("GETS", .other), ("GE", .other),
  ])
  func knowsMethods(name: String, method: HTTP.Method) throws {
    let head = try #require(Reading("\(name) / HTTP/1.1\r\nHost: a\r\n\r\n").description)
    #expect(head.method == method)
    #expect(head.methodText == name)
  }

  @Test(arguments: [
    ("1.1", "", true), ("1.1", "close", false), ("1.1", "Close", false), ("1.1", "keep-alive", true),
    ("1.1", "x, close ,y", false), ("1.1", "keep-alive, close", false), ("1.1", "closed", true),
    ("1.0", "", false), ("1.0", "keep-alive", true), ("1.0", "Keep-Alive, x", true), ("1.0", "close", false),
    ("1.0", "keep-alive, close", false), ("1.1", "\"close\"", true), ("1.1", ",,", true), ("1.9", "x", true),
  ])
  func decidesWhetherTheConnectionLivesOn(version: String, connection: String, keeps: Bool) throws {
    let head = "GET / HTTP/\(version)\r\nHost: a\r\nConnection: \(connection)\r\n\r\n"
    #expect(try #require(Reading(head).description).keepAlive == keeps)
  }

  @Test func joinsConnectionLines() throws {
    let head = try #require(
      Reading(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n"
      )
      .description)
    #expect(!head.keepAlive)
    #expect(head.asksUpgrade)
  }

  @Test(arguments: [
    ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n", true), ("1.1", "Upgrade: websocket\r\n", false),
    ("1.1", "Connection: upgrade\r\n", false),
    ("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", false),
  ])
  func seesAnUpgrade(version: String, fields: String, asks: Bool) throws {
    let head = try #require(Reading("GET / HTTP/\(version)\r\nHost: a\r\n\(fields)\r\n").description)
    #expect(head.asksUpgrade == asks)
  }

  @Test(arguments: [
    ("1.1", "Content-Length: 5\r\n", true), ("1.1", "Transfer-Encoding: chunked\r\n", true),
    ("1.1", "Content-Length: 0\r\n", false), ("1.1", "", false), ("1.0", "Content-Length: 5\r\n", false),
  ])
  func promisesContinueOnlyForABody(version: String, framing: String, expects: Bool) throws {
    let head = "POST / HTTP/\(version)\r\nHost: a\r\nExpect: 100-continue\r\n\(framing)\r\n"
    #expect(try #require(Reading(head).description).expectsContinue == expects)
  }

  @Test(arguments: goodHeads)
  func anyCutGivesTheSame(request: String) {
    let bytes = Array(request.utf8) + Array("behind it".utf8)
    let whole = Reading(bytes)
    #expect(whole.description != nil)
    for cut in 0...bytes.count { #expect(Reading(bytes, cuts: [cut]) == whole) }
    #expect(Reading(bytes, cuts: 0...bytes.count) == whole)
  }

  @Test(arguments: goodHeads)
  func anUnfinishedHeadNeedsMore(request: String) {
    let bytes = Array(request.utf8)
    for count in 0..<bytes.count { #expect(Reading(Array(bytes[..<count])) == .needMore) }
  }

  @Test func pipelinedHeadsAreReadOneByOne() {
    // Each leaves nothing of itself in the next: the parser and the storage are the same throughout.
    let bytes = goodHeads.flatMap { Array($0.utf8) }
    var parser = HeadParser()
    var head = RequestHead()
    var start = 0
    for request in goodHeads {
      #expect(!parser.isUnderWay)
      let reading = Reading(Array(bytes[start...]), cuts: [], &parser, &head)
      #expect(reading == Reading(request))
      start += request.utf8.count
    }
    #expect(start == bytes.count)
  }

  @Test func isUnderWayBetweenFirstByteAndLast() {
    var parser = HeadParser()
    var head = RequestHead()
    #expect(!parser.isUnderWay)
    _ = Reading([], cuts: [], &parser, &head)
    #expect(!parser.isUnderWay)
    _ = Reading(Array("G".utf8), cuts: [], &parser, &head)
    #expect(parser.isUnderWay)
    _ = Reading(Array("GET / HTTP/1.0\r\n\r\n".utf8), cuts: [], &parser, &head)
    #expect(!parser.isUnderWay)
  }

  @Test func aFailureStays() {
    var parser = HeadParser()
    var head = RequestHead()
    let good = Array(goodHeads[0].utf8)
    #expect(Reading(Array("GET /\r\n".utf8), cuts: [], &parser, &head) == .failure(.malformedRequestLine))
    #expect(Reading(good, cuts: [], &parser, &head) == .failure(.malformedRequestLine))
    #expect(Reading([], cuts: [], &parser, &head) == .failure(.malformedRequestLine))
  }
}

@Suite struct HeadLimitTests {
  /// `fields` field lines, Host among them.
  private func head(fields: Int) -> String {
    "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "x: y\r\n", count: fields - 1) + "\r\n"
  }

  /// A head of exactly `bytes` bytes.
  private func head(bytes: Int) -> String {
    let rest = "GET / HTTP/1.1\r\nHost: a\r\nx: \r\n\r\n".utf8.count
    return "GET / HTTP/1.1\r\nHost: a\r\nx: \(String(repeating: "y", count: bytes - rest))\r\n\r\n"
  }

  /// A request line of exactly `bytes` bytes.
  private func head(lineBytes: Int) -> String {
    "GET /\(String(repeating: "p", count: lineBytes - 14)) HTTP/1.1\r\nHost: a\r\n\r\n"
  }

  private func check(
    _ fits: String, _ exceeds: String, _ error: HTTPError, _ limits: HTTPLimits = HTTPLimits()
  ) {
    #expect(Reading(fits, limits: limits).description != nil)
    #expect(Reading(exceeds, limits: limits) == .failure(error))
    // The answer is the same when the bytes drip in, and when far more than the limit is there at once.
    #expect(Reading(fits, cuts: 0...fits.utf8.count, limits: limits) == Reading(fits, limits: limits))
    #expect(Reading(exceeds, cuts: 0...exceeds.utf8.count, limits: limits) == .failure(error))
    let more = String(repeating: "z", count: 70_000)
    #expect(Reading(fits + more, limits: limits) == Reading(fits, limits: limits))
    #expect(Reading(exceeds + more, limits: limits) == .failure(error))
  }

  @Test func headBytes() {
    #expect(head(bytes: 16_384).utf8.count == 16_384)
    check(head(bytes: 16_384), head(bytes: 16_385), .headTooLarge)
  }

  @Test func requestLineBytes() {
    check(head(lineBytes: 8192), head(lineBytes: 8193), .requestLineTooLong)
  }

  @Test func fields() {
    check(head(fields: 100), head(fields: 101), .tooManyFields)
  }

  @Test func fieldNameBytes() {
    func head(name: Int) -> String {
      "GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "n", count: name)): v\r\n\r\n"
    }
    check(head(name: 255), head(name: 256), .fieldNameTooLong)
  }

  @Test func allOfThemTogether() {
    var limits = HTTPLimits()
    limits.headBytesMax = 60
    limits.requestLineBytesMax = 20
    limits.fieldsMax = 2
    check(head(bytes: 60), head(bytes: 61), .headTooLarge, limits)
    check(head(lineBytes: 20), head(lineBytes: 21), .requestLineTooLong, limits)
    check(head(fields: 2), head(fields: 3), .tooManyFields, limits)
  }

  @Test func theLargestHeadThatOffsetsHold() {
    var limits = HTTPLimits()
    limits.headBytesMax = .max
    limits.requestLineBytesMax = .max
    limits.fieldsMax = 254
    check(head(bytes: 65_535), head(bytes: 65_536), .headTooLarge, limits)
    check(head(fields: 254), head(fields: 255), .tooManyFields, limits)
  }

  @Test func anEndlessLineFailsAtItsLimit() {
    let line = Array(("GET /" + String(repeating: "a", count: 9000)).utf8)
    #expect(Reading(Array(line[..<8192])) == .needMore)
    #expect(Reading(Array(line[..<8193])) == .failure(.requestLineTooLong))
    let field = Array(("GET / HTTP/1.1\r\nx: " + String(repeating: "a", count: 17_000)).utf8)
    #expect(Reading(Array(field[..<16_383])) == .needMore)
    #expect(Reading(Array(field[..<16_384])) == .failure(.headTooLarge))
  }
}
