internal import CTOML

/// A TOML document, with the line of everything in it.
struct Document {
  indirect enum Content {
    /// In the order of the file.
    case table([Node])
    case array([Node])
    case text(String)
    case integer(Int)
    case flag(Bool)
    case real
    case time

    var name: String {
      switch self {
      case .table: "a table"
      case .array: "an array"
      case .text: "a text"
      case .integer: "an integer"
      case .flag: "true or false"
      case .real: "a number with a fraction"
      case .time: "a date or time"
      }
    }
  }

  struct Node {
    /// Empty for elements of arrays.
    var key: String
    /// Where the key stands; of an element of an array, where it begins.
    var line: Int
    var content: Content
  }

  struct Fault: Error, Equatable {
    var line: Int
    var column: Int
    var cause: String
  }

  var nodes: [Node]

  /// Reads a text that is no larger than `SettingsLimits.fileBytesMax`: the caller has looked.
  init(_ bytes: [UInt8]) throws(Fault) {
    var depth = KeyDepth()
    if let line = depth.lineTooDeep(in: bytes) {
      throw Fault(line: line, column: 1, cause: "a key of more than \(SettingsLimits.keyPartsMax) parts")
    }
    var fault = engram_toml_fault()
    let document = bytes.withUnsafeBytes { raw in
      engram_toml_parse(raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count, &fault)
    }
    guard let document else {
      let cause = withUnsafeBytes(of: &fault.message) { raw in
        String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
      }
      throw Fault(line: Int(fault.line), column: Int(fault.column), cause: Document.unquoted(cause))
    }
    defer { engram_toml_free(document) }
    let all = UnsafeBufferPointer(
      start: engram_toml_nodes(document), count: engram_toml_count(document))
    var next = 0
    guard case .table(let nodes) = Document.take(all, &next).content else {
      throw Fault(line: 1, column: 1, cause: "no table")
    }
    self.nodes = nodes
  }

  /// What the parser says, without what it has read: that may be a part of a secret that was taken for a number or a
  /// key. `Error while parsing KIND: expected …, saw 'x'`, or something about a 'text'.
  static func unquoted(_ message: String) -> String {
    let kind = message.firstRange(of: ": ").map { message[..<$0.upperBound] } ?? ""
    let cause = message[kind.endIndex...]
    if cause.drop(while: { $0 == " " }).hasPrefix("expected ") {
      // What is expected are the parser's own words.
      return String(cause.firstRange(of: ", saw").map { message[..<$0.lowerBound] } ?? message[...])
    }
    guard let first = cause.firstIndex(of: "'") else { return message }
    // The text may have quotes itself, and may have been cut off.
    let last = cause.lastIndex(of: "'") ?? first
    let rest = last > first ? cause[cause.index(after: last)...] : ""
    return kind + cause[..<first] + "'…'" + rest
  }

  /// The node at `next` and all that is in it. Depth is bounded by the parser.
  private static func take(_ all: UnsafeBufferPointer<engram_toml_node>, _ next: inout Int) -> Node {
    let raw = all[next]
    next += 1
    let content: Content
    switch Int(raw.kind) {
    case ENGRAM_TOML_TABLE:
      content = .table((0..<raw.children).map { _ in take(all, &next) }.sorted { $0.line < $1.line })
    case ENGRAM_TOML_ARRAY: content = .array((0..<raw.children).map { _ in take(all, &next) })
    case ENGRAM_TOML_TEXT: content = .text(text(raw.text, raw.text_count))
    case ENGRAM_TOML_INTEGER: content = .integer(Int(raw.integer))
    case ENGRAM_TOML_FLAG: content = .flag(raw.integer != 0)
    case ENGRAM_TOML_REAL: content = .real
    default: content = .time
    }
    return Node(
      key: text(raw.key, raw.key_count), line: Int(raw.key_line > 0 ? raw.key_line : raw.line),
      content: content)
  }

  private static func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
    String(decoding: UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count), as: UTF8.self)
  }
}

/// Finds keys of so many parts (`a.b.c…`) that toml++ would take its tables apart by a recursion as deep: it bounds
/// arrays and inline tables only. Follows TOML 1.0 as far as it is valid; the parser goes no further either.
struct KeyDepth {
  private enum State {
    case plain
    case comment
    /// One or three quotes, escapes or none.
    case quoted(UInt8, isLong: Bool)
  }

  /// The line of the first such key; nil: there is none.
  mutating func lineTooDeep(in bytes: [UInt8]) -> Int? {
    var state = State.plain
    var line = 1
    var parts = 1
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: "\n") { line += 1 }
      switch state {
      case .plain:
        switch byte {
        case UInt8(ascii: "#"): state = .comment
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
          let isLong = KeyDepth.isTriple(bytes, index)
          state = .quoted(byte, isLong: isLong)
          if isLong { index += 2 }
        case UInt8(ascii: "."):
          parts += 1
          if parts > SettingsLimits.keyPartsMax { return line }
        case UInt8(ascii: "\n"), UInt8(ascii: "="), UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "]"),
          UInt8(ascii: "{"), UInt8(ascii: "}"):
          parts = 1
        default: break
        }
      case .comment:
        if byte == UInt8(ascii: "\n") {
          state = .plain
          parts = 1
        }
      case .quoted(let quote, let isLong):
        if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
          // What is escaped is skipped, but for a line's end, which is counted.
          if index + 1 < bytes.count, bytes[index + 1] != UInt8(ascii: "\n") { index += 1 }
        } else if byte == quote, !isLong {
          state = .plain
        } else if byte == quote, KeyDepth.isTriple(bytes, index) {
          index += 2
          // Up to two more quotes are the text's own end.
          while index + 1 < bytes.count, bytes[index + 1] == quote { index += 1 }
          state = .plain
        }
      }
      index += 1
    }
    return nil
  }

  private static func isTriple(_ bytes: [UInt8], _ index: Int) -> Bool {
    index + 2 < bytes.count && bytes[index + 1] == bytes[index] && bytes[index + 2] == bytes[index]
  }
}
