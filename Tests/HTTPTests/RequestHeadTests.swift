import HTTP
import Testing

@Suite struct RequestHeadTests {
  /// Parses `request` and lends the head with its bytes.
  private func withHead(
    _ request: String, _ body: (borrowing RequestHead, UnsafeRawBufferPointer) throws -> Void
  ) rethrows {
    try withBytes(request) { bytes in
      var parser = HeadParser()
      var head = RequestHead()
      let outcome = parser.parse(bytes, into: &head)
      #expect(outcome == .head(consumed: bytes.count))
      try body(head, bytes)
    }
  }

  private let repeated =
    "GET / HTTP/1.1\r\nHost: a\r\nCookie: one\r\nX-Odd: 1\r\ncookie: two\r\nAccept: a/b\r\nX-ODD: 2\r\n\r\n"

  @Test func walksOverRepeatedLines() {
    withHead(repeated) { head, bytes in
      var values: [String] = []
      var line = head.index(of: .cookie)
      while let index = line {
        values.append(text(head.value(at: index).bytes(in: bytes)))
        line = head.index(of: .cookie, after: index)
      }
      #expect(values == ["one", "two"])
      let none = head.index(of: .range)
      #expect(none == nil)
    }
  }

  @Test func findsOthersByName() throws {
    withHead(repeated) { head, bytes in
      let first = head.index(named: "x-odd", in: bytes)
      let second = head.index(named: "x-odd", in: bytes, after: first ?? 0)
      let third = head.index(named: "x-odd", in: bytes, after: second ?? 0)
      #expect(first == 2)
      #expect(second == 5)
      #expect(third == nil)
      let part = head.index(named: "x-od", in: bytes)
      #expect(part == nil)
      let accept = (head.index(named: "accept", in: bytes), head.index(of: .accept))
      #expect(accept.0 == 4 && accept.1 == 4)
    }
  }

  @Test func aFieldThatMayStandOnceIsNotGuessed() throws {
    try withHead(repeated) { head, bytes in
      let accept = try head.single(.accept)
      let range = try head.single(.range)
      #expect(accept.map { text($0.bytes(in: bytes)) } == "a/b")
      #expect(range == nil)
      do throws(HTTPError) {
        _ = try head.single(.cookie)
        Issue.record("one of two was taken")
      } catch {
        #expect(error == .repeatedField)
      }
    }
  }

  @Test(arguments: [
    ("websocket", true), ("WebSocket", true), ("h2c, websocket", true), (" , ,websocket , ", true),
    ("websockets", false), ("web, socket", false), ("", false), ("websocket/13", false),
  ])
  func findsTokensInLists(value: String, found: Bool) {
    withHead("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nUpgrade: \(value)\r\n\r\n") { head, bytes in
      let listed = head.lists("websocket", in: .upgrade, bytes: bytes)
      #expect(listed == found)
    }
  }

  @Test func aDeclaredLengthShowsTooMuch() {
    #expect(BodyFraming.length(11).exceeds(10))
    #expect(!BodyFraming.length(10).exceeds(10))
    #expect(!BodyFraming.chunked.exceeds(0))
    #expect(!BodyFraming.none.exceeds(0))
  }

  @Test func everyErrorHasAnAnswer() {
    for error in HTTPError.allCases {
      #expect((400...505).contains(error.status.code))
      #expect(!"\(error.reason)".isEmpty)
    }
  }
}
