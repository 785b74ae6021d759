import HTTP
import Testing

/// The reader by the letter of RFC 6455: arrays, one byte after the other, and the standard library's UTF-8.
private struct NaiveReader {
  private var rest: ArraySlice<UInt8>
  private var message: [UInt8]?
  private var fragments = 0
  private var empty = 0
  private let limits: WebSocketLimits
  private(set) var told: [Told] = []

  init(_ bytes: [UInt8], _ limits: WebSocketLimits) {
    rest = bytes[...]
    self.limits = limits
    do throws(WebSocketError) {
      while try readFrame() {}
    } catch {
      told.append(.failure(error))
    }
  }

  /// False: there is no other whole frame, or a close frame was read.
  private mutating func readFrame() throws(WebSocketError) -> Bool {
    guard let first = rest.popFirst() else { return false }
    let opcode = first & 15
    if first & 0x70 != 0 { throw .reservedBits }
    if ![0, 1, 2, 8, 9, 10].contains(opcode) { throw .reservedOpcode }
    let isFinal = first >= 0x80
    if opcode >= 8, !isFinal { throw .fragmentedControl }
    guard let second = rest.popFirst() else { return false }
    if second < 0x80 { throw .unmasked }
    if opcode >= 8, second & 127 > 125 { throw .controlTooLong }
    guard let length = try readLength(second & 127) else { return false }
    guard rest.count >= 4 else { return false }
    let key = Array(rest.prefix(4))
    rest = rest.dropFirst(4)
    if opcode < 8 { try beginData(opcode, length) }
    let payload = masked(Array(rest.prefix(Int(length))), key)
    rest = rest.dropFirst(Int(length))
    let isWhole = payload.count == Int(length)
    if opcode >= 8 { return isWhole ? try control(opcode, payload) : false }
    let text = (message ?? []) + payload
    message = text
    if !NaiveReader.mayBecomeText(text) { throw .invalidText }
    guard isWhole else { return false }
    if isFinal {
      if String(validating: text, as: UTF8.self) == nil { throw .invalidText }
      told.append(.text(text))
      message = nil
    }
    return true
  }

  private mutating func readLength(_ short: UInt8) throws(WebSocketError) -> UInt64? {
    guard short > 125 else { return UInt64(short) }
    let width = short == 126 ? 2 : 8
    guard rest.count >= width else { return nil }
    let length = rest.prefix(width).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    rest = rest.dropFirst(width)
    if length >= 1 << 63 { throw .lengthTooLarge }
    if length < (width == 2 ? 126 : 65536) { throw .lengthNotMinimal }
    return length
  }

  private mutating func beginData(_ opcode: UInt8, _ length: UInt64) throws(WebSocketError) {
    if message != nil, opcode != 0 { throw .messageUnfinished }
    if message == nil, opcode == 0 { throw .nothingToContinue }
    if opcode == 2 { throw .binary }
    if message == nil {
      fragments = 0
      empty = 0
    }
    if length > UInt64(limits.messageBytesMax) - UInt64(message?.count ?? 0) { throw .messageTooBig }
    fragments += 1
    if fragments > Int(limits.fragmentsMax) { throw .tooManyFragments }
    empty += length == 0 ? 1 : 0
    if empty > Int(limits.emptyFragmentsMax) { throw .tooManyEmptyFragments }
  }

  private mutating func control(_ opcode: UInt8, _ payload: [UInt8]) throws(WebSocketError) -> Bool {
    if opcode != 8 {
      told.append(opcode == 9 ? .ping(payload) : .pong(payload))
      return true
    }
    if payload.count == 1 { throw .closeOfOneByte }
    guard payload.count >= 2 else {
      told.append(.close(nil, []))
      return false
    }
    let code = UInt16(payload[0]) * 256 + UInt16(payload[1])
    if !(1000...1014).contains(code) && !(3000...4999).contains(code) || (1004...1006).contains(code) {
      throw .invalidCloseCode
    }
    if String(validating: payload[2...], as: UTF8.self) == nil { throw .invalidCloseReason }
    told.append(.close(code, Array(payload[2...])))
    return false
  }

  /// Whether the text is valid, or would be with up to three more bytes.
  private static func mayBecomeText(_ text: [UInt8]) -> Bool {
    let bounds: [UInt8] = [0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf]
    // Only the end can be open: what stands before the last three bytes' character is as it is.
    var ends: [[UInt8]] = [[]]
    for _ in 0...3 {
      if ends.contains(where: { String(validating: text + $0, as: UTF8.self) != nil }) { return true }
      ends = ends.flatMap { end in bounds.map { end + [$0] } }
    }
    return false
  }
}

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
      let expected = NaiveReader(bytes, WebSocketReaderFuzzTests.limits).told
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
