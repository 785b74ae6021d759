internal import Model

/// Finds phrases in a text, in one pass over its tokens (shift-and; Baeza-Yates and Gonnet, 1992).
///
/// Each token of each way to write a phrase has a bit. A bit is set while the text at hand ends with the phrase up to
/// this token; the bits of all phrases move on together from one position to the next.
struct PhraseMatcher {
  /// What a bit stands for.
  private struct Element {
    var token: [UInt8]
    var isPrefix: Bool
    /// Tokens of the phrase up to this one, and this is the last: a match of `term`.
    var length: Int
    var isLast: Bool
    var term: Int
  }

  /// Phrases, as terms that can match.
  let termCount: Int
  private var elements: [Element] = []
  /// Bits of a phrase's first token, and of its last one.
  private var firsts: [UInt64]
  private var lasts: [UInt64]
  /// Tokens that are asked for as they stand, by their hash, and the bits of each.
  private var exact: [UInt64: [(token: [UInt8], bits: [UInt64])]] = [:]
  private var prefixes: [Int] = []
  /// First bytes that elements have; most tokens of a text end here.
  private var firstBytes = [Bool](repeating: false, count: 256)
  private var longest = 1

  init(_ phrases: [SearchText.Phrase]) {
    termCount = phrases.count
    for (term, phrase) in phrases.enumerated() {
      for tokens in phrase.alternatives {
        longest = max(longest, tokens.count)
        for (index, token) in tokens.enumerated() {
          let isLast = index + 1 == tokens.count
          elements.append(
            Element(
              token: token, isPrefix: isLast && phrase.isPrefix, length: index + 1, isLast: isLast, term: term
            ))
        }
      }
    }
    firsts = [UInt64](repeating: 0, count: elements.count / 64 + 1)
    lasts = firsts
    let none = firsts
    for (index, element) in elements.enumerated() {
      let bit: UInt64 = 1 << UInt64(index % 64)
      if element.length == 1 { firsts[index / 64] |= bit }
      if element.isLast { lasts[index / 64] |= bit }
      if let first = element.token.first { firstBytes[Int(first)] = true }
      if element.isPrefix {
        prefixes.append(index)
        continue
      }
      let hash = element.token.withUnsafeBytes(Self.hash)
      var known = exact[hash, default: []]
      if !known.contains(where: { $0.token == element.token }) { known.append((element.token, none)) }
      for place in known.indices where known[place].token == element.token {
        known[place].bits[index / 64] |= bit
      }
      exact[hash] = known
    }
  }

  /// FNV-1a; collisions are told apart by comparing.
  private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hash
  }

  /// The stretch of at most `Limits.highlightCharacters` in which most terms match, the first of equal ones. Nil if none
  /// matches. Ends early once all do.
  func bestWindow(
    in text: UnsafeRawBufferPointer, tokenizer: Tokenizer
  ) throws(SearchError) -> MatchWindow? {
    guard termCount > 0 else { return nil }
    var run = Run(self, text)
    try tokenizer.forEachToken(of: text) { flags, token, range in
      run.take(flags, token, range, of: self)
      return range.lowerBound < run.windows.enough
    }
    return run.windows.window
  }

  /// One pass.
  private struct Run {
    /// A position of the text: its offset in bytes and in characters (of Unicode, not of readers).
    struct Place {
      var offset = 0
      var character = 0
    }

    let text: UnsafeRawBufferPointer
    /// Bits as of the position before and of this one.
    var before: [UInt64]
    var now: [UInt64]
    /// Where the last positions begin, as a ring.
    var starts: [Place]
    var place = Place()
    var position = -1
    var windows: MatchWindows

    init(_ matcher: PhraseMatcher, _ text: UnsafeRawBufferPointer) {
      self.text = text
      before = [UInt64](repeating: 0, count: matcher.elements.count / 64 + 1)
      now = before
      starts = [Place](repeating: Place(), count: matcher.longest)
      windows = MatchWindows(terms: matcher.termCount)
    }

    mutating func take(
      _ flags: Tokenizer.Flags, _ token: UnsafeRawBufferPointer, _ range: Range<Int>,
      of matcher: PhraseMatcher
    ) {
      if !flags.contains(.colocated) {
        place.character += text.characters(in: place.offset..<range.lowerBound)
        place.offset = range.lowerBound
        position += 1
        starts[position % starts.count] = place
        windows.endLoneCharacters(at: range.lowerBound)
        swap(&before, &now)
        for index in now.indices { now[index] = 0 }
      }
      guard let first = token.first, matcher.firstBytes[Int(first)] else { return }
      for known in matcher.exact[PhraseMatcher.hash(token)] ?? [] where known.token.elementsEqual(token) {
        for word in known.bits.indices where known.bits[word] != 0 {
          advance(known.bits[word], word, range, isLone: false, matcher)
        }
      }
      for index in matcher.prefixes where token.starts(with: matcher.elements[index].token) {
        let isLone = flags.contains(.pair)
        advance(1 << UInt64(index % 64), index / 64, range, isLone: isLone, matcher)
      }
    }

    /// The token is one of those whose bits, in this word of 64, are given.
    private mutating func advance(
      _ bits: UInt64, _ word: Int, _ range: Range<Int>, isLone: Bool, _ matcher: PhraseMatcher
    ) {
      let carried = word > 0 ? before[word - 1] >> 63 : 0
      let reached = (before[word] << 1 | carried | matcher.firsts[word]) & bits
      now[word] |= reached
      var ends = reached & matcher.lasts[word]
      while ends != 0 {
        let element = matcher.elements[word * 64 + ends.trailingZeroBitCount]
        ends &= ends - 1
        let start = starts[(position - element.length + 1) % starts.count]
        windows.add(
          .init(
            range: start.offset..<range.upperBound,
            characters: start.character..<place.character + text.characters(in: range),
            term: element.term, isLone: isLone))
      }
    }
  }
}

/// The best window of a text so far: each match ends one.
struct MatchWindows {
  struct Match {
    var range: Range<Int>
    var characters: Range<Int>
    var term: Int
    /// One character was asked for, and stands at the beginning of a pair: it ends where the next position begins.
    var isLone: Bool
  }

  /// Tokens that begin here or later can't be in what is shown.
  private(set) var enough = Int.max
  private var best: (distinct: Int, span: Range<Int>)?
  private var matches: [Match] = []
  /// The first match of the window at hand, and how often each term matches in it.
  private var first = 0
  private var counts: [Int]
  private var distinct = 0
  /// Matches from here on may be lone.
  private var lone = 0
  /// Matches at which those that can't be shown any more are let go of.
  private var prunedAt = MatchWindows.keptMatches

  private static let keptMatches = 4096
  /// Bytes around a window that may be shown (`Excerpt`), and some.
  private static let shownBytes = Limits.highlightCharacters * 20

  init(terms: Int) {
    counts = [Int](repeating: 0, count: terms)
  }

  var window: MatchWindow? {
    best.map { MatchWindow(distinct: $0.distinct, span: $0.span, matches: matches.map(\.range)) }
  }

  mutating func add(_ match: Match) {
    if matches.count >= prunedAt { prune(at: match.range.upperBound) }
    matches.append(match)
    if counts[match.term] == 0 { distinct += 1 }
    counts[match.term] += 1
    while first < matches.count - 1,
      match.characters.upperBound - matches[first].characters.lowerBound > Limits.highlightCharacters
    {
      counts[matches[first].term] -= 1
      if counts[matches[first].term] == 0 { distinct -= 1 }
      first += 1
    }
    guard distinct > best?.distinct ?? 0 else { return }
    let start = min(matches[first].range.lowerBound, match.range.lowerBound)
    best = (distinct, start..<match.range.upperBound)
    // Four bytes are the most that a character has.
    if distinct == counts.count { enough = start + 8 * Limits.highlightCharacters }
  }

  /// Dozens of phrases may match at each word of a long text: keeps what is near the best window, and what is near a
  /// window that ends with a match to come, at `offset` or later.
  private mutating func prune(at offset: Int) {
    let best = best.map {
      max(0, $0.span.lowerBound - Self.shownBytes)...$0.span.lowerBound + Self.shownBytes
    }
    var kept: [Match] = []
    var (keptFirst, keptLone) = (0, 0)
    for (index, match) in matches.enumerated() {
      let isNearBest = best?.overlaps(match.range.lowerBound...match.range.upperBound) ?? false
      guard index >= first || isNearBest || match.range.upperBound + Self.shownBytes >= offset else {
        continue
      }
      kept.append(match)
      if index < first { keptFirst += 1 }
      if index < lone { keptLone += 1 }
    }
    matches = kept
    first = keptFirst
    lone = keptLone
    prunedAt = max(Self.keptMatches, 2 * kept.count)
  }

  mutating func endLoneCharacters(at offset: Int) {
    while lone < matches.count {
      let range = matches[lone].range
      if matches[lone].isLone, range.lowerBound < offset, offset < range.upperBound {
        matches[lone].range = range.lowerBound..<offset
      }
      lone += 1
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Characters of Unicode that begin in this range.
  fileprivate func characters(in range: Range<Int>) -> Int {
    var count = 0
    for index in range where self[index] & 0xC0 != 0x80 { count += 1 }
    return count
  }
}
