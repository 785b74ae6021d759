import Bytes
import EngramTesting
import HTTP
import Testing

@Suite struct WebSocketReaderTests {
  /// Streams that are fine, and what they come to.
  static let good: [(name: String, bytes: [UInt8], told: [ToldFrame])] = [
    // RFC 6455, section 5.7.
    ("masked hello", [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], [.text("Hello")]),
    (
      "masked pong", [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
      [.pong(Array("Hello".utf8))]
    ),
    ("fragments of hello", frame(1, "Hel", isFinal: false) + frame(0, "lo"), [.text("Hello")]),
    ("no payload", frame(1, ""), [.text("")]),
    (
      "three empty fragments", frame(1, "", isFinal: false) + frame(0, "", isFinal: false) + frame(0, ""),
      [.text("")]
    ),
    (
      "content in the middle",
      frame(1, "", isFinal: false) + frame(0, "x", isFinal: false) + frame(0, ""), [.text("x")]
    ),
    ("two messages", frame(1, "ab") + frame(1, "c"), [.text("ab"), .text("c")]),
    ("empty ping", frame(9, ""), [.ping([])]),
    (
      "control frames between fragments",
      frame(1, "a", isFinal: false) + frame(9, "1") + frame(0, "b", isFinal: false) + frame(10, "2")
        + frame(0, "c"), [.ping(Array("1".utf8)), .pong(Array("2".utf8)), .text("abc")]
    ),
    ("a key of zeros", frame(1, Array("Hi".utf8), key: [0, 0, 0, 0]), [.text("Hi")]),
    (
      "a character across fragments", frame(1, [0xe2, 0x82], isFinal: false) + frame(0, [0xac]), [.text("€")]
    ),
    ("close without a code", frame(8, ""), [.close(nil, [])]),
    ("close with a code", frame(8, [3, 232]), [.close(1000, [])]),
    ("close with a reason", frame(8, [3, 233] + Array("bye".utf8)), [.close(1001, Array("bye".utf8))]),
    ("close inside a message", frame(1, "a", isFinal: false) + frame(8, [3, 232]), [.close(1000, [])]),
    ("nothing counts behind a close", frame(8, "") + frame(1, "late") + [0xff, 0xff], [.close(nil, [])]),
    ("half a frame", Array(frame(1, "Hello").dropLast()), []),
  ]

  /// Streams that break one rule. What stands before it is told first.
  static let bad: [(name: String, bytes: [UInt8], error: WebSocketError)] = [
    ("not masked", frame(1, Array("Hello".utf8), key: nil), .unmasked),
    ("not masked, no payload", frame(1, [], key: nil), .unmasked),
    ("a ping not masked", frame(9, [], key: nil), .unmasked),
    ("reserved bit 1", frame(1, [], reserved: 4), .reservedBits),
    ("reserved bit 2", frame(1, [], reserved: 2), .reservedBits),
    ("reserved bit 3", frame(1, [], reserved: 1), .reservedBits),
    ("all reserved bits of a ping", frame(9, [], reserved: 7), .reservedBits),
    ("a fragmented ping", frame(9, "", isFinal: false), .fragmentedControl),
    ("a fragmented pong", frame(10, "", isFinal: false), .fragmentedControl),
    ("a fragmented close", frame(8, "", isFinal: false), .fragmentedControl),
    ("a ping of 126 bytes", frame(9, [UInt8](repeating: 1, count: 126)), .controlTooLong),
    ("a close of 126 bytes", frame(8, [3, 232] + [UInt8](repeating: 65, count: 124)), .controlTooLong),
    ("a pong of 2^32 bytes", frame(10, [], declared: 1 << 32), .controlTooLong),
    ("a short ping in 16 bits", frame(9, [1], lengthBytes: 2), .controlTooLong),
    ("a length of 0 in 16 bits", frame(1, [], lengthBytes: 2), .lengthNotMinimal),
    (
      "a length of 125 in 16 bits", frame(1, [UInt8](repeating: 65, count: 125), lengthBytes: 2),
      .lengthNotMinimal
    ),
    (
      "a length of 125 in 64 bits", frame(1, [UInt8](repeating: 65, count: 125), lengthBytes: 8),
      .lengthNotMinimal
    ),
    ("a length of 65535 in 64 bits", frame(1, [], lengthBytes: 8, declared: 65535), .lengthNotMinimal),
    ("a length of 2^63", frame(1, [], declared: 1 << 63), .lengthTooLarge),
    ("a length of 2^64-1", frame(1, [], declared: .max), .lengthTooLarge),
    ("a length of 2^63-1", frame(1, [], declared: 1 << 63 - 1), .messageTooBig),
    ("a length beyond the limit", frame(1, [], declared: 16 << 20 + 1), .messageTooBig),
    (
      "fragments beyond the limit", frame(1, "a", isFinal: false) + frame(0, [], declared: 16 << 20),
      .messageTooBig
    ),
    ("a continuation of nothing", frame(0, "a"), .nothingToContinue),
    ("a continuation of nothing, to go on", frame(0, "", isFinal: false), .nothingToContinue),
    ("a continuation of an end", frame(1, "a") + frame(0, "b"), .nothingToContinue),
    (
      "a continuation of what has ended",
      frame(1, "a", isFinal: false) + frame(0, "b") + frame(0, "c"), .nothingToContinue
    ),
    ("a text inside a message", frame(1, "a", isFinal: false) + frame(1, "b"), .messageUnfinished),
    ("a binary inside a message", frame(1, "a", isFinal: false) + frame(2, "b"), .messageUnfinished),
    (
      "a text behind a ping inside a message", frame(1, "", isFinal: false) + frame(9, "") + frame(1, ""),
      .messageUnfinished
    ),
    ("binary", frame(2, [1, 2, 3]), .binary),
    ("binary in fragments", frame(2, [], isFinal: false), .binary),
    ("a bad byte", frame(1, [65, 0xff]), .invalidText),
    (
      "a bad byte in a fragment", frame(1, "a", isFinal: false) + frame(0, [0xc0], isFinal: false),
      .invalidText
    ),
    ("a text that ends inside a character", frame(1, [0xe2, 0x82]), .invalidText),
    (
      "fragments that end inside a character",
      frame(1, [0xe2], isFinal: false) + frame(0, [0x82]), .invalidText
    ),
    ("an empty end inside a character", frame(1, [0xe2], isFinal: false) + frame(0, []), .invalidText),
    ("close with half a code", frame(8, [3]), .closeOfOneByte),
    ("close with a bad reason", frame(8, [3, 232, 0xc3]), .invalidCloseReason),
    ("close with a bad code and a bad reason", frame(8, [0, 0, 0xc3]), .invalidCloseCode),
  ]

  @Test(arguments: good)
  func messagesAreTold(name: String, bytes: [UInt8], expected: [ToldFrame]) {
    #expect(told(bytes) == expected)
    for cuts in chunkings(of: bytes.count) { #expect(told(bytes, cuts: cuts) == expected, "\(cuts)") }
  }

  @Test(arguments: bad)
  func brokenRulesAreTold(name: String, bytes: [UInt8], error: WebSocketError) {
    let whole = told(bytes)
    #expect(whole.last == .failure(error))
    #expect(whole.dropLast().allSatisfy { if case .failure = $0 { false } else { true } })
    for cuts in chunkings(of: bytes.count) { #expect(told(bytes, cuts: cuts) == whole, "\(cuts)") }
    // Once is enough, and what follows changes nothing.
    #expect(told(bytes + frame(1, "more") + frame(8, "")) == whole)
  }

  @Test func everyReservedOpcodeIsRefused() {
    for opcode in Array(3...7) + Array(11...15) as [UInt8] {
      #expect(told(frame(opcode, "")) == [.failure(.reservedOpcode)])
      #expect(told(frame(1, "a", isFinal: false) + frame(opcode, "b")) == [.failure(.reservedOpcode)])
    }
  }

  /// RFC 6455, section 7.4, and IANA's registry of close codes.
  @Test func closeCodesAreThoseOfTheRegistry() {
    let valid = Set(Array(1000...1003) + Array(1007...1014) + Array(3000...4999))
    for code in 0...65535 {
      let bytes = frame(8, [UInt8(code >> 8), UInt8(code & 255)])
      let expected: ToldFrame = valid.contains(code) ? .close(UInt16(code), []) : .failure(.invalidCloseCode)
      // One expectation for 65536 would say nothing of which.
      if told(bytes) != [expected] { Issue.record("\(code)") }
    }
  }

  @Test(
    arguments: [
      (.unmasked, 1002), (.reservedBits, 1002), (.reservedOpcode, 1002),
      (.fragmentedControl, 1002),
      (.controlTooLong, 1002), (.lengthNotMinimal, 1002), (.lengthTooLarge, 1002), (.nothingToContinue, 1002),
      (.messageUnfinished, 1002), (.binary, 1003), (.invalidText, 1007), (.messageTooBig, 1009),
      (.tooManyFragments, 1008), (.tooManyEmptyFragments, 1008), (.closeOfOneByte, 1002),
      (.invalidCloseCode, 1002), (.invalidCloseReason, 1007),
    ] as [(WebSocketError, UInt16)])
  func eachErrorHasItsCode(error: WebSocketError, code: UInt16) {
    #expect(error.code.rawValue == code)
    #expect(error.code.mayStandInFrame)
    #expect(error.reason.utf8CodeUnitCount <= WebSocketFrame.reasonBytesMax)
  }

  /// A head is refused at the byte that makes it bad: nobody waits for the rest.
  @Test(arguments: [
    (frame(1, [], reserved: 1), 1, WebSocketError.reservedBits), (frame(3, ""), 1, .reservedOpcode),
    (frame(9, "", isFinal: false), 1, .fragmentedControl), (frame(1, [9], key: nil), 2, .unmasked),
    (frame(9, [UInt8](repeating: 0, count: 126)), 2, .controlTooLong),
    (frame(1, [], lengthBytes: 2), 4, .lengthNotMinimal),
    (frame(1, [], declared: 1 << 63), 10, .lengthTooLarge), (frame(2, "abc"), 6, .binary),
    (frame(1, [], declared: 16 << 20 + 1), 14, .messageTooBig),
  ])
  func headsFailEarly(bytes: [UInt8], at: Int, error: WebSocketError) {
    #expect(told(Array(bytes[..<(at - 1)])).isEmpty)
    #expect(told(Array(bytes[..<at])) == [.failure(error)])
  }
}

@Suite struct WebSocketMemoryTests {
  /// Lengths on both sides of each encoding, and of each step that unmasking takes.
  @Test(arguments: [0, 1, 3, 4, 5, 15, 16, 17, 63, 64, 125, 126, 127, 128, 1000, 65535, 65536, 65537])
  func payloadsOfAnyLength(count: Int) {
    let payload = (0..<count).map { UInt8(32 + $0 % 95) }
    let key: [UInt8] = [0x81, 0x42, 0x23, 0xf4]
    let bytes = frame(1, payload, key: key) + frame(1, Array(payload.reversed()), key: key)
    let expected: [ToldFrame] = [.text(payload), .text(payload.reversed())]
    #expect(told(bytes) == expected)
    for cut in [1, 5, 8, 9, 13, 14, 17, 31, 40, bytes.count / 2, bytes.count - 1] where cut < bytes.count {
      #expect(told(bytes, cuts: [cut]) == expected)
      #expect(
        told(bytes, cuts: Array(stride(from: cut, to: bytes.count, by: max(cut, bytes.count / 50))))
          == expected)
    }
  }

  /// Each length and each place in memory goes through other steps of the loop.
  @Test func unmaskingIsByTheBook() {
    var random = SeededGenerator(seed: 7)
    for count in 0...80 {
      for offset in 0..<16 {
        let key = (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) }
        let payload = (0..<count).map { _ in UInt8.random(in: 32...126, using: &random) }
        let bytes = [UInt8](repeating: 0xaa, count: offset) + frame(1, payload, key: key) + [0xaa]
        #expect(bytes[(offset + 6)..<(offset + 6 + count)].elementsEqual(masked(payload, key)))
        var copy = bytes
        copy.withUnsafeMutableBytes { memory in
          var reader = WebSocketReader()
          let step = reader.next(UnsafeMutableRawBufferPointer(rebasing: memory[offset..<(memory.count - 1)]))
          #expect(ToldFrame(step.event) == .text(payload))
        }
        // Nothing but the payload is touched.
        #expect(copy[..<(offset + 6)] == bytes[..<(offset + 6)])
        #expect(copy.last == 0xaa)
      }
    }
  }

  @Test func wholeMessagesAreNotCopied() throws {
    var bytes = frame(1, "one") + frame(9, "p") + frame(1, "two")
    bytes.withUnsafeMutableBytes { input in
      var reader = WebSocketReader()
      var used = 0
      for _ in 0..<3 {
        let step = reader.next(UnsafeMutableRawBufferPointer(rebasing: input[used...]))
        switch step.event {
        case .text(let payload), .ping(let payload):
          #expect(payload.baseAddress == UnsafeRawPointer(input.baseAddress.map { $0 + used + 6 }))
        default: Issue.record("\(step.event)")
        }
        #expect(reader.heldBytes == 0)
        #expect(reader.takeMemory() == nil)
        used += step.consumed
      }
      let isUnderWay = reader.isUnderWay
      #expect(!isUnderWay)
    }
  }

  /// What an idle subscriber costs.
  @Test func anIdleReaderHoldsNothing() {
    #expect(MemoryLayout<WebSocketReader>.size <= 128)
    var reader = WebSocketReader()
    let bytes = frame(1, String(repeating: "long ", count: 1000))
    #expect(told(Array(bytes[..<4000]), by: &reader).isEmpty)
    #expect(reader.isUnderWay && reader.heldBytes >= 3990)
    #expect(told(Array(bytes[4000...]), by: &reader).count == 1)
    #expect(!reader.isUnderWay && reader.heldBytes == 0)
    #expect(told(frame(9, "x"), cuts: [7 - 1], by: &reader) == [.ping([120])])
    #expect(reader.heldBytes == 0)
  }

  /// A head that promises 16 MiB gets nothing for it.
  @Test func memoryGrowsWithWhatHasArrived() {
    var reader = WebSocketReader()
    #expect(told(frame(1, [], declared: 16 << 20), by: &reader).isEmpty)
    #expect(reader.heldBytes == 0 && reader.isUnderWay)
    #expect(told([1 ^ 97], by: &reader).isEmpty)
    #expect(reader.heldBytes <= 512)
  }

  @Test func aGatheredMessageCanBeTakenOver() throws {
    var reader = WebSocketReader()
    let text = Array(String(repeating: "engram", count: 200).utf8)
    var bytes = frame(1, Array(text[..<500]), isFinal: false) + frame(0, Array(text[500...]))
    let last = bytes.count
    bytes += frame(1, "next")
    bytes.withUnsafeMutableBytes { input -> Void in
      let step = reader.next(input)
      #expect(step.consumed == last)
      guard case .text(let message) = step.event, let memory = reader.takeMemory() else {
        Issue.record("not gathered")
        return
      }
      #expect(message.baseAddress == UnsafeRawPointer(memory))
      #expect(reader.takeMemory() == nil)
      #expect(reader.heldBytes == 0)
      let next = reader.next(UnsafeMutableRawBufferPointer(rebasing: input[last...]))
      #expect(ToldFrame(next.event) == .text("next"))
      // Still there, though the reader has gone on.
      #expect(message.elementsEqual(text))
      memory.deallocate()
    }
  }

  /// The bytes of a ping that interrupts a message lie behind it, and go.
  @Test func aControlFrameInPiecesLeavesTheMessageAlone() {
    let ping = [UInt8](repeating: 112, count: 125)
    let bytes =
      frame(1, "first ", isFinal: false) + frame(9, ping) + frame(0, "second ", isFinal: false)
      + frame(10, ping) + frame(0, "third")
    #expect(told(bytes, cuts: 0...bytes.count) == [.ping(ping), .pong(ping), .text("first second third")])
  }
}

@Suite struct WebSocketLimitTests {
  private func limits(_ change: (inout WebSocketLimits) -> Void) -> WebSocketLimits {
    var limits = WebSocketLimits()
    change(&limits)
    return limits
  }

  @Test func bytesOfAMessage() {
    let limits = limits { $0.messageBytesMax = 10 }
    #expect(told(frame(1, "0123456789"), limits: limits) == [.text("0123456789")])
    #expect(told(frame(1, "0123456789a"), limits: limits) == [.failure(.messageTooBig)])
    let half = frame(1, "01234", isFinal: false)
    #expect(
      told(half + frame(9, "0123456789ab") + frame(0, "56789"), limits: limits).last == .text("0123456789"))
    #expect(told(half + frame(0, "56789a"), limits: limits) == [.failure(.messageTooBig)])
    // Each message by itself.
    #expect(told(half + frame(0, "56789") + half + frame(0, "56789"), limits: limits).count == 2)
  }

  @Test func theLargestMessage() {
    // With a key of zeros, which changes nothing: masking so much byte by byte takes a debug build seconds.
    let payload = [UInt8](repeating: 97, count: 16 << 20)
    let head = frame(1, [], key: [0, 0, 0, 0], declared: 16 << 20)
    #expect(told(head + payload, cuts: [65536, 1 << 20]) == [.text(payload)])
  }

  @Test func fragmentsOfAMessage() {
    let limits = limits { $0.fragmentsMax = 4 }
    let part = frame(0, "b", isFinal: false)
    let three = frame(1, "a", isFinal: false) + part + part
    #expect(told(three + frame(0, "c"), limits: limits) == [.text("abbc")])
    #expect(told(three + part, limits: limits).isEmpty)
    #expect(told(three + part + frame(0, "c"), limits: limits) == [.failure(.tooManyFragments)])
    #expect(told(three + frame(0, "c") + three + frame(0, "c"), limits: limits).count == 2)
  }

  @Test func endlessFragmentsEnd() {
    let part = frame(0, "", isFinal: false)
    var bytes = frame(1, "a", isFinal: false)
    for _ in 0..<128 { bytes += part }
    #expect(told(bytes + frame(0, "z")) == [.text("az")])
    #expect(told(bytes + part) == [.failure(.tooManyEmptyFragments)])
    var small = frame(1, "a", isFinal: false)
    for _ in 0..<65_536 { small += frame(0, "b", isFinal: false) }
    #expect(told(small) == [.failure(.tooManyFragments)])
  }
}
