internal import Bytes
internal import Model

/// A query as FTS5 is to be asked: an expression made of tokens and tags only, each quoted, so that nothing that a
/// user typed is ever syntax. In its query mode the tokenizer takes each quoted string as one token.
struct SearchPlan {
  /// A way in which a term may be written.
  struct Ranked {
    /// The phrase alone, as an expression.
    var expression: [UInt8]
    var isPrefix: Bool
    /// The number of its term: of several ways to write one, the best counts.
    var term: Int32
  }

  /// UTF-8; empty: every unit matches.
  private(set) var expression: [UInt8] = []
  /// What ranks: the expression's first phrases, in their order.
  private(set) var ranked: [Ranked] = []

  /// Nil: no unit can match.
  init?(_ query: SearchQuery, _ text: SearchText) {
    if query.filter.isImpossible || query.positions.lowerBound > UInt64(Int64.max) { return nil }
    if text.hasNoWords, !text.isBlank { return nil }
    let types = WorkUnitType.allCases.filter { query.filter.types & (1 << UInt16($0.rawValue)) != 0 }
    // A type that this version doesn't know is of no unit.
    if query.filter.types != 0, types.isEmpty { return nil }
    let words = text.expression()
    if !words.required.isEmpty { and { $0 += words.required } }
    rank(text)
    group(query.contexts.map { $0.withUnsafeBytes(SearchTag.context) })
    group(query.agents.map { $0.withUnsafeBytes(SearchTag.agent) })
    group(types.map { .type($0.rawValue) })
    for pair in query.filter.metadata {
      group([pair.key.withUnsafeBytes { key in pair.value.withUnsafeBytes { .metadata(key, $0) } }])
    }
    guard !words.excluded.isEmpty else { return }
    // NOT needs something on its left: every unit is of one type.
    if expression.isEmpty { group(WorkUnitType.allCases.map { .type($0.rawValue) }) }
    expression = Array("(".utf8) + expression + Array(") NOT (".utf8) + words.excluded + Array(")".utf8)
  }

  private mutating func rank(_ text: SearchText) {
    var term: Int32 = 0
    for phrase in text.phrases where !phrase.isExcluded {
      for alternative in phrase.alternatives {
        var bytes: [UInt8] = []
        for (index, token) in alternative.enumerated() {
          if index > 0 { bytes += " + ".utf8 }
          MatchExpression.quote(token, to: &bytes)
        }
        if phrase.isPrefix { bytes += " *".utf8 }
        ranked.append(Ranked(expression: bytes, isPrefix: phrase.isPrefix, term: term))
      }
      term += 1
    }
  }

  private mutating func and(_ operand: (inout [UInt8]) -> Void) {
    if !expression.isEmpty { expression += " AND ".utf8 }
    expression += "(".utf8
    operand(&expression)
    expression += ")".utf8
  }

  /// Any of the tags; none: nothing is asked.
  private mutating func group(_ tags: [SearchTag]) {
    guard !tags.isEmpty else { return }
    and { expression in
      for (index, tag) in tags.enumerated() {
        if index > 0 { expression += " OR ".utf8 }
        let token = ByteWriter.bytes(capacity: SearchTag.bytes) { tag.write(to: &$0) }
        MatchExpression.quote(token, to: &expression)
      }
    }
  }
}
