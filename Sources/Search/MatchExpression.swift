/// A `SearchText` as FTS5's MATCH wants it: every token in double quotes, so that nothing of it is syntax.
///
/// The pieces are operands: `index` puts them together with the tags of filters, `required` first:
/// `(required) AND (tags) NOT (excluded)` (NOT binds more tightly than AND), or without required words
/// `(types or other tags) NOT (excluded)`.
///
/// FTS5 numbers phrases from 0 in the order in which they stand in the expression; a chain joined by `+` is one phrase,
/// an excluded one counts too. So with `required` in front, phrases `0..<terms.count` are those that rank.
public struct MatchExpression: Hashable, Sendable {
  /// All of these must match; in parentheses where needed. Empty: nothing is required.
  public private(set) var required: [UInt8] = []
  /// None of these may match; likewise.
  public private(set) var excluded: [UInt8] = []
  /// For each FTS5 phrase of `required`, in FTS5's order, the term it belongs to, counted from 0 over required terms.
  /// A term with several alternatives (`getUserName`) has as many phrases: a unit that holds the whole holds the
  /// parts too, so a score takes the best of them, not the sum.
  public private(set) var terms: [Int] = []
  /// Terms that are required.
  public private(set) var termCount = 0

  fileprivate mutating func add(_ phrase: SearchText.Phrase) {
    if phrase.isExcluded {
      if !excluded.isEmpty { excluded.append(contentsOf: " OR ".utf8) }
      Self.write(phrase, to: &excluded)
    } else {
      if !required.isEmpty { required.append(contentsOf: " AND ".utf8) }
      Self.write(phrase, to: &required)
      terms.append(contentsOf: repeatElement(termCount, count: phrase.alternatives.count))
      termCount += 1
    }
  }

  private static func write(_ phrase: SearchText.Phrase, to bytes: inout [UInt8]) {
    let hasSeveral = phrase.alternatives.count > 1
    if hasSeveral { bytes.append(UInt8(ascii: "(")) }
    for (index, tokens) in phrase.alternatives.enumerated() {
      if index > 0 { bytes.append(contentsOf: " OR ".utf8) }
      for (index, token) in tokens.enumerated() {
        if index > 0 { bytes.append(contentsOf: " + ".utf8) }
        quote(token, to: &bytes)
      }
      if phrase.isPrefix { bytes.append(contentsOf: " *".utf8) }
    }
    if hasSeveral { bytes.append(UInt8(ascii: ")")) }
  }

  /// Appends a token, or a tag, as an FTS5 string: in double quotes, quotes in it doubled. A NUL would end the
  /// expression (it is a C string), and no token has one.
  public static func quote(_ token: some Sequence<UInt8>, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    for byte in token where byte != 0 {
      if byte == UInt8(ascii: "\"") { bytes.append(byte) }
      bytes.append(byte)
    }
    bytes.append(UInt8(ascii: "\""))
  }
}

extension SearchText {
  /// What to match, in pieces.
  public func expression() -> MatchExpression {
    var expression = MatchExpression()
    for phrase in phrases { expression.add(phrase) }
    return expression
  }
}
