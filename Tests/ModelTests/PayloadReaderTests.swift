import Bytes
import Testing

@testable import Model

@Suite struct PayloadReaderTests {
  private func roundTrip(_ payload: [UInt8], _ token: String, _ encoding: String) throws {
    let parsed = Parsed(unit(payload: token, #""payload_encoding":"\#(encoding)""#))
    #expect(parsed.problem == nil)
    try parsed.record().withUnsafeBytes { bytes in
      let view = try #require(EventView(bytes))
      let count = try #require(PayloadDecoder.decodedCount(view))
      #expect(count == payload.count && parsed.draft.payloadCount == payload.count)
      var room = [UInt8](repeating: 0, count: count)
      let written = room.withUnsafeMutableBytes { PayloadDecoder.decode(view, into: $0) }
      #expect(written == count && room == payload)
      if count > 0 {
        let short = room.withUnsafeMutableBytes {
          PayloadDecoder.decode(view, into: UnsafeMutableRawBufferPointer(rebasing: $0.dropLast()))
        }
        #expect(short == nil)
      }
    }
  }

  @Test(arguments: [
    ("", #""""#), ("plain", #""plain""#), ("\"\\/", #""\"\\\/""#),
    ("\0\u{1}\u{1F}", #""\u0000\u0001\u001f""#),
    ("é中😀", #""é中😀""#), ("é中😀", #""\u00e9\u4e2d\ud83d\ude00""#), ("{\"a\":[1]}\r\n", #""{\"a\":[1]}\r\n""#),
  ])
  func textComesBack(_ text: String, _ token: String) throws {
    try roundTrip(bytes(text), token, "utf8")
  }

  @Test func bytesComeBack() throws {
    var random = SplitMix(seed: 9)
    for count in [0, 1, 2, 3, 4, 255, 256, 3071, 3072, 3073, 10_000] {
      let payload = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      try roundTrip(payload, "\"" + base64(payload) + "\"", "base64")
      try roundTrip(payload, "\"" + base64(payload).replacing("/", with: #"\/"#) + "\"", "base64")
    }
  }

  @Test func eightMebibytesComeBack() throws {
    let size = Limits.payloadBytesMax
    try roundTrip(
      [UInt8](repeating: UInt8(ascii: "x"), count: size), "\"" + String(repeating: "x", count: size) + "\"",
      "utf8")
    try roundTrip(
      [UInt8](repeating: 10, count: 2 << 20), "\"" + String(repeating: #"\n"#, count: 2 << 20) + "\"", "utf8")
    let groups = size / 3
    let token = "\"" + String(repeating: "AAAA", count: groups) + "AAA=\""
    try roundTrip([UInt8](repeating: 0, count: size), token, "base64")
  }

  @Test(arguments: ["", "\"", "x", #""a"#, #"a""#, #""a"b"#, #""\x""#, " \"a\"", #""a" "#])
  func aDamagedTokenIsNil(_ token: String) {
    let kept = Body(token)
    #expect(PayloadDecoder.decodedCount(kept.bytes, .utf8) == nil)
    #expect(PayloadDecoder.decodedCount(kept.bytes, .base64) == nil)
  }
}
