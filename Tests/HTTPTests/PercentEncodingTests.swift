import HTTP
import Testing

@Suite struct PercentEncodingTests {
  private func decode(_ encoded: String, plusIsSpace: Bool = false) throws(HTTPError) -> [UInt8] {
    let bytes = Array(encoded.utf8)
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { scratch.deallocate() }
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { input.deallocate() }
    input.copyBytes(from: bytes)
    let count = try PercentEncoding.decode(
      UnsafeRawBufferPointer(input), into: scratch, plusIsSpace: plusIsSpace)
    return Array(scratch[..<count])
  }

  @Test(
    arguments: [
      ("", ""), ("abc", "abc"), ("a%20b", "a b"), ("%41%42", "AB"), ("%2F", "/"), ("%2f", "/"), ("%25", "%"),
      ("%2525", "%25"), ("a+b", "a+b"), ("%C3%A9", "é"), ("%e2%82%ac", "€"), ("%F0%9F%98%80", "😀"),
      ("%00", "\0"),
      ("%7F", "\u{7f}"), ("é", "é"), ("%C3é%A9", nil), ("%EF%BF%BF", "\u{ffff}"),
      ("%F4%8F%BF%BF", "\u{10ffff}"),
    ] as [(String, String?)])
  func decodes(encoded: String, decoded: String?) {
    #expect((try? decode(encoded)) == decoded.map { Array($0.utf8) })
  }

  @Test(arguments: [("a+b", "a b"), ("+", " "), ("%2B", "+"), ("a%20+", "a  "), ("%2b+%2b", "+ +")])
  func plusIsASpaceInQueries(encoded: String, decoded: String) throws {
    #expect(try decode(encoded, plusIsSpace: true) == Array(decoded.utf8))
  }

  @Test(arguments: [
    "%", "%4", "a%", "a%4", "%zz", "%4g", "%g4", "% 4", "%+4", "%%41", "%4%", "%u0041", "%-1", "%é",
  ])
  func badEscapesAreRefused(encoded: String) {
    #expect(throws: HTTPError.malformedPercentEncoding) { try decode(encoded) }
  }

  @Test(arguments: [
    "%80", "%FF", "%C3", "%C3%28", "%C0%80", "%C1%BF", "%E0%80%80", "%ED%A0%80", "%F0%80%80%80",
    "%F4%90%80%80",
    "%F5%80%80%80", "a%E2%82", "%A9%C3", "%F8%88%80%80%80",
  ])
  func whatIsNotUTF8IsRefused(encoded: String) {
    #expect(throws: HTTPError.invalidUTF8) { try decode(encoded) }
  }

  @Test func knowsWhatNeedsNoDecoding() {
    #expect(
      withBytes("abc+") { !PercentEncoding.isEncoded($0) && PercentEncoding.isEncoded($0, plusIsSpace: true) }
    )
    #expect(withBytes("a%20") { PercentEncoding.isEncoded($0) })
  }

  @Test(arguments: [
    ("/", [""]), ("/a", ["a"]), ("/a/b", ["a", "b"]), ("/a/", ["a", ""]), ("//a", ["", "a"]), ("*", ["*"]),
    ("/contexts/a%2Fb/workunits", ["contexts", "a%2Fb", "workunits"]), ("/a//b", ["a", "", "b"]),
  ])
  func segments(path: String, expected: [String]) {
    withBytes("GET \(path) HTTP/1.1") { bytes in
      var segments = PathSegments(ByteRun(offset: 4, length: UInt32(path.utf8.count)), in: bytes)
      var found: [String] = []
      while let segment = segments.next() { found.append(text(segment.bytes(in: bytes))) }
      #expect(found == expected)
      #expect(segments.next() == nil)
      #expect(segments.rest.isEmpty)
    }
  }

  @Test func theRestOfAPathIsAResource() {
    withBytes("/locks/src/main.swift") { bytes in
      var segments = PathSegments(ByteRun(offset: 0, length: 21), in: bytes)
      #expect(segments.next().map { text($0.bytes(in: bytes)) } == "locks")
      #expect(text(segments.rest.bytes(in: bytes)) == "src/main.swift")
    }
  }

  @Test(arguments: [
    ("", []), ("a=1", ["a|1"]), ("a=1&b=2", ["a|1", "b|2"]), ("a", ["a|"]), ("a=", ["a|"]), ("=v", ["|v"]),
    ("a=b=c", ["a|b=c"]), ("&&a=1&&", ["a|1"]), ("a&b", ["a|", "b|"]), ("a=1&a=2", ["a|1", "a|2"]),
    ("metadata.k=%20+", ["metadata.k|%20+"]), ("=", ["|"]), ("a;b=1", ["a;b|1"]), ("a=?", ["a|?"]),
  ])
  func queryItems(query: String, expected: [String]) {
    withBytes("/?\(query) HTTP/1.1") { bytes in
      var items = QueryItems(ByteRun(offset: 2, length: UInt32(query.utf8.count)), in: bytes)
      var found: [String] = []
      while let item = items.next() {
        found.append("\(text(item.name.bytes(in: bytes)))|\(text(item.value.bytes(in: bytes)))")
      }
      #expect(found == expected)
      #expect(items.next() == nil)
    }
  }
}
