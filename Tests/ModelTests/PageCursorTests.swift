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
}
