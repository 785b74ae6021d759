import Bytes
import Model
import Router
import Testing

@testable import API

/// What clients say in a text frame, and what is wrong with it.
@Suite struct WebSocketMessageTests {
  /// What became of a message.
  private enum Outcome {
    case read(WebSocketMessage)
    case refused(Problem)
  }

  private func read(_ text: String, _ draft: UnitDraft = UnitDraft()) -> (Outcome, ref: String) {
    Array(text.utf8).withUnsafeBytes { bytes in
      var reader = WebSocketMessageReader(bytes)
      var outcome: Outcome
      do throws(Problem) { outcome = .read(try reader.read { draft }) } catch { outcome = .refused(error) }
      return (outcome, String(decoding: reader.ref, as: UTF8.self))
    }
  }

  private func subscription(_ text: String) throws -> (Subscription, Position?) {
    guard case (.read(.subscribe(let subscription, let start)), _) = read(text) else {
      throw TestFailure("no subscription: \(text)")
    }
    return (subscription, start)
  }

  private static let unit = #"{"context_id":"c","agent_id":"a","type":"MESSAGE","payload":"é"}"#

  // MARK: Publishing

  @Test func `a publish fills the draft, wherever its members stand`() throws {
    for text in [
      #"{"type":"publish","ref":"r1","work_unit":\#(Self.unit)}"#,
      #" { "work_unit" : \#(Self.unit) , "ref" : "r1" , "type" : "publish" } "#,
      #"{"ref":"r1","typ\u0065":"publi\u0073h","work_unit":\#(Self.unit)}"#,
    ] {
      let bytes = Array(text.utf8)
      let draft = UnitDraft()
      try bytes.withUnsafeBytes { bytes in
        var reader = WebSocketMessageReader(bytes)
        guard case .publish = try reader.read({ draft }) else { throw TestFailure("no publish: \(text)") }
        #expect(String(decoding: reader.ref, as: UTF8.self) == #""r1""#)
        #expect(String(decoding: draft.contextID, as: UTF8.self) == "c")
        #expect(String(decoding: draft.payload.raw(of: draft.body), as: UTF8.self) == "é")
      }
    }
  }

  @Test(arguments: [
    (#""""#, #""""#), (#""a\"b\u00e9""#, #""a\"b\u00e9""#), ("0", "0"), ("-12", "-12"),
    ("9007199254740991", "9007199254740991"),
  ])
  func `a ref comes back as it was written`(written: String, kept: String) {
    let (outcome, ref) = read(#"{"type":"ping","ref": \#(written) }"#)
    guard case .read(.ping) = outcome else { return #expect(Bool(false), "\(outcome)") }
    #expect(ref == kept)
  }

  @Test(arguments: ["1.5", "1e3", "null", "true", "[]", #"{"a":1}"#, "9007199254740993"])
  func `other values are no ref`(written: String) {
    let (outcome, ref) = read(#"{"type":"publish","ref":\#(written),"work_unit":\#(Self.unit)}"#)
    guard case .refused(let problem) = outcome else { return #expect(Bool(false), "\(outcome)") }
    #expect(problem.code == .invalidRequest)
    #expect(ref == "")
  }

  @Test func `a ref may have 256 bytes, and is not kept if it has more`() {
    let most = String(repeating: "r", count: Limits.messageRefBytesMax)
    #expect(read(#"{"type":"ping","ref":"\#(most)"}"#).ref == #""\#(most)""#)
    let (outcome, ref) = read(#"{"type":"ping","ref":"\#(most)r"}"#)
    guard case .refused(let problem) = outcome else { return #expect(Bool(false), "\(outcome)") }
    #expect(problem.errors.first?.pointer == "/ref")
    #expect(ref == "")
  }

  /// The text, the pointer at what is wrong, and whether `"r"` is found as the ref.
  @Test(arguments: [
    (#"{"type":"publish","ref":"r"}"#, "/work_unit", true),
    (#"{"type":"publish","work_unit":3,"ref":"r"}"#, "/work_unit", true),
    (#"{"type":"publish","work_unit":{"context_id":"c"},"ref":"r"}"#, "/work_unit/type", true),
    (#"{"ref":"r","type":"publish","work_unit":{"context_id":"c","colour":1}}"#, "/work_unit/colour", true),
    (#"{"type":"publish","work_unit":\#(unit),"work_unit":\#(unit)}"#, "/work_unit", false),
    (#"{"type":"publish","work_unit":\#(unit),"a/b~":1,"ref":"r"}"#, "/a~1b~0", true),
    (#"{"early":1,"ref":"r","type":"publish","work_unit":\#(unit)}"#, "/early", true),
    (#"{"type":"ping","work_unit":\#(unit)}"#, "/work_unit", false),
    (#"{"work_unit":\#(unit),"type":"ping"}"#, "/work_unit", false),
    (#"{"type":"unsubscribe","contexts":[],"ref":"r"}"#, "/contexts", true),
    (#"{"type":"ping","ref":"r","ref":"s"}"#, "/ref", true),
    (#"{"type":"ping","type":"ping"}"#, "/type", false),
    (#"{"type":"Ping","ref":"r"}"#, "/type", true), (#"{"type":1,"ref":"r"}"#, "/type", true),
    (#"{"ref":"r"}"#, "/type", true), ("{}", "/type", false),
    (#"{"type":"subscribe","ref":"r","work_unit":1}"#, "/work_unit", true),
    (#"{"contexts":3,"type":"subscribe","ref":"r"}"#, "/contexts", true),
  ])
  func `what is wrong is pointed at`(text: String, pointer: String, hasRef: Bool) {
    let (outcome, ref) = read(text)
    guard case .refused(let problem) = outcome else { return #expect(Bool(false), "\(text) \(outcome)") }
    #expect(problem.code == .invalidRequest)
    #expect(problem.errors.first?.pointer == pointer, "\(text)")
    #expect(problem.detail.hasPrefix(pointer))
    #expect(ref == (hasRef ? #""r""# : ""), "\(text)")
  }

  @Test func `no text that is cut is a message, and none traps`() {
    let whole = Array(#"{"type":"publish","ref":"r","work_unit":\#(Self.unit),"x":[{"y":null}]}"#.utf8)
    for count in 0..<whole.count {
      let (outcome, _) = read(String(decoding: whole[..<count], as: UTF8.self))
      guard case .refused = outcome else { return #expect(Bool(false), "\(count): \(outcome)") }
    }
    for text in [
      "", " ", "[]", "1", "null", #""ping""#, #"{"type":"ping"}}"#, String(repeating: "[", count: 99),
    ] {
      guard case .refused = read(text).0 else { return #expect(Bool(false), "\(text)") }
    }
  }

  // MARK: Subscriptions

  @Test func `a subscribe says all that the query of a stream can`() throws {
    let (all, start) = try subscription(#"{"type":"subscribe"}"#)
    #expect(all == Subscription())
    #expect(start == nil)
    let (every, from) = try subscription(
      #"{"contexts":["a","é","a"],"after":"17","type":"subscribe","types":["ERROR",1,"8"],"agents":["x"],"#
        + #""events":["lock","workunit"],"lock":"/repo/","ref":7}"#)
    #expect(from == Position(17))
    #expect(every.contexts == [Array("a".utf8), Array("é".utf8)])
    #expect(every.types == [1, 7, 8])
    #expect(every.agents == [Array("x".utf8)])
    #expect(every.kinds == [.locks, .units])
    #expect(every.lockPrefix == Array("repo/".utf8))
    #expect(try subscription(#"{"type":"subscribe","after":0}"#).1 == Position(0))
    // As `subscribed` has it where all are followed.
    #expect(try subscription(#"{"type":"subscribe","contexts":[],"events":[]}"#).0 == Subscription())
  }

  @Test(arguments: [
    (#""contexts":"a""#, "/contexts"), (#""contexts":[1]"#, "/contexts/0"),
    (#""contexts":["a",""]"#, "/contexts/1"),
    (#""after":"x""#, "/after"), (#""after":"-1""#, "/after"), (#""after":-1"#, "/after"),
    (#""after":1.5"#, "/after"), (#""after":[]"#, "/after"), (#""after":"01""#, "/after"),
    (#""after":"99999999999999999999""#, "/after"), (#""types":["NOTHING"]"#, "/types/0"),
    (#""types":[9]"#, "/types/0"), (#""types":"ERROR""#, "/types"), (#""agents":{}"#, "/agents"),
    (#""events":["workunit,lock"]"#, "/events/0"), (#""events":"lock""#, "/events"), (#""lock":1"#, "/lock"),
    (#""lock":"\u0001""#, "/lock"), (#""colour":"red""#, "/colour"), (#""after":1,"after":2"#, "/after"),
  ])
  func `a member that is wrong is named`(member: String, pointer: String) {
    let (outcome, ref) = read(#"{"type":"subscribe",\#(member),"ref":"r"}"#)
    guard case .refused(let problem) = outcome else { return #expect(Bool(false), "\(member) \(outcome)") }
    #expect(problem.errors.first?.pointer == pointer)
    #expect(ref == #""r""#)
  }

  @Test func `256 contexts are taken; of a million the first too many ends it`() throws {
    func contexts(_ count: Int) -> String { (0..<count).map { "\"c\($0)\"" }.joined(separator: ",") }
    let most = try subscription(#"{"type":"subscribe","contexts":[\#(contexts(256))]}"#).0
    #expect(most.contexts?.count == Limits.subscriptionContextsMax)
    let million = String(repeating: "\"c\",", count: 1_000_000)
    let (outcome, _) = read(#"{"type":"subscribe","contexts":[\#(million)"c"]}"#)
    guard case .refused(let problem) = outcome else { return #expect(Bool(false), "\(outcome)") }
    #expect(problem.detail == "/contexts must hold at most 256 contexts")
  }
}
