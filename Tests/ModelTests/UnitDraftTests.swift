import Bytes
import Testing

@testable import Model

@Suite struct UnitDraftTests {
  @Test func readsEveryMember() throws {
    let parsed = Parsed(
      #"""
      { "id" : "01900000-0000-7ABC-8000-0000000000FF", "context_id" : "c\u0031", "agent_id" : "ag\"ent",
        "type" : "TOOL_CALL", "timestamp" : 1.5e3, "metadata" : { "k\n" : "v", "z" : "" },
        "payload" : "a\tb", "payload_encoding" : "utf8",
        "relationships" : [ { "target_id" : "\#(target)", "type" : 4, "meta" : { "why" : "x" } } ],
        "sequence" : null, "position" : [], "ts" : {"deep":[{}]},
        "fence" : { "resource_path" : "/repo/\u006dain.swift", "token" : 41 }, "expected_sequence" : 9 }
      """#)
    let draft = parsed.draft
    #expect(parsed.problem == nil)
    #expect(draft.id == UnitID(high: 0x0190_0000_0000_7abc, low: 0x8000_0000_0000_00ff))
    #expect(text(draft.contextID) == "c1")
    #expect(text(draft.agentID) == "ag\"ent")
    #expect(draft.type == .toolCall)
    #expect(text(draft.payload.raw(of: draft.body)) == #"a\tb"#)
    #expect(draft.payload.hasEscapes && draft.payloadCount == 3 && draft.payloadEncoding == .utf8)
    #expect(draft.metadata == 0..<2)
    #expect(text(draft.pair(draft.metadata.lowerBound).key.raw(of: draft.body)) == #"k\n"#)
    #expect(draft.relationshipCount == 1)
    let relationship = draft.relationship(0)
    #expect(relationship.type == .references && relationship.target.description == target)
    #expect(text(draft.pair(relationship.metadata.lowerBound).value.raw(of: draft.body)) == "x")
    let fence = try #require(draft.fence)
    #expect(text(fence.path) == "repo/main.swift" && fence.token == 41)
    #expect(draft.expectedSequence == Sequence(9))
  }

  @Test func aDraftThatIsResetKeepsLittleMemory() {
    let pairs = (0..<64).map { #""\#($0)":"""# }.joined(separator: ",")
    let relationship = #"{"target_id":"\#(target)","type":1,"meta":{\#(pairs)}}"#
    let all = Array(repeating: relationship, count: 256).joined(separator: ",")
    let parsed = Parsed(unit(#""relationships":[\#(all)]"#))
    #expect(parsed.problem == nil && parsed.draft.parts.pairs.count == 256 * 64)
    parsed.draft.reset()
    #expect(parsed.draft.parts.pairs.capacity <= UnitParts.keptMax)
    #expect(parsed.draft.parts.relationships.capacity <= UnitParts.keptMax)
  }

  @Test func theLeastUnitIsContextTypeAndPayload() {
    let parsed = Parsed(#"{"context_id":"c","type":1,"payload":""}"#)
    #expect(parsed.problem == nil)
    #expect(parsed.draft.id == nil && parsed.draft.agentID == nil && parsed.draft.fence == nil)
    #expect(
      parsed.draft.expectedSequence == nil && parsed.draft.metadata.isEmpty && parsed.draft.payloadCount == 0)
  }

  @Test(arguments: [
    (#"{"type":1,"payload":""}"#, "/context_id"), (#"{"context_id":"c","payload":""}"#, "/type"),
    (#"{"context_id":"c","type":1}"#, "/payload"), ("[]", ""), ("1", ""), (#""text""#, ""), ("null", ""),
    (unit(#""surprise":1"#), "/surprise"), (unit(#""a/b~c":1"#), "/a~1b~0c"), (unit(#""\u0078":1"#), "/x"),
    (unit(#""a_member_name_longer_than_any_of_ours":1"#), "/a_member_name_longer_than_any_of_ours"),
    (unit(#""meta":{},"metadata":{}"#), "/meta"), (unit(#""metadata":{},"meta":{}"#), "/meta"),
    (unit(#""payload":"again""#), "/payload"), (unit(#""typ\u0065":1"#), "/type"),
    (unit(#""ts":1,"ts":1"#), "/ts"),
    (unit(#""id":1"#), "/id"), (unit(#""id":"""#), "/id"), (unit(#""id":null"#), "/id"),
    (unit(#""id":"01900000-0000-4abc-8000-000000000002""#), "/id"),
    (unit(#""id":"01900000-0000-7abc-c000-000000000002""#), "/id"),
    (unit(#""id":"0190000000007abc8000000000000002""#), "/id"),
    (unit(context: "1"), "/context_id"), (unit(context: "null"), "/context_id"),
    (unit(context: #""""#), "/context_id"),
    (unit(context: #""a\u0000""#), "/context_id"), (unit(context: #""a\n""#), "/context_id"),
    (unit(context: "\"a\u{7F}\""), "/context_id"), (unit(context: "\"a\u{85}\""), "/context_id"),
    (unit(context: #""\u009f""#), "/context_id"),
    (unit(context: "\"" + String(repeating: "x", count: 257) + "\""), "/context_id"),
    (unit(context: "\"" + String(repeating: "é", count: 129) + "\""), "/context_id"),
    (unit(type: "0"), "/type"), (unit(type: "9"), "/type"), (unit(type: "-1"), "/type"),
    (unit(type: "1.0"), "/type"),
    (unit(type: "256"), "/type"), (unit(type: "257"), "/type"), (unit(type: #""message""#), "/type"),
    (unit(type: #""MESSAG""#), "/type"), (unit(type: #""1""#), "/type"), (unit(type: "true"), "/type"),
    (unit(type: "null"), "/type"), (unit(type: "[]"), "/type"), (unit(type: #""""#), "/type"),
    (unit(payload: "1"), "/payload"), (unit(payload: "null"), "/payload"), (unit(payload: "{}"), "/payload"),
    (unit(#""payload_encoding":"hex""#), "/payload_encoding"),
    (unit(#""payload_encoding":1"#), "/payload_encoding"),
    (unit(#""payload_encoding":"BASE64""#), "/payload_encoding"),
    (unit(payload: #""hello""#, #""payload_encoding":"base64""#), "/payload"),
    (unit(payload: #""Zh==""#, #""payload_encoding":"base64""#), "/payload"),
    (unit(payload: #""Zg""#, #""payload_encoding":"base64""#), "/payload"),
    (unit(payload: #""Zm-_""#, #""payload_encoding":"base64""#), "/payload"),
    (unit(payload: #""Zg==\n""#, #""payload_encoding":"base64""#), "/payload"),
    (unit(payload: #""Zg==\u0041\u0041\u0041\u0041""#, #""payload_encoding":"base64""#), "/payload"),
    (unit(#""metadata":[]"#), "/metadata"), (unit(#""metadata":null"#), "/metadata"),
    (unit(#""metadata":{"k":1}"#), "/metadata/k"), (unit(#""metadata":{"k":null}"#), "/metadata/k"),
    (unit(#""metadata":{"k":"1","k":"2"}"#), "/metadata/k"),
    (unit(#""meta":{"k":"1","\u006b":"2"}"#), "/meta/k"),
    (unit(#""meta":{"a/b":{}}"#), "/meta/a~1b"),
    (unit(#""relationships":{}"#), "/relationships"), (unit(#""relationships":null"#), "/relationships"),
    (unit(#""relationships":[1]"#), "/relationships/0"),
    (unit(#""relationships":[{}]"#), "/relationships/0/target_id"),
    (unit(#""relationships":[{"type":1}]"#), "/relationships/0/target_id"),
    (unit(#""relationships":[{"target_id":"\#(target)"}]"#), "/relationships/0/type"),
    (unit(#""relationships":[{"target_id":"x","type":1}]"#), "/relationships/0/target_id"),
    (unit(#""relationships":[{"target_id":"\#(target)","type":8}]"#), "/relationships/0/type"),
    (unit(#""relationships":[{"target_id":"\#(target)","type":"NEXT"}]"#), "/relationships/0/type"),
    (unit(#""relationships":[{"target_id":"\#(target)","type":1,"x":1}]"#), "/relationships/0/x"),
    (unit(#""relationships":[{"target_id":"\#(target)","type":1,"type":1}]"#), "/relationships/0/type"),
    (
      unit(#""relationships":[{"target_id":"\#(target)","type":1,"meta":{},"metadata":{}}]"#),
      "/relationships/0/meta"
    ),
    (
      unit(
        #""relationships":[{"target_id":"\#(target)","type":1},{"target_id":"\#(target)","type":1,"meta":{"k":2}}]"#
      ),
      "/relationships/1/meta/k"
    ),
    (unit(#""fence":1"#), "/fence"), (unit(#""fence":{}"#), "/fence/resource_path"),
    (unit(#""fence":{"resource_path":"a"}"#), "/fence/token"),
    (unit(#""fence":{"token":1}"#), "/fence/resource_path"),
    (unit(#""fence":{"resource_path":"a","token":-1}"#), "/fence/token"),
    (unit(#""fence":{"resource_path":"a","token":1.5}"#), "/fence/token"),
    (unit(#""fence":{"resource_path":"a","token":"1"}"#), "/fence/token"),
    (unit(#""fence":{"resource_path":"a/../b","token":1}"#), "/fence/resource_path"),
    (unit(#""fence":{"resource_path":"a","token":1,"lock_id":"x"}"#), "/fence/lock_id"),
    (unit(#""expected_sequence":-1"#), "/expected_sequence"),
    (unit(#""expected_sequence":"1""#), "/expected_sequence"),
    (unit(#""expected_sequence":1e3"#), "/expected_sequence"),
    (unit(#""expected_sequence":9007199254740992"#), "/expected_sequence"),
  ])
  func namesTheMemberAtFault(_ body: String, _ pointer: String) {
    let parsed = Parsed(body)
    #expect(parsed.pointer == pointer)
    #expect(parsed.problem?.code == .invalidRequest)
  }

  @Test(arguments: [
    "", "{", unit() + "x", "\u{FEFF}" + unit(), unit(#""ts":{"a":1,"a":2}"#), unit(#""ts":9007199254740992"#),
    unit(payload: "\"\n\""), unit(payload: #""\ud800""#),
  ])
  func whatIsNoJSONIsInvalidAsAWhole(_ body: String) {
    let parsed = Parsed(body)
    #expect(parsed.problem?.code == .invalidRequest && parsed.problem?.errors == [])
  }

  @Test(arguments: WorkUnitType.allCases)
  func takesTypesByNameAndNumber(_ type: WorkUnitType) {
    #expect(Parsed(unit(type: "\"\(type.name)\"")).draft.type == type)
    #expect(Parsed(unit(type: "\(type.rawValue)")).draft.type == type)
  }

  @Test(arguments: RelationshipType.allCases)
  func takesRelationshipsByNameAndNumber(_ type: RelationshipType) {
    for spelling in ["\"\(type.name)\"", "\(type.rawValue)"] {
      let parsed = Parsed(unit(#""relationships":[{"target_id":"\#(target)","type":\#(spelling)}]"#))
      #expect(parsed.problem == nil)
      #expect(parsed.draft.relationship(0).type == type)
    }
  }

  // MARK: Limits

  @Test func limitsOfIds() {
    #expect(Parsed(unit(context: "\"" + String(repeating: "x", count: 256) + "\"")).problem == nil)
    #expect(Parsed(unit(context: "\"" + String(repeating: "é", count: 128) + "\"")).problem == nil)
    let escaped = Parsed(unit(context: "\"" + String(repeating: #"\u00e9"#, count: 128) + "\""))
    #expect(escaped.problem == nil && escaped.draft.contextID.count == 256)
    #expect(
      Parsed(unit(context: "\"" + String(repeating: #"\u00e9"#, count: 129) + "\"")).pointer == "/context_id")
    #expect(Parsed(unit(context: #""a b/c\\\"😀""#)).problem == nil)
  }

  @Test func limitsOfMetadata() {
    func pairs(_ count: Int) -> String {
      "{" + (0..<count).map { #""k\#($0)":"v""# }.joined(separator: ",") + "}"
    }
    func long(_ key: Int, _ value: Int) -> String {
      #"{"\#(String(repeating: "k", count: key))":"\#(String(repeating: "v", count: value))"}"#
    }
    #expect(Parsed(unit(#""metadata":\#(pairs(64))"#)).problem == nil)
    #expect(Parsed(unit(#""metadata":\#(pairs(65))"#)).pointer == "/metadata")
    #expect(Parsed(unit(#""metadata":\#(long(128, 4096))"#)).problem == nil)
    #expect(Parsed(unit(#""metadata":\#(long(129, 1))"#)).pointer == "/metadata")
    #expect(Parsed(unit(#""metadata":\#(long(1, 4097))"#)).pointer == "/metadata/k")
    let escaped = String(repeating: #"\u0000"#, count: 4096)
    #expect(Parsed(unit(#""metadata":{"k":"\#(escaped)"}"#)).problem == nil)
    #expect(Parsed(unit(#""metadata":{"k":"\#(escaped)\n"}"#)).pointer == "/metadata/k")
  }

  @Test func limitsOfRelationships() {
    func relationships(_ count: Int) -> String {
      let one = #"{"target_id":"\#(target)","type":1}"#
      return "[" + Array(repeating: one, count: count).joined(separator: ",") + "]"
    }
    #expect(Parsed(unit(#""relationships":\#(relationships(256))"#)).problem == nil)
    #expect(Parsed(unit(#""relationships":\#(relationships(257))"#)).pointer == "/relationships")
  }

  @Test func limitsOfPayloads() {
    let max = Limits.payloadBytesMax
    func parsed(_ characters: String, _ count: Int, _ more: String = "") -> Parsed {
      Parsed(unit(payload: "\"" + String(repeating: characters, count: count) + "\"", more))
    }
    #expect(parsed("x", max).problem == nil)
    let tooLarge = parsed("x", max + 1)
    #expect(tooLarge.problem?.code == .payloadTooLarge && tooLarge.pointer == "/payload")
    #expect(parsed(#"\n"#, max - 100).problem == nil)
    // 8 MiB is 2 bytes more than a multiple of 3: one group with one `=`.
    let groups = max / 3
    let whole = String(repeating: "AAAA", count: groups)
    let encoding = #""payload_encoding":"base64""#
    let fits = Parsed(unit(payload: "\"\(whole)AAA=\"", encoding))
    #expect(fits.problem == nil && fits.draft.payloadCount == max)
    #expect(Parsed(unit(payload: "\"\(whole)AAAA\"", encoding)).problem?.code == .payloadTooLarge)
  }

  @Test func limitOfTheBody() {
    let body = Body([UInt8](repeating: UInt8(ascii: " "), count: Limits.bodyBytesMax + 1))
    #expect(UnitDraft().parse(body.bytes)?.code == .payloadTooLarge)
  }

  @Test func depthCountsTheUnitItself() {
    func ignored(_ depth: Int) -> String {
      unit(#""ts":"# + String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
    }
    #expect(Parsed(ignored(31)).problem == nil)
    #expect(Parsed(ignored(32)).problem?.code == .invalidRequest)
  }

  // MARK: Reuse, batches, agents

  @Test func aDraftForgetsTheUnitBefore() {
    let draft = UnitDraft()
    let full = Body(
      unit(
        #""id":"\#(target)","metadata":{"k":"v"},"relationships":[{"target_id":"\#(target)","type":1}],"#
          + #""fence":{"resource_path":"a","token":1},"expected_sequence":1"#))
    let least = Body(#"{"context_id":"c","type":1,"payload":""}"#)
    let broken = Body(#"{"context_id":"c","metadata":{"k":"v"},"x":1}"#)
    #expect(draft.parse(full.bytes) == nil)
    let hash = draft.contentHash
    #expect(draft.parse(broken.bytes) != nil)
    #expect(draft.parse(least.bytes) == nil)
    #expect(draft.id == nil && draft.agentID == nil && draft.metadata.isEmpty && draft.relationshipCount == 0)
    #expect(draft.fence == nil && draft.expectedSequence == nil)
    #expect(draft.parse(full.bytes) == nil)
    #expect(draft.contentHash == hash)
  }

  @Test func readsTheUnitsOfABatchOneByOne() throws {
    let body = Body("[" + unit() + "," + unit(context: #""d""#) + "," + unit(type: "99") + "]")
    var scanner = JSONScanner(body.bytes)
    let draft = UnitDraft()
    try scanner.beginDocument()
    #expect(try scanner.enterArray())
    #expect(draft.parseUnit(&scanner, at: .element(0)) == nil)
    #expect(text(draft.contextID) == "c")
    #expect(try scanner.nextElement())
    #expect(draft.parseUnit(&scanner, at: .element(1)) == nil)
    #expect(text(draft.contextID) == "d")
    #expect(try scanner.nextElement())
    #expect(draft.parseUnit(&scanner, at: .element(2))?.errors.first?.pointer == "/2/type")
    var other = JSONScanner(Body(unit(type: "99")).bytes)
    let kept = Body(unit(type: "99"))
    other = JSONScanner(kept.bytes)
    #expect(draft.parseUnit(&other, at: .workUnit(7))?.errors.first?.pointer == "/work_units/7/type")
  }

  @Test func theAgentIsTheBodysOrTheCallers() {
    let caller = Body("a")
    let other = Body("b\"\\")
    let named = Parsed(unit())
    #expect(named.draft.resolveAgent(nil, isAuthenticated: false) == nil)
    #expect(named.draft.resolveAgent(caller.bytes, isAuthenticated: true) == nil)
    #expect(named.draft.resolveAgent(other.bytes, isAuthenticated: false)?.code == .invalidRequest)
    #expect(named.draft.resolveAgent(other.bytes, isAuthenticated: true)?.code == .permissionDenied)
    let anonymous = Parsed(#"{"context_id":"c","type":1,"payload":""}"#)
    #expect(anonymous.draft.resolveAgent(nil, isAuthenticated: false)?.errors.first?.pointer == "/agent_id")
    #expect(anonymous.draft.resolveAgent(other.bytes, isAuthenticated: true) == nil)
    #expect(text(anonymous.draft.agentID) == "b\"\\")
    #expect(String(decoding: anonymous.record(), as: UTF8.self).contains(#""agent_id":"b\"\\""#))
  }
}
