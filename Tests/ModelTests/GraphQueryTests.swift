import Bytes
import Model
import Testing

@Suite struct GraphQueryTests {
  private func read(_ text: String) throws(Problem) -> GraphQuery {
    let result = Body(text).withBytes { body -> Result<GraphQuery, Problem> in
      do throws(Problem) { return .success(try GraphQuery(body)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private let root = UnitID(high: 0x0190_0000_0000_7abc, low: 0x8000_0000_0000_0002)

  @Test func aTargetAloneIsEnough() throws {
    let query = try read(#"{"target_id":"\#(target)"}"#)
    #expect(query == GraphQuery(root: root))
    #expect(query.directions == .both && query.depth == 1 && query.limit == 100 && query.filter.isEmpty)
    for type in RelationshipType.allCases { #expect(query.follows(type: type.rawValue)) }
    // Of types that only a newer program knows.
    for type in [0, 8, 16, 255] as [UInt8] { #expect(!query.follows(type: type)) }
  }

  @Test func everythingIsRead() throws {
    let query = try read(
      #" {"limit": 1000, "depth":10, "direction":"incoming", "relationship_types":["CAUSES", 7, 2, "CAUSES"], "#
        + #""meta_filters":{"b":"2","\u0061":"é"},"target_id":"01900000-0000-7ABC-8000-000000000002"} "#)
    #expect(query.root == root && query.directions == .incoming && query.depth == 10 && query.limit == 1000)
    let types = RelationshipType.allCases.filter { query.follows(type: $0.rawValue) }
    #expect(types == [.causes, .replaces])
    #expect(
      query.filter.metadata == [
        UnitFilter.Pair(key: bytes("a"), value: bytes("é")),
        UnitFilter.Pair(key: bytes("b"), value: bytes("2")),
      ])
    let other = try read(
      #"{"target_id":"\#(target)","metadata":{"a":"1"},"relationship_types":[],"direction":"outgoing"}"#)
    #expect(other.filter.metadata == [UnitFilter.Pair(key: bytes("a"), value: bytes("1"))])
    #expect(other.directions == .outgoing && other.follows(type: 1))
  }

  @Test(arguments: [
    ("[]", " must be an object"), ("{}", "/target_id is required"),
    (#"{"depth":1}"#, "/target_id is required"),
    (#"{"target_id":"x"}"#, "/target_id must be a UUID of version 7 (RFC 9562)"),
    (#"{"target_id":7}"#, "/target_id must be a string"),
    (#"{"target_id":null}"#, "/target_id must be a string"),
    (
      #"{"target_id":"01900000-0000-4abc-8000-000000000002"}"#,
      "/target_id must be a UUID of version 7 (RFC 9562)"
    ),
    (#"{"id":"x"}"#, "/id is not a member of this object"),
    (#"{"depth":1,"depth":1}"#, "/depth is given twice"),
    (#"{"depth":0}"#, "/depth must be a whole number from 1 to 10"),
    (#"{"depth":11}"#, "/depth must be a whole number from 1 to 10"),
    (#"{"depth":1.5}"#, "/depth must be a whole number from 1 to 10"),
    (#"{"depth":-1}"#, "/depth must be a whole number from 1 to 10"),
    (#"{"depth":1e99}"#, "/depth must be a whole number from 1 to 10"),
    (#"{"depth":99999999999999999999}"#, "/depth must be a whole number from 1 to 10"),
    (#"{"depth":"1"}"#, "/depth must be a whole number from 1 to 10"),
    (#"{"depth":null}"#, "/depth must be a whole number from 1 to 10"),
    (#"{"limit":0}"#, "/limit must be a whole number from 1 to 1000"),
    (#"{"limit":1001}"#, "/limit must be a whole number from 1 to 1000"),
    (#"{"direction":"up"}"#, "/direction must be incoming, outgoing or both"),
    (#"{"direction":"Both"}"#, "/direction must be incoming, outgoing or both"),
    (#"{"direction":1}"#, "/direction must be a string"),
    (#"{"relationship_types":"CAUSES"}"#, "/relationship_types must be an array"),
    (#"{"relationship_types":["CAUSES","causes"]}"#, "/relationship_types/1 must be a type of relationship"),
    (#"{"relationship_types":[0]}"#, "/relationship_types/0 must be a type of relationship"),
    (#"{"relationship_types":[1,8]}"#, "/relationship_types/1 must be a type of relationship"),
    (#"{"relationship_types":[1.5]}"#, "/relationship_types/0 must be a type of relationship"),
    (
      #"{"relationship_types":[99999999999999999999]}"#,
      "/relationship_types/0 must be a type of relationship"
    ),
    (#"{"relationship_types":[null]}"#, "/relationship_types/0 must be a type of relationship"),
    (#"{"relationship_types":[{}]}"#, "/relationship_types/0 must be a type of relationship"),
    (#"{"meta_filters":[]}"#, "/meta_filters must be an object of strings"),
    (#"{"meta_filters":{"a":1}}"#, "/meta_filters/a must be a string"),
    (#"{"meta_filters":{"a":"1","a":"1"}}"#, "/meta_filters/a is given twice"),
    (
      #"{"meta_filters":{},"metadata":{}}"#,
      "/metadata can't stand beside meta_filters, of which it is another name"
    ),
  ])
  func whatIsWrongIsToldWithItsPlace(_ text: String, _ detail: String) {
    do throws(Problem) {
      _ = try read(text)
      Issue.record("\(text) is taken")
    } catch {
      #expect(error.detail == detail && error.code == .invalidRequest)
    }
  }

  @Test func limitsAreThere() throws {
    let types = Array(repeating: "1", count: 64).joined(separator: ",")
    _ = try read(#"{"target_id":"\#(target)","relationship_types":[\#(types)]}"#)
    do throws(Problem) {
      _ = try read(#"{"target_id":"\#(target)","relationship_types":[\#(types),1]}"#)
      Issue.record("65 types are taken")
    } catch { #expect(error.detail == "/relationship_types must hold at most 64 types") }
    let pairs = (0...64).map { #""k\#($0)":"""# }
    do throws(Problem) {
      _ = try read(#"{"target_id":"\#(target)","meta_filters":{\#(pairs.joined(separator: ","))}}"#)
      Issue.record("65 pairs are taken")
    } catch { #expect(error.detail == "/meta_filters must hold at most 64 pairs") }
  }

  /// Cut anywhere, a body is an error, and never a trap.
  @Test func bodiesThatAreCutAreRefused() throws {
    let whole =
      #"{"target_id":"\#(target)","relationship_types":["CAUSES",7],"direction":"both","depth":3,"limit":9,"metadata":{"a":"b"}}"#
    _ = try read(whole)
    for count in 0..<whole.utf8.count {
      #expect(throws: Problem.self) { try read(String(decoding: whole.utf8.prefix(count), as: UTF8.self)) }
    }
  }
}
