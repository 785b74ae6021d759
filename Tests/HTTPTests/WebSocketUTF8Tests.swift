import EngramTesting
import HTTP
import Testing

/// UTF-8 in pieces: what is whole, what is open, and at which byte what is bad is known to be (RFC 3629, section 4).
@Suite struct WebSocketUTF8Tests {
  static let good: [[UInt8]] = [
    Array("κόσμε".utf8), Array("Hello-µ@ßöäüàá-UTF-8!!".utf8), Array("日本語 한국어 中文".utf8), Array("🂡🇪🇺👩‍👩‍👧".utf8),
    [0x00], [0x7f], [0xc2, 0x80], [0xdf, 0xbf], [0xe0, 0xa0, 0x80], [0xed, 0x9f, 0xbf], [0xee, 0x80, 0x80],
    [0xef, 0xbf, 0xbf], [0xef, 0xb7, 0x90], [0xf0, 0x90, 0x80, 0x80], [0xf0, 0x9f, 0xbf, 0xbf],
    [0xf4, 0x8f, 0xbf, 0xbf],
  ]

  /// Bad texts, and where the byte stands that no valid text goes on with.
  static let bad: [(bytes: [UInt8], at: Int)] = [
    // Bytes that never stand anywhere.
    ([0xfe], 0), ([0xff], 0), ([0xc0], 0), ([0xc1], 0), ([0xf5], 0), ([0xf8], 0), ([0xfc], 0),
    // Continuation bytes of nothing.
    ([0x80], 0), ([0xbf], 0), ([0x61, 0x80], 1), ([0xc2, 0x80, 0x80], 2), ([0xe2, 0x82, 0xac, 0xbf], 3),
    // Characters that are not finished.
    ([0xc2, 0x20], 1), ([0xc2, 0xc2], 1), ([0xe2, 0x20], 1), ([0xe2, 0x82, 0x20], 2),
    ([0xf0, 0x9f, 0x82, 0x41], 3),
    ([0xf0, 0x9f, 0xe2], 2), ([0xce, 0xba, 0xce], 3),
    // Longer than need be.
    ([0xc0, 0xaf], 0), ([0xe0, 0x80, 0xaf], 1), ([0xe0, 0x9f, 0xbf], 1), ([0xf0, 0x80, 0x80, 0xaf], 1),
    ([0xf0, 0x8f, 0xbf, 0xbf], 1),
    // Surrogates.
    ([0xed, 0xa0, 0x80], 1), ([0xed, 0xad, 0xbf], 1), ([0xed, 0xbf, 0xbf], 1),
    ([0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80], 1),
    // Beyond U+10FFFF.
    ([0xf4, 0x90, 0x80, 0x80], 1), ([0xf4, 0xbf, 0xbf, 0xbf], 1), ([0xf7, 0xbf, 0xbf, 0xbf], 0),
  ]

  /// Around the 16 bytes that are looked at together.
  static let fillers = [0, 1, 13, 14, 15, 16, 17, 31, 33]

  private func filler(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(97 + $0 % 26) } }

  @Test(arguments: good)
  func textsAreTaken(bytes: [UInt8]) {
    for before in WebSocketUTF8Tests.fillers {
      let text = filler(before) + bytes + filler(3)
      let stream = frame(1, text)
      #expect(told(stream) == [.text(text)])
      for cut in 0...stream.count { #expect(told(stream, cuts: [cut]) == [.text(text)]) }
      #expect(told(stream, cuts: 0...stream.count) == [.text(text)])
      // Fragments may end inside a character.
      for cut in 0...text.count {
        let fragments = frame(1, Array(text[..<cut]), isFinal: false) + frame(0, Array(text[cut...]))
        #expect(told(fragments) == [.text(text)])
      }
    }
  }

  @Test(arguments: bad)
  func badTextsFailAtTheirFirstBadByte(bytes: [UInt8], at: Int) {
    for before in WebSocketUTF8Tests.fillers {
      let text = filler(before) + bytes + filler(40)
      // `[0xce, 0xba, 0xce]` and others are bad only by what follows: the filler.
      let place = 6 + before + at
      let stream = frame(1, text)
      #expect(told(Array(stream[..<place])).isEmpty, "open until then")
      #expect(told(Array(stream[...place])) == [.failure(.invalidText)])
      for cut in 0...place { #expect(told(Array(stream[...place]), cuts: [cut]) == [.failure(.invalidText)]) }
      #expect(told(stream) == [.failure(.invalidText)])
      // The same when a fragment ends in between.
      let fragments =
        frame(1, Array(text[..<(before + at)]), isFinal: false) + frame(0, Array(text[(before + at)...]))
      #expect(told(fragments) == [.failure(.invalidText)])
      #expect(told(Array(fragments.dropLast(text.count - before - at - 1))) == [.failure(.invalidText)])
    }
  }

  /// Every character cut short is open in the middle of a message and bad at its end.
  @Test(arguments: good.filter { ($0.last ?? 0) >= 0x80 })
  func aTextEndsWithACharacter(bytes: [UInt8]) {
    let text = Array(bytes.dropLast())
    #expect(told(frame(1, text)) == [.failure(.invalidText)])
    #expect(told(frame(1, text, isFinal: false)).isEmpty)
    #expect(told(frame(1, text, isFinal: false) + frame(0, [])) == [.failure(.invalidText)])
    #expect(told(frame(1, text, isFinal: false) + frame(0, Array(bytes.suffix(1)))) == [.text(bytes)])
  }

  /// All that may follow a first byte, against the standard library.
  @Test func beginningsAreThoseOfTheStandardLibrary() {
    let ends: [[UInt8]] = [[], [0x80], [0xbf], [0x80, 0x80], [0xbf, 0xbf]]
    for first in [0, 0x7f, 0x80, 0xbf] + Array(0xc0...0xff) as [UInt8] {
      for second in 0...255 as ClosedRange<UInt8> {
        for end in ends {
          let text = [first, second] + end
          let isValid = String(validating: text, as: UTF8.self) != nil
          let expected: ToldFrame = isValid ? .text(text) : .failure(.invalidText)
          if told(frame(1, text)) != [expected] { Issue.record("\(text)") }
          if told(frame(1, text), cuts: [7]) != [expected] { Issue.record("\(text), cut") }
        }
      }
    }
  }
}
