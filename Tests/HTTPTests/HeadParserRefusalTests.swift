import HTTP
import Testing

/// A head that must be refused, and how.
struct Refusal: Sendable, CustomTestStringConvertible {
  let bytes: [UInt8]
  let error: HTTPError
  let status: Int

  init(_ text: String, _ error: HTTPError, _ status: Int = 400) {
    bytes = Array(text.utf8)
    self.error = error
    self.status = status
  }

  init(_ bytes: [UInt8], _ error: HTTPError, _ status: Int = 400) {
    self.bytes = bytes
    self.error = error
    self.status = status
  }

  /// A request line alone.
  static func line(_ line: String, _ error: HTTPError, _ status: Int = 400) -> Refusal {
    Refusal("\(line)\r\nHost: a\r\n\r\n", error, status)
  }

  /// Field lines behind a good request line and Host.
  static func fields(_ fields: String, _ error: HTTPError, _ status: Int = 400) -> Refusal {
    Refusal("POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n", error, status)
  }

  static func host(_ host: String, _ error: HTTPError = .invalidHost) -> Refusal {
    Refusal("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n", error)
  }

  static func length(_ length: String) -> Refusal {
    fields("Content-Length: \(length)", .invalidContentLength)
  }

  static func coding(_ coding: String, _ error: HTTPError = .invalidTransferCoding, _ status: Int = 400)
    -> Refusal
  {
    fields("Transfer-Encoding: \(coding)", error, status)
  }

  var testDescription: String { String(decoding: bytes, as: UTF8.self).debugDescription }
}

@Suite struct HeadParserRefusalTests {
  static let lines: [Refusal] = [
    Refusal("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
    Refusal("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .bareLineFeed),
    Refusal("\r GET / HTTP/1.1\r\nHost: a\r\n\r\n", .bareCarriageReturn),
    .line(" GET / HTTP/1.1", .malformedMethod),
    .line("\tGET / HTTP/1.1", .malformedMethod),
    .line("GET  / HTTP/1.1", .malformedRequestLine),
    .line("GET /  HTTP/1.1", .malformedVersion),
    .line("GET / HTTP/1.1 ", .malformedVersion),
    .line("GET\t/ HTTP/1.1", .malformedMethod),
    .line("GET /\tHTTP/1.1", .malformedTarget),
    .line("GET", .malformedRequestLine),
    .line("GET ", .malformedRequestLine),
    .line("GET /", .malformedRequestLine),
    .line("GET / ", .malformedVersion),
    .line("GET HTTP/1.1", .malformedRequestLine),
    .line("GET / x HTTP/1.1", .malformedVersion),
    .line("G(T / HTTP/1.1", .malformedMethod),
    .line("G@T / HTTP/1.1", .malformedMethod),
    .line("GÉT / HTTP/1.1", .malformedMethod),
    .line("\"GET\" / HTTP/1.1", .malformedMethod),
    .line(":GET / HTTP/1.1", .malformedMethod),
    .line("get / HTTP/1.1", .unknownMethod, 501),
    .line("Get / HTTP/1.1", .unknownMethod, 501),
    .line("GEt / HTTP/1.1", .unknownMethod, 501),
    .line("foo / HTTP/1.1", .unknownMethod, 501),
    .line("GET / http/1.1", .malformedVersion),
    .line("GET / HTTP/1", .malformedVersion),
    .line("GET / HTTP/1.", .malformedVersion),
    .line("GET / HTTP/11", .malformedVersion),
    .line("GET / HTTP/1.10", .malformedVersion),
    .line("GET / HTTP/01.1", .malformedVersion),
    .line("GET / HTTP/+1.1", .malformedVersion),
    .line("GET / HTTP/1,1", .malformedVersion),
    .line("GET / HTTP/1.x", .malformedVersion),
    .line("GET / HTTP/x.1", .malformedVersion),
    .line("GET / HTTP 1.1", .malformedVersion),
    .line("GET / HTTPS/1.1", .malformedVersion),
    .line("GET / HTPP/1.1", .malformedVersion),
    .line("GET / ICY/1.1", .malformedVersion),
    .line("GET / HTTP/0.9", .unsupportedVersion, 505),
    .line("GET / HTTP/2.0", .unsupportedVersion, 505),
    .line("GET / HTTP/3.0", .unsupportedVersion, 505),
    .line("GET / HTTP/9.9", .unsupportedVersion, 505),
    Refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion, 505),
    Refusal("GET /\r\n", .malformedRequestLine),
    Refusal("GET / HTTP/1.1\nHost: a\n\n", .bareLineFeed),
    Refusal("GET / HTTP/1.1\rHost: a\r\r", .bareCarriageReturn),
    Refusal("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", .bareCarriageReturn),
    Refusal("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", .controlCharacter),
    Refusal("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", .controlCharacter),
    Refusal("GET /\u{1b}[0m HTTP/1.1\r\nHost: a\r\n\r\n", .controlCharacter),
    Refusal("GET /\u{b} HTTP/1.1\r\nHost: a\r\n\r\n", .controlCharacter),
    Refusal([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01], .controlCharacter),  // a TLS ClientHello
    Refusal("\0", .controlCharacter),
  ]

  static let targets: [Refusal] = [
    .line("GET /a#b HTTP/1.1", .malformedTarget),
    .line("GET # HTTP/1.1", .malformedTarget),
    .line("GET /?q#f HTTP/1.1", .malformedTarget),
    .line("GET /é HTTP/1.1", .malformedTarget),
    .line("GET é HTTP/1.1", .malformedTarget),
    Refusal(Array("GET /".utf8) + [0x80] + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8), .malformedTarget),
    Refusal(Array("GET /".utf8) + [0xff] + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8), .malformedTarget),
    .line("GET * HTTP/1.1", .wrongTargetForm),
    .line("POST * HTTP/1.1", .wrongTargetForm),
    .line("OPTIONS ** HTTP/1.1", .wrongTargetForm),
    .line("OPTIONS *? HTTP/1.1", .wrongTargetForm),
    .line("GET a HTTP/1.1", .wrongTargetForm),
    .line("GET a/b HTTP/1.1", .wrongTargetForm),
    .line("GET ?q HTTP/1.1", .wrongTargetForm),
    .line("GET a:80 HTTP/1.1", .wrongTargetForm),
    .line("GET ftp://a/ HTTP/1.1", .wrongTargetForm),
    .line("GET ws://a/ HTTP/1.1", .wrongTargetForm),
    .line("GET httpx://a/ HTTP/1.1", .wrongTargetForm),
    .line("GET http HTTP/1.1", .wrongTargetForm),
    .line("GET http: HTTP/1.1", .wrongTargetForm),
    .line("GET http:/ HTTP/1.1", .wrongTargetForm),
    .line("GET http:/a HTTP/1.1", .wrongTargetForm),
    .line("GET :// HTTP/1.1", .wrongTargetForm),
    .line("GET http:// HTTP/1.1", .invalidHost),
    .line("GET http:///p HTTP/1.1", .invalidHost),
    .line("GET http://?q HTTP/1.1", .invalidHost),
    .line("GET http://:80/ HTTP/1.1", .invalidHost),
    .line("GET http://user@a/ HTTP/1.1", .invalidHost),
    .line("GET http://a:x/ HTTP/1.1", .invalidHost),
    .line("GET http://b/ HTTP/1.1", .hostMismatch),
    .line("GET http://a:80/ HTTP/1.1", .hostMismatch),
    .line("GET http://a.a/ HTTP/1.1", .hostMismatch),
    .line("CONNECT / HTTP/1.1", .invalidHost),
    .line("CONNECT a HTTP/1.1", .wrongTargetForm),
    .line("CONNECT a: HTTP/1.1", .wrongTargetForm),
    .line("CONNECT * HTTP/1.1", .wrongTargetForm),
    .line("CONNECT b:80 HTTP/1.1", .hostMismatch),
    .line("CONNECT http://a:80/ HTTP/1.1", .invalidHost),
  ]

  static let hosts: [Refusal] = [
    Refusal("GET / HTTP/1.1\r\n\r\n", .missingHost),
    Refusal("GET / HTTP/1.1\r\nHosts: a\r\n\r\n", .missingHost),
    Refusal("GET http://a/ HTTP/1.1\r\n\r\n", .missingHost),
    Refusal("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .repeatedField),
    Refusal("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", .repeatedField),
    Refusal("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", .repeatedField),
    Refusal("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", .invalidHost),
    .host(""), .host("  "), .host("a b"), .host("a,b" + " c"), .host("a/b"), .host("a?b"), .host("a@b"),
    .host("http://a"), .host("a#b"), .host("a\\b"), .host("é"), .host("a\"b"), .host("<a>"), .host("a\tb"),
    .host(":80"), .host("a:b"), .host("a:80:80"), .host("a:-1"), .host("a:65536"),
    .host("a:99999999999999999999"),
    .host("a: 80"), .host("%"), .host("%4"), .host("%zz"), .host("a%"), .host("::1"), .host("["), .host("[]"),
    .host("[::1"), .host("[::1]a"), .host("[::1]]"), .host("[1]"), .host("[1:2:3:4:5:6:7]"),
    .host("[1:2:3:4:5:6:7:8:9]"), .host("[1::2::3]"), .host("[:::]"), .host("[12345::]"), .host("[g::]"),
    .host("[::1.2.3]"), .host("[::1.2.3.256]"), .host("[::1.2.3.4.5]"), .host("[1:2:3:4:5:6:7:]"),
    .host("[:1:2:3:4:5:6:7]"), .host("[v1.a]"), .host("[fe80::1%25eth0]"), .host("[1:2:3:4::5:6:7:8]"),
    .host("[::1]:x"), .host("]"), .host("a]"),
  ]

  static let fields: [Refusal] = [
    .fields("x", .missingColon),
    .fields("x y", .missingColon),
    .fields(":", .malformedFieldName),
    .fields(": v", .malformedFieldName),
    .fields("x : v", .spaceBeforeColon),
    .fields("x\t: v", .spaceBeforeColon),
    .fields("Host : b", .spaceBeforeColon),
    .fields("Content-Length : 5", .spaceBeforeColon),
    .fields("Transfer-Encoding : chunked", .spaceBeforeColon),
    .fields("x y: v", .malformedFieldName),
    .fields("x(y): v", .malformedFieldName),
    .fields("x/y: v", .malformedFieldName),
    .fields("[x]: v", .malformedFieldName),
    .fields("x@: v", .malformedFieldName),
    .fields("\"x\": v", .malformedFieldName),
    .fields("é: v", .malformedFieldName),
    .fields("x,y: v", .malformedFieldName),
    .fields("{x}: v", .malformedFieldName),
    .fields("x;: v", .malformedFieldName),
    .fields("x=: v", .malformedFieldName),
    .fields(" x: v", .foldedField),
    .fields("\tx: v", .foldedField),
    .fields("x: v\r\n w", .foldedField),
    .fields("x: v\r\n\tw", .foldedField),
    .fields("x: v\r\n ", .foldedField),
    Refusal("GET / HTTP/1.1\r\n Host: a\r\n\r\n", .foldedField),
    .fields("x: v\0w", .controlCharacter),
    .fields("x\0: v", .controlCharacter),
    .fields("x: \u{1}", .controlCharacter),
    .fields("x: \u{8}", .controlCharacter),
    .fields("x: \u{b}", .controlCharacter),
    .fields("x: \u{c}", .controlCharacter),
    .fields("x: \u{1f}", .controlCharacter),
    .fields("x: \u{7f}", .controlCharacter),
    .fields("x: v\rw", .bareCarriageReturn),
    .fields("x: v\nw: x", .bareLineFeed),
    .fields("x: v\r\r\n", .bareCarriageReturn),
    .fields("x: v\n", .bareLineFeed),
    Refusal("GET / HTTP/1.1\r\nHost: a\r\n\n", .bareLineFeed),
    Refusal("GET / HTTP/1.1\r\nHost: a\r\n\rx", .bareCarriageReturn),
    Refusal("GET / HTTP/1.1\r\nHost: a\n\r\n", .bareLineFeed),
  ]

  static let framings: [Refusal] = [
    .length(""), .length("-1"), .length("+5"), .length("5,5"), .length("5, 5"), .length("5 5"),
    .length("0x5"),
    .length("5a"), .length("a"), .length("5.0"), .length("1e3"), .length("18446744073709551616"),
    .length("99999999999999999999999999999999999999"), .length("\"5\""), .length("5;"), .length("५"),
    .length("1_0"),
    .fields("Content-Length: 5\r\nContent-Length: 5", .repeatedField),
    .fields("Content-Length: 5\r\ncontent-length: 6", .repeatedField),
    .fields("Content-Length: 5\r\nTransfer-Encoding: chunked", .lengthAndCoding),
    .fields("Transfer-Encoding: chunked\r\nContent-Length: 5", .lengthAndCoding),
    .fields("Transfer-Encoding: gzip\r\nContent-Length: 5", .lengthAndCoding),
    .fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .repeatedField),
    .fields("Transfer-Encoding: gzip\r\ntransfer-encoding: chunked", .repeatedField),
    .coding(""), .coding("identity"), .coding("gzip"), .coding("chunked, chunked"), .coding("chunked, gzip"),
    .coding("xchunked"), .coding("chunkedx"), .coding("\"chunked\""), .coding("chunked;"),
    .coding("chunked;q=1"),
    .coding("chunked,"), .coding(",chunked"), .coding("chunked identity"),
    .coding("\u{b}chunked", .controlCharacter),
    .coding("gzip, chunked", .unsupportedTransferCoding, 501),
    .coding("deflate , Chunked", .unsupportedTransferCoding, 501),
    .coding("identity, chunked", .unsupportedTransferCoding, 501),
    Refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .codingInOldVersion),
    Refusal(
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", .codingInOldVersion),
    .fields("Expect: 200-ok", .unsupportedExpectation, 417),
    .fields("Expect:", .unsupportedExpectation, 417),
    .fields("Expect: 100-continue, x", .unsupportedExpectation, 417),
    .fields("Expect: 100-continue\r\nExpect: x", .unsupportedExpectation, 417),
    .fields("Expect: 100-continue;x=1", .unsupportedExpectation, 417),
  ]

  static let all = lines + targets + hosts + fields + framings

  @Test func thereAreManyOfThem() {
    #expect(HeadParserRefusalTests.all.count >= 120)
  }

  @Test(arguments: all)
  func isRefused(refusal: Refusal) {
    #expect(Reading(refusal.bytes) == .failure(refusal.error))
    #expect(refusal.error.status.code == refusal.status)
  }

  @Test(arguments: all)
  func anyCutGivesTheSame(refusal: Refusal) {
    let bytes = refusal.bytes
    for cut in 0...bytes.count { #expect(Reading(bytes, cuts: [cut]) == .failure(refusal.error)) }
    #expect(Reading(bytes, cuts: 0...bytes.count) == .failure(refusal.error))
  }
}
