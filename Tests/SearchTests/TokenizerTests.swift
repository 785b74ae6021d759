import Glibc
@testable import Search
import Testing

@Suite struct TokenizerTests {
  /// Positions are separated by spaces, what stands at one by `|`.
  @Test(arguments: [
    ("The quick, brown fox.", "the quick brown fox"),
    ("go C++ C# F# and c", "go c|c++ c|c# f|f# and c"),
    ("C++17 g++, i++; a+++b c#sharp issue#12 x+y", "c|c++ 17 g|g++ i|i++ a b c sharp issue 12 x y"),
    ("snake_case_name a.b.c /etc/hosts", "snake case name a b c etc hosts"),
    ("E1234 sha256 v1.2 don't", "e1234 sha256 v1 2 don t"),
    ("getUserName", "get|getusername user name"),
    ("HTTPServer parseURL URLs", "http|httpserver server parse|parseurl url urls"),
    ("sha256Sum iOS Word WORD wORD", "sha256|sha256sum sum i|ios os word word w|word ord"),
    ("ПриветМир ÉCOLE Éclair", "привет|приветмир мир ecole eclair"),
    ("café cafe\u{301} CAFÉ naïve Straße Øre Łódź ﬁle", "cafe cafe cafe naive strasse ore lodz file"),
    ("Việt Nam, ёж, Αθήνα, ΟΔΟΣ", "viet nam еж αθηνα οδοσ"),
    ("北京 東京タワー", "北京 京 東京 京タ タワ ワー ー"),
    ("第3章", "第 3 章"), ("我", "我"), ("中文English混合", "中文 文 english 混合 合"),
    ("学校、学生。", "学校 校 学生 生"),
    ("ﾊﾞｶ か\u{3099}く がく", "バカ カ がく く がく く"),
    ("학교에서 \u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}", "학교 교에 에서 서 한글 글"),
    ("ที่นี่", "ที่นี่ นี่"), ("สวัสดี", "สวั วัส สดี ดี"),
    ("हिन्दी में क़लम कलम", "हिन्दी में कलम कलम"),
    ("مُحَمَّد محمـد أحمد احمد", "محمد محمد احمد احمد"), ("می\u{200C}خواهم ٣٤", "ميخواهم 34"),
    ("שָׁלוֹם", "שלום"),
    ("ok👍🏽 ❤\u{FE0F} 👩\u{200D}👩\u{200D}👧🇩🇪", "ok 👍 ❤ 👩 👩 👧 🇩 🇪"),
    ("ＡＢＣ　１２３", "abc 123"), ("── ├ src │", "src"),
    ("\u{200F}abc\u{202E}def\u{AD}ghi\u{FEFF}", "abcdefghi"),
    ("a\u{0}b\u{1}c\u{2}d\u{3}e\u{7F}f", "a b c d e f"),
    ("", ""), (" \t\n+++ --- ***", ""), ("\u{301}", ""),
  ])
  func takesApart(text: String, tokens: String) throws {
    #expect(try Tokenizer().written(text) == tokens)
  }

  @Test func bodiesBeginWithTagsAtOnePosition() throws {
    let tokenizer = try Tokenizer()
    #expect(
      try tokenizer.written("\u{1}c9\u{1}aX-é\u{2}Hello\u{1}w\u{3}again", mode: .body)
        == "^c9|^aX-é hello w _ again")
    #expect(try tokenizer.written("\u{2}\u{1}c9", mode: .body) == "c9", "text forges no tag")
    #expect(try tokenizer.written("plain \u{1}c9", mode: .body) == "plain c9")
  }

  @Test(arguments: [
    ("", ""), ("\u{1}", ""), ("\u{1}\u{1}\u{1}", ""), ("\u{1}c", "^c"), ("\u{1}\u{2}", ""), ("\u{2}", ""),
    ("\u{1}c\u{1}", "^c"), ("\u{1}c\u{2}", "^c"), ("\u{1}\u{1}c\u{2}a", "^c a"),
    ("\u{1}c\u{2}\u{2}a", "^c a"),
  ])
  func brokenHeadersAreTakenForWhatTheyAre(body: String, tokens: String) throws {
    #expect(try Tokenizer().written(body, mode: .body) == tokens)
  }

  @Test func theTableHoldsTheSameTokensAtTheSamePositions() throws {
    let table = try WordTable()
    var body = SearchBody()
    body.add(tag: "c1".utf8)
    body.add(tag: "a2".utf8)
    for text in ["getUserName in C++ 東京タワー", "x\u{3}y"] {
      Array(text.utf8).withUnsafeBytes { body.add(text: $0) }
    }
    let row = try table.insert(body: body.bytes)
    #expect(
      try table.indexed() == [
        "^a2|^c1", "get|getusername", "user", "name", "in", "c|c++", "東京", "京タ", "タワ", "ワー", "ー", "_", "x",
        "y",
      ])
    // Only positions count as words, and all tags together are one.
    #expect(try table.size(of: row) == 14)
  }

  @Test func wordsAreCutAt256BytesBetweenCharacters() throws {
    let tokenizer = try Tokenizer()
    let letters = [UInt8](repeating: UInt8(ascii: "A"), count: 10 << 20)
    let long = try tokenizer.seen(letters)
    #expect(long.count == 1)
    #expect(long[0].token == String(repeating: "a", count: 256))
    #expect(long[0].source.utf8.count == letters.count)
    let wide = try tokenizer.seen(Array((String(repeating: "x", count: 255) + "жжж").utf8))
    #expect(wide.map(\.token) == [String(repeating: "x", count: 255)])
    let marks = "ก" + String(repeating: "\u{E48}", count: 100_000) + "ข"
    for token in try tokenizer.seen(Array(marks.utf8)) { #expect(token.token.utf8.count <= 256) }
    let tag = try tokenizer.seen(
      Array(("\u{1}" + String(repeating: "t", count: 300) + "\u{2}x").utf8), mode: .body)
    #expect(tag.map(\.token.utf8.count) == [256, 1])
  }

  @Test func manyPartsAndLongWordsStayWhole() throws {
    let tokenizer = try Tokenizer()
    let twelve = String(repeating: "aB", count: 11) + "a"
    #expect(try tokenizer.seen(Array(twelve.utf8)).count == 13)
    #expect(try tokenizer.seen(Array((twelve + "Ba").utf8)).count == 1)
    #expect(try tokenizer.seen(Array(("aB" + String(repeating: "c", count: 62)).utf8)).count == 3)
    #expect(try tokenizer.seen(Array(("aB" + String(repeating: "c", count: 63)).utf8)).count == 1)
  }

  @Test func bothPathsAgreeOnASCII() throws {
    let tokenizer = try Tokenizer()
    var random = WordRandom(seed: 0x5EED)
    let alphabet = Array("aAbBzZ019 _-+#.\"\u{0}\u{3}\n".utf8)
    for _ in 0..<20_000 {
      let text = (0..<Int.random(in: 0...24, using: &random)).map { _ in
        alphabet.randomElement(using: &random) ?? 0
      }
      #expect(try tokenizer.seen(text) == tokenizer.seen(text, slowly: true), "\(text)")
    }
    let every = (0...127).flatMap { [UInt8(ascii: "q"), UInt8($0), UInt8(ascii: "R"), 32, UInt8($0), 32] }
    #expect(try tokenizer.seen(every) == tokenizer.seen(every, slowly: true))
    let long = [UInt8](repeating: UInt8(ascii: "Q"), count: 1000)
    #expect(try tokenizer.seen(long) == tokenizer.seen(long, slowly: true))
  }

  @Test func anyBytesGiveTokensOfWholeCharactersWithinTheText() throws {
    let tokenizer = try Tokenizer()
    var random = WordRandom(seed: 20_26)
    for round in 0..<3000 {
      var text = Array(nastyText(pieces: Int.random(in: 0...20, using: &random), using: &random).utf8)
      let isBroken = round % 2 == 0 && !text.isEmpty
      if isBroken {
        for _ in 0..<3 {
          text[Int.random(in: text.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
      }
      for mode in [Tokenizer.Mode.text, .body] {
        var start = 0
        try text.withUnsafeBytes { bytes in
          try tokenizer.forEachToken(of: bytes, mode: mode) { flags, token, range in
            #expect(String(validating: token, as: UTF8.self) != nil || flags.contains(.tag), "\(text)")
            #expect(token.count > 0 && token.count <= Tokenizer.tokenBytesMax)
            #expect(range.lowerBound >= 0 && range.upperBound <= bytes.count && !range.isEmpty)
            if !isBroken {
              #expect(range.lowerBound == 0 || bytes[range.lowerBound] & 0xC0 != 0x80)
              #expect(range.upperBound == bytes.count || bytes[range.upperBound] & 0xC0 != 0x80)
            }
            #expect(range.lowerBound >= start, "tokens come in the order of the text")
            start = range.lowerBound
            return true
          }
        }
      }
    }
  }

  @Test func endsWhenToldTo() throws {
    var count = 0
    try [UInt8]("a b c d".utf8).withTokens(of: Tokenizer()) { _, _, _ in
      count += 1
      return count < 2
    }
    #expect(count == 2)
  }
}
