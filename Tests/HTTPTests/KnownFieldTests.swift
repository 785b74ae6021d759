import HTTP
import Testing

@Suite struct KnownFieldTests {
  private func head(_ name: String) -> Reading.Description? {
    Reading("GET / HTTP/1.0\r\n\(name): value\r\n\r\n").description
  }

  @Test(arguments: KnownField.allCases)
  func isFoundInAnyCase(field: KnownField) throws {
    // Content-Length and the like want another value: a list that refuses `value` proves that it was found.
    let name = "\(field.name)"
    for spelling in [name, name.uppercased(), name.prefix(1).uppercased() + name.dropFirst()] {
      switch Reading("GET / HTTP/1.0\r\n\(spelling): value\r\n\r\n") {
      case .head(_, let head): #expect(head.known == [field: "value"])
      case .failure(let error):
        let expected: [KnownField: HTTPError] = [
          .contentLength: .invalidContentLength, .transferEncoding: .codingInOldVersion,
          .expect: .unsupportedExpectation,
        ]
        #expect(expected[field] == error)
      case .needMore: Issue.record("not read")
      }
    }
  }

  @Test(arguments: KnownField.allCases)
  func isNotTakenForANeighbour(field: KnownField) throws {
    let name = Array("\(field.name)".utf8)
    for index in name.indices {
      // One letter off in each place, and one letter less.
      var other = name
      other[index] = other[index] == UInt8(ascii: "q") ? UInt8(ascii: "w") : UInt8(ascii: "q")
      #expect(try #require(head(String(decoding: other, as: UTF8.self))).known.isEmpty)
      other.remove(at: index)
      let known = try #require(head(String(decoding: other, as: UTF8.self))).known
      #expect(known.isEmpty)
    }
    #expect(try #require(head(String(decoding: name, as: UTF8.self) + "q")).known.isEmpty)
  }

  @Test func aLineFeedIsNoHyphen() {
    // 0x0d with bit 5 set is '-': a control character must not pass for it.
    #expect(Reading("GET / HTTP/1.0\r\nif\rmatch: value\r\n\r\n") == .failure(.bareCarriageReturn))
  }
}
