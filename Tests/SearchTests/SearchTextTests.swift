import Model
import Search
import Testing

@Suite struct SearchTextTests {
  private static func expression(_ typed: String) throws -> (required: String, excluded: String) {
    let expression = try SearchText(Array(typed.utf8), tokenizer: Tokenizer()).expression()
    return (
      String(decoding: expression.required, as: UTF8.self),
      String(decoding: expression.excluded, as: UTF8.self)
    )
  }

  @Test(arguments: [
    ("quick fox", #""quick" AND "fox""#, ""),
    (#""quick fox" jumps"#, #""quick" + "fox" AND "jumps""#, ""),
    (#""quick fox"#, #""quick" + "fox""#, ""),
    ("quick* -fox -\"lazy dog\" -pre*", #""quick" *"#, #""fox" OR "lazy" + "dog" OR "pre" *"#),
    (#""quick fo"* x"#, #""quick" + "fo" * AND "x""#, ""),
    ("snake_case_name /etc/hosts", #""snake" + "case" + "name" AND "etc" + "hosts""#, ""),
    ("getUserName", #"("getusername" OR "get" + "user" + "name")"#, ""),
    ("getUser*", #"("getuser" * OR "get" + "user" *)"#, ""),
    (
      #""call getUserName now""#,
      #"("call" + "getusername" + "now" OR "call" + "get" + "user" + "name" + "now")"#, ""
    ),
    ("C++ c# C++17", #""c++" AND "c#" AND "c++" + "17""#, ""),
    ("北京 東京タワー", #""北京" AND "東京" + "京タ" + "タワ" + "ワー""#, ""),
    ("京", #""京" *"#, ""), ("第3章", #""第" + "3" + "章" *"#, ""), ("北京API", #""北京" + "京" + "api""#, ""),
    ("北京*", #""北京""#, ""),
    ("a AND b OR NOT c", #""a" AND "and" AND "b" AND "or" AND "not" AND "c""#, ""),
    ("NEAR(a b, 2) {col}: ^x", #""near" + "a" AND "b" AND "2" AND "col" AND "x""#, ""),
    ("say\"hi there", #""say" + "hi" AND "there""#, ""),
    ("--verbose -x --", #""verbose""#, #""x""#),
    ("a-b foo.* -", #""a" + "b" AND "foo""#, ""),
    ("**a** ***", #""a" *"#, ""),
    ("a\u{3000}b\u{A0}c\u{0}d", #""a" AND "b" AND "c" AND "d""#, ""),
    ("same same", #""same""#, ""),
    ("👍🏽 👩‍👩‍👧", #""👍" AND "👩" + "👩" + "👧""#, ""),
  ])
  func becomesAnExpression(typed: String, required: String, excluded: String) throws {
    let expression = try Self.expression(typed)
    #expect(expression.required == required)
    #expect(expression.excluded == excluded)
  }

  @Test(arguments: ["", " ", "\t\n\u{3000}\u{0}\u{85}"])
  func whiteSpaceIsBlank(typed: String) throws {
    let text = try SearchText(Array(typed.utf8), tokenizer: Tokenizer())
    #expect(text.isBlank && text.hasNoWords)
    #expect(text == SearchText())
  }

  @Test(arguments: ["+++", "-", "*", "\"", "\"\"", "-\"", "- * -\"\"*", "…", "-\u{301}"])
  func punctuationHasNoWords(typed: String) throws {
    let text = try SearchText(Array(typed.utf8), tokenizer: Tokenizer())
    #expect(!text.isBlank && text.hasNoWords)
  }

  @Test func ranksByTerm() throws {
    let expression = try SearchText(Array("a getUserName -x b".utf8), tokenizer: Tokenizer()).expression()
    #expect(expression.terms == [0, 1, 1, 2])
    #expect(expression.termCount == 3)
  }

  @Test func termsAndTokensAreLimited() throws {
    let tokenizer = try Tokenizer()
    let terms = (0..<Limits.searchTermsMax).map { "w\($0)" }.joined(separator: " ")
    #expect(try SearchText(Array(terms.utf8), tokenizer: tokenizer).phrases.count == Limits.searchTermsMax)
    let phrase = "\"" + String(repeating: "a ", count: Limits.searchTokensMax) + "\""
    #expect(try SearchText(Array(phrase.utf8), tokenizer: tokenizer).phrases.count == 1)
    for typed in [
      terms + " one", terms + " -one", "\"a " + phrase.dropFirst(),
      (0..<10_000).map { "w\($0)" }.joined(separator: " "), String(repeating: "北京", count: 2000),
    ] {
      #expect {
        _ = try SearchText(Array(typed.utf8), tokenizer: tokenizer)
      } throws: {
        if case .tooManyTerms? = $0 as? SearchTextError { true } else { false }
      }
    }
  }

  @Test(arguments: [
    "\"", "\"\"\"", "'", "' OR 1=1 --", "a\"b", "a \"b", "a\" OR \"b", "AND", "OR", "NOT", "a AND", "NOT a",
    "NEAR(", "NEAR(a b)",
    "{col}:", "{body}: x", "body:x", "-body:x", "^a", "a + b", "(a", "a)", "((((", "a*b", "*", "* *", "\u{0}",
    "a\u{0}b",
    "\u{1}c1", "\u{2}", "\u{3}", "\u{1}c1\u{2}x\u{3}y", "\u{7F}", "\\", "\\\"", "\u{202E}abc", "שָׁלוֹם", "مُحَمَّد",
    "e\u{301}",
    "\u{301}\u{301}", "👩‍👩‍👧", "🇩🇪", "\u{FFFF}", "\u{10FFFF}", "\u{D7FF}\u{E000}", "%", "_", ";", "a;DROP TABLE t",
    "--", "-a", "-",
    "京", "ที่", "-\"a", "\\ud800", "C++*", "\"C++\"", "getUserName*", "-getUserName", "\"getUserName 京\"*",
  ])
  func hostileTextIsAValidExpression(typed: String) throws {
    let table = try WordTable()
    try table.insert(Array("nothing of this".utf8))
    _ = try table.search(typed)
    // A tag isn't reached by typing it.
    #expect(try table.search("\u{1}c1") == [])
  }
}
