// Typed words are found in texts that hold them, through a real FTS5 table.

import Search
import Testing

@Suite struct WordsFoundTests {
  @Test(arguments: [
    ("北京", "我住在北京市"), ("東京タワー", "昨日東京タワーに行った"), ("京", "東京"), ("京", "京都"), ("タワー", "東京タワーは高い"),
    ("go", "Let's go."), ("C++", "written in C++, mostly"), ("C#", "C# or F#"), ("C#", "用C#、Java"),
    ("c++17", "uses C++17 now"),
    ("snake_case_name", "let snake_case_name = 1"), ("case_name", "snake_case_name"),
    ("name", "snake_case_name"),
    ("/etc/hosts", "edit /etc/hosts first"), ("hosts", "/etc/hosts"), ("etc/hosts", "cat</etc/hosts"),
    ("café", "the cafe"), ("cafe", "le café"), ("cafe\u{301}", "CAFÉ"), ("E1234", "error E1234: no"),
    ("e1234", "E1234"),
    ("getUserName", "x.getUserName()"), ("getusername", "getUserName"), ("user name", "getUserName"),
    ("getUserName", "get_user_name"),
    ("get_user_name", "getUserName"), ("getUs*", "getUserName"), ("getuserna*", "getUserName"),
    ("\"call getUserName now\"", "call getUserName now"), ("HTTPServer", "HttpServer"),
    ("httpserver", "HTTPServer"),
    ("สวัสดี", "เธอพูดว่าสวัสดีครับ"), ("ครับ", "สวัสดีครับ"), ("학교", "나는 학교에서 공부한다"),
    ("한글", "\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}"),
    ("हिन्दी", "यह हिन्दी है"), ("محمد", "مُحَمَّد رسول"), ("مُحَمَّد", "محمد"), ("שלום", "שָׁלוֹם עולם"),
    ("👍", "done 👍🏽"), ("👩‍👩‍👧", "the 👩‍👩‍👧 family"), ("👧", "👩‍👩‍👧"), ("❤️", "I ❤ it"), ("🇩🇪", "flag🇩🇪"),
    ("\"quick brown\"", "The quick, brown fox"), ("Fuß", "FUSS"), ("ﬁle", "file"), ("ＡＢＣ", "abc"), ("ガ", "ｶﾞ"),
    ("ёлка", "Елка"), ("Αθηνα", "ΑΘΉΝΑ"), ("می‌خواهم", "میخواهم"), ("v1.2.3", "v1.2.3-rc1"),
    ("北京API", "北京API文档"),
    ("\"北京 API\"", "北京 API"), ("第3章", "これは第3章です"), ("don't", "I don’t know"),
    ("--no-search", "run with --no-search"),
    ("𠀀", "漢𠀀字"), ("ខ្មែរ", "ភាសាខ្មែរ"), ("မြန်မာ", "မြန်မာဘာသာ"), ("ລາວ", "ພາສາລາວ"),
  ])
  func isFound(typed: String, text: String) throws {
    let table = try WordTable()
    try table.insert(Array("an unrelated row, 無関係".utf8))
    let row = try table.insert(Array(text.utf8))
    #expect(try table.search(typed) == [row])
  }

  @Test(arguments: [
    ("C++", "plain c and C#"), ("c#", "C++"), ("E123", "E1234"), ("\"brown quick\"", "quick brown"),
    ("京北", "北京"),
    ("東京都", "東京と都"), ("-fox", "the fox"), ("fox -lazy*", "fox and laziness, lazybones"), ("fo*", "of"),
    ("user_names", "user_name"), ("+++", "+++"), ("\"a b\"", "a x b"),
  ])
  func isNotFound(typed: String, text: String) throws {
    let table = try WordTable()
    try table.insert(Array(text.utf8))
    #expect(try table.search(typed) == [])
  }

  @Test func phrasesSpanNoGap() throws {
    let table = try WordTable()
    let row = try table.insert(Array("ends with alpha".utf8), Array("beta begins\u{3}here".utf8))
    #expect(try table.search("alpha beta") == [row])
    #expect(try table.search("\"alpha beta\"") == [])
    #expect(try table.search("\"begins here\"") == [row], "a \\x03 in a text is no gap")
  }

  @Test func exclusionsAlone() throws {
    let table = try WordTable()
    try table.insert(Array("fox".utf8))
    let row = try table.insert(Array("dog".utf8))
    #expect(try table.search("-fox") == [row])
  }

  /// Whatever stands in a text between white space is found when it is typed, and marked.
  @Test func wordsOfRandomTextsAreFound() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("words of random texts: seed \(seed)")
    var random = WordRandom(seed: seed)
    for _ in 0..<40 {
      let table = try WordTable()
      for _ in 0..<20 {
        let text = nastyText(pieces: Int.random(in: 1...12, using: &random), using: &random)
        let row = try table.insert(Array(text.utf8))
        let words = text.unicodeScalars.split {
          $0.properties.isWhitespace || $0.value < 0x21 || $0.value == 0x7F || $0.value == 0x200B
        }
        // Without a sign in front that means something there.
        guard let word = words.randomElement(using: &random)?.drop(while: { $0 == "-" }) else { continue }
        let typed = String(String.UnicodeScalarView(word))
        let query = try SearchText(Array(typed.utf8), tokenizer: table.tokenizer)
        if word.contains(where: { $0 == "\"" || $0 == "*" }) || query.hasNoWords { continue }
        #expect(
          try table.search(Array(typed.utf8)).contains(row),
          "seed \(seed): \(typed.debugDescription) in \(text.debugDescription)")
        let bytes = Array(text.utf8)
        let excerpt = try bytes.withUnsafeBytes {
          try Highlighter(query).excerpt(of: [$0], tokenizer: table.tokenizer)
        }
        #expect(
          excerpt != nil, "seed \(seed): no mark for \(typed.debugDescription) in \(text.debugDescription)")
      }
    }
  }

  /// Any text typed is a valid expression.
  @Test func randomTextsAreValidExpressions() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("random expressions: seed \(seed)")
    var random = WordRandom(seed: seed)
    let table = try WordTable()
    try table.insert(Array(nastyPieces.joined(separator: " ").utf8))
    for _ in 0..<1500 {
      let typed = nastyText(pieces: Int.random(in: 0...20, using: &random), using: &random)
      _ = try table.search(typed)
    }
  }
}
