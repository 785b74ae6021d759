import Model
import Testing

@testable import Search

@Suite struct HighlighterTests {
  private static func mark(_ typed: String, in texts: String...) throws -> String? {
    let tokenizer = try Tokenizer()
    let highlighter = Highlighter(try SearchText(Array(typed.utf8), tokenizer: tokenizer))
    let bytes = texts.map { Array($0.utf8) }
    let lent = bytes.map { bytes in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
      copy.copyBytes(from: bytes)
      return UnsafeRawBufferPointer(copy)
    }
    defer { for text in lent { text.deallocate() } }
    return try highlighter.excerpt(of: lent, tokenizer: tokenizer).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test(arguments: [
    ("fox", "The quick fox.", "The quick <mark>fox</mark>."),
    ("FOX quick", "The quick fox.", "The <mark>quick</mark> <mark>fox</mark>."),
    ("\"quick fox\"", "quick dog, quick fox, fox", "quick dog, <mark>quick fox</mark>, fox"),
    ("qu*", "The Quick fox", "The <mark>Quick</mark> fox"),
    ("fox -dog", "fox and dog", "<mark>fox</mark> and dog"),
    ("cafe", "un Café!", "un <mark>Café</mark>!"),
    ("café", "cafe\u{301}s? cafe\u{301}", "cafe\u{301}s? <mark>cafe\u{301}</mark>"),
    ("snake_case", "let snake_case = 1", "let <mark>snake_case</mark> = 1"),
    ("/etc/hosts", "in /etc/hosts.", "in /<mark>etc/hosts</mark>."),
    ("getUserName", "a.getUserName()", "a.<mark>getUserName</mark>()"),
    ("user", "a.getUserName()", "a.get<mark>User</mark>Name()"),
    ("getUserName", "get_user_name", "<mark>get_user_name</mark>"),
    ("C++", "C and C++.", "C and <mark>C++</mark>."), ("c", "C++.", "<mark>C</mark>++."),
    ("北京", "我住在北京市", "我住在<mark>北京</mark>市"), ("東京タワー", "昨日東京タワーに", "昨日<mark>東京タワー</mark>に"),
    ("京", "東京都と京", "東<mark>京</mark>都と<mark>京</mark>"), ("東京 京都", "東京都", "<mark>東京都</mark>"),
    ("ที่", "ที่นี่", "<mark>ที่</mark>นี่"),
    ("a a", "a b a", "<mark>a</mark> b <mark>a</mark>"), ("\"a a\"", "a a a b a", "<mark>a a a</mark> b a"),
    ("👧", "x 👩‍👩‍👧 y", "x <mark>👩‍👩‍👧</mark> y"), ("👍", "ok 👍🏽", "ok <mark>👍🏽</mark>"),
    ("b", "<b> & \"b\"\n", "<<mark>b</mark>> & \"<mark>b</mark>\""),
    ("محمد", "قال مُحَمَّد نعم", "قال <mark>مُحَمَّد</mark> نعم"),
    ("x", "a\u{0}x\u{3}y", "a\u{0}<mark>x</mark>\u{3}y"),
  ])
  func marks(typed: String, text: String, marked: String) throws {
    #expect(try Self.mark(typed, in: text) == marked)
  }

  @Test(arguments: [
    ("fox", "dog"), ("\"quick fox\"", "fox quick"), ("", "text"), ("-fox", "fox"), ("+++", "+++"),
    ("fox", ""),
    ("E123", "E1234"),
  ])
  func nothingToMark(typed: String, text: String) throws {
    #expect(try Self.mark(typed, in: text) == nil)
  }

  @Test func theTextWithMostTermsIsShown() throws {
    #expect(
      try Self.mark("red fox", in: "a fox", "x", "the red fox", "red fox")
        == "the <mark>red</mark> <mark>fox</mark>")
    #expect(try Self.mark("red fox", in: "a fox", "red") == "a <mark>fox</mark>")
  }

  private static let filler = String(repeating: "lorem ipsum dolor ", count: 60)

  @Test func theWindowWithMostTermsIsShown() throws {
    let text = "red " + Self.filler + "red fox one " + Self.filler + "red fox two"
    let marked = try #require(try Self.mark("fox red", in: text))
    #expect(marked.contains("<mark>red</mark> <mark>fox</mark> one"))
    #expect(marked.count <= Limits.highlightCharacters + 2 * 13)
    #expect(marked.count > Limits.highlightCharacters / 2)
    for word in marked.split(separator: " ") where !word.hasPrefix("<") {
      #expect(["lorem", "ipsum", "dolor", "one"].contains(word), "half a word: \(word)")
    }
  }

  @Test func nearTheEndsThereIsMoreOfTheOtherSide() throws {
    let first = try #require(try Self.mark("fox", in: "fox " + Self.filler))
    #expect(first.hasPrefix("<mark>fox</mark> lorem") && first.count > 180)
    let last = try #require(try Self.mark("fox", in: Self.filler + "fox"))
    #expect(last.hasSuffix("dolor <mark>fox</mark>") && last.count > 180)
  }

  @Test func textWithoutSpacesIsCutBetweenCharacters() throws {
    let text =
      String(repeating: "漢字か\u{3099}", count: 200) + "北京" + String(repeating: "e\u{301}\u{302}", count: 500)
    let marked = try #require(try Self.mark("北京", in: text))
    #expect(marked.contains("<mark>北京</mark>"))
    let plain = marked.replacing("<mark>", with: "").replacing("</mark>", with: "")
    #expect(text.contains(plain))
    #expect(plain.count == Limits.highlightCharacters)
    #expect(plain.first == "漢" || plain.first == "字" || plain.first == "か\u{3099}")
    #expect(plain.last == "e\u{301}\u{302}")
  }

  @Test func aLongWordAndALongPhraseAreCut() throws {
    let word = String(repeating: "a", count: 10_000)
    let marked = try #require(try Self.mark(word, in: "x " + word + " y"))
    #expect(marked.hasSuffix("a</mark>") && marked.count <= 213)
    let phrase = "\"" + String(repeating: "word ", count: 100) + "\""
    let long = try #require(try Self.mark(phrase, in: String(repeating: "word ", count: 300)))
    #expect(long.hasPrefix("<mark>word word") && long.count <= 213)
  }

  @Test func onlyTheBeginningIsLookedAt() throws {
    let padding = String(repeating: "é ", count: Limits.highlightBytesMax / 3)
    #expect(try Self.mark("fox", in: padding + "fox") == nil)
    #expect(try Self.mark("fox", in: padding + "fox", "fox") == "<mark>fox</mark>")
    #expect(try Self.mark("fox", in: String(padding.dropLast(2)) + "fox " + padding) != nil)
  }

  @Test func noUTF8IsNotShown() throws {
    let tokenizer = try Tokenizer()
    let highlighter = Highlighter(try SearchText(Array("fox".utf8), tokenizer: tokenizer))
    let broken = Array("fox ".utf8) + [0xFF, 0xC3]
    #expect(try broken.withUnsafeBytes { try highlighter.excerpt(of: [$0], tokenizer: tokenizer) } == nil)
  }

  /// Work grows with the text, not with the text times the phrase.
  @Test func repeatedTokensCostNoMore() throws {
    let typed = "\"" + String(repeating: "a ", count: Limits.searchTokensMax - 1) + "b\""
    let text = String(repeating: "a ", count: Limits.highlightBytesMax / 2)
    #expect(try Self.mark(typed, in: text) == nil)
  }

  /// What is shown is a piece of the text, whatever the text.
  @Test func matchesThatAreNotShownAreNotKept() throws {
    let tokenizer = try Tokenizer()
    let typed = "a* \"a a\"* \"a a a\"* \"a a a a\"* \"b b\" nowhere"
    let text = try SearchText(Array(typed.utf8), tokenizer: tokenizer)
    let matcher = PhraseMatcher(text.phrases)
    let words = String(repeating: "a ", count: 20_000)
    for (bytes, distinct) in [(words, 4), (words + "b b a a a a " + words, 5)] {
      let found = try Array(bytes.utf8).withUnsafeBytes {
        try matcher.bestWindow(in: $0, tokenizer: tokenizer)
      }
      let window = try #require(found)
      #expect(window.distinct == distinct)
      // All that stand in what is shown, but not all of 80,000.
      #expect(window.matches.count < 40_000)
      let shown = window.matches.filter { window.span.contains($0.lowerBound) }
      #expect(shown.count >= distinct)
    }
    let marked = try #require(try Self.mark(typed, in: words + "b b a a a a " + words))
    // It ends with the first match of the fifth term, and all that is in front of it matched.
    #expect(marked.hasPrefix("<mark>a a") && marked.hasSuffix("a a</mark> <mark>b b</mark>"), "\(marked)")
  }

  @Test func randomExcerptsAreVerbatim() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("random excerpts: seed \(seed)")
    var random = WordRandom(seed: seed)
    for _ in 0..<400 {
      let text = nastyText(pieces: Int.random(in: 0...150, using: &random), using: &random)
      let typed = nastyText(pieces: Int.random(in: 1...3, using: &random), using: &random)
      guard let marked = try Self.mark(typed, in: text) else { continue }
      let plain = marked.replacing("<mark>", with: "").replacing("</mark>", with: "")
      #expect(
        Array(text.utf8).contains(Array(plain.utf8)),
        "seed \(seed): \(typed.debugDescription) in \(text.debugDescription)")
      #expect(marked.contains("<mark>"))
    }
  }
}
