internal import Bytes
internal import Model

/// What must stand in a unit: tokens one behind the other.
struct SearchPhrase: Hashable {
  var tokens: [[UInt8]]
  /// The last token is the beginning of a word.
  var isPrefix = false
}

/// A query as FTS5 is to be asked: an expression made of tokens only, each quoted, so that nothing that a user typed
/// is ever syntax. In its query mode the tokenizer takes each quoted string as one token.
struct MatchExpression {
  /// UTF-8; empty: every unit matches.
  private(set) var text: [UInt8] = []
  /// The number of the first phrase that ranks, and of how many.
  private(set) var firstRanking = 0
  private(set) var ranking: [SearchPhrase] = []

  /// Nil: no unit can match.
  init?(_ query: SearchQuery, wanted: [SearchPhrase], excluded: [SearchPhrase]) {
    if query.filter.isImpossible || query.positions.lowerBound > UInt64(Int64.max) { return nil }
    group(query.contexts.map { $0.withUnsafeBytes(SearchTag.context) })
    group(query.agents.map { $0.withUnsafeBytes(SearchTag.agent) })
    let types = WorkUnitType.allCases.filter { query.filter.types & (1 << UInt16($0.rawValue)) != 0 }
    // A type that this version doesn't know is of no unit.
    if query.filter.types != 0, types.isEmpty { return nil }
    group(types.map { .type($0.rawValue) })
    for pair in query.filter.metadata {
      group([pair.key.withUnsafeBytes { key in pair.value.withUnsafeBytes { .metadata(key, $0) } }])
    }
    firstRanking = phrases
    ranking = wanted
    for phrase in wanted {
      conjunction()
      add(phrase)
    }
    guard !excluded.isEmpty else { return }
    // NOT needs something on its left: every unit is of one type.
    if text.isEmpty { group(WorkUnitType.allCases.map { .type($0.rawValue) }) }
    text = Array("(".utf8) + text + Array(") NOT (".utf8)
    for (index, phrase) in excluded.enumerated() {
      if index > 0 { append(" OR ") }
      add(phrase)
    }
    append(")")
  }

  /// One phrase alone.
  init(_ phrase: SearchPhrase) {
    ranking = [phrase]
    add(phrase)
  }

  private var phrases = 0

  private mutating func append(_ syntax: StaticString) {
    text.append(contentsOf: UnsafeRawBufferPointer(start: syntax.utf8Start, count: syntax.utf8CodeUnitCount))
  }

  private mutating func conjunction() { if !text.isEmpty { append(" AND ") } }

  /// One of the tags.
  private mutating func group(_ tags: [SearchTag]) {
    guard !tags.isEmpty else { return }
    conjunction()
    append("(")
    for (index, tag) in tags.enumerated() {
      if index > 0 { append(" OR ") }
      let token = ByteWriter.bytes(capacity: SearchTag.bytes) { tag.write(to: &$0) }
      add(SearchPhrase(tokens: [token]))
    }
    append(")")
  }

  private mutating func add(_ phrase: SearchPhrase) {
    for (index, token) in phrase.tokens.enumerated() {
      if index > 0 { append(" + ") }
      append("\"")
      for byte in token where byte != 0 {
        if byte == UInt8(ascii: "\"") { text.append(byte) }
        text.append(byte)
      }
      append("\"")
    }
    if phrase.isPrefix { append(" *") }
    phrases += 1
  }
}
