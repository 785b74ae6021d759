import Bytes
import Testing

@testable import Model

@Suite struct UnitDraftFuzzTests {
  static let seeds: [[UInt8]] = [
    unit(), unit(#""metadata":{"a":"1","b\n":"\ud83d\ude00"}"#),
    unit(payload: #""a\"b\\c\u0000😀""#, #""id":"\#(target)","ts":[1,{"x":null}]"#),
    unit(payload: #""aGVsbG8=""#, #""payload_encoding":"base64","expected_sequence":3"#),
    unit(#""relationships":[{"target_id":"\#(target)","type":"CAUSES","meta":{"k":"v"}}]"#),
    unit(#""fence":{"resource_path":"/a/b","token":7},"meta":{}"#),
  ].map { Array($0.utf8) }

  @Test func everyPrefixIsAProblemAndNotATrap() {
    for seed in Self.seeds {
      for length in 0..<seed.count { #expect(Parsed(Array(seed[..<length])).problem != nil) }
    }
  }

  @Test func everyByteMayBeAnything() {
    for seed in Self.seeds {
      for at in seed.indices {
        for byte in [0x00, 0x0A, 0x22, 0x2C, 0x30, 0x39, 0x5C, 0x7D, 0x80, 0xC2, 0xFF] as [UInt8] {
          var body = seed
          body[at] = byte
          check(body)
        }
      }
    }
  }

  @Test func survivesMutation() {
    var random = SplitMix(seed: 0xBEEF)
    let words = [
      "\"", "\\", "{", "}", "[", "]", ":", ",", "null", "1e9", "-", #"\u0000"#, #"\ud83d"#, "\"meta\":", "é",
      "=",
      "\"type\":", "\"payload_encoding\":\"base64\"", "9007199254740993", "{}", "[]",
    ].map { Array($0.utf8) }
    for _ in 0..<10_000 {
      var body = Self.seeds[random.below(Self.seeds.count)]
      for _ in 0...random.below(5) {
        let at = random.below(body.count + 1)
        switch random.below(4) {
        case 0 where at < body.count: body[at] = UInt8(truncatingIfNeeded: random.next())
        case 1 where at < body.count: body.removeSubrange(at..<min(body.count, at + 1 + random.below(8)))
        case 2:
          let other = Self.seeds[random.below(Self.seeds.count)]
          let start = random.below(other.count)
          body.insert(contentsOf: other[start..<min(other.count, start + random.below(40))], at: at)
        default: body.insert(contentsOf: words[random.below(words.count)], at: at)
        }
      }
      check(body)
    }
  }

  /// What is accepted can be encoded, within the room that was said, and its record is valid JSON.
  private func check(_ body: [UInt8]) {
    let parsed = Parsed(body)
    guard parsed.problem == nil else { return }
    let agent = Body("caller")
    if parsed.draft.agentID == nil {
      #expect(parsed.draft.resolveAgent(agent.bytes, isAuthenticated: false) == nil)
    }
    let record = parsed.record()
    record.withUnsafeBytes { bytes in
      guard let view = EventView(bytes), view.isIntact else {
        Issue.record("no record: \(String(decoding: body, as: UTF8.self))")
        return
      }
      var scanner = JSONScanner(view.body)
      var keys = JSONKeys()
      #expect(throws: Never.self) {
        try scanner.beginDocument()
        try scanner.skipValue(&keys)
        try scanner.endDocument()
      }
      #expect(PayloadDecoder.decodedCount(view) == parsed.draft.payloadCount)
      #expect(!view.body.contains(UInt8(ascii: "\n")))
    }
  }
}
