internal import Bytes
public import Model

/// The `next_cursor` of a page of hits: opaque to clients, and good only for the query that it came from. URL-safe
/// base64 of, little-endian: u8 version 5, u64 the query's hash, u64 the newest position of the first page, u64 the
/// position and f64 the score that the next page begins behind (infinite: the best is still to come); and with
/// relevance, u64 the oldest position that was ranked, u64 the matches of newer parts, f64 the average length, then
/// f32 the weight of each phrase.
public struct SearchCursor: Hashable, Sendable {
  public static let version: UInt8 = 5
  private static let headBytes = 33

  public var queryHash: UInt64
  public var resume: SearchResume

  public init(queryHash: UInt64, resume: SearchResume) {
    self.queryHash = queryHash
    self.resume = resume
  }

  public func text() -> [UInt8] {
    let room = Self.headBytes + 24 + 4 * (resume.statistics?.weights.count ?? 0)
    let bytes = ByteWriter.bytes(capacity: room) { out in
      out.byte(Self.version)
      out.integer(queryHash)
      out.integer(resume.through.rawValue)
      out.integer(resume.position.rawValue)
      out.integer(resume.score.bitPattern)
      guard let statistics = resume.statistics else { return }
      out.integer(resume.floor.rawValue)
      out.integer(resume.above)
      out.integer(statistics.averageLength.bitPattern)
      for weight in statistics.weights { out.integer(weight.bitPattern) }
    }
    return bytes.withUnsafeBytes { Base64.encodeURL($0) }
  }

  /// Phrases that rank, at most: a word like `getUserName` is two, the whole and its parts.
  private static let phrasesMax = 2 * Limits.searchTermsMax

  /// Reads the cursor that a client sent with a query of this hash. Its numbers are no NaN, and its positions lie in the
  /// log's range; apart from that they are what the client says.
  public init(_ text: [UInt8], of queryHash: UInt64) throws(PageCursor.Fault) {
    guard text.count <= Limits.searchCursorBytesMax,
      let bytes = text.withUnsafeBytes({ Base64.decodeURL($0) }), bytes.count >= Self.headBytes
    else { throw .malformed }
    let read = bytes.withUnsafeBytes { Self.read($0) }
    guard let read else { throw .malformed }
    guard read.queryHash == queryHash else { throw .otherQuery }
    self = read
  }

  private static func read(_ bytes: UnsafeRawBufferPointer) -> SearchCursor? {
    var reader = ByteReader(bytes)
    guard reader.integer(UInt8.self) == version, let hash = reader.integer(UInt64.self),
      let through = position(&reader), let position = position(&reader), position <= through.next,
      let score = reader.integer(UInt64.self).map(Double.init(bitPattern:)),
      score.isFinite || score == .infinity
    else { return nil }
    var resume = SearchResume(through: through, position: position, score: score)
    if reader.remaining > 0 {
      guard let floor = Self.position(&reader), let above = Self.position(&reader)?.rawValue,
        let length = double(&reader), length >= 0,
        reader.remaining % 4 == 0, reader.remaining / 4 <= phrasesMax
      else { return nil }
      resume.floor = floor
      resume.above = above
      var weights: [Float] = []
      while let pattern = reader.integer(UInt32.self) {
        let weight = Float(bitPattern: pattern)
        guard weight.isFinite else { return nil }
        weights.append(weight)
      }
      resume.statistics = RankingStatistics(averageLength: length, weights: weights)
    }
    return SearchCursor(queryHash: hash, resume: resume)
  }

  private static func position(_ reader: inout ByteReader) -> Position? {
    guard let value = reader.integer(UInt64.self), value <= UInt64.max >> 1 else { return nil }
    return Position(value)
  }

  private static func double(_ reader: inout ByteReader) -> Double? {
    guard let pattern = reader.integer(UInt64.self) else { return nil }
    let value = Double(bitPattern: pattern)
    return value.isFinite ? value : nil
  }
}
