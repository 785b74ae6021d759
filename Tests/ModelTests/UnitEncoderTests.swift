import Bytes
import Testing

@testable import Model

@Suite struct UnitEncoderTests {
  /// Passes the view of a draft's record to `check`.
  private func view(
    _ parsed: Parsed, _ facts: UnitFacts = .example, idempotency: IdempotencyMark? = nil,
    _ check: (EventView) throws -> Void
  ) throws {
    #expect(parsed.problem == nil)
    try parsed.record(facts, idempotency: idempotency).withUnsafeBytes { bytes in
      let view = try #require(EventView(bytes))
      #expect(view.length == bytes.count && view.isIntact)
      try check(view)
    }
  }

  @Test func writesTheMembersInOrderOnOneLine() throws {
    let parsed = Parsed(
      #"""
      { "payload" : "say \"hi\"\n", "relationships" : [
          { "type" : 2, "target_id" : "01900000-0000-7ABC-8000-000000000002", "meta" : { "k" : "v" } },
          { "type" : "REPLACES", "target_id" : "\#(target)" } ],
        "meta" : { "z" : "1", "a\/b" : "" }, "type" : 3, "agent_id" : "a\"\\", "context_id" : "\u0063é", "ts" : 1 }
      """#)
    try view(parsed) { view in
      #expect(
        text(view.body)
          == #"{"id":"01900000-0000-7abc-8000-000000000001","context_id":"cé","agent_id":"a\"\\","#
          + #""type":"TOOL_CALL","timestamp":"2023-11-14T22:13:20.123456Z","metadata":{"z":"1","a\/b":""},"#
          + #""payload":"say \"hi\"\n","payload_encoding":"utf8","relationships":["#
          + #"{"target_id":"\#(target)","type":"CAUSES","metadata":{"k":"v"}},"#
          + #"{"target_id":"\#(target)","type":"REPLACES","metadata":{}}],"sequence":7,"position":12}"#)
      let head = try #require(view.unit)
      #expect(
        head.id == UnitFacts.example.id && head.sequence == Sequence(7) && head.type == 3
          && head.encoding == 0)
      #expect(head.hash == Golden.fullHash && parsed.draft.contentHash == Golden.fullHash)
      let token = try #require(PayloadDecoder.token(view))
      #expect(text(token.0) == #""say \"hi\"\n""#)
      #expect(text(view.contextID) == "cé" && text(view.agentID) == "a\"\\")
      #expect(
        view.position == Position(12) && view.logTime == UnitFacts.example.logTime && view.kind == .unit)
      #expect(
        view.field(.fence) == nil && view.field(.idempotency) == nil && view.field(.requestRemainder) == nil)
    }
  }

  @Test func writesTheFieldsThatARequestMayHave() throws {
    let parsed = Parsed(unit(#""fence":{"resource_path":"/a/b","token":258}"#))
    let key = Body("key-1")
    var facts = UnitFacts.example
    facts.requestRemainder = 5
    let mark = IdempotencyMark(requestHash: ContentHash(high: 1, low: 2), key: key.bytes)
    try view(parsed, facts, idempotency: mark) { view in
      #expect(view.field(.fence).map { Array($0) } == [2, 1, 0, 0, 0, 0, 0, 0] + bytes("a/b"))
      #expect(
        view.field(.idempotency).map { Array($0) } == [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
          + bytes("key-1"))
      #expect(view.field(.requestRemainder).map { Array($0) } == [5, 0, 0, 0])
      #expect(view.unit != nil)
    }
  }

  /// The bytes of one record, put together here by `EventRecord.swift` and by hand, so that neither the
  /// writer nor the hash can move without a word.
  @Test func theBytesOfARecordAreForEver() {
    let parsed = Parsed(unit(#""metadata":{"k":"v"}"#))
    let body = bytes(
      #"{"id":"01900000-0000-7abc-8000-000000000001","context_id":"c","agent_id":"a","type":"MESSAGE","#
        + #""timestamp":"2023-11-14T22:13:20.123456Z","metadata":{"k":"v"},"payload":"hello","#
        + #""payload_encoding":"utf8","relationships":[],"sequence":7,"position":12}"#)
    var golden: [UInt8] = []
    func number(_ value: UInt64, _ count: Int) {
      for n in 0..<count { golden.append(UInt8(value >> UInt64(8 * n) & 0xFF)) }
    }
    let fields = 4 + 56 + 4 + 1 + 4 + 1
    number(UInt64(32 + fields + body.count + 4), 4)
    golden += [1, 1, 0, 0]
    number(12, 8)
    number(1_700_000_000_123_456, 8)
    number(UInt64(fields), 4)
    number(UInt64(body.count), 4)
    golden += [1, 0, 56, 0, 0x01, 0x90, 0, 0, 0, 0, 0x7a, 0xbc, 0x80, 0, 0, 0, 0, 0, 0, 1]
    number(7, 8)
    number(Golden.hash.high, 8)
    number(Golden.hash.low, 8)
    golden += [1, 0, 0, 0, 0, 0, 0, 0]
    number(167, 4)
    number(7, 4)
    golden += [2, 0, 1, 0, UInt8(ascii: "c"), 3, 0, 1, 0, UInt8(ascii: "a")]
    golden += body
    // CRC32C, bit by bit (RFC 3720, appendix B.4).
    let checksum = golden.reduce(UInt32.max) { crc, byte in
      (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1
      }
    }
    number(UInt64(~checksum), 4)
    #expect(parsed.record() == golden)
    #expect(Array(body[167..<174]) == bytes(#""hello""#))
  }

  enum Golden {
    /// By a script of its own (Python integers), from the definition in `hash.c` and `UnitParts.contentHash`.
    static let hash = ContentHash(high: 0x93c6_e5fe_8908_d560, low: 0xd6cb_60ec_ea27_fffd)
    static let fullHash = ContentHash(high: 0xaf5d_1c7d_cdd3_64c9, low: 0xca96_556b_a9de_8c06)
  }

  @Test func theRoomAskedForIsCloseToTheRecord() {
    let full = #""metadata":{"k":"v"},"relationships":[{"target_id":"\#(target)","type":1}]"#
    for body in [unit(), unit(full), unit(context: #""\u0022\u005c""#), unit(payload: #""\n\n\n""#)] {
      let parsed = Parsed(body)
      let room = UnitEncoder.bytesMax(for: parsed.draft)
      let used = parsed.record().count
      #expect(used <= room && room - used < 120, "\(used) of \(room)")
    }
  }

  @Test func `a content hash that is known already is taken over`() throws {
    let parsed = Parsed(unit())
    var facts = UnitFacts.example
    facts.hash = ContentHash(high: 1, low: 2)
    try view(parsed, facts) { #expect($0.unit?.hash == facts.hash && $0.unit?.id == $0.unitID) }
    facts.hash = nil
    try view(parsed, facts) { #expect($0.unit?.hash == parsed.draft.contentHash) }
  }

  /// The largest a unit can grow between its body and its record, and the largest numbers.
  @Test func theLargestUnitFitsItsRoom() throws {
    let one = #"{"target_id":"\#(target)","type":5}"#
    let many = Array(repeating: one, count: 256).joined(separator: ",")
    let pairs = (0..<64).map { #""\#($0)":"\#(String(repeating: "\\u0001", count: 4096))""# }.joined(
      separator: ",")
    let parsed = Parsed(
      unit(
        context: "\"" + String(repeating: #"\""#, count: 256) + "\"", type: "4", payload: #""AA==""#,
        #""payload_encoding":"base64","relationships":[\#(many)],"metadata":{\#(pairs)}"#))
    let facts = UnitFacts(
      id: UnitID(high: .max, low: .max), sequence: Sequence(.max), position: Position(.max),
      logTime: LogTime(microseconds: .max), requestRemainder: .max)
    try view(parsed, facts) { view in
      #expect(view.unit?.sequence == Sequence(.max))
      #expect(view.length <= EventRecord.bytesMax)
    }
  }
}
