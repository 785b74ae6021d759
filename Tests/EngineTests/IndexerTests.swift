import Bytes
import EngramTesting
import EventLoop
import Glibc
import Model
import Search
import Storage
import Synchronization
import Telemetry
import Testing
import WAL

@testable import Engine

/// A moment for other threads; what is waited for is looked at again afterwards.
func breathe() { usleep(200) }

/// Waits until something is so; false after a minute, which fails the test instead of hanging it.
func comes(_ condition: () -> Bool) -> Bool {
  let end = EventLoop.monotonicNanoseconds() + 60_000_000_000
  while !condition() {
    guard EventLoop.monotonicNanoseconds() < end else { return false }
    breathe()
  }
  return true
}

@Suite struct IndexerTests {
  /// A store, its applier, and an index that follows them.
  final class World: @unchecked Sendable {
    let store = SimulatedStore(seed: 7)
    let applier: Applier
    let files: RecordedIndex
    let metrics = SearchMetrics(Registry())
    private(set) var indexer: Indexer
    let maker = BatchMaker()
    private(set) var units: [UInt64] = []
    let notices = Mutex<[String]>([])
    private var limits: Indexer.Limits

    init(_ change: (inout Indexer.Limits) -> Void = { _ in }, applier applierLimits: Applier.Limits? = nil)
      throws
    {
      limits = Indexer.Limits()
      limits.restNanoseconds = 1_000_000
      limits.nanoseconds = 2_000_000
      change(&limits)
      let store = store
      files = RecordedIndex { store.appliedPosition() }
      var patient = applierLimits ?? Applier.Limits()
      if applierLimits == nil { patient.nanoseconds = 1_000_000 }
      applier = try Applier(store: store, limits: patient) { Issue.record("\($0)") }
      indexer = Indexer(
        store: store, applier: applier, files: files, head: .zero, limits: limits, metrics: metrics)
      applier.start()
    }

    func start() {
      indexer.onNotice = { [self] notice in notices.withLock { $0.append("\(notice)") } }
      indexer.start()
    }

    /// The server's next life, without the store's: what was applied stays.
    func restart() {
      indexer.stop()
      indexer = Indexer(
        store: store, applier: applier, files: files, head: Position(maker.head), limits: limits,
        metrics: metrics)
      start()
    }

    /// Publishes batches of units and of an event that is none.
    func post(batches: Int = 1, indexed: Bool = true) {
      for _ in 0..<batches {
        let (batch, made) = maker.batch(["a", nil, "b", "a"])
        units += made.map(\.position)
        applier.enqueue(batch)
        if indexed { indexer.enqueue(batch) }
      }
    }

    var head: Position { Position(maker.head) }
    var isComplete: Bool { indexer.indexedPosition == head }

    /// Everything is indexed, once and in order, and nothing was done that may not be.
    func expectComplete(_ place: SourceLocation = #_sourceLocation) {
      #expect(comes { isComplete }, sourceLocation: place)
      files.state.withLock { state in
        #expect(state.units == units, sourceLocation: place)
        #expect(state.watermark == maker.head, sourceLocation: place)
        #expect(state.faults == [], sourceLocation: place)
      }
    }

    /// The same in the end: an index that is complete may be found damaged when it is put in order, and be made anew.
    func expectCompleteAtLast(_ place: SourceLocation = #_sourceLocation) {
      let isThere = comes {
        isComplete && files.state.withLock { $0.units == units && $0.watermark == maker.head }
      }
      #expect(isThere, sourceLocation: place)
      #expect(files.state.withLock { $0.faults } == [], sourceLocation: place)
    }

    func stop() {
      applier.stop()
      indexer.stop()
    }
  }

  @Test func `follows what is published`() throws {
    let world = try World()
    world.start()
    defer { world.stop() }
    for _ in 0..<20 {
      world.post()
      world.expectComplete()
    }
    world.post(batches: 500)
    world.expectComplete()
    #expect(world.metrics.units.value == UInt64(world.units.count))
    #expect(world.metrics.rebuilds.value == 0 && world.metrics.failures.value == 0)
  }

  @Test func `gathers before it commits`() throws {
    let world = try World { $0.nanoseconds = 100_000_000 }
    world.start()
    defer { world.stop() }
    world.post()
    world.expectComplete()
    let before = world.files.state.withLock { $0.commits.count }
    for _ in 0..<100 { world.post() }
    world.expectComplete()
    #expect(world.files.state.withLock { $0.commits.count } - before < 100)
  }

  @Test func `somebody who waits is not made to wait for others`() throws {
    // Left alone, applier and indexer would gather for an hour.
    var slow = Applier.Limits()
    slow.nanoseconds = 3_600_000_000_000
    let world = try World({ $0.nanoseconds = 3_600_000_000_000 }, applier: slow)
    world.start()
    defer { world.stop() }
    for _ in 0..<50 {
      world.post()
      let isDone = Atomic(false)
      let ticket = world.indexer.whenIndexed(world.head) { isDone.store(true, ordering: .releasing) }
      #expect(ticket == nil || comes { isDone.load(ordering: .acquiring) })
      #expect(world.isComplete)
    }
    #expect(world.indexer.whenIndexed(world.head) { Issue.record("called, though it is there") } == nil)
    world.expectComplete()
  }

  @Test func `a wait for what doesn't exist yet ends when it does, or when it is cancelled`() throws {
    let world = try World()
    world.start()
    defer { world.stop() }
    let count = Atomic(0)
    let kept = world.indexer.whenIndexed(Position(3)) { count.add(1, ordering: .relaxed) }
    let given = world.indexer.whenIndexed(Position(4)) { count.add(100, ordering: .relaxed) }
    #expect(kept != nil)
    #expect(given.map { world.indexer.cancel($0) } == true)
    world.post()
    world.expectComplete()
    #expect(comes { count.load(ordering: .relaxed) == 1 })
    #expect(kept.map { world.indexer.cancel($0) } == false)
  }

  @Test func `an index is made from what the store has`() throws {
    let world = try World()
    world.post(batches: 1500, indexed: false)
    #expect(comes { world.store.appliedPosition() == world.head })
    world.restart()
    defer { world.stop() }
    world.expectComplete()
    // The index thread says so behind its commit.
    #expect(comes { world.notices.withLock { $0.count } == 2 })
    #expect(!world.indexer.isRebuilding)
    let notices = world.notices.withLock { $0 }
    #expect(notices.first?.contains("rebuilding(reason: \"there is none\"") == true)
    #expect(notices.last?.contains("units: \(world.units.count)") == true)
    world.post(batches: 3)
    world.expectComplete()
  }

  @Test func `a queue that is full is dropped, and the store read instead`() throws {
    let world = try World { $0.queuedBytesMax = 64 << 10 }
    world.start()
    defer { world.stop() }
    world.post()
    world.expectComplete()
    world.files.state.withLock { $0.isHeld = true }
    world.post()
    #expect(comes { world.files.state.withLock { $0.holding == 1 } })
    world.post(batches: 500)
    #expect(world.metrics.overflows.value == 1)
    #expect(world.indexer.queue.withLock { $0.bytes == 0 && !$0.isOpen })
    world.files.state.withLock { $0.isHeld = false }
    world.expectComplete()
    // Near again: from memory.
    world.post()
    world.expectComplete()
    #expect(world.indexer.queue.withLock { $0.isOpen && $0.dropped.isEmpty })
  }

  @Test func `goes on from its own watermark after a restart`() throws {
    let world = try World()
    world.start()
    defer { world.stop() }
    for _ in 0..<5 {
      world.post(batches: 40)
      if Bool.random() { world.expectComplete() }
      world.restart()
    }
    world.expectComplete()
    #expect(world.files.state.withLock { $0.discards } == 0)
  }

  @Test func `the end leaves nothing behind that is applied`() throws {
    let world = try World { $0.nanoseconds = 3_600_000_000_000 }
    world.start()
    world.post(batches: 300)
    world.stop()
    world.expectComplete()
  }

  @Test(arguments: [SearchError.Kind.operational, .full, .damaged])
  func `any call may fail`(_ kind: SearchError.Kind) throws {
    var call = 0
    var isThrough = false
    while !isThrough {
      call += 1
      let world = try World { limits in
        limits.units = 8
        limits.shareBytes = 4096
      }
      world.post(batches: 2, indexed: false)
      #expect(comes { world.store.appliedPosition() == world.head })
      world.files.state.withLock {
        $0.failingCall = call
        $0.failure = kind
      }
      world.restart()
      world.post(batches: 3)
      world.expectCompleteAtLast()
      isThrough = world.files.state.withLock { $0.calls < call }
      if !isThrough {
        #expect(comes { world.metrics.failures.value >= 1 })
        // A file that can't be removed is opened again, and found to be sound.
        if kind == .damaged { #expect(comes { world.metrics.rebuilds.value == 1 }) }
      }
      world.expectCompleteAtLast()
      #expect(comes { !world.indexer.isFailing && !world.indexer.isRebuilding })
      world.stop()
    }
    #expect(call > 15)
  }

  @Test func `a store that can't be read is asked again`() throws {
    let world = try World()
    world.post(batches: 50, indexed: false)
    #expect(comes { world.store.appliedPosition() == world.head })
    var faults = SimulatedStore.Faults()
    faults.failingCall = 1
    world.store.setFaults(faults)
    world.restart()
    defer { world.stop() }
    world.expectComplete()
  }

  @Test func `without room nothing is indexed, until there is some`() throws {
    let world = try World()
    world.start()
    defer { world.stop() }
    world.post(batches: 3)
    world.expectComplete()
    world.indexer.setSpaceShort(true)
    let before = world.indexer.indexedPosition
    world.post(batches: 3)
    #expect(comes { world.indexer.isFailing })
    #expect(world.indexer.indexedPosition == before)
    world.indexer.setSpaceShort(false)
    world.expectComplete()
    #expect(comes { !world.indexer.isFailing })
  }

  @Test func `an index that is ahead of the log is none of it`() throws {
    let world = try World()
    world.files.state.withLock { $0.watermark = 1_000_000 }
    world.post(batches: 10, indexed: false)
    #expect(comes { world.store.appliedPosition() == world.head })
    world.restart()
    defer { world.stop() }
    world.expectComplete()
    #expect(world.notices.withLock { $0.first?.contains("ahead of the log") == true })
  }

  @Test func `what a reader finds damaged is made anew, once`() throws {
    let world = try World()
    world.start()
    defer { world.stop() }
    world.post(batches: 100)
    world.expectComplete()
    let generation = world.indexer.generation
    world.indexer.reportDamage("a page", generation: generation)
    world.indexer.reportDamage("another page", generation: generation)
    #expect(comes { world.indexer.generation > generation })
    world.expectComplete()
    // What was open before is of no interest any more.
    world.indexer.reportDamage("a page", generation: generation)
    world.post()
    world.expectComplete()
    #expect(world.metrics.rebuilds.value == 1)
    #expect(world.notices.withLock { $0.contains { $0.contains("reason: \"a page\"") } })
  }

  @Test func `files that are put in the place of its own are found out`() throws {
    let world = try World()
    world.start()
    defer { world.stop() }
    world.post(batches: 10)
    world.expectComplete()
    world.files.state.withLock { $0.inode += 100 }
    #expect(comes { world.metrics.rebuilds.value == 1 })
    world.expectComplete()
  }

  @Test func `files that are only written to are the same`() {
    func mark(_ inode: UInt64, _ bytes: Int64, log: UInt64?) -> IndexFileMark {
      IndexFileMark(
        database: .init(device: 1, inode: inode, bytes: bytes),
        log: log.map { .init(device: 1, inode: $0, bytes: 0) })
    }
    let first = mark(1, 100, log: nil)
    #expect(first.follows(first) && mark(1, 200, log: 2).follows(first))
    #expect(!mark(1, 99, log: nil).follows(first) && !mark(2, 200, log: nil).follows(first))
    #expect(!IndexFileMark(database: nil, log: nil).follows(first))
    let second = mark(1, 200, log: 2)
    #expect(
      second.follows(second) && !mark(1, 200, log: nil).follows(second)
        && !mark(1, 200, log: 3).follows(second))
  }
}
