/// A pattern of contexts' ids or of locks' paths, as a policy names them: `context/<pattern>` or `lock/<pattern>`.
///
/// Pattern and name are taken apart at each `/`, and compared segment by segment, as bytes:
/// - `**`, alone in its segment, stands for any number of segments, none included: `a/**` matches `a`, `a/b` and
///   `a/b/c`; `**` alone matches every name.
/// - `*` stands for any bytes within one segment, none included: `*` for a whole one, `team-*` for one that begins so.
///   A segment may have one of them.
/// - `{agent}` stands for the caller's id, as those bytes and within one segment: it is put in after the pattern was
///   understood, so that an agent called `*` is no wildcard; and as a segment holds no slash, an agent whose id has one
///   matches nowhere.
/// - Everything else stands for itself.
public struct ResourcePattern: Hashable, Sendable {
  /// What is named.
  public enum Kind: Sendable { case context, lock }

  /// Why a pattern is refused.
  public enum Fault: Error, Hashable, Sendable {
    case unknownKind, empty, emptySegment, tooLong, tooManySegments, severalWildcards, deepWithinSegment
    case unknownPlaceholder, controlCharacter

    public var detail: String {
      switch self {
      case .unknownKind: "must begin with context/ or lock/"
      case .empty: "names nothing; ** stands for everything"
      case .emptySegment: "has an empty segment"
      case .tooLong: "is longer than \(PolicyLimits.patternBytesMax) bytes"
      case .tooManySegments: "has more than \(PolicyLimits.patternSegmentsMax) segments"
      case .severalWildcards: "has more than one * in a segment"
      case .deepWithinSegment: "has ** beside other characters: it must be alone in its segment"
      case .unknownPlaceholder: "has a brace that isn't of {agent}"
      case .controlCharacter: "has a control character"
      }
    }
  }

  /// What a segment is made of.
  enum Piece: Hashable, Sendable {
    case literal([UInt8])
    case agent
  }

  enum Segment: Hashable, Sendable {
    /// `**`
    case deep
    /// No `*`.
    case exact([Piece])
    /// What stands before and behind the `*`.
    case affixes([Piece], [Piece])
  }

  public let kind: Kind
  let segments: [Segment]

  /// Reads a pattern as the configuration has it.
  public init(_ text: String) throws(Fault) {
    let rest: Substring
    if text.hasPrefix("context/") {
      kind = .context
      rest = text.dropFirst("context/".count)
    } else if text.hasPrefix("lock/") {
      kind = .lock
      rest = text.dropFirst("lock/".count)
    } else {
      throw .unknownKind
    }
    guard !rest.isEmpty else { throw .empty }
    guard rest.utf8.count <= PolicyLimits.patternBytesMax else { throw .tooLong }
    guard !rest.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { throw .controlCharacter }
    let parts = Array(rest.utf8).split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count <= PolicyLimits.patternSegmentsMax else { throw .tooManySegments }
    var segments: [Segment] = []
    for part in parts { segments.append(try ResourcePattern.segment(part)) }
    self.segments = segments
  }

  /// Whether it matches every name, whoever asks.
  var isEverything: Bool { segments.allSatisfy { $0 == .deep } }

  private static func segment(_ text: ArraySlice<UInt8>) throws(Fault) -> Segment {
    guard !text.isEmpty else { throw .emptySegment }
    let star = UInt8(ascii: "*")
    if text.elementsEqual([star, star]) { return .deep }
    guard let at = text.firstIndex(of: star) else { return .exact(try pieces(text)) }
    guard text.lastIndex(of: star) == at else {
      throw text[text.index(after: at)] == star ? .deepWithinSegment : .severalWildcards
    }
    return .affixes(try pieces(text[..<at]), try pieces(text[(at + 1)...]))
  }

  private static let placeholder = Array("{agent}".utf8)

  private static func pieces(_ text: ArraySlice<UInt8>) throws(Fault) -> [Piece] {
    var found: [Piece] = []
    var rest = text
    while let brace = rest.firstIndex(where: { $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "}") }) {
      guard rest[brace...].starts(with: placeholder) else { throw .unknownPlaceholder }
      if brace > rest.startIndex { found.append(.literal(Array(rest[..<brace]))) }
      found.append(.agent)
      rest = rest[(brace + placeholder.count)...]
    }
    if !rest.isEmpty { found.append(.literal(Array(rest))) }
    return found
  }
}

extension ResourcePattern: CustomStringConvertible {
  public var description: String {
    func text(_ pieces: [Piece]) -> String {
      pieces.map { piece in
        switch piece {
        case .literal(let bytes): String(decoding: bytes, as: UTF8.self)
        case .agent: "{agent}"
        }
      }.joined()
    }
    let body = segments.map { segment in
      switch segment {
      case .deep: "**"
      case .exact(let pieces): text(pieces)
      case .affixes(let before, let behind): text(before) + "*" + text(behind)
      }
    }.joined(separator: "/")
    return (kind == .context ? "context/" : "lock/") + body
  }
}
