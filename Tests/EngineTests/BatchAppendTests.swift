import EngramTesting
import Engine
import Model
import Storage
import Testing
import WAL

/// Requests of many units: all there or not at all.
struct BatchAppendTests {
  private static let ids = (0..<3).map {
    UnitID.make(logTime: LogTime(microseconds: 1_700_000_000_000_000), random: UInt64(7 + $0))
  }

  private static func units(_ count: Int, _ context: String = "c", payload: String = "x") -> [String] {
    (0..<count).map { ManualHome.unit(context, agent: "a\($0 % 2)", payload: payload) }
  }

  private func sequences(_ request: AppendRequest) -> [UInt64] {
    (0..<request.count).compactMap { request.unit($0)?.unit?.sequence.rawValue }
  }

  @Test func `a request lies in one batch, in its order, and says how much of it follows`() throws {
    let bench = try ManualHome()
    let request = bench.submit(Self.units(4))
    bench.home.endOfTurn()
    let next = bench.submit(Self.units(2))
    bench.commit()
    #expect(sequences(request) == [1, 2, 3, 4] && sequences(next) == [5, 6])
    #expect(bench.published.map(\.count) == [5, 2])
    let remainders = (0..<5).map { bench.published[0].record($0).requestRemainder }
    #expect(remainders == [4, 3, 2, 1, 0])
  }

  @Test func `a context's event lists all who join, and stands before the first of them`() throws {
    let bench = try ManualHome()
    bench.submit(Self.units(3))
    bench.commit()
    let event = bench.published[0].record(0)
    var joined: [String] = []
    event.forEachAgent { joined.append(String(decoding: $0, as: UTF8.self)) }
    #expect(joined == ["a0", "a1"])
    // The context as it was before the units that follow.
    #expect(ContextState(event)?.lastSequence == .zero && ContextState(event)?.agents.count == 2)
    #expect(bench.home.knownContext(BatchMaker.name("c"))?.lastSequence == Sequence(3))
  }

  @Test func `units may go to several contexts`() throws {
    let bench = try ManualHome()
    let request = bench.submit(["c", "d", "c", "e", "d"].map { ManualHome.unit($0) })
    bench.commit()
    #expect(sequences(request) == [1, 1, 2, 1, 2])
    #expect(bench.published.map(\.count) == [8])
  }

  @Test func `contexts that are loaded are waited for together, each read once`() throws {
    let store = SimulatedStore()
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    store.setFaults(faults)
    let bench = try ManualHome(store: store) { $0.contextsPerRead = 1 }
    let request = bench.submit(["c", "d", "c"].map { ManualHome.unit($0) })
    let other = bench.post("d")
    #expect(bench.reads.count == 2)
    bench.finishRead()
    bench.commit()
    #expect(bench.told(request) == nil && bench.told(other) == nil)
    bench.finishRead()
    bench.commit()
    #expect(sequences(request) == [1, 1, 2] && bench.told(other) == .appended(2))
    #expect(bench.home.isIdle && bench.home.waitingCount == 0)
  }

  @Test func `if one context can't be read nothing is appended, and nothing stays pinned`() throws {
    let store = SimulatedStore()
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    store.setFaults(faults)
    let bench = try ManualHome(store: store) { $0.contextsPerRead = 1 }
    let request = bench.submit(["c", "d"].map { ManualHome.unit($0) })
    bench.finishRead()
    faults.failingCall = 1
    store.setFaults(faults)
    bench.finishRead()
    #expect(bench.told(request) == .refused(.unavailable) && bench.home.tail == .zero)
    store.setFaults(SimulatedStore.Faults())
    bench.post("c")
    bench.commit()
    #expect(bench.home.tail == Position(2) && bench.home.isIdle)
  }

  @Test func `a pool of readers that is full refuses the request once those under way are back`() throws {
    let store = SimulatedStore()
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    store.setFaults(faults)
    let bench = try ManualHome(store: store) { $0.contextsPerRead = 1 }
    bench.readsMax = 1
    let request = bench.submit(["c", "d"].map { ManualHome.unit($0) })
    #expect(bench.told(request) == nil)
    bench.finishRead()
    #expect(bench.told(request) == .refused(.unavailable) && bench.home.isIdle)
  }

  @Test func `a thousand contexts are few reads`() throws {
    let store = SimulatedStore()
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    store.setFaults(faults)
    let bench = try ManualHome(log: SimulatedLog(batchBytesLimit: 4 << 20), store: store)
    let request = bench.submit((0..<1000).map { ManualHome.unit("c\($0)") })
    #expect(bench.reads.count <= 64)
    while !bench.reads.isEmpty { bench.finishRead() }
    bench.commit()
    #expect(sequences(request) == Array(repeating: 1, count: 1000) && bench.home.isIdle)
  }

  @Test func `ids that all exist are answered, some are a conflict`() throws {
    let bench = try ManualHome()
    let units = Self.ids.prefix(2).map { ManualHome.unit(id: $0) }
    let first = bench.submit(units)
    let twin = bench.submit(units)
    bench.commit()
    #expect(bench.told(first) == .appended(1) && bench.told(twin) == .exists)
    let more = bench.submit(units + [ManualHome.unit(id: Self.ids[2])])
    let mixed = bench.submit(units + [ManualHome.unit()])
    let other = bench.submit([units[0], ManualHome.unit(payload: "other", id: Self.ids[1])])
    for request in [more, mixed, other] { #expect(bench.told(request) == .refused(.conflict)) }
    let twice = bench.submit([ManualHome.unit(id: Self.ids[2]), ManualHome.unit(id: Self.ids[2])])
    #expect(bench.told(twice) == .refused(.invalidRequest))
    #expect(bench.home.tail == Position(3))
  }

  @Test func `what is wrong with one unit is told with its pointer`() throws {
    let bench = try ManualHome()
    let request = bench.submit([ManualHome.unit(), ManualHome.unit(isFenced: true)])
    guard case .refused(let problem) = request.outcome else {
      Issue.record("\(String(describing: request.outcome))")
      return
    }
    #expect(problem.code == .fenceRejected && problem.errors.first?.pointer == "/fence")
    let late = bench.submit([ManualHome.unit(expected: 1), ManualHome.unit(expected: 1)])
    #expect(bench.told(late) == .refused(.preconditionFailed))
    let right = bench.submit([ManualHome.unit(expected: 1), ManualHome.unit(expected: 2)])
    bench.commit()
    #expect(sequences(right) == [1, 2])
  }

  @Test func `a request is refused if it is larger than a batch of the log`() throws {
    let bench = try ManualHome()
    let request = bench.submit(Self.units(4, payload: String(repeating: "p", count: 20_000)))
    #expect(bench.told(request) == .refused(.payloadTooLarge) && bench.home.tail == .zero)
    let half = bench.submit(Self.units(2, payload: String(repeating: "p", count: 20_000)))
    bench.commit()
    #expect(sequences(half) == [1, 2] && bench.published.count == 1)
  }

  @Test func `a request is reset and used again`() throws {
    let bench = try ManualHome()
    let request = bench.submit(Self.units(3))
    bench.commit()
    request.reset()
    #expect(request.count == 0 && request.outcome == nil && request.unit(0) == nil)
  }
}
