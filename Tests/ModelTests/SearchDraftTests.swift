import Bytes
import Model
import Testing

@Suite struct SearchDraftTests {
  private func read(_ text: String) throws(Problem) -> SearchDraft {
    let result = Body(Array(text.utf8)).withBytes { body -> Result<SearchDraft, Problem> in
      do throws(Problem) { return .success(try SearchDraft(body)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// What is wrong; nil if nothing is.
  private func fault(_ text: String) -> Problem? {
    do throws(Problem) {
      _ = try read(text)
      return nil
    } catch {
      return error
    }
  }

  @Test func `nothing need be said`() throws {
    let draft = try read("{}")
    #expect(draft.text.isEmpty && draft.contexts.isEmpty && draft.agents.isEmpty && draft.filter.isEmpty)
    #expect(draft.order == nil && draft.limit == 20 && draft.offset == 0 && draft.cursor == nil)
    #expect(!draft.highlights && draft.minPosition == .zero && draft.waitNanoseconds == 0)
  }

  @Test func `everything is read`() throws {
    let draft = try read(
      #"""
      {"query": "a \"b c\" d*", "context_ids": ["y", "x", "y"], "agent_ids": ["ann"], "types": ["MESSAGE", 7],
       "metadata": {"k": "v", "é": ""}, "since": "2026-01-02T03:04:05Z", "until": "2026-01-02T05:04:05.5+01:00",
       "order": "recent", "limit": 1000, "offset": 9000, "highlight": true, "min_position": 77, "wait_seconds": 1.5}
      """#)
    #expect(String(decoding: draft.text, as: UTF8.self) == #"a "b c" d*"#)
    #expect(draft.contexts == [bytes("x"), bytes("y")] && draft.agents == [bytes("ann")])
    #expect(draft.filter.types == 1 << 1 | 1 << 7)
    #expect(
      draft.filter.metadata == [.init(key: bytes("k"), value: bytes("v")), .init(key: bytes("é"), value: [])])
    #expect(draft.filter.since?.microseconds == 1_767_323_045_000_000)
    #expect(draft.filter.until?.microseconds == 1_767_326_645_500_000)
    #expect(draft.order == .recent && draft.limit == 1000 && draft.offset == 9000)
    #expect(draft.highlights && draft.minPosition == Position(77) && draft.waitNanoseconds == 1_500_000_000)
    #expect(try read(#"{"context_id":"x","meta_filters":{"k":"v"},"cursor":"abc"}"#).cursor == bytes("abc"))
    #expect(try read(#"{"cursor":""}"#).cursor == nil)
  }

  static let refused: [(body: String, pointer: String)] = [
    (#"{"query":1}"#, "/query"), (#"{"query":null}"#, "/query"),
    (#"{"query":"\#(String(repeating: "a", count: 4097))"}"#, "/query"),
    (#"{"context_id":""}"#, "/context_id"), (#"{"context_id":7}"#, "/context_id"),
    (#"{"context_id":"a\u0001"}"#, "/context_id"),
    (#"{"context_id":"a","context_ids":["a"]}"#, "/context_ids"),
    (#"{"context_ids":["a"],"context_id":"a"}"#, "/context_id"),
    (#"{"context_ids":"a"}"#, "/context_ids"), (#"{"context_ids":["a",""]}"#, "/context_ids/1"),
    (#"{"context_ids":[\#(Array(repeating: "\"a\"", count: 257).joined(separator: ","))]}"#, "/context_ids"),
    (#"{"agent_ids":[\#(Array(repeating: "\"a\"", count: 257).joined(separator: ","))]}"#, "/agent_ids"),
    (#"{"agent_ids":[3]}"#, "/agent_ids/0"), (#"{"agent_id":"a"}"#, "/agent_id"),
    (#"{"types":"MESSAGE"}"#, "/types"), (#"{"types":["message"]}"#, "/types/0"),
    (#"{"types":[1,0]}"#, "/types/1"), (#"{"types":[9]}"#, "/types/0"), (#"{"types":[1.5]}"#, "/types/0"),
    (#"{"types":[99999999999999999999]}"#, "/types/0"), (#"{"types":[true]}"#, "/types/0"),
    (#"{"types":[\#(Array(repeating: "1", count: 65).joined(separator: ","))]}"#, "/types"),
    (#"{"metadata":{"a":1}}"#, "/metadata/a"), (#"{"metadata":{"a":"1","a":"2"}}"#, "/metadata/a"),
    (#"{"metadata":[]}"#, "/metadata"), (#"{"metadata":{},"meta_filters":{}}"#, "/meta_filters"),
    (#"{"meta_filters":{"a":null}}"#, "/meta_filters/a"),
    (#"{"since":"yesterday"}"#, "/since"), (#"{"since":1767323045}"#, "/since"),
    (#"{"until":"2026-02-30T00:00:00Z"}"#, "/until"), (#"{"until":""}"#, "/until"),
    (#"{"until":"2026-01-02T03:04:05.\#(String(repeating: "0", count: 64))Z"}"#, "/until"),
    (#"{"order":"newest"}"#, "/order"), (#"{"order":1}"#, "/order"),
    (#"{"limit":0}"#, "/limit"), (#"{"limit":1001}"#, "/limit"), (#"{"limit":-1}"#, "/limit"),
    (#"{"limit":1.0}"#, "/limit"), (#"{"limit":"20"}"#, "/limit"), (#"{"limit":1e300}"#, "/limit"),
    (#"{"limit":99999999999999999999}"#, "/limit"),
    (#"{"offset":-1}"#, "/offset"), (#"{"offset":10001}"#, "/offset"), (#"{"offset":9981}"#, "/offset"),
    (#"{"offset":9001,"limit":1000}"#, "/offset"), (#"{"offset":0,"cursor":"a"}"#, "/cursor"),
    (#"{"cursor":"a","offset":0}"#, "/offset"), (#"{"cursor":7}"#, "/cursor"),
    (#"{"cursor":"\#(String(repeating: "a", count: Limits.searchCursorBytesMax + 1))"}"#, "/cursor"),
    (#"{"highlight":1}"#, "/highlight"), (#"{"highlight":"true"}"#, "/highlight"),
    (#"{"min_position":-1}"#, "/min_position"), (#"{"min_position":9007199254740992}"#, "/min_position"),
    (#"{"min_position":"1"}"#, "/min_position"),
    (#"{"wait_seconds":-1}"#, "/wait_seconds"), (#"{"wait_seconds":31}"#, "/wait_seconds"),
    (#"{"wait_seconds":30.000001}"#, "/wait_seconds"), (#"{"wait_seconds":[]}"#, "/wait_seconds"),
    (#"{"q":"a"}"#, "/q"), (#"{"limit":1,"limit":1}"#, "/limit"),
  ]

  @Test(arguments: refused)
  func `what is refused is named`(_ body: String, _ pointer: String) {
    let problem = fault(body)
    #expect(problem?.errors.first?.pointer == pointer, "\(body.prefix(80)): \(problem?.detail ?? "accepted")")
    #expect(problem?.status == 400)
  }

  @Test func `what is no object is refused`() {
    for text in ["", "[]", "7", "null", "{", "{}{}", #"{"query":"a"#] { #expect(fault(text)?.status == 400) }
  }

  @Test func `the limits themselves are allowed`() throws {
    let text = String(repeating: "a", count: Limits.searchTextBytesMax)
    #expect(try read(#"{"query":"\#(text)"}"#).text.count == 4096)
    #expect(try read(#"{"offset":9000,"limit":1000,"wait_seconds":30}"#).waitNanoseconds == 30_000_000_000)
    #expect(try read(#"{"min_position":9007199254740991}"#).minPosition == Position(9_007_199_254_740_991))
  }

  @Test func `a cursor is bound to what is searched for, not to the page`() throws {
    let bodies = [
      "{}", #"{"query":"a"}"#, #"{"query":"b"}"#, #"{"context_id":"a"}"#, #"{"context_ids":["a","b"]}"#,
      #"{"context_id":"ab"}"#, #"{"agent_ids":["a"]}"#, #"{"types":[1]}"#, #"{"types":[1,2]}"#,
      #"{"metadata":{"a":"b"}}"#, #"{"metadata":{"ab":""}}"#, #"{"since":"2026-01-02T03:04:05Z"}"#,
      #"{"until":"2026-01-02T03:04:05Z"}"#,
    ]
    let hashes = try bodies.flatMap { body in
      let draft = try read(body)
      return [draft.hash(order: .recent), draft.hash(order: .relevance)]
    }
    #expect(Set(hashes).count == 2 * bodies.count)
    let same = try read(
      #"{"context_ids":["b","a","b"],"limit":7,"highlight":true,"min_position":3,"wait_seconds":1}"#)
    #expect(try same.hash(order: .recent) == read(#"{"context_ids":["a","b"]}"#).hash(order: .recent))
  }

  @Test func `an answer is JSON, and holds units as they are`() throws {
    var summary = SearchAnswer.Summary()
    var empty = SearchAnswer()
    #expect(
      String(decoding: empty.finish(summary), as: UTF8.self)
        == #"{"results":[],"total_count":0,"total_is_exact":true,"next_cursor":"","indexed_position":0,"partial":false}"#
    )
    summary.total = 3
    summary.isTotalExact = false
    summary.cursor = bytes("abc_-")
    summary.indexed = Position(12)
    summary.isPartial = true
    var answer = SearchAnswer()
    let record = [UInt8](unsafeUninitializedCapacity: 256) { memory, count in
      guard let base = memory.baseAddress else { return }
      var writer = EventRecordWriter(
        at: base, capacity: 256, kind: .unit, position: Position(5), logTime: LogTime(microseconds: 1))
      writer.beginBody()
      writer.out.run(#"{"id":"x"}"#)
      count = writer.finish()
    }
    try record.withUnsafeBytes { memory in
      let unit = try #require(EventView(memory))
      answer.add(unit, score: 1.5, highlight: bytes("a \"<mark>b</mark>\"\n"))
      answer.add(unit, score: .nan, highlight: nil)
    }
    #expect(answer.count == 2)
    #expect(
      String(decoding: answer.finish(summary), as: UTF8.self)
        == #"{"results":[{"work_unit":{"id":"x"},"score":1.5,"highlight":"a \"<mark>b</mark>\"\n"},"#
        + #"{"work_unit":{"id":"x"},"score":0.0,"highlight":null}],"total_count":3,"total_is_exact":false,"#
        + #""next_cursor":"abc_-","indexed_position":12,"partial":true}"#)
  }
}
