import Testing

@testable import Bytes

@Suite struct JSONTextTests {
  private func decoded(_ token: String) -> [UInt8]? {
    Array(token.utf8).withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      guard let found = try? scanner.string() else { return nil }
      let result = JSONText.withDecoded(found, of: bytes) { Array($0) }
      #expect(result.count == Int(found.decodedCount))
      return result
    }
  }

  private func quoted(_ text: String) -> String {
    Array(text.utf8).withUnsafeBytes { bytes in
      let count = JSONText.quotedCount(bytes)
      let token = [UInt8](unsafeUninitializedCapacity: count) { memory, written in
        guard let base = memory.baseAddress else { return }
        var out = ByteWriter(base, capacity: memory.count)
        JSONText.writeQuoted(bytes, to: &out)
        written = out.count
      }
      #expect(token.count == count)
      return String(decoding: token, as: UTF8.self)
    }
  }

  @Test(arguments: [
    (#""""#, ""), (#""plain""#, "plain"), (#""\"\\\/""#, "\"\\/"), (#""\b\f\n\r\t""#, "\u{8}\u{C}\n\r\t"),
    (#""\u0041\u00e9\u4E2D""#, "Aé中"), (#""\ud83d\ude00""#, "😀"), (#""a\u0000b""#, "a\0b"),
    (#""😀\n😀""#, "😀\n😀"), (#""\u07ff\u0800\uffff""#, "\u{7FF}\u{800}\u{FFFF}"),
    (#""\udbff\udfff""#, "\u{10FFFF}"),
  ])
  func decodesEscapes(_ token: String, _ text: String) {
    #expect(decoded(token) == Array(text.utf8))
  }

  @Test(arguments: [
    ("", #""""#), ("plain", #""plain""#), ("\"\\/", #""\"\\/""#), ("\u{8}\u{C}\n\r\t", #""\b\f\n\r\t""#),
    ("\0\u{1}\u{1F}\u{7F}", "\"\\u0000\\u0001\\u001f\u{7F}\""), ("é中😀", "\"é中😀\""),
  ])
  func writesTheShortEscapes(_ text: String, _ token: String) {
    #expect(quoted(text) == token)
  }

  /// Random text, through our writer and back, and with every character spelled as an escape, against what
  /// Swift's own String says.
  @Test func agreesWithStringOnRandomText() {
    var random = SplitMix(seed: 0x7E57)
    let ranges: [ClosedRange<UInt32>] = [
      0...0x1F, 0x20...0x7E, 0x20...0x7E, 0x7F...0x7FF, 0x800...0xD7FF, 0xE000...0xFFFF, 0x1_0000...0x10_FFFF,
    ]
    for _ in 0..<3000 {
      var text = ""
      var escaped = "\""
      for _ in 0..<random.below(60) {
        let range = ranges[random.below(ranges.count)]
        let value = range.lowerBound + UInt32(random.below(Int(range.upperBound - range.lowerBound) + 1))
        guard let scalar = Unicode.Scalar(value) else { continue }
        text.unicodeScalars.append(scalar)
        for unit in String(scalar).utf16 {
          let digits = String(unit, radix: 16, uppercase: random.below(2) == 0)
          escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
      }
      #expect(decoded(quoted(text)) == Array(text.utf8))
      #expect(decoded(escaped + "\"") == Array(text.utf8))
    }
  }

  /// Valid UTF-8 by our rules is valid by Swift's, and the other way round.
  @Test func agreesWithStringOnWhatIsUTF8() {
    var random = SplitMix(seed: 0xF00D)
    let interesting: [UInt8] = [
      0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
      0xEF,
      0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
    ]
    for _ in 0..<10_000 {
      let bytes = (0..<random.below(8)).map { _ in interesting[random.below(interesting.count)] }
      let valid = String(validating: bytes, as: UTF8.self) != nil
      #expect(bytes.withUnsafeBytes { JSONText.isUTF8($0) } == valid)
      let token = [0x22] + bytes.map { $0 < 0x20 ? 0x20 : $0 } + [0x22]
      #expect((fault(token) == nil) == (String(validating: token, as: UTF8.self) != nil))
    }
  }

  @Test func decodesInPiecesOfAnySize() {
    let raw = Array(#"plain\n\ud83d\ude00é\u00e9 and the end"#.utf8)
    let whole = Array("plain\n😀éé and the end".utf8)
    for room in 4...whole.count + 1 {
      var result: [UInt8] = []
      var piece = [UInt8](repeating: 0, count: room)
      var rest = raw[...]
      while !rest.isEmpty {
        let step = Array(rest).withUnsafeBytes { from in
          piece.withUnsafeMutableBytes { JSONText.decodeSome(from, into: $0) }
        }
        #expect(step.written > 0)
        if step.written == 0 { break }
        result += piece[..<step.written]
        rest = rest.dropFirst(step.consumed)
      }
      #expect(result == whole)
    }
  }

  @Test func decodingMalformedBytesSaysSo() {
    var room = [UInt8](repeating: 0, count: 32)
    for raw in [#"\"#, #"\x"#, #"\u12"#, #"\ud800"#, #"ab\ud800\u0041"#] {
      let written = Array(raw.utf8).withUnsafeBytes { from in
        room.withUnsafeMutableBytes { JSONText.decode(from, into: $0) }
      }
      #expect(written == nil)
    }
    let tooMuch = Array("12345".utf8).withUnsafeBytes { from in
      room.withUnsafeMutableBytes {
        JSONText.decode(from, into: UnsafeMutableRawBufferPointer(rebasing: $0[0..<4]))
      }
    }
    #expect(tooMuch == nil)
  }

  @Test(arguments: [
    ("plain", false), ("", false), ("é中😀", false), ("\u{1F}", true), ("\u{7F}", true), ("\u{80}", true),
    ("\u{9F}", true), ("\u{A0}", false), ("long enough for a vector \u{85}", true), ("tab\t", true),
    ("ab\u{9E}é", true), ("\u{100}\u{2085}", false),
  ])
  func knowsControlCharacters(_ text: String, _ found: Bool) {
    #expect(Array(text.utf8).withUnsafeBytes { JSONText.hasControl($0) } == found)
  }
}
