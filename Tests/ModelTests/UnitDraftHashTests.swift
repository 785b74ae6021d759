import Bytes
import Testing

@testable import Model

@Suite struct UnitDraftHashTests {
  private func hash(_ body: String) -> ContentHash? {
    let parsed = Parsed(body)
    #expect(parsed.problem == nil, "\(body.prefix(200))")
    return parsed.problem == nil ? parsed.draft.contentHash : nil
  }

  private static let relationship = #"{"target_id":"\#(target)","type":"CAUSES","metadata":{"k":"v"}}"#

  @Test(arguments: [
    (
      unit(), "{ \"payload\" : \"hello\",\n\"type\" : 1, \"agent_id\" : \"\\u0061\", \"context_id\" : \"c\" }"
    ),
    (unit(payload: #""hello""#), unit(payload: #""\u0068ello""#)),
    (unit(payload: #""a/b\n""#), unit(payload: #""a\/b\u000a""#)),
    (unit(payload: #""hello""#), unit(payload: #""aGVsbG8=""#, #""payload_encoding":"base64""#)),
    (unit(payload: #""""#), unit(payload: #""""#, #""payload_encoding":"base64""#)),
    (
      unit(payload: #""\u00ff??""#), unit(payload: #""w78\/Pw==""#, #""payload_encoding":"base64""#)
    ),
    (unit(#""metadata":{}"#), unit()),
    (unit(#""metadata":{"a":"1","b":"2"}"#), unit(#""metadata":{"b":"2","a":"1"}"#)),
    (unit(#""metadata":{"a":"1"}"#), unit(#""meta":{"\u0061":"\u0031"}"#)),
    (unit(#""relationships":[]"#), unit()),
    (
      unit(#""relationships":[\#(relationship)]"#),
      unit(
        #""relationships":[{"meta":{"k":"v"},"type":2,"target_id":"01900000-0000-7ABC-8000-000000000002"}]"#)
    ),
    (unit(#""expected_sequence":3,"fence":{"resource_path":"a","token":1}"#), unit()),
    (unit(#""id":"\#(target)","ts":5"#), unit()),
  ])
  func spellingIsNoPartOfTheContent(_ one: String, _ other: String) {
    #expect(hash(one) == hash(other))
  }

  @Test func everythingElseIs() {
    let bodies = [
      unit(), unit(context: #""d""#), unit(type: "2"), unit(payload: #""hellp""#),
      unit(payload: #""hello ""#),
      unit(payload: #""hello\u0000""#), unit(payload: #""""#),
      unit().replacing(#""agent_id":"a""#, with: #""agent_id":"b""#),
      // What stands in one field doesn't count as standing in another.
      unit(context: #""a""#).replacing(#""agent_id":"a""#, with: #""agent_id":"c""#),
      unit(#""metadata":{"a":"1"}"#), unit(#""metadata":{"a":"2"}"#), unit(#""metadata":{"b":"1"}"#),
      unit(#""metadata":{"a1":""}"#), unit(#""metadata":{"":"a1"}"#), unit(#""metadata":{"a":"1","b":"2"}"#),
      unit(#""metadata":{"a":"2","b":"1"}"#), unit(#""metadata":{"a":""}"#),
      unit(#""relationships":[{"target_id":"\#(target)","type":1}]"#),
      unit(#""relationships":[{"target_id":"\#(target)","type":2}]"#),
      unit(#""relationships":[{"target_id":"\#(target)","type":2,"meta":{"a":"1"}}]"#),
      unit(#""relationships":[{"target_id":"01900000-0000-7abc-8000-000000000003","type":1}]"#),
      unit(#""relationships":[{"target_id":"\#(target)","type":1},{"target_id":"\#(target)","type":2}]"#),
      unit(#""relationships":[{"target_id":"\#(target)","type":2},{"target_id":"\#(target)","type":1}]"#),
      unit(payload: #""aGVsbG8=""#),
    ]
    #expect(Set(bodies.map(hash)).count == bodies.count)
  }

  @Test func longPayloadsAreHashedInPieces() {
    // The first is one run, the second is unescaped in pieces, the third is decoded in pieces, the fourth both.
    let plain = String(repeating: "0123456789/abcdefghi", count: 2000)
    let escaped = plain.replacing("/", with: #"\/"#)
    let encoded = base64(bytes(plain))
    let both = encoded.replacing("M", with: #"\u004d"#)
    let hashes = [
      hash(unit(payload: "\"\(plain)\"")), hash(unit(payload: "\"\(escaped)\"")),
      hash(unit(payload: "\"\(encoded)\"", #""payload_encoding":"base64""#)),
      hash(unit(payload: "\"\(both)\"", #""payload_encoding":"base64""#)),
    ]
    #expect(Set(hashes).count == 1)
  }
}
