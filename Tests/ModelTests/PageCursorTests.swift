import Bytes
import Testing

@testable import Model

@Suite struct PageCursorTests {
  private func read(_ text: [UInt8], _ hash: UInt64) -> Result<PageCursor, PageCursor.Fault> {
    Body(text).withBytes { bytes in
      do throws(PageCursor.Fault) { return .success(try PageCursor(bytes, of: hash)) } catch {
        return .failure(error)
      }
    }
  }

  @Test func comesBackForItsQueryOnly() {
    let cursor = PageCursor(queryHash: 0xFEDC_BA98_7654_3210, sequence: Sequence(12345))
    #expect(cursor.text() == bytes("ARAyVHaYutz-OTAAAAAAAAA"))
    #expect(read(cursor.text(), 0xFEDC_BA98_7654_3210) == .success(cursor))
    #expect(read(cursor.text(), 1) == .failure(.otherQuery))
  }

  @Test(arguments: [
    "", "0", "ARAyVHaYutz-OTAAAAAAAA", "ARAyVHaYutz-OTAAAAAAAAAA", "AhAyVHaYutz-OTAAAAAAAAA",
    "ARAyVHaYutz+OTAAAAAAAAA", "ARAyVHaYutz-OTAAAAAAAAB",
  ])
  func refusesWhatIsNoneOfOurs(_ text: String) {
    #expect(read(bytes(text), 0xFEDC_BA98_7654_3210) == .failure(.malformed))
  }

  @Test func namesComeBackForTheirQueryOnly() throws {
    // The longest names are locks' paths.
    let longest = [UInt8](repeating: 0xC3, count: Limits.resourcePathBytesMax)
    for name in [[1], Array("a context".utf8), longest] as [[UInt8]] {
      let text = NameCursor(queryHash: 7, name: name).text()
      #expect(text.count <= NameCursor.textBytesMax)
      #expect(try NameCursor(text, of: 7) == NameCursor(queryHash: 7, name: name))
      #expect(throws: PageCursor.Fault.otherQuery) { try NameCursor(text, of: 8) }
    }
    // Without a name, of the other kind, too long, and nothing at all.
    let others = [
      NameCursor(queryHash: 7, name: []).text(), PageCursor(queryHash: 7, sequence: Sequence(1)).text(),
      NameCursor(queryHash: 7, name: [UInt8](repeating: 1, count: 1100)).text(), [], bytes("!!"),
    ]
    for text in others {
      #expect(throws: PageCursor.Fault.malformed) { try NameCursor(text, of: 7) }
    }
  }
}
