/// What stands in `search/index.db`: `SEARCH.md` specifies it.
enum SearchFormat {
  /// Of tables, tags and tokens. A file of any other is indexed anew.
  static let version: Int64 = 1
  /// In the file's header: "EnSi".
  static let applicationID: Int64 = 0x456E_5369
  static let tokenizer = "engram"
  static let folder = "search"
  static let logBytes = 16

  static func path(_ directory: String) -> String { "\(directory)/\(folder)/index.db" }

  /// `revision` grows with each transaction, and stands in the file's header as well (`user_version`).
  static let tables = [
    """
    CREATE TABLE meta(id INTEGER PRIMARY KEY, format INTEGER NOT NULL, log BLOB NOT NULL, \
    watermark INTEGER NOT NULL, span INTEGER NOT NULL)
    """,
    "CREATE TABLE parts(number INTEGER PRIMARY KEY, units INTEGER NOT NULL, tokens INTEGER NOT NULL)",
  ]

  static func part(_ number: UInt64) -> String { "part_\(number)" }

  static func table(ofPart number: UInt64) -> String {
    "CREATE VIRTUAL TABLE \(part(number)) USING fts5"
      + "(body, content='', detail=full, columnsize=1, tokenize='\(tokenizer)')"
  }

  /// What begins each of a body's tags, what ends them, and what phrases of its text can't span.
  static let tagMark: UInt8 = 0x01
  static let textMark: UInt8 = 0x02
  static let gapMark: UInt8 = 0x03
}

/// A part of the index: a table of its own for the units of a span of positions.
struct SearchPart: Hashable {
  var number: UInt64
  var units: Int64 = 0
  var tokens: Int64 = 0
}

extension Array where Element == SearchPart {
  /// The parts that the file says there are, in order of their positions.
  init(_ database: Database) throws(SearchError) {
    self = []
    let statement = try database.prepare(
      "SELECT number, units, tokens FROM parts ORDER BY number", "read parts")
    while try statement.step() == .row {
      guard let number = UInt64(exactly: statement.integer(0)), number < UInt64.max >> 1 else {
        throw SearchError(.damaged, operation: "read parts", message: "a part's number is below zero")
      }
      append(
        SearchPart(
          number: number, units: Swift.max(0, statement.integer(1)),
          tokens: Swift.max(0, statement.integer(2))))
    }
  }
}
