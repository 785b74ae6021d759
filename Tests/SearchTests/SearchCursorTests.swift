import Bytes
import Model
import Search
import Testing

@Suite struct SearchCursorTests {
  private static let recent = SearchCursor(
    queryHash: 0x0123_4567_89ab_cdef, resume: SearchResume(through: Position(900), position: Position(700)))
  private static let best = SearchCursor(
    queryHash: 7,
    resume: SearchResume(
      through: Position(UInt64.max >> 1), position: Position(1), score: 3.25,
      statistics: RankingStatistics(averageLength: 12.5, weights: [0.5, 7.25, 1e-20]), floor: Position(77),
      above: 12))

  /// A cursor of these bytes, as a client might make it up.
  private func made(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { Base64.encodeURL($0) } }

  private func raw(_ cursor: SearchCursor) throws -> [UInt8] {
    try #require(cursor.text().withUnsafeBytes { Base64.decodeURL($0) })
  }

  @Test func `comes back as it went`() throws {
    for cursor in [Self.recent, Self.best] {
      #expect(try SearchCursor(cursor.text(), of: cursor.queryHash) == cursor)
      #expect(cursor.text().allSatisfy { $0 != 0x2b && $0 != 0x2f && $0 != 0x3d })
    }
    #expect(try raw(Self.recent).count == 33 && raw(Self.best).count == 33 + 24 + 12)
  }

  @Test func `the largest fits its limit`() throws {
    var cursor = Self.best
    cursor.resume.statistics?.weights = Array(repeating: 1.5, count: 2 * Limits.searchTermsMax)
    #expect(cursor.text().count <= Limits.searchCursorBytesMax)
    #expect(try SearchCursor(cursor.text(), of: 7) == cursor)
    cursor.resume.statistics?.weights.append(1)
    #expect(throws: PageCursor.Fault.malformed) { try SearchCursor(cursor.text(), of: 7) }
  }

  @Test func `belongs to its query`() {
    #expect(throws: PageCursor.Fault.otherQuery) { try SearchCursor(Self.recent.text(), of: 1) }
  }

  @Test func `of any other length it is none`() throws {
    let bytes = try raw(Self.best)
    for count in 0..<bytes.count where count != 33 && count < 49 || (count - 49) % 4 != 0 {
      #expect(throws: PageCursor.Fault.malformed, "\(count)") {
        try SearchCursor(made(Array(bytes[..<count])), of: 7)
      }
    }
    #expect(throws: PageCursor.Fault.malformed) { try SearchCursor(made(bytes + [0]), of: 7) }
    #expect(throws: PageCursor.Fault.malformed) {
      try SearchCursor(Array(repeating: UInt8(ascii: "A"), count: 1 << 20), of: 7)
    }
  }

  @Test func `numbers are finite and positions are the log's`() throws {
    let bytes = try raw(Self.best)
    func changed(_ offset: Int, _ words: [UInt8]) -> [UInt8] {
      var bytes = bytes
      bytes.replaceSubrange(offset..<offset + words.count, with: words)
      return made(bytes)
    }
    let infinity: [UInt8] = [0, 0, 0, 0, 0, 0, 0xf0, 0x7f]
    let less: [UInt8] = [0, 0, 0, 0, 0, 0, 0xf0, 0xff]
    let nan: [UInt8] = [1, 0, 0, 0, 0, 0, 0xf0, 0xff]
    let negative: [UInt8] = [0, 0, 0, 0, 0, 0, 0xf0, 0xbf]
    let beyond: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0x80]
    for text in [
      changed(0, [1]), changed(0, [4]), changed(9, beyond), changed(17, beyond), changed(33, beyond),
      changed(41, beyond), changed(25, less), changed(25, nan), changed(49, infinity), changed(49, nan),
      changed(49, negative), changed(57, [0, 0, 0x80, 0x7f]), changed(61, [1, 0, 0x80, 0xff]),
    ] {
      #expect(throws: PageCursor.Fault.malformed) { try SearchCursor(text, of: 7) }
    }
    var shorter = Self.recent
    shorter.queryHash = 7
    shorter.resume.position = Position(902)
    let beyondItsEnd = try raw(shorter)
    // A score may be below zero; a position beyond the first page's end may not.
    #expect(try SearchCursor(changed(25, negative), of: 7).resume.score == -1)
    // Behind infinity stands every hit: where the time limit ended the ranking, the older part begins so.
    #expect(try SearchCursor(changed(25, infinity), of: 7).resume.score == .infinity)
    #expect(throws: PageCursor.Fault.malformed) { try SearchCursor(made(beyondItsEnd), of: 7) }
  }

  @Test func `any bytes are a cursor or none, and never more than that`() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let bytes =
        [SearchCursor.version]
        + (0..<Int.random(in: 0...90, using: &random)).map { _ in UInt8.random(in: 0...255) }
      _ = try? SearchCursor(made(bytes), of: 0)
      _ = try? SearchCursor(bytes, of: 0)
    }
  }
}
