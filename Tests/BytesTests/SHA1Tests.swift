import Bytes
import Testing

@Suite struct SHA1Tests {
  private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private func digest(_ text: String) -> String {
    hexadecimal(Array(text.utf8).withUnsafeBytes { SHA1.digest($0) })
  }

  /// RFC 3174, section 7.3, and FIPS 180's example of the empty text and of two blocks.
  @Test(arguments: [
    ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
    ("The quick brown fox jumps over the lazy dog", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"),
  ])
  func ofTheVectors(_ text: String, _ expected: String) {
    #expect(digest(text) == expected)
  }

  @Test func ofAMillionLetters() {
    #expect(digest(String(repeating: "a", count: 1_000_000)) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
    let digits = String(
      repeating: "0123456701234567012345670123456701234567012345670123456701234567", count: 10)
    #expect(digest(digits) == "dea356a2cddd90c7a7ecedc5ebb563934f460452")
  }

  /// Where the padding needs a second block, and where it just doesn't (made by coreutils' sha1sum).
  @Test(arguments: [
    (55, "cef734ba81a024479e09eb5a75b6ddae62e6abf1"),
    (56, "901305367c259952f4e7af8323f480d59f81335b"),
    (57, "025ecbd5d70f8fb3c5457cd96bab13fda305dc59"),
    (63, "0ddc4e0cccd9a12850deb5abb0853a4425559fec"),
    (64, "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163"),
    (65, "78c741ddc482e4cdf8c474a0876347a0905b6233"),
    (119, "4300320394f7ee239bcdce7d3b8bcee173a0cd5c"),
    (120, "ceb2821639c4b6dcb10bce0e522ca2e608ce056d"),
    (128, "150fa3fbdc899bd0b8f95a9fb6027f564d953762"),
  ])
  func atTheEdgeOfABlock(_ count: Int, _ expected: String) {
    #expect(digest(String(repeating: "x", count: count)) == expected)
  }
}
