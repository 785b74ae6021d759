import Testing

@testable import Bytes

@Suite struct Base64Tests {
  private func decoded(_ text: String) -> [UInt8]? {
    Array(text.utf8).withUnsafeBytes { from in
      var room = [UInt8](repeating: 0, count: Base64.decodedCount(from) ?? 0)
      guard let count = room.withUnsafeMutableBytes({ Base64.decode(from, into: $0) }) else { return nil }
      return Array(room[..<count])
    }
  }

  /// RFC 4648, section 10.
  @Test(arguments: [
    ("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmE=", "fooba"),
    ("Zm9vYmFy", "foobar"),
  ])
  func decodesAndEncodesTheVectors(_ text: String, _ bytes: String) {
    #expect(decoded(text) == Array(bytes.utf8))
    #expect(Array(bytes.utf8).withUnsafeBytes { Base64.encode($0) } == Array(text.utf8))
  }

  @Test(arguments: [
    "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "====", "=", "A===", "Zg==Zg==", "Zm8=Zm8=", "Z=g=", "Zm9v\n",
    "Zm9 ", "Zm-v", "Zm_v", "Zm9é", "\0\0\0\0", "Zm9vYg=a", "=m9v",
  ])
  func refusesEveryOtherSpelling(_ text: String) {
    #expect(decoded(text) == nil)
  }

  @Test func refusesPaddingBeforeTheLastPart() {
    var room = [UInt8](repeating: 0, count: 8)
    let written = Array("Zg==".utf8).withUnsafeBytes { from in
      room.withUnsafeMutableBytes { Base64.decode(from, into: $0, isLast: false) }
    }
    #expect(written == nil)
  }

  @Test func theURLAlphabetComesBack() {
    var random = SplitMix(seed: 4)
    for length in 0..<40 {
      let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let text = bytes.withUnsafeBytes { Base64.encodeURL($0) }
      #expect(text.withUnsafeBytes { Base64.decodeURL($0) } == bytes)
      #expect(!text.contains(UInt8(ascii: "=")) && !text.contains(UInt8(ascii: "/")))
    }
    for text in ["A", "AB", "A=", "+/+/", "AAAAA"] where text != "AB" {
      #expect(Array(text.utf8).withUnsafeBytes { Base64.decodeURL($0) } == nil)
    }
    // Bits that no byte uses are zero.
    #expect(Array("AB".utf8).withUnsafeBytes { Base64.decodeURL($0) } == nil)
  }
}
