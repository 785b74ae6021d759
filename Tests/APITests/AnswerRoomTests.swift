internal import Model
internal import Testing

@testable import API

@Suite struct AnswerRoomTests {
  private static let mebibyte = 1 << 20

  private func room(_ mebibytes: Int, of most: Int = 512) -> AnswerRoom {
    AnswerRoom(waiting: mebibytes * Self.mebibyte, most: most * Self.mebibyte)
  }

  /// What waits, what of it is the caller's, what he asks for (all in MiB), and whether he is given it.
  @Test(
    arguments: [
      // Plenty.
      (255, 255, 16, true),
      // From half of it on, up to a share in all.
      (256, 0, 16, true), (256, 8, 8, true), (256, 8, 9, false), (256, 16, 1, false), (511, 0, 16, true),
      (511, 1, 1, true),
      // All is gone.
      (512, 0, 1, false), (600, 0, 1, false),
    ] as [(Int, Int, Int, Bool)])
  func whoHoldsLittleIsServed(_ waiting: Int, _ held: Int, _ bytes: Int, _ isGiven: Bool) {
    #expect(room(waiting).admits(bytes * Self.mebibyte, held: held * Self.mebibyte) == isGiven)
  }

  @Test func whereThereIsLittleInAllAShareIsLess() {
    let small = room(9, of: 16)
    #expect(small.shareBytes == Self.mebibyte)
    #expect(room(0).shareBytes == Limits.pageBytesMax)
    // One page whatever its size, but not a second one.
    #expect(small.admits(6 * Self.mebibyte, held: 0))
    #expect(!small.admits(6 * Self.mebibyte, held: 6 * Self.mebibyte))
  }

  @Test func whoHoldsMoreThanItsShareHasToHurry() {
    #expect(!room(255).presses(held: 255 * Self.mebibyte))
    #expect(!room(256).presses(held: 16 * Self.mebibyte))
    #expect(room(256).presses(held: 16 * Self.mebibyte + 1))
    #expect(room(512).presses(held: 1))
  }

  @Test func withoutALimitThereIsAlwaysRoom() {
    let endless = AnswerRoom(waiting: 1 << 40, most: .max)
    #expect(endless.admits(1 << 30, held: 1 << 40))
    #expect(!endless.presses(held: 1 << 40))
  }
}
