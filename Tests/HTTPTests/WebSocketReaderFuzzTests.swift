import EngramTesting
import HTTP
import Testing

@Suite struct WebSocketReaderFuzzTests {
  static let rounds = 800

  static let limits: WebSocketLimits = {
    var limits = WebSocketLimits()
    limits.messageBytesMax = 200
    limits.fragmentsMax = 6
    limits.emptyFragmentsMax = 2
    return limits
  }()

  /// Streams of frames, good and bad: the reader tells what the naive one does, however they are cut.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func streamsOfFrames(seed: UInt64) {
    print("seed \(seed)")
    var random = SeededGenerator(seed: seed)
    var texts = 0
    var failures: Set<WebSocketError> = []
    for round in 0..<WebSocketReaderFuzzTests.rounds {
      var bytes = stream(&random)
      for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty && round % 3 == 0 {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      }
      let expected = NaiveFrames(bytes, WebSocketReaderFuzzTests.limits).told
      for told in expected {
        if case .text = told { texts += 1 }
        if case .failure(let error) = told { failures.insert(error) }
      }
      let cuts = (0..<5).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
      for cuts in [[], cuts, Array(0...bytes.count)] {
        let found = told(bytes, cuts: cuts, limits: WebSocketReaderFuzzTests.limits)
        if found != expected { Issue.record("\(bytes) cut at \(cuts): \(found), not \(expected)") }
      }
    }
    // The streams are no monoculture.
    #expect(texts > WebSocketReaderFuzzTests.rounds / 2)
    #expect(failures.count > 12, "\(failures)")
  }

  private func stream(_ random: inout SeededGenerator) -> [UInt8] {
    var bytes: [UInt8] = []
    var isInMessage = false
    for _ in 0..<Int.random(in: 1...8, using: &random) {
      let key = (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) }
      if Int.random(in: 0..<4, using: &random) == 0 {
        let opcode = [8, 9, 10].randomElement(using: &random) ?? 9
        let payload = opcode == 8 ? closing(&random) : text(&random)
        bytes += frame(UInt8(opcode), Array(payload.prefix(125)), key: key)
        continue
      }
      var opcode: UInt8 = isInMessage ? 0 : 1
      if Int.random(in: 0..<40, using: &random) == 0 { opcode = UInt8.random(in: 0...15, using: &random) }
      let isFinal = Int.random(in: 0..<3, using: &random) > 0
      var payload = text(&random)
      if Int.random(in: 0..<3, using: &random) == 0 {
        payload = Array(payload.prefix(Int.random(in: 0...9, using: &random)))
      }
      let isMasked = Int.random(in: 0..<60, using: &random) > 0
      let width = Int.random(in: 0..<60, using: &random) == 0 ? [2, 8].randomElement(using: &random) : nil
      bytes += frame(opcode, payload, isFinal: isFinal, key: isMasked ? key : nil, lengthBytes: width)
      isInMessage = !isFinal
    }
    return bytes
  }

  private func text(_ random: inout SeededGenerator) -> [UInt8] {
    let words = [
      "", "a", "engram", "é", "日本語", "👩‍👩‍👧", "{\"type\":\"ping\"}", "0123456789abcdefghijklmnopqrstuvwxyz",
      "\u{10ffff}",
    ]
    var text: [UInt8] = []
    for _ in 0..<Int.random(in: 0...4, using: &random) {
      text += Array((words.randomElement(using: &random) ?? "").utf8)
    }
    return text
  }

  private func closing(_ random: inout SeededGenerator) -> [UInt8] {
    let codes: [UInt16] = [0, 999, 1000, 1001, 1004, 1005, 1006, 1011, 1014, 1015, 2999, 3000, 4999, 5000]
    guard let code = codes.randomElement(using: &random) else { return [] }
    let whole = [UInt8(code >> 8), UInt8(code & 255)] + text(&random)
    return Int.random(in: 0..<3, using: &random) == 0
      ? Array(whole.prefix(Int.random(in: 0...3, using: &random))) : whole
  }
}
