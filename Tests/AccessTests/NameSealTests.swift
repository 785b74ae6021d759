import Bytes
import Model
import Testing

@testable import Access

@Suite struct NameSealTests {
  private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test func `a name comes back for its query only, and from its process only`() throws {
    let seal = NameSeal()
    for name in ["", "a", "team/α", String(repeating: "x", count: 256)].map(Self.bytes) {
      let text = try #require(seal.seal(name, of: 7, nameBytesMax: 256))
      #expect(NameSeal.isSealed(text))
      #expect(try seal.open(text, of: 7, nameBytesMax: 256) == name)
      #expect(throws: PageCursor.Fault.otherQuery) { try seal.open(text, of: 8, nameBytesMax: 256) }
      #expect(throws: PageCursor.Fault.malformed) { try NameSeal().open(text, of: 7, nameBytesMax: 256) }
      // A list of other names.
      #expect(throws: PageCursor.Fault.malformed) { try seal.open(text, of: 7, nameBytesMax: 1024) }
    }
  }

  @Test func `neither the name nor its length shows`() throws {
    let seal = NameSeal()
    let texts = try ["a", "secret-project", String(repeating: "s", count: 200)].map { name in
      try #require(seal.seal(Self.bytes(name), of: 7, nameBytesMax: 256))
    }
    #expect(Set(texts.map(\.count)) == [NameSeal.textBytes(nameBytesMax: 256)])
    for text in texts {
      let raw = try #require(text.withUnsafeBytes { Base64.decodeURL($0) })
      #expect(!String(decoding: raw, as: UTF8.self).contains("secret"))
      #expect(!String(decoding: raw, as: UTF8.self).contains("ssssss"))
    }
    // The same name twice: nobody can tell.
    let again = try #require(seal.seal(Self.bytes("a"), of: 7, nameBytesMax: 256))
    #expect(again != texts[0])
  }

  @Test func `every flipped bit is noticed, and every cut`() throws {
    let seal = NameSeal()
    let text = try #require(seal.seal(Self.bytes("name"), of: 7, nameBytesMax: 16))
    let raw = try #require(text.withUnsafeBytes { Base64.decodeURL($0) })
    for bit in 0..<raw.count * 8 {
      var forged = raw
      forged[bit / 8] ^= 1 << UInt8(bit % 8)
      let forgedText = forged.withUnsafeBytes { Base64.encodeURL($0) }
      #expect(throws: PageCursor.Fault.malformed) { try seal.open(forgedText, of: 7, nameBytesMax: 16) }
    }
    for count in 0..<text.count {
      #expect(throws: PageCursor.Fault.malformed) {
        try seal.open(Array(text.prefix(count)), of: 7, nameBytesMax: 16)
      }
    }
  }

  @Test func `other cursors are told apart`() {
    #expect(!NameSeal.isSealed(NameCursor(queryHash: .max, name: Self.bytes("abc")).text()))
    #expect(!NameSeal.isSealed(PageCursor(queryHash: 7, sequence: Sequence(1)).text()))
    #expect(!NameSeal.isSealed([]) && !NameSeal.isSealed(Self.bytes("!!!!")))
  }
}
