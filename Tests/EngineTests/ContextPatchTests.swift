import EngramTesting
import Engine
import Model
import Testing
import WAL

/// Changes of contexts by their clients, at the home of the log.
struct ContextPatchTests {
  private static let id = UnitID.make(logTime: LogTime(microseconds: 1_700_000_000_000_000), random: 7)
  private static let other = UnitID.make(logTime: LogTime(microseconds: 1_700_000_000_000_000), random: 8)

  /// The context as the last published event of it tells.
  private static func told(_ bench: ManualHome) -> ContextState? {
    bench.published.lazy.flatMap { batch in (0..<batch.count).map { batch.record($0) } }
      .last { $0.kind == .context }.flatMap { ContextState($0) }
  }

  private static func slow(_ bench: ManualHome, _ isSlow: Bool) {
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = isSlow ? 255 : 0
    bench.store.setFaults(faults)
  }

  @Test func `a change is told once its event, with the context after it, is durable`() throws {
    let bench = try ManualHome()
    let body =
      #"{"display_name":"Plan","add_agents":["a","b"],"metadata":{"k":"v","gone":null}}"#
    let request = try bench.patch("c", body)
    bench.home.endOfTurn()
    #expect(bench.told(request) == nil && bench.story.isEmpty)
    bench.log.step()
    #expect(bench.story == ["published 1...1", "told created"])
    let state = try #require(Self.told(bench))
    #expect(state.displayName == BatchMaker.name("Plan") && state.revision == 1)
    #expect(state.agents == ["a", "b"].map(BatchMaker.name))
    #expect(state.metadata == [.init(key: BatchMaker.name("k"), value: BatchMaker.name("v"))])
    #expect(state == bench.home.knownContext(BatchMaker.name("c")))
    #expect(state.createdAt == state.updatedAt && state.createdAt.microseconds == bench.clock)
  }

  @Test func `each change is the next revision, and says where the units are`() throws {
    let bench = try ManualHome()
    bench.post("c", agent: "a")
    bench.pass(microseconds: 5)
    let first = try bench.patch("c", #"{"metadata":{"k":"1","l":"2"}}"#)
    bench.post("c", agent: "b")
    let second = try bench.patch("c", #"{"metadata":{"k":null},"remove_agents":["a"]}"#)
    bench.commit()
    #expect(bench.told(first) == .changed(revision: 2) && bench.told(second) == .changed(revision: 4))
    let state = try #require(Self.told(bench))
    #expect(state.lastSequence == Sequence(2) && state.agents == [BatchMaker.name("b")])
    #expect(state.metadata.map(\.key) == [BatchMaker.name("l")] && state.updatedAt > state.createdAt)
    #expect(
      bench.history == ["1 context c", "2 unit c", "3 context c", "4 context c", "5 unit c", "6 context c"])
  }

  @Test func `the event names who joined by it, and they need not join again`() throws {
    let bench = try ManualHome()
    bench.post("c", agent: "a")
    try bench.patch("c", #"{"add_agents":["a","b","x"]}"#)
    bench.commit()
    let last = try #require(bench.published.last)
    var joined: [String] = []
    last.record(last.count - 1).forEachAgent { joined.append(String(decoding: $0, as: UTF8.self)) }
    #expect(joined == ["b", "x"])
    bench.post("c", agent: "b")
    bench.commit()
    #expect(bench.history.last == "4 unit c" && bench.history.count == 4)
  }

  @Test func `a precondition is on the revision, and its refusal waits for what it tells`() throws {
    let bench = try ManualHome()
    #expect(bench.told(try bench.patch("c", if: .exists)) == .refused(.preconditionFailed))
    #expect(bench.told(try bench.patch("c", if: .revision([0, 1]))) == .refused(.preconditionFailed))
    bench.post("c")
    let exists = try bench.patch("c", if: .exists)
    let stale = try bench.patch("c", if: .revision([1]))
    let fresh = try bench.patch("c", if: .revision([5, 2]))
    bench.home.endOfTurn()
    #expect(bench.told(stale) == nil)
    bench.commit()
    #expect(bench.told(exists) == .changed(revision: 2) && bench.told(stale) == .refused(.preconditionFailed))
    #expect(bench.told(fresh) == .changed(revision: 3))
    // Units don't count.
    bench.post("c")
    #expect(bench.told(try bench.patch("c", if: .revision([3]))) == nil)
  }

  @Test func `what is pinned is looked up in the window, the store's memory and the disk`() throws {
    let bench = try ManualHome { $0.windowBytesMax = 0 }
    bench.post("c", id: Self.id)
    bench.post("d", id: Self.other)
    bench.commit()
    let body = #"{"pin_units":["\#(Self.id)"]}"#
    let fromWindow = try bench.patch("c", body)
    bench.commit()
    try bench.apply()
    #expect(bench.home.window.batchCount == 0)
    let fromMemory = try bench.patch("c", body)
    Self.slow(bench, true)
    let fromDisk = try bench.patch("c", body)
    let foreign = try bench.patch("c", #"{"pin_units":["\#(Self.id)","\#(Self.other)"]}"#)
    #expect(bench.reads.count == 2)
    bench.finishRead()
    bench.finishRead()
    bench.commit()
    #expect(
      bench.told(fromWindow) == .changed(revision: 2) && bench.told(fromMemory) == .changed(revision: 3))
    #expect(bench.told(fromDisk) == .changed(revision: 4) && bench.told(foreign) == .refused(.invalidRequest))
    #expect(Self.told(bench)?.pinnedUnits == [Self.id])
    let unpinned = try bench.patch("c", #"{"unpin_units":["\#(Self.id)"]}"#)
    bench.commit()
    #expect(bench.told(unpinned) == .changed(revision: 5) && Self.told(bench)?.pinnedUnits == [])
  }

  @Test func `a unit that nobody has, and one of another context, can't be pinned`() throws {
    let bench = try ManualHome()
    bench.post("d", id: Self.other)
    bench.commit()
    for id in [Self.id, Self.other] {
      let request = try bench.patch("c", #"{"pin_units":["\#(id)"]}"#)
      #expect(bench.told(request) == .refused(.invalidRequest))
    }
    bench.commit()
    #expect(bench.home.tail == Position(2))
  }

  @Test func `a change waits for its context, and a store that can't be read refuses it`() throws {
    let bench = try ManualHome()
    Self.slow(bench, true)
    let waiting = try bench.patch("c", #"{"display_name":"x"}"#)
    #expect(bench.told(waiting) == nil && bench.reads.count == 1)
    bench.finishRead()
    bench.commit()
    #expect(bench.told(waiting) == .created)
    var faults = SimulatedStore.Faults()
    faults.failingCall = 1
    bench.store.setFaults(faults)
    #expect(bench.told(try bench.patch("d")) == .refused(.unavailable))
  }

  @Test func `what goes beyond a limit is refused, and changes nothing`() throws {
    let bench = try ManualHome()
    let pairs = (0..<Limits.metadataPairsMax).map { "\"k\($0)\":\"v\"" }.joined(separator: ",")
    try bench.patch("c", "{\"metadata\":{\(pairs)}}")
    let more = try bench.patch("c", #"{"display_name":"x","metadata":{"more":"v"}}"#)
    #expect(bench.told(more) == nil, "it depends on what isn't durable")
    bench.commit()
    #expect(bench.told(more) == .refused(.invalidRequest))
    #expect(bench.home.knownContext(BatchMaker.name("c"))?.displayName == [])
    #expect(bench.home.knownContext(BatchMaker.name("c"))?.revision == 1)
  }

  @Test func `a full disk and a log that failed refuse it`() throws {
    let bench = try ManualHome()
    bench.log.room = 0
    #expect(bench.told(try bench.patch("c")) == .refused(.storageFull))
    bench.log.room = 5
    bench.log.failNextWrite = .lost
    let lost = try bench.patch("c")
    bench.commit()
    #expect(bench.told(lost) == nil && bench.failure != nil)
    #expect(bench.told(try bench.patch("c")) == .refused(.unavailable))
  }

  @Test func `a start knows every change, from store and log`() throws {
    for applies in [false, true] {
      let first = try ManualHome()
      try first.patch("c", #"{"display_name":"x","add_agents":["b"]}"#)
      first.commit()
      if applies {
        try first.apply()
        try first.store.flush(wait: true)
      }
      try first.patch("c", #"{"metadata":{"k":"v"}}"#)
      first.commit()
      let second = try first.successor()
      #expect(second.home.knownContext(BatchMaker.name("c")) == first.home.knownContext(BatchMaker.name("c")))
      #expect(second.told(try second.patch("c", if: .revision([1]))) == .refused(.preconditionFailed))
    }
  }
}
