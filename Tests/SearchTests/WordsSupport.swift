// What the tests of words share: a real FTS5 table in memory, and tokens as text.

import CSQLite
import CSearch
import Glibc
@testable import Search
import Testing

/// An FTS5 table in memory with the tokenizer `engram`, as the index has it.
final class WordTable {
  private var database: OpaquePointer?
  private var insertion: OpaquePointer?
  private var query: OpaquePointer?
  private var next: Int64 = 1
  let tokenizer: Tokenizer

  init() throws {
    tokenizer = try Tokenizer()
    try #require(sqlite3_open(":memory:", &database) == SQLITE_OK)
    try #require(engram_search_register(database) == SQLITE_OK)
    let create =
      "CREATE VIRTUAL TABLE t USING fts5(body, content='', detail=full, columnsize=1, tokenize='engram')"
    try #require(sqlite3_exec(database, create, nil, nil, nil) == SQLITE_OK)
    try prepare("INSERT INTO t(rowid, body) VALUES (?1, ?2)", &insertion)
    try prepare("SELECT rowid FROM t WHERE t MATCH ?1 ORDER BY rowid", &query)
  }

  deinit {
    sqlite3_finalize(insertion)
    sqlite3_finalize(query)
    sqlite3_close(database)
  }

  func prepare(_ sql: String, _ statement: inout OpaquePointer?) throws {
    try #require(sqlite3_prepare_v2(database, sql, -1, &statement, nil) == SQLITE_OK)
  }

  /// Inserts these bytes as they stand and returns the row's number.
  @discardableResult
  func insert(body: [UInt8]) throws -> Int64 {
    defer { next += 1 }
    sqlite3_bind_int64(insertion, 1, next)
    body.withUnsafeBytes { _ = engram_bind_text_static(insertion, 2, $0.baseAddress ?? nil, Int32($0.count)) }
    #expect(sqlite3_step(insertion) == SQLITE_DONE)
    sqlite3_reset(insertion)
    return next
  }

  @discardableResult
  func insert(_ texts: [UInt8]...) throws -> Int64 {
    var body = SearchBody()
    body.add(tag: "c1".utf8)
    for text in texts { text.withUnsafeBytes { body.add(text: $0) } }
    return try insert(body: body.bytes)
  }

  /// Rows that a MATCH expression finds; nil if FTS5 refuses it.
  func rows(matching expression: [UInt8]) -> [Int64]? {
    expression.withUnsafeBytes { bytes in
      _ = engram_bind_text_static(query, 1, bytes.baseAddress ?? nil, Int32(bytes.count))
      defer { sqlite3_reset(query) }
      var rows: [Int64] = []
      while true {
        switch sqlite3_step(query) {
        case SQLITE_ROW: rows.append(sqlite3_column_int64(query, 0))
        case SQLITE_DONE: return rows
        default: return nil
        }
      }
    }
  }

  /// Rows that hold what a person typed.
  func search(_ typed: [UInt8]) throws -> [Int64] {
    let expression = try SearchText(typed, tokenizer: tokenizer).expression()
    if expression.required.isEmpty, expression.excluded.isEmpty { return [] }
    var match = expression.required.isEmpty ? Array("\"\u{1}c1\"".utf8) : expression.required
    if !expression.excluded.isEmpty {
      match = Array("(".utf8) + match + Array(") NOT (".utf8) + expression.excluded + Array(")".utf8)
    }
    return try #require(rows(matching: match), "FTS5 refuses \(String(decoding: match, as: UTF8.self))")
  }

  func search(_ typed: String) throws -> [Int64] { try search(Array(typed.utf8)) }

  /// The index's tokens by position, each position's joined by `|`; a tag's `\x01` is `^`, a gap is `_`.
  func indexed() throws -> [String] {
    #expect(
      sqlite3_exec(database, "CREATE VIRTUAL TABLE v USING fts5vocab(t, 'instance')", nil, nil, nil)
        == SQLITE_OK)
    var statement: OpaquePointer?
    try prepare("SELECT \"offset\", term FROM v ORDER BY 1, 2", &statement)
    defer { sqlite3_finalize(statement) }
    var positions: [String] = []
    while sqlite3_step(statement) == SQLITE_ROW {
      let position = Int(sqlite3_column_int(statement, 0))
      let term = sqlite3_column_text(statement, 1).map { String(cString: $0) } ?? ""
      while positions.count <= position { positions.append("") }
      positions[position] += (positions[position].isEmpty ? "" : "|") + visible(term)
    }
    return positions
  }

  /// Tokens of a row, as FTS5 keeps it for bm25.
  func size(of row: Int64) throws -> Int {
    var statement: OpaquePointer?
    try prepare("SELECT sz FROM t_docsize WHERE id = \(row)", &statement)
    defer { sqlite3_finalize(statement) }
    try #require(sqlite3_step(statement) == SQLITE_ROW)
    // One column: one varint, and these are small.
    return Int(sqlite3_column_blob(statement, 0)?.load(as: UInt8.self) ?? 0)
  }
}

func visible(_ token: String) -> String {
  String(
    String.UnicodeScalarView(token.unicodeScalars.map { $0 == "\u{1}" ? "^" : $0 == "\u{3}" ? "_" : $0 }))
}

/// One token, with what the text has in its place.
struct SeenToken: Hashable {
  var token: String
  var source: String
  var flags: Tokenizer.Flags
}

extension Tokenizer {
  func seen(_ text: [UInt8], mode: Mode = .text, slowly: Bool = false) throws -> [SeenToken] {
    var tokens: [SeenToken] = []
    try text.withUnsafeBytes { bytes in
      let body = { (flags: Flags, token: UnsafeRawBufferPointer, range: Range<Int>) in
        tokens.append(
          SeenToken(
            token: String(decoding: token, as: UTF8.self),
            source: String(decoding: bytes[range], as: UTF8.self),
            flags: flags))
        return true
      }
      if slowly {
        try forEachTokenSlowly(of: bytes, mode: mode, body)
      } else {
        try forEachToken(of: bytes, mode: mode, body)
      }
    }
    return tokens
  }

  /// Tokens by position, each position's joined by `|`, positions by a space.
  func written(_ text: String, mode: Mode = .text) throws -> String {
    var line = ""
    for token in try seen(Array(text.utf8), mode: mode) {
      if !line.isEmpty { line += token.flags.contains(.colocated) ? "|" : " " }
      line += visible(token.token)
    }
    return line
  }
}

/// Random numbers that a printed seed repeats (SplitMix64; Steele, Lea and Flood, 2014).
struct WordRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Bits of text that are hard to take apart.
let nastyPieces: [String] = [
  "a", "b", "Z", "getUserName", "HTTPServer", "E1234", "C++", "C#", "snake_case", "/etc/hosts", "x.y.z", " ",
  " ", "\n",
  "-", "*", "\"", "(", ")", "{col}:", "NEAR(", "AND", "OR", "NOT", "^", "+", "'", "\\", "\u{0}", "\u{1}",
  "\u{2}",
  "\u{3}", "\u{7F}", "é", "e\u{301}", "ß", "ﬁ", "Ø", "ЁЖ", "й", "Ά", "북", "한글", "\u{1112}\u{1161}\u{11AB}",
  "東京", "京",
  "タワー", "ｶﾞ", "か\u{3099}", "ที่", "สวัสดี", "ມາ", "ខ្មែរ", "မြန်", "हिन्दी", "مُحَمَّد", "ـ", "שָׁלוֹם", "👩‍👩‍👧", "👍🏽", "🇩🇪", "©",
  "\u{200D}", "\u{200B}", "\u{200F}", "\u{202E}", "\u{FE0F}", "\u{FEFF}", "\u{301}", "\u{3099}", "𠀀",
  "\u{E0001}", "ＡＢ１",
  "٣", "\u{3000}", "\u{FFFF}", "\u{10FFFF}", "─", "……", "“q”",
]

func nastyText(pieces: Int, using random: inout WordRandom) -> String {
  var text = ""
  for _ in 0..<pieces { text += nastyPieces.randomElement(using: &random) ?? "" }
  return text
}
