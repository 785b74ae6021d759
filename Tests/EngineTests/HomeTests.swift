import EngramTesting
import Engine
import Model
import Storage
import Testing
import WAL

struct HomeTests {
  private static let id = UnitID.make(logTime: LogTime(microseconds: 1_700_000_000_000_000), random: 7)

  // MARK: Commit

  @Test func `nothing is told before the batch is durable, and then it is published first`() throws {
    let bench = try ManualHome()
    let request = bench.post()
    bench.home.endOfTurn()
    #expect(bench.story.isEmpty && bench.told(request) == nil && bench.home.window.head == .zero)
    bench.log.step()
    #expect(bench.story == ["published 1...2", "told appended(1)"])
    #expect(bench.home.window.head == Position(2))
  }

  @Test func `a turn's appends share a batch, and the next one grows while it is in flight`() throws {
    let bench = try ManualHome()
    let requests = (0..<5).map { number in
      if number == 2 { bench.home.endOfTurn() }
      return bench.post()
    }
    bench.home.endOfTurn()
    bench.commit()
    #expect(bench.published.map(\.count) == [3, 3])
    #expect(requests.map { bench.told($0) } == (1...5).map { .appended($0) })
  }

  @Test func `the open batch is sealed when it is full, in the order of arrival`() throws {
    let bench = try ManualHome()
    let payload = String(repeating: "p", count: 6_000)
    let requests = (0..<9).map { _ in bench.post(payload: payload) }
    #expect(bench.home.waitingCount > 0)
    bench.commit()
    #expect(requests.map { bench.told($0) } == (1...9).map { .appended($0) })
    #expect(bench.published.count >= 4 && bench.home.isIdle)
  }

  @Test func `a unit may be larger than a slab, and none larger than the log can take`() throws {
    let bench = try ManualHome()
    let large = bench.post(payload: String(repeating: "p", count: 50_000))
    let small = bench.post()
    let tooLarge = bench.post(payload: String(repeating: "p", count: 70_000))
    let last = bench.post()
    bench.commit()
    #expect(bench.told(large) == .appended(1) && bench.told(small) == .appended(2))
    #expect(bench.told(tooLarge) == .refused(.payloadTooLarge))
    #expect(bench.told(last) == .appended(3))
  }

  @Test(arguments: [SimulatedLog.Failure.kept, .lost])
  func `when the log fails nobody is answered, and nothing is taken any more`(
    failure: SimulatedLog.Failure
  ) throws {
    let bench = try ManualHome()
    bench.log.failNextWrite = failure
    let first = bench.post()
    bench.home.endOfTurn()
    let second = bench.post()
    bench.commit()
    #expect(bench.failure != nil && bench.story.isEmpty)
    #expect(bench.told(first) == nil && bench.told(second) == nil)
    #expect(bench.told(bench.post()) == .refused(.unavailable))
  }

  @Test(arguments: [false, true])
  func `a batch that finds no room is written once there is some`(isEarly: Bool) throws {
    let bench = try ManualHome()
    bench.post()
    bench.commit()
    let waiting = bench.post()
    bench.log.room = 0
    bench.home.endOfTurn()
    // Room may be found before the log has even said that there is none.
    if isEarly { bench.log.room = 5 }
    while bench.log.step() {}
    if !isEarly {
      #expect(bench.told(waiting) == nil && bench.told(bench.post()) == .refused(.storageFull))
      bench.log.room = 5
    }
    bench.commit()
    #expect(bench.told(waiting) == .appended(2))
    #expect(bench.told(bench.post()) == nil)
  }

  // MARK: Witnesses

  @Test func `a quiet log is given one witness for its last batch`() throws {
    let bench = try ManualHome()
    bench.post()
    bench.commit()
    for _ in 0..<3 {
      bench.home.bearWitness()
      while bench.log.step() {}
    }
    #expect(bench.log.batches.map(\.count) == [2, 0])
    #expect(bench.log.tail.number == 2)
  }

  @Test func `after a start the recovered tail gets one too`() throws {
    let first = try ManualHome()
    first.post()
    first.commit()
    let second = try ManualHome(log: first.log, store: first.store, batches: first.published)
    second.home.bearWitness()
    while second.log.step() {}
    #expect(second.log.batches.map(\.count) == [2, 0])
  }

  @Test func `a witness that found no room is tried again`() throws {
    let bench = try ManualHome()
    bench.post()
    bench.commit()
    bench.log.room = 0
    bench.home.bearWitness()
    while bench.log.step() {}
    bench.log.room = 1
    bench.home.bearWitness()
    while bench.log.step() {}
    #expect(bench.log.batches.map(\.count) == [2, 0] && bench.failure == nil)
  }

  // MARK: Limits

  @Test func `while it drains it takes nothing and finishes what it has`() throws {
    let bench = try ManualHome()
    let taken = bench.post()
    bench.home.drain()
    #expect(bench.told(bench.post()) == .refused(.unavailable))
    bench.commit()
    #expect(bench.told(taken) == .appended(1) && bench.home.isIdle)
  }

  @Test func `short space refuses writes until there is some`() throws {
    let bench = try ManualHome()
    bench.home.isSpaceShort = true
    #expect(bench.told(bench.post()) == .refused(.storageFull) && bench.home.isOverloaded)
    bench.home.isSpaceShort = false
    bench.post()
    bench.commit()
    #expect(bench.published.count == 1)
  }

  @Test func `a log without room refuses before anything is sequenced`() throws {
    let bench = try ManualHome()
    bench.log.room = 0
    #expect(bench.told(bench.post()) == .refused(.storageFull))
    #expect(bench.home.tail == .zero)
  }

  @Test func `a store that is behind refuses until it has applied`() throws {
    let bench = try ManualHome { $0.unappliedBytesMax = 1 }
    bench.post()
    bench.commit()
    #expect(bench.told(bench.post()) == .refused(.unavailable) && bench.home.unappliedBytes == 4096)
    try bench.apply()
    #expect(bench.home.unappliedBytes == 0)
    #expect(bench.told(bench.post()) == nil)
  }

  @Test func `when the store falls behind, appends go at its pace, in their order`() throws {
    let bench = try ManualHome { $0.unappliedBytesPaced = 1 }
    bench.post()
    bench.commit()
    let waiting = (0..<3).map { _ in bench.post() }
    bench.commit()
    #expect(waiting.allSatisfy { bench.told($0) == nil } && bench.home.waitingCount == 3)
    #expect(!bench.home.isIdle && bench.published.count == 1)
    try bench.apply()
    bench.commit()
    #expect(waiting.map { bench.told($0) } == [.appended(2), .appended(3), .appended(4)])
  }

  @Test func `who has waited too long for the store is refused`() throws {
    let bench = try ManualHome {
      $0.unappliedBytesPaced = 1
      $0.pacedSecondsMax = 2
    }
    bench.post()
    bench.commit()
    let early = bench.post()
    for _ in 0..<2 { bench.home.secondPassed() }
    let late = bench.post()
    #expect(bench.told(early) == nil)
    bench.home.secondPassed()
    #expect(bench.told(early) == .refused(.unavailable) && bench.told(late) == nil)
    try bench.apply()
    bench.commit()
    #expect(bench.told(late) == .appended(2) && bench.home.isIdle)
  }

  @Test func `a log that can't be trimmed refuses until it is`() throws {
    let bench = try ManualHome { $0.logBytesMax = 4096 }
    for _ in 0..<2 {
      bench.post()
      bench.commit()
    }
    #expect(bench.told(bench.post()) == .refused(.unavailable))
    bench.log.trim(through: Position(2))
    #expect(bench.told(bench.post()) == nil)
  }

  @Test func `a full backlog refuses`() throws {
    let bench = try ManualHome { $0.backlogMax = 1 }
    let payload = String(repeating: "p", count: 12_000)
    bench.post(payload: payload)
    bench.post(payload: payload)
    let waiting = bench.post(payload: payload)
    #expect(bench.home.waitingCount == 1)
    #expect(bench.told(bench.post()) == .refused(.unavailable))
    bench.commit()
    #expect(bench.told(waiting) == .appended(3))
  }

  @Test func `too many loads refuse, and so does a pool of readers that is full`() throws {
    let store = SimulatedStore()
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    store.setFaults(faults)
    let bench = try ManualHome(store: store) { $0.loadsWaitingMax = 2 }
    bench.readsMax = 1
    let first = bench.post("c")
    #expect(bench.told(bench.post("d")) == .refused(.unavailable), "no reader is free")
    let second = bench.post("c")
    #expect(bench.told(bench.post("c")) == .refused(.unavailable), "two loads wait")
    bench.finishRead()
    bench.commit()
    #expect(bench.told(first) == .appended(1) && bench.told(second) == .appended(2))
  }

  // MARK: Loading

  private static func slowStore() -> SimulatedStore {
    let store = SimulatedStore()
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    store.setFaults(faults)
    return store
  }

  @Test func `a context is read once for all who wait for it`() throws {
    let bench = try ManualHome(store: Self.slowStore())
    let requests = (0..<4).map { _ in bench.post("c") }
    let other = bench.post("d")
    #expect(bench.reads.count == 2 && bench.home.waitingCount == 5)
    bench.finishRead()
    bench.finishRead()
    bench.commit()
    #expect(requests.map { bench.told($0) } == (1...4).map { .appended($0) })
    #expect(bench.told(other) == .appended(1) && bench.home.waitingCount == 0)
  }

  @Test func `who comes while a context is loaded waits with the others`() throws {
    let bench = try ManualHome(store: Self.slowStore())
    bench.post("c")
    // Memory could tell now; but then two answers would make the context resident.
    bench.store.setFaults(SimulatedStore.Faults())
    let second = bench.post("c")
    #expect(bench.home.waitingCount == 2 && bench.reads.count == 1)
    bench.finishRead()
    bench.commit()
    #expect(bench.told(second) == .appended(2))
  }

  @Test func `a store that can't be read refuses, and nothing is appended`() throws {
    let bench = try ManualHome()
    var faults = SimulatedStore.Faults()
    faults.failingCall = 1
    bench.store.setFaults(faults)
    #expect(bench.told(bench.post()) == .refused(.unavailable))
    bench.post()
    bench.commit()
    #expect(bench.home.tail == Position(2))
  }

  // MARK: Retries

  @Test func `the same unit again is answered when the first one is durable`() throws {
    let bench = try ManualHome()
    let first = bench.post(id: Self.id)
    bench.home.endOfTurn()
    let second = bench.post(id: Self.id)
    #expect(bench.told(second) == nil)
    bench.commit()
    #expect(bench.told(first) == .appended(1) && bench.told(second) == .exists)
    #expect(bench.told(bench.post(id: Self.id)) == .exists)
    #expect(bench.home.tail == Position(2))
  }

  @Test func `a conflict with a unit that a crash could take back is not told`() throws {
    let bench = try ManualHome()
    bench.post(id: Self.id)
    let other = bench.post(payload: "y", id: Self.id)
    bench.home.endOfTurn()
    #expect(bench.told(other) == nil)
    bench.commit()
    #expect(bench.told(other) == .refused(.conflict))
  }

  @Test func `a sequence that a crash could take back is not told`() throws {
    let bench = try ManualHome()
    bench.post()
    let late = bench.post(expected: 1)
    let right = bench.post(expected: 2)
    bench.home.endOfTurn()
    #expect(bench.story.isEmpty)
    bench.commit()
    #expect(bench.told(late) == .refused(.preconditionFailed) && bench.told(right) == .appended(2))
    #expect(bench.told(bench.post(expected: 2)) == .refused(.preconditionFailed))
  }

  @Test func `a fence is refused, for no lock is held`() throws {
    let bench = try ManualHome()
    #expect(bench.told(bench.post(isFenced: true)) == .refused(.fenceRejected))
    #expect(bench.home.tail == .zero)
  }

  @Test func `an append that waited for room sees what was published meanwhile`() throws {
    let bench = try ManualHome()
    let payload = String(repeating: "p", count: 12_000)
    let first = bench.post(id: Self.id)
    bench.home.endOfTurn()
    bench.post(payload: payload)
    bench.post(payload: payload)
    let again = bench.post(id: Self.id)
    #expect(bench.home.waitingCount == 2)
    bench.commit()
    #expect(bench.told(first) == .appended(1) && bench.told(again) == .exists)
    #expect(bench.home.window.head == Position(4))
  }

  @Test func `an append that waited for its context sees even what has left the window since`() throws {
    let bench = try ManualHome { $0.windowBytesMax = 0 }
    bench.post("c")
    bench.commit()
    // Its id is looked up and unknown; then its context keeps it waiting.
    var faults = SimulatedStore.Faults()
    faults.incompleteChance = 255
    bench.store.setFaults(faults)
    let slow = bench.post("d", id: Self.id)
    bench.finishRead()
    #expect(bench.reads.count == 1, "the id is known to be free, the context is not loaded yet")
    // Another post takes the id, and is applied and out of the window before the context is there.
    bench.store.setFaults(SimulatedStore.Faults())
    let quick = bench.post("c", id: Self.id)
    bench.commit()
    try bench.apply()
    #expect(bench.told(quick) == .appended(2) && bench.home.window.batchCount == 0)
    bench.finishRead()
    bench.commit()
    #expect(bench.told(slow) == .refused(.conflict))
  }

  // MARK: The window

  @Test func `the window keeps what the store hasn't applied, and as much more as it may`() throws {
    let bench = try ManualHome { $0.windowBytesMax = 8192 }
    for _ in 0..<4 {
      bench.post()
      bench.commit()
    }
    #expect(bench.home.window.bytes == 16_384 && bench.evicted.isEmpty)
    try bench.apply()
    #expect(bench.home.window.bytes == 8192)
    #expect(bench.evicted == [Position(3)] && bench.home.window.lowest == Position(4))
  }

  // MARK: Starting

  @Test func `a start goes on where the log ends`() throws {
    let first = try ManualHome()
    for context in ["c", "d", "c"] { first.post(context, id: context == "d" ? Self.id : nil) }
    first.commit()
    try first.apply()
    first.post("c", agent: "b")
    first.commit()
    // The store has the first batch only.
    let second = try ManualHome(log: first.log, store: first.store, batches: [first.published[1]])
    #expect(second.home.tail == first.home.tail && second.home.unappliedBytes == 4096)
    let requests = [second.post("c"), second.post("d"), second.post("d", id: Self.id)]
    second.commit()
    #expect(requests.map { second.told($0) } == [.appended(4), .appended(2), .exists])
    #expect(second.home.knownContext(BatchMaker.name("c"))?.agents.count == 2)
  }

  @Test func `log time goes on after a start with the clock set back`() throws {
    let first = try ManualHome()
    first.post()
    first.commit()
    try first.apply()
    let time = first.home.sequencer.logTime
    let second = try ManualHome(log: first.log, store: first.store)
    second.clock -= 1_000_000_000
    second.post()
    second.commit()
    #expect(second.home.sequencer.logTime >= time && second.home.tail == Position(3))
  }
}
