import Bytes
import Testing

@testable import Model

@Suite struct ContextStateTests {
  private func context(_ id: String) -> ContextState {
    Body(id).withBytes { ContextState(id: $0, createdAt: LogTime(microseconds: 1_700_000_000_000_000)) }
  }

  private func record(_ state: ContextState, agent: String, remainder: UInt32 = 0) -> [UInt8] {
    let joined = [Array(agent.utf8)][...]
    let room = ContextEncoder.bytesMax(state, joined: joined)
    return [UInt8](unsafeUninitializedCapacity: room) { memory, count in
      guard let base = memory.baseAddress else { return }
      count = ContextEncoder.encode(
        state, joined: joined, position: Position(3), logTime: state.updatedAt, requestRemainder: remainder,
        into: base, capacity: room)
    }
  }

  @Test func aNewContextIsWrittenWithEveryMember() throws {
    try record(context("c\"1"), agent: "a", remainder: 1).withUnsafeBytes { bytes in
      let view = try #require(EventView(bytes))
      #expect(view.isIntact && view.kind == .context && view.position == Position(3))
      #expect(text(view.contextID) == "c\"1" && text(view.agentID) == "a")
      #expect(view.field(.requestRemainder).map { Array($0) } == [1, 0, 0, 0])
      #expect(view.context?.revision == 1 && view.context?.lastSequence == .zero)
      #expect(
        text(view.body)
          == #"{"id":"c\"1","display_name":"","agent_ids":[],"pinned_units":[],"metadata":{},"#
          + #""created_at":"2023-11-14T22:13:20.000000Z","updated_at":"2023-11-14T22:13:20.000000Z","#
          + #""revision":1,"last_sequence":0}"#)
    }
  }

  @Test func everythingComesBackFromItsRecord() throws {
    var state = context("c\\é\"")
    state.displayName = bytes("A \"name\"\n😀\0")
    #expect(Body("agent \"1\"").withBytes { state.addAgent($0) })
    #expect(Body("agent\\2").withBytes { state.addAgent($0) })
    state.pinnedUnits = [
      UnitFacts.example.id, UnitID(high: 0x0190_0000_0000_7fff, low: 0xbfff_ffff_ffff_ffff),
    ]
    state.metadata = [.init(key: bytes("k\n"), value: bytes("v\"")), .init(key: bytes(""), value: bytes(""))]
    state.updatedAt = LogTime(microseconds: 1_700_000_001_000_001)
    state.revision = 12
    state.lastSequence = Sequence(99)
    try record(state, agent: "a").withUnsafeBytes { bytes in
      let view = try #require(EventView(bytes))
      #expect(ContextState(view) == state)
      #expect(
        view.context == ContextHead(revision: 12, lastSequence: Sequence(99), createdAt: state.createdAt))
    }
  }

  @Test func agentsAreListedOnceAndInOrder() {
    var state = context("c")
    #expect(Body("b").withBytes { state.addAgent($0) })
    #expect(Body("a").withBytes { state.addAgent($0) })
    #expect(!Body("b").withBytes { state.addAgent($0) })
    #expect(state.agents == [bytes("b"), bytes("a")])
    #expect(Body("a").withBytes { state.agentIndex($0) } == 1)
    #expect(Body("x").withBytes { state.agentIndex($0) } == nil)
    #expect(Body("b").withBytes { state.removeAgent($0) })
    #expect(!Body("b").withBytes { state.removeAgent($0) })
    #expect(Body("a").withBytes { state.agentIndex($0) } == 0)
  }

  @Test func theListEndsAtFourThousandAndNinetySixAgents() throws {
    var state = context("c")
    for n in 0..<Limits.contextAgentsMax {
      let added = Body("agent-\(n)").withBytes { state.addAgent($0) }
      #expect(added)
    }
    let added = Body("one more").withBytes { state.addAgent($0) }
    #expect(!added && state.agents.count == 4096)
    try record(state, agent: "a").withUnsafeBytes { bytes in
      let view = try #require(EventView(bytes))
      #expect(ContextState(view) == state)
    }
  }

  @Test func damageAndOtherKindsAreNil() throws {
    let whole = bytes(
      #"{"id":"c","display_name":"","agent_ids":["a"],"pinned_units":[],"metadata":{},"#
        + #""created_at":"2023-11-14T22:13:20.000000Z","updated_at":"2023-11-14T22:13:20.000000Z","#
        + #""revision":1,"last_sequence":0}"#)
    #expect(Body(whole).withBytes { ContextState(json: $0) } != nil)
    for length in 0..<whole.count {
      #expect(Body(Array(whole[..<length])).withBytes { ContextState(json: $0) } == nil)
    }
    for (old, new) in [
      (#"["a"]"#, #"["a","a"]"#), (#""c""#, #""""#), ("22:13", "22:61"), (":1,", ":-1,"), ("[]", "[1]"),
    ] {
      let damaged = String(decoding: whole, as: UTF8.self).replacing(old, with: new)
      #expect(Body(damaged).withBytes { ContextState(json: $0) } == nil, "\(new)")
    }
    try Parsed(unit()).record().withUnsafeBytes { bytes in
      let view = try #require(EventView(bytes))
      #expect(ContextState(view) == nil)
    }
  }
}
