internal import Glibc

/// A pattern with the caller's id put in, ready to be compared with names. Comparing allocates nothing, and looks at
/// each segment of the name at most once for each segment of the pattern, whatever the name: only the last `**` that
/// was passed is ever tried again.
struct NameMatcher: Sendable {
  private struct Segment: Sendable {
    /// `**`
    var isDeep = false
    /// Whether something may stand between prefix and suffix.
    var isOpen = false
    /// In `bytes`.
    var prefix = 0
    var prefixCount = 0
    /// Behind the prefix.
    var suffixCount = 0
  }

  private var segments: ContiguousArray<Segment> = []
  private var bytes: ContiguousArray<UInt8> = []

  /// Nil if it can match nothing: the pattern needs the agent in a segment, and the id holds a slash.
  /// - Parameter agent: the caller's id.
  init?(_ pattern: ResourcePattern, agent: [UInt8]) {
    for segment in pattern.segments {
      var compiled = Segment()
      compiled.prefix = bytes.count
      switch segment {
      case .deep:
        // Two neighbours say what one says.
        if segments.last?.isDeep == true { continue }
        compiled.isDeep = true
      case .exact(let pieces):
        guard append(pieces, agent) else { return nil }
        compiled.prefixCount = bytes.count - compiled.prefix
      case .affixes(let before, let behind):
        guard append(before, agent) else { return nil }
        compiled.prefixCount = bytes.count - compiled.prefix
        guard append(behind, agent) else { return nil }
        compiled.suffixCount = bytes.count - compiled.prefix - compiled.prefixCount
        compiled.isOpen = true
      }
      segments.append(compiled)
    }
  }

  private mutating func append(_ pieces: [ResourcePattern.Piece], _ agent: [UInt8]) -> Bool {
    for piece in pieces {
      switch piece {
      case .literal(let text): bytes.append(contentsOf: text)
      case .agent:
        guard !agent.isEmpty, !agent.contains(UInt8(ascii: "/")) else { return false }
        bytes.append(contentsOf: agent)
      }
    }
    return true
  }

  /// What every name begins with that matches.
  var literalPrefix: [UInt8] {
    var prefix: [UInt8] = []
    for (place, segment) in segments.enumerated() {
      // `a/**` matches `a` too: no slash before it.
      if segment.isDeep { break }
      if place > 0 { prefix.append(UInt8(ascii: "/")) }
      prefix += bytes[segment.prefix..<segment.prefix + segment.prefixCount]
      if segment.isOpen { break }
    }
    return prefix
  }

  /// - Parameter name: a context's id or a lock's canonical path.
  func matches(_ name: UnsafeRawBufferPointer) -> Bool {
    bytes.withUnsafeBytes { bytes in
      segments.withUnsafeBufferPointer { NameMatcher.match($0, bytes, name) }
    }
  }

  private static func match(
    _ pattern: UnsafeBufferPointer<Segment>, _ bytes: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer
  ) -> Bool {
    var at = 0
    // Where the name's next segment begins; one beyond its end when there is none.
    var place = 0
    // The segment behind the last `**` that was passed, and where in the name it was tried last.
    var retry: (at: Int, place: Int)?
    while place <= name.count {
      if at < pattern.count, pattern[at].isDeep {
        at += 1
        if at == pattern.count { return true }
        retry = (at, place)
        continue
      }
      let end = self.end(of: place, name)
      if at < pattern.count, match(pattern[at], bytes, name, place, end) {
        at += 1
        place = end + 1
        continue
      }
      guard let last = retry else { return false }
      place = self.end(of: last.place, name) + 1
      at = last.at
      retry = (at, place)
    }
    while at < pattern.count, pattern[at].isDeep { at += 1 }
    return at == pattern.count
  }

  @inline(__always)
  private static func end(of place: Int, _ name: UnsafeRawBufferPointer) -> Int {
    var end = place
    while end < name.count, name[end] != UInt8(ascii: "/") { end += 1 }
    return end
  }

  @inline(__always)
  private static func match(
    _ segment: Segment, _ bytes: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer, _ start: Int,
    _ end: Int
  ) -> Bool {
    let count = end - start
    let fixed = segment.prefixCount + segment.suffixCount
    guard segment.isOpen ? count >= fixed : count == fixed else { return false }
    return same(bytes, segment.prefix, name, start, segment.prefixCount)
      && same(
        bytes, segment.prefix + segment.prefixCount, name, end - segment.suffixCount, segment.suffixCount)
  }

  @inline(__always)
  private static func same(
    _ one: UnsafeRawBufferPointer, _ from: Int, _ other: UnsafeRawBufferPointer, _ start: Int, _ count: Int
  ) -> Bool {
    guard count > 0, let one = one.baseAddress, let other = other.baseAddress else { return count == 0 }
    return memcmp(one + from, other + start, count) == 0
  }
}
