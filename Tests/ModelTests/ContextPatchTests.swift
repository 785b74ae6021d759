import Bytes
import Testing

@testable import Model

@Suite struct ContextPatchTests {
  private func read(_ text: String) throws(Problem) -> ContextPatch {
    let result = Body(text).withBytes { body -> Result<ContextPatch, Problem> in
      do throws(Problem) { return .success(try ContextPatch(body)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private func fault(_ text: String) -> String? {
    do throws(Problem) {
      _ = try read(text)
      return nil
    } catch {
      return error.detail
    }
  }

  private func context(agents: [String] = [], metadata: [(String, String)] = []) -> ContextState {
    var state = Body("c").withBytes { ContextState(id: $0, createdAt: LogTime(microseconds: 1)) }
    for agent in agents { _ = Body(agent).withBytes { state.addAgent($0) } }
    state.metadata = metadata.map { .init(key: bytes($0.0), value: bytes($0.1)) }
    return state
  }

  private func id(_ n: Int) -> UnitID { UnitID(high: 0x0190_0000_0000_7000, low: 1 << 63 | UInt64(n)) }

  private func list(_ values: some Swift.Sequence<some CustomStringConvertible>) -> String {
    "[" + values.map { "\"\($0)\"" }.joined(separator: ",") + "]"
  }

  @Test func everythingIsRead() throws {
    let patch = try read(
      #"{"display_name":"A \"name\"","add_agents":["b","a","b"],"remove_agents":["x"],"#
        + #""pin_units":["\#(target)","\#(target)"],"unpin_units":["\#(id(1))"],"#
        + #""metadata":{"k":"v","gone":null,"":""},"agent_id":"me"}"#)
    #expect(patch.displayName == bytes("A \"name\"") && patch.agent == bytes("me"))
    #expect(patch.addAgents == [bytes("b"), bytes("a")] && patch.removeAgents == [bytes("x")])
    #expect(patch.pinUnits.map(\.description) == [target] && patch.unpinUnits == [id(1)])
    #expect(
      patch.metadata == [
        .init(key: bytes("k"), value: bytes("v")), .init(key: bytes("gone"), value: nil),
        .init(key: [], value: []),
      ])
    let nothing = try read("{}")
    #expect(nothing.displayName == nil && nothing.addAgents.isEmpty && nothing.metadata.isEmpty)
  }

  @Test(arguments: [
    ("[]", " must be an object"), (#"{"name":"x"}"#, "/name is not a member of this object"),
    (#"{"display_name":"a","display_name":"a"}"#, "/display_name is given twice"),
    (#"{"display_name":null}"#, "/display_name must be a string"),
    (#"{"add_agents":"a"}"#, "/add_agents must be an array"),
    (#"{"add_agents":["a",""]}"#, "/add_agents/1 must be 1 to 256 bytes"),
    (#"{"remove_agents":["\t"]}"#, "/remove_agents/0 must not hold control characters"),
    (#"{"add_agents":["a","b"],"remove_agents":["c","c","b"]}"#, "/remove_agents/2 is in add_agents too"),
    (#"{"remove_agents":["\u0062"],"add_agents":["a","b"]}"#, "/remove_agents/0 is in add_agents too"),
    (#"{"pin_units":["x"]}"#, "/pin_units/0 must be a UUID of version 7 (RFC 9562)"),
    (
      #"{"pin_units":["\#(target)"],"unpin_units":["\#(target.uppercased())"]}"#,
      "/unpin_units/0 is in pin_units too"
    ),
    (#"{"metadata":{"a/b":1}}"#, "/metadata/a~1b must be a string or null"),
    (#"{"metadata":{"a":null,"a":"b"}}"#, "/metadata/a is given twice"),
    (#"{"metadata":null}"#, "/metadata must be an object of strings"),
    (#"{"agent_id":7}"#, "/agent_id must be a string"),
  ])
  func refuses(_ text: String, _ detail: String) {
    #expect(fault(text) == detail)
  }

  @Test func limitsOfTheBody() {
    #expect(fault(#"{"display_name":"\#(String(repeating: "x", count: 1_024))"}"#) == nil)
    let long = fault(#"{"display_name":"\#(String(repeating: "x", count: 1_025))"}"#)
    #expect(long == "/display_name must be at most 1024 bytes")
    #expect(fault(#"{"add_agents":\#(list(0..<4_096))}"#) == nil)
    #expect(fault(#"{"add_agents":\#(list(0..<4_097))}"#) == "/add_agents must hold at most 4096 agents")
    #expect(fault(#"{"pin_units":\#(list((0..<256).map(id)))}"#) == nil)
    #expect(fault(#"{"pin_units":\#(list((0..<257).map(id)))}"#) == "/pin_units must hold at most 256 units")
    func metadata(_ count: Int) -> String {
      #"{"metadata":{"# + (0..<count).map { "\"k\($0)\":null" }.joined(separator: ",") + "}}"
    }
    #expect(fault(metadata(128)) == nil && fault(metadata(129)) == "/metadata must hold at most 128 pairs")
    let twice = metadata(127).dropLast(2) + #","k5":null}}"#
    #expect(fault(String(twice)) == "/metadata has a key that is given twice")
    let value = String(repeating: "v", count: 4_097)
    #expect(fault(#"{"metadata":{"k":"\#(value)"}}"#) == "/metadata/k must be at most 4096 bytes")
  }

  // MARK: Applying

  @Test func aPatchMerges() throws {
    var state = context(agents: ["a", "b", "c"], metadata: [("keep", "1"), ("set", "2"), ("gone", "3")])
    state.displayName = bytes("old")
    state.pinnedUnits = [id(1), id(2)]
    let patch = try read(
      #"{"add_agents":["b","d"],"remove_agents":["a","nobody"],"pin_units":["\#(id(3))","\#(id(2))"],"#
        + #""unpin_units":["\#(id(1))","\#(id(9))"],"metadata":{"gone":null,"absent":null,"set":"x","new":""}}"#
    )
    #expect(state.apply(patch) == nil)
    #expect(state.agents == [bytes("b"), bytes("c"), bytes("d")] && state.displayName == bytes("old"))
    #expect(Body("d").withBytes { state.agentIndex($0) } == 2)
    #expect(Body("a").withBytes { state.agentIndex($0) } == nil)
    #expect(state.pinnedUnits == [id(2), id(3)] && state.revision == 1)
    #expect(
      state.metadata == [
        .init(key: bytes("keep"), value: bytes("1")), .init(key: bytes("set"), value: bytes("x")),
        .init(key: bytes("new"), value: []),
      ])
    #expect(state.apply(try read(#"{"display_name":""}"#)) == nil && state.displayName.isEmpty)
    let before = state
    #expect(state.apply(try read("{}")) == nil && state == before)
    #expect(
      state.apply(patch) == nil
        && state
          == {
            var again = before
            again.displayName = []
            return again
          }()
    )
  }

  @Test func limitsHoldForTheResult() throws {
    let full = context(agents: (0..<4_096).map { "agent \($0)" })
    var state = full
    #expect(state.apply(try read(#"{"add_agents":["agent 7"]}"#)) == nil && state == full)
    let one = try read(#"{"add_agents":["new"]}"#)
    #expect(state.apply(one)?.detail == "/add_agents would list more than 4096 agents")
    state = full
    #expect(state.apply(try read(#"{"add_agents":["new"],"remove_agents":["agent 0"]}"#)) == nil)
    #expect(state.agents.count == 4_096 && state.agents.last == bytes("new"))
    #expect(Body("agent 1").withBytes { state.agentIndex($0) } == 0)

    state = context()
    state.pinnedUnits = (0..<256).map(id)
    let pin = try read(#"{"pin_units":["\#(id(999))"]}"#)
    var other = state
    #expect(other.apply(pin)?.errors.first?.pointer == "/pin_units")
    let swap = try read(#"{"pin_units":["\#(id(999))"],"unpin_units":["\#(id(3))"]}"#)
    #expect(state.apply(swap) == nil && state.pinnedUnits.count == 256)

    state = context(metadata: (0..<64).map { ("k\($0)", "") })
    other = state
    #expect(other.apply(try read(#"{"metadata":{"new":""}}"#))?.errors.first?.pointer == "/metadata")
    #expect(state.apply(try read(#"{"metadata":{"new":"","k1":null}}"#)) == nil && state.metadata.count == 64)
  }

  @Test func fourThousandAgentsAreOnePass() throws {
    var state = context(agents: (0..<4_096).map { "old \($0)" })
    let names = (0..<4_096)
    let patch = try read(
      #"{"add_agents":\#(list(names.map { "new \($0)" })),"remove_agents":\#(list(names.map { "old \($0)" }))}"#
    )
    #expect(state.apply(patch) == nil && state.agents.count == 4_096)
    #expect(Body("new 4095").withBytes { state.agentIndex($0) } == 4_095)
    #expect(Body("old 0").withBytes { state.agentIndex($0) } == nil)
  }
}
