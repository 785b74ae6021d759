import Model
import Testing

@testable import API

/// Parameters as a request carries them, against what the routes are told.
@Suite(.serialized) struct QueryTests {
  private let desk: Desk

  init() throws { desk = try Desk() }

  private static let known = ["limit", "after", "reverse", "context", "a b", "é"]

  /// What `read` makes of a query; nil for a problem, which `problem` gets.
  private func outcome<Value>(
    _ query: String, _ read: (Query) throws(Problem) -> Value
  ) throws -> (value: Value?, problem: Problem?) {
    try desk.with("/x?\(query)") { exchange in
      do throws(Problem) {
        return (try read(try Query(exchange, known: Self.known)), nil)
      } catch {
        return (nil, error)
      }
    }
  }

  @Test func `items are decoded, in order`() throws {
    for (query, expected) in [
      ("", []), ("&&", []), ("limit=1", ["limit=1"]), ("limit", ["limit="]), ("limit=", ["limit="]),
      ("&limit=1&", ["limit=1"]), ("context=a&context=b", ["context=a", "context=b"]),
      ("context=a=b", ["context=a=b"]), ("context=a+b%20c%2Bd", ["context=a b c+d"]),
      ("l%69mit=%31", ["limit=1"]),
      ("a+b=1&a%20b=2", ["a b=1", "a b=2"]), ("%C3%A9=%E2%82%AC", ["é=€"]), ("context=%00", ["context=\0"]),
      ("context=?/:@", ["context=?/:@"]),
    ] {
      let found = try outcome(query) { query throws(Problem) in
        query.items.map { "\($0.name)=\(String(decoding: $0.value, as: UTF8.self))" }
      }
      #expect(found.value == expected, "\(query)")
    }
  }

  @Test func `names that aren't known are named`() throws {
    for (query, name) in [
      ("x=1", "x"), ("limit=1&x", "x"), ("Limit=1", "Limit"), ("=1", ""), ("limit%00=1", "limit\0"),
      ("limit+=1", "limit "),
      ("%C3%A8=1", "è"),
    ] {
      let problem = try #require(try outcome(query) { _ throws(Problem) in }.problem, "\(query)")
      #expect(problem.code == .invalidRequest)
      #expect(problem.errors.map(\.pointer) == ["/\(name)"], "\(query)")
    }
  }

  @Test func `encodings that aren't right are refused`() throws {
    for query in ["limit=%", "limit=%4", "limit=%4x", "%=1", "limit=%ff", "context=%C3", "context=%ED%A0%80"]
    {
      let problem = try outcome(query) { _ throws(Problem) in }.problem
      #expect(problem?.code == .invalidRequest, "\(query)")
    }
  }

  @Test func `what may stand once is refused twice`() throws {
    for query in ["limit=1&limit=1", "limit&limit=2", "limit=1&after=2&l%69mit=3"] {
      let problem = try outcome(query) { query throws(Problem) in try query.one("limit") }.problem
      #expect(problem?.errors.map(\.pointer) == ["/limit"], "\(query)")
    }
    let repeated = try outcome("context=a&limit=1&context=b") { query throws(Problem) in query.all("context")
    }
    #expect(repeated.value == [Array("a".utf8), Array("b".utf8)])
  }

  @Test func `numbers at the edges of their range`() throws {
    func number(_ text: String, _ range: ClosedRange<UInt64>) throws -> (value: UInt64??, problem: Problem?) {
      try outcome(text) { query throws(Problem) in try query.number("limit", in: range) }
    }
    for (text, expected) in [
      ("limit=1", 1), ("limit=1000", 1000), ("limit=%31%30", 10), ("after=5", nil), ("", nil),
    ] as [(String, UInt64?)] {
      #expect(try number(text, 1...1000).value == .some(expected), "\(text)")
    }
    for text in [
      "limit=0", "limit=1001", "limit=", "limit", "limit=01", "limit=+1", "limit=-1", "limit=1.0",
      "limit=1e2",
      "limit=%201", "limit=0x1", "limit=18446744073709551616", "limit=1&limit=1", "limit=%D9%A1",
    ] {
      let found = try number(text, 1...1000)
      #expect(found.value == nil, "\(text)")
      #expect(found.problem?.errors.map(\.pointer) == ["/limit"], "\(text)")
    }
    #expect(try number("limit=0", 0...Limits.integerMax).value == .some(0))
    #expect(try number("limit=\(Limits.integerMax)", 0...Limits.integerMax).value == .some(Limits.integerMax))
    #expect(try number("limit=\(Limits.integerMax + 1)", 0...Limits.integerMax).value == nil)
  }

  @Test func `flags are true or false`() throws {
    for (query, expected) in [
      ("reverse=true", true), ("reverse=false", false), ("", false), ("reverse=%74rue", true),
      ("reverse", nil), ("reverse=", nil), ("reverse=1", nil), ("reverse=True", nil),
      ("reverse=true&reverse=true", nil),
    ] as [(String, Bool?)] {
      let found = try outcome(query) { query throws(Problem) in try query.flag("reverse") }
      #expect(found.value == expected, "\(query)")
    }
  }
}

/// The readers of values, which need no request.
@Suite struct QueryValueTests {
  @Test(
    arguments: [
      ("0", 0), ("9", 9), ("10", 10), ("18446744073709551615", .max), ("18446744073709551616", nil),
      ("18446744073709551620", nil), ("99999999999999999999", nil), ("00", nil), ("01", nil), ("", nil),
      ("-0", nil), ("+1", nil),
      ("1 ", nil), ("/", nil), (":", nil),
    ] as [(String, UInt64?)])
  func decimal(text: String, value: UInt64?) { #expect(Query.decimal(Array(text.utf8)) == value) }

  @Test func identifiers() {
    func isRefused(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { Query.identifierFault($0) } != nil }
    for good in [[0x20], Array("team/α β".utf8), [UInt8](repeating: 0x61, count: Limits.identifierBytesMax)] {
      #expect(!isRefused(good), "\(good)")
    }
    for bad in [
      [], [UInt8](repeating: 0x61, count: Limits.identifierBytesMax + 1), [0], [0x61, 0x0a], [0x1f], [0x7f],
      [0xff],
      [0xc3], [0xed, 0xa0, 0x80],
    ] {
      #expect(isRefused(bad), "\(bad)")
    }
  }
}
