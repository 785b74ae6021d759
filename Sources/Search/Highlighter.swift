internal import Model

/// Finds the best short excerpt of a unit's texts for what was searched for, and marks the words in it.
///
/// The best is the one with the most distinct terms, the earliest of equal ones. Phrases are marked where they match as
/// phrases. The excerpt is verbatim, cut at white space (or at characters, where there is none), about
/// `Limits.highlightCharacters` long; nothing is escaped. Work is linear in what is looked at.
///
/// A value that is made once per search; one thread at a time.
public struct Highlighter {
  private let matcher: PhraseMatcher

  /// Excluded phrases are never marked.
  public init(_ text: SearchText) {
    matcher = PhraseMatcher(text.phrases.filter { !$0.isExcluded })
  }

  /// The excerpt, with `<mark>` and `</mark>` around what matched.
  ///
  /// - Parameters:
  ///   - texts: the payload if it is text, then metadata values; UTF-8, lent for the call. The first
  ///     `Limits.highlightBytesMax` bytes of each are looked at.
  ///   - tokenizer: lent for the call.
  /// - Returns: nil if nothing matches there.
  /// - Throws: `.operational` if there is no memory.
  public func excerpt(
    of texts: [UnsafeRawBufferPointer], tokenizer: Tokenizer
  ) throws(SearchError) -> [UInt8]? {
    var best: (text: UnsafeRawBufferPointer, window: MatchWindow)?
    for text in texts {
      let seen = UnsafeRawBufferPointer(rebasing: text.prefix(upToCharacterAt: Limits.highlightBytesMax))
      guard let window = try matcher.bestWindow(in: seen, tokenizer: tokenizer) else { continue }
      if window.distinct > best?.window.distinct ?? 0 { best = (text, window) }
      if window.distinct == matcher.termCount { break }
    }
    return best.flatMap { Excerpt(of: $0.text, showing: $0.window)?.marked() }
  }
}

/// A stretch of a text with matches, as byte offsets.
struct MatchWindow {
  /// Terms that match in it.
  var distinct: Int
  /// From the first match's start to the last one's end.
  var span: Range<Int>
  /// All that was found, also outside of `span`.
  var matches: [Range<Int>]
}

/// The part of a text that is shown.
struct Excerpt {
  private let text: UnsafeRawBufferPointer
  private let shown: Range<Int>
  /// Disjoint, in order, within `shown`.
  private let marks: [Range<Int>]

  /// White space is looked for so many characters from where an excerpt would be cut.
  private static let wordCharacters = 32
  /// Bytes of the text on either side of the first match that are considered: four for each character, and then
  /// some for marks that sit on them.
  private static let reach = Limits.highlightCharacters * 5

  /// Nil if the text is no UTF-8.
  init?(of text: UnsafeRawBufferPointer, showing window: MatchWindow) {
    let from = text.characterStart(atOrBefore: max(0, window.span.lowerBound - Self.reach))
    let until = text.characterStart(atOrBefore: window.span.lowerBound + 2 * Self.reach)
    let region = UnsafeRawBufferPointer(rebasing: text[from..<until])
    guard let characters = CharacterBounds(of: region, at: from) else { return nil }
    self.text = text
    shown = Self.cut(characters, around: window.span, of: text)
    var marks: [Range<Int>] = []
    let shown = shown
    for match in window.matches.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      let lower = characters.bound(atOrBefore: max(match.lowerBound, shown.lowerBound))
      let upper = characters.bound(atOrAfter: min(match.upperBound, shown.upperBound))
      guard lower < upper, lower >= shown.lowerBound, upper <= shown.upperBound else { continue }
      if let last = marks.last, last.upperBound >= lower {
        marks[marks.count - 1] = last.lowerBound..<max(last.upperBound, upper)
      } else {
        marks.append(lower..<upper)
      }
    }
    guard !marks.isEmpty else { return nil }
    self.marks = marks
  }

  func marked() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(shown.count + marks.count * 13)
    var at = shown.lowerBound
    for mark in marks {
      bytes.append(contentsOf: text[at..<mark.lowerBound])
      bytes.append(contentsOf: "<mark>".utf8)
      bytes.append(contentsOf: text[mark])
      bytes.append(contentsOf: "</mark>".utf8)
      at = mark.upperBound
    }
    bytes.append(contentsOf: text[at..<shown.upperBound])
    return bytes
  }

  /// As many characters as an excerpt has, around the span, without half words.
  private static func cut(
    _ characters: CharacterBounds, around span: Range<Int>, of text: UnsafeRawBufferPointer
  ) -> Range<Int> {
    let bounds = characters.offsets
    let total = bounds.count - 1
    let first = characters.index(atOrBefore: span.lowerBound)
    let last = max(first + 1, min(characters.index(atOrAfter: span.upperBound), total))
    var lower = first
    var upper = min(last, first + Limits.highlightCharacters)
    let room = Limits.highlightCharacters - (upper - lower)
    // Half of what is left goes in front, unless the text ends sooner behind.
    let behind = min(room - room / 2, total - upper)
    let before = min(room - behind, lower)
    lower -= before
    upper = min(total, upper + room - before)
    if bounds[lower] > 0, lower == 0 || !characters.isSpace(lower - 1) {
      let word = (lower..<min(first, lower + wordCharacters)).first { characters.isSpace($0) }
      if let word { lower = word + 1 }
    }
    if bounds[upper] < text.count, upper == total || !characters.isSpace(upper) {
      let word = (max(last, upper - wordCharacters)..<max(last, upper)).last { characters.isSpace($0) }
      if let word { upper = word }
    }
    while lower < first, characters.isSpace(lower) { lower += 1 }
    while upper > last, characters.isSpace(upper - 1) { upper -= 1 }
    return bounds[lower]..<bounds[upper]
  }
}

/// Where the characters (grapheme clusters) of a stretch of text begin.
private struct CharacterBounds {
  /// Offsets in the text; the last is the stretch's end.
  private(set) var offsets: [Int] = []
  private var spaces: [Bool] = []

  /// Nil if the bytes are no UTF-8. `start` is the stretch's place in the text.
  init?(of region: UnsafeRawBufferPointer, at start: Int) {
    guard let string = String(validating: region, as: UTF8.self) else { return nil }
    var at = start
    for character in string {
      offsets.append(at)
      spaces.append(character.isWhitespace)
      at += character.utf8.count
    }
    offsets.append(at)
  }

  func isSpace(_ index: Int) -> Bool { spaces[index] }

  func index(atOrBefore offset: Int) -> Int {
    var low = 0
    var high = offsets.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if offsets[middle] <= offset { low = middle } else { high = middle }
    }
    return low
  }

  func index(atOrAfter offset: Int) -> Int {
    let index = index(atOrBefore: offset)
    return offsets[index] >= offset ? index : min(index + 1, offsets.count - 1)
  }

  func bound(atOrBefore offset: Int) -> Int { offsets[index(atOrBefore: offset)] }
  func bound(atOrAfter offset: Int) -> Int { offsets[index(atOrAfter: offset)] }
}

extension UnsafeRawBufferPointer {
  /// The last offset up to this one at which a character of UTF-8 begins, or the end.
  fileprivate func characterStart(atOrBefore offset: Int) -> Int {
    var at = Swift.min(offset, count)
    // A character has at most four bytes; anything longer is no UTF-8.
    let least = Swift.max(0, at - 3)
    while at > least, at < count, self[at] & 0xC0 == 0x80 { at -= 1 }
    return at
  }

  fileprivate func prefix(upToCharacterAt limit: Int) -> Slice<UnsafeRawBufferPointer> {
    self[0..<characterStart(atOrBefore: limit)]
  }
}
