internal import Model

/// Why a text can't be searched for.
public enum SearchTextError: Error, Sendable {
  /// More than `Limits.searchTermsMax` words and phrases, or more than `Limits.searchTokensMax` tokens in them: 400.
  case tooManyTerms
  /// There was no memory to take it apart.
  case tokenizer(SearchError)
}

/// What a person typed, taken apart: any text is valid, and none of it is syntax to FTS5.
///
/// Terms are separated by white space. All must match. `"a phrase"` (to the end if the quote isn't closed), `word*`,
/// `"a phrase"*`, and each of them excluded by one `-` in front; `--flag` is text, and so is everything else:
/// `AND`, `NEAR(`, `{col}:`, `^`, a quote inside a word. What has no words (`+++`, a lone `-`) asks for nothing.
/// A term of several words, like `snake_case_name` or `/etc/hosts`, is a phrase.
public struct SearchText: Hashable, Sendable {
  /// What must stand in a unit, or must not.
  public struct Phrase: Hashable, Sendable {
    /// Ways in which it may be written: tokens at consecutive positions, never empty. More than one for
    /// words like `getUserName`: the whole, or its parts.
    public var alternatives: [[[UInt8]]]
    /// The last token of each alternative is the beginning of one.
    public var isPrefix: Bool
    public var isExcluded: Bool
  }

  /// In the order of the text, each once.
  public private(set) var phrases: [Phrase] = []
  /// There is nothing but white space: the filters alone decide.
  public private(set) var isBlank = true
  /// There is nothing to search for. If it isn't blank either, nothing is found.
  public var hasNoWords: Bool { phrases.isEmpty }

  /// Nothing but white space.
  public init() {}

  /// - Parameters:
  ///   - text: UTF-8, of any bytes. How long it may be (`Limits.searchTextBytesMax`) is the caller's to check.
  ///   - tokenizer: lent for the call.
  /// - Throws: `.tooManyTerms`; `.tokenizer` if there is no memory.
  public init(_ text: [UInt8], tokenizer: Tokenizer) throws(SearchTextError) {
    var at = 0
    var tokens = 0
    while true {
      at = text.skippingSpace(from: at)
      guard at < text.count else { return }
      isBlank = false
      let term = SearchTerm(of: text, from: at)
      at = term.next
      let words: PhraseWords
      do {
        words = try PhraseWords(text[term.content], tokenizer: tokenizer)
      } catch {
        throw .tokenizer(error)
      }
      guard let phrase = words.phrase(term) else { continue }
      if phrases.contains(phrase) { continue }
      phrases.append(phrase)
      tokens += phrase.alternatives.reduce(0) { $0 + $1.count }
      guard phrases.count <= Limits.searchTermsMax, tokens <= Limits.searchTokensMax else {
        throw .tooManyTerms
      }
    }
  }
}

/// One term as it was typed.
private struct SearchTerm {
  /// What is to be taken apart, as offsets in the text.
  var content: Range<Int>
  /// A `*` follows.
  var isPrefix: Bool
  var isQuoted: Bool
  var isExcluded: Bool
  /// Where the next term may begin.
  var next: Int

  /// `start` is not white space.
  init(of text: [UInt8], from start: Int) {
    let dash = UInt8(ascii: "-")
    let quote = UInt8(ascii: "\"")
    let star = UInt8(ascii: "*")
    var at = start
    isExcluded = false
    if text[at] == dash, at + 1 < text.count, text[at + 1] != dash, !text.hasSpace(at: at + 1) {
      isExcluded = true
      at += 1
    }
    isQuoted = text[at] == quote
    if isQuoted {
      at += 1
      let end = text[at...].firstIndex(of: quote) ?? text.count
      content = at..<end
      next = min(end + 1, text.count)
      isPrefix = next < text.count && text[next] == star
      if isPrefix { next += 1 }
    } else {
      var end = text.endOfWord(from: at)
      next = end
      while end > at, text[end - 1] == star { end -= 1 }
      isPrefix = end < next
      content = at..<end
    }
  }
}

/// The tokens of a term.
private struct PhraseWords {
  private struct Word {
    var token: [UInt8]
    var flags: Tokenizer.Flags
    var end: Int
    /// The whole of which this is the first part.
    var whole: [UInt8]?
  }

  private var words: [Word] = []
  private var count: Int

  init(_ text: ArraySlice<UInt8>, tokenizer: Tokenizer) throws(SearchError) {
    count = text.count
    // A copy, so that the array is reached by the closure alone.
    var found: [Word] = []
    let text = Array(text)
    try text.withTokens(of: tokenizer) { flags, token, range in
      guard flags.contains(.colocated), let last = found.indices.last else {
        found.append(Word(token: Array(token), flags: flags, end: range.upperBound))
        return found.count <= Limits.searchTokensMax
      }
      if flags.contains(.whole) { found[last].whole = Array(token) }
      if flags.contains(.signed) {
        // Who types C++ doesn't mean C.
        found[last].token = Array(token)
        found[last].end = range.upperBound
      }
      return true
    }
    words = found
  }

  /// Nil if there are no words.
  func phrase(_ term: SearchTerm) -> SearchText.Phrase? {
    guard let last = words.last else { return nil }
    var words = words
    // `foo.*` is no prefix of a word.
    var isPrefix = term.isPrefix && (term.isQuoted || last.end == count)
    if last.flags.contains(.last) {
      if words.count > 1, words[words.count - 2].flags.contains(.pair) {
        // The pairs say it all, wherever the text goes on.
        words.removeLast()
        isPrefix = false
      } else {
        // One character begins a pair, unless a run ends with it.
        isPrefix = true
      }
    }
    var alternatives = [words.map(\.token)]
    if words.contains(where: { $0.whole != nil }) {
      alternatives.insert(Self.wholes(words), at: 0)
    }
    return SearchText.Phrase(alternatives: alternatives, isPrefix: isPrefix, isExcluded: term.isExcluded)
  }

  /// The tokens, where words with parts are written as one.
  private static func wholes(_ words: [Word]) -> [[UInt8]] {
    var tokens: [[UInt8]] = []
    for word in words {
      if let whole = word.whole {
        tokens.append(whole)
      } else if !word.flags.contains(.part) {
        tokens.append(word.token)
      }
    }
    return tokens
  }
}

extension [UInt8] {
  /// Calls `body` for each token of these bytes.
  func withTokens(
    of tokenizer: Tokenizer, _ body: (Tokenizer.Flags, UnsafeRawBufferPointer, Range<Int>) -> Bool
  ) throws(SearchError) {
    let result = withUnsafeBytes { bytes in
      Result { () throws(SearchError) in try tokenizer.forEachToken(of: bytes, body) }
    }
    try result.get()
  }

  fileprivate func skippingSpace(from start: Int) -> Int {
    var at = start
    while at < count, let length = spaceLength(at: at) { at += length }
    return at
  }

  fileprivate func endOfWord(from start: Int) -> Int {
    var at = start
    while at < count, spaceLength(at: at) == nil { at += 1 }
    return at
  }

  fileprivate func hasSpace(at offset: Int) -> Bool { spaceLength(at: offset) != nil }

  /// Bytes of the white space (Unicode's, and control characters) that begins here; nil if none does.
  private func spaceLength(at offset: Int) -> Int? {
    switch self[offset] {
    case 0...0x20, 0x7F: return 1
    case 0xC2 where offset + 1 < count:  // U+0085, U+00A0
      return self[offset + 1] == 0x85 || self[offset + 1] == 0xA0 ? 2 : nil
    case 0xE1...0xE3 where offset + 2 < count:
      switch (self[offset], self[offset + 1], self[offset + 2]) {
      // U+1680; U+2000 to U+200B; U+2028, U+2029; U+202F; U+205F; U+3000
      case (0xE1, 0x9A, 0x80), (0xE2, 0x80, 0x80...0x8B), (0xE2, 0x80, 0xA8...0xA9), (0xE2, 0x80, 0xAF),
        (0xE2, 0x81, 0x9F), (0xE3, 0x80, 0x80):
        return 3
      default: return nil
      }
    default: return nil
    }
  }
}
