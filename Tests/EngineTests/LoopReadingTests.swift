import Bytes
import EngramTesting
import EventLoop
import Glibc
import Model
import Storage
import Telemetry
import Testing
import WAL

@testable import Engine

/// Lists of units and contexts, part of them in the window and part in the store, against a naive model: while a read
/// waits for the disk, the store applies and the window lets go.
@Suite struct LoopReadingTests {
  struct Unit {
    var context: [UInt8]
    var sequence: UInt64
    var type: UInt8
    var agent: String
    var pair: (key: String, value: String)?
    var time: UInt64
  }

  struct Known {
    var agents: [[UInt8]]
    var revision: UInt64
    var lastSequence: UInt64
  }

  /// A loop's engine over a simulated store, and what it should answer.
  final class World {
    let store = MovingStore(SimulatedStore(seed: 3))
    let engine: LoopEngine
    private let live: LiveEngine
    private let loop: EventLoop
    private let path: String
    private let builder = BatchBuilder(
      pool: SlabPool(slabBytes: 64 << 10, keptMax: 2), batchBytesMax: 64 << 10, batchBytesLimit: 1 << 20)
    private var unapplied: [Batch] = []
    private(set) var units: [Unit] = []
    private(set) var contexts: [[UInt8]: Known] = [:]
    private var position: UInt64 = 0
    var random: SeededRandom

    init(seed: UInt64) throws {
      random = SeededRandom(seed: seed)
      var template = Array("/tmp/engram-reading.XXXXXX".utf8CString)
      path = try #require(
        template.withUnsafeMutableBufferPointer { buffer in
          buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        })
      loop = try EventLoop(index: 0)
      // Only for its read pool and its way back to the loop.
      (live, _) = try LiveEngine.open(
        path, loops: [loop], metrics: EngineMetrics(Registry()), onFatal: { _ in })
      engine = LoopEngine(
        loop: loop, window: WindowIndex(head: .zero), engine: live, store: store, isHome: true)
      loop.start()
    }

    func close() {
      loop.stop()
      loop.join()
      live.quiesce()
      live.close()
      remove(path)
    }

    private func remove(_ path: String) {
      if let directory = opendir(path) {
        while let entry = readdir(directory) {
          let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
            tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
          }
          if name != "." && name != ".." { remove("\(path)/\(name)") }
        }
        closedir(directory)
        rmdir(path)
      } else {
        unlink(path)
      }
    }

    private func add(_ record: [UInt8]) throws {
      let memory = try #require(builder.reserve(record.count))
      memory.copyMemory(from: record, byteCount: record.count)
      builder.commit(record.count)
    }

    /// Publishes a batch of a few units, as the home would: a context's event before the unit that caused it.
    func publish(_ names: [String]) throws {
      for name in names {
        let context = Array(name.utf8)
        let agent = ["ann", "bob", "cyd"].randomElement(using: &random) ?? "ann"
        var known = contexts[context] ?? Known(agents: [], revision: 0, lastSequence: 0)
        if !known.agents.contains(Array(agent.utf8)) {
          known.agents.append(Array(agent.utf8))
          known.revision += 1
          position += 1
          try add(
            EventSamples.context(
              position: position, context: context, agents: known.agents, revision: known.revision,
              lastSequence: known.lastSequence))
        }
        known.lastSequence += 1
        position += 1
        let isRare = UInt.random(in: 0..<30, using: &random) == 0
        let unit = Unit(
          context: context, sequence: known.lastSequence,
          type: isRare ? 7 : UInt8.random(in: 1...2, using: &random), agent: agent,
          pair: Bool.random(using: &random)
            ? ("k", "\(UInt64.random(in: 0...20, using: &random))") : nil, time: position / 3)
        try add(
          EventSamples.unit(
            position: position, context: context, sequence: unit.sequence, type: unit.type,
            agent: Array(agent.utf8), metadata: unit.pair.map { [$0] } ?? [], logTime: unit.time))
        units.append(unit)
        contexts[context] = known
      }
      let batch = try #require(builder.seal())
      engine.window.append(batch)
      unapplied.append(batch)
    }

    /// Applies a few batches.
    func apply(_ count: Int) {
      for batch in unapplied.prefix(count) {
        try? store.inner.apply((0..<batch.count).map { batch.record($0) }, upTo: batch.lastPosition)
      }
      unapplied.removeFirst(min(count, unapplied.count))
    }

    /// Lets the window forget a few batches that are applied.
    func evict(_ count: Int) {
      for _ in 0..<count {
        guard let oldest = engine.window.oldest, oldest.lastPosition <= store.appliedPosition() else {
          return
        }
        engine.window.evictOldest()
      }
    }

    /// From now on half of the reads wait for the disk, and the world moves under them.
    func move() {
      var faults = SimulatedStore.Faults()
      faults.incompleteChance = 128
      store.inner.setFaults(faults)
      // The task that reads is suspended meanwhile: nothing else touches the world.
      store.whenReading = { [unowned self] isBefore in
        if UInt.random(in: 0..<3, using: &random) == 0 { apply(Int.random(in: 0...3, using: &random)) }
        if !isBefore || Bool.random(using: &random) { evict(Int.random(in: 0...3, using: &random)) }
      }
    }
  }

  private func filter(_ world: World) -> UnitFilter {
    func often() -> Bool { UInt.random(in: 0..<4, using: &world.random) == 0 }
    var filter = UnitFilter()
    if often() { filter.insert([.message, .error].randomElement(using: &world.random) ?? .error) }
    if often() {
      filter.agent = Array((["ann", "bob", "eve"].randomElement(using: &world.random) ?? "").utf8)
    }
    let end = UInt64(world.units.count)
    if often() { filter.since = LogTime(microseconds: .random(in: 0...end, using: &world.random)) }
    if often() { filter.until = LogTime(microseconds: .random(in: 0...end, using: &world.random)) }
    if often() {
      let value = Array("\(UInt64.random(in: 0...22, using: &world.random))".utf8)
      filter.insert(UnitFilter.Pair(key: Array("k".utf8), value: value))
    }
    return filter
  }

  private func satisfies(_ unit: Unit, _ filter: UnitFilter) -> Bool {
    (filter.types == 0 || filter.types >> UInt16(unit.type) & 1 == 1)
      && (filter.agent.map { $0 == Array(unit.agent.utf8) } ?? true)
      && (filter.since.map { unit.time >= $0.microseconds } ?? true)
      && (filter.until.map { unit.time < $0.microseconds } ?? true)
      && filter.metadata.allSatisfy { wanted in
        unit.pair.map { Array($0.key.utf8) == wanted.key && Array($0.value.utf8) == wanted.value } ?? false
      }
  }

  /// Walks over all pages of a list.
  private func walk(_ world: World, _ list: UnitList) async throws -> [UInt64] {
    var list = list
    var found: [UInt64] = []
    for _ in 0..<2000 {
      let page = try await world.engine.units(list)
      let sequences = page.units.map { $0.unit?.sequence.rawValue ?? 0 }
      withExtendedLifetime(page) {}
      #expect(sequences.count <= list.limit)
      found += sequences
      guard let reached = page.reached else { return found }
      guard list.range.contains(reached) else {
        Issue.record("no progress: \(reached) of \(list)")
        return found
      }
      if list.reverse {
        guard reached > list.range.lowerBound else { return found }
        list.range = list.range.lowerBound...reached - 1
      } else {
        guard reached < list.range.upperBound else { return found }
        list.range = reached + 1...list.range.upperBound
      }
    }
    Issue.record("2000 pages are too many for \(list)")
    return found
  }

  private func compareUnits(_ world: World, _ names: [String]) async throws {
    let context = Array((names + ["never"]).randomElement(using: &world.random)?.utf8 ?? "".utf8)
    let from = UInt64.random(in: 0...150, using: &world.random)
    let through =
      Bool.random(using: &world.random)
      ? Limits.integerMax : from + .random(in: 0...150, using: &world.random)
    let list = UnitList(
      context: context, range: from...through, reverse: Bool.random(using: &world.random),
      filter: filter(world), limit: .random(in: 1...30, using: &world.random),
      bytesMax: .random(in: 1...8000, using: &world.random),
      budget: ScanBudget(records: .random(in: 1...80, using: &world.random), bytes: 1 << 20))
    let all = world.units.filter {
      $0.context == context && list.range.contains($0.sequence) && satisfies($0, list.filter)
    }.map(\.sequence)
    #expect(try await walk(world, list) == (list.reverse ? all.reversed() : all), "\(list)")
  }

  private func compareContexts(_ world: World, _ names: [String]) async throws {
    var list = ContextList(limit: .random(in: 1...9, using: &world.random))
    list.bytesMax = .random(in: 1...3000, using: &world.random)
    if Bool.random(using: &world.random) {
      list.prefix = Array((["c", "c1", "x"].randomElement(using: &world.random) ?? "").utf8)
    }
    if Bool.random(using: &world.random) {
      list.agent = Array((["ann", "bob", "cyd", "eve"].randomElement(using: &world.random) ?? "").utf8)
    }
    let seen = ["c0", "c3", "c10", "c12", "x1"] + (Bool.random(using: &world.random) ? ["c1", "c11"] : [])
    if Bool.random(using: &world.random) { list.visibility = NamedVisibility(contexts: seen) }
    let expected = world.contexts.filter { id, known in
      (list.visibility == nil || seen.contains(String(decoding: id, as: UTF8.self)))
        && id.starts(with: list.prefix) && (list.agent.map { known.agents.contains($0) } ?? true)
    }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
      .map { "\(String(decoding: $0.key, as: UTF8.self)) \($0.value.revision).\($0.value.lastSequence)" }
    var found: [String] = []
    for _ in 0..<200 {
      let page = try await world.engine.contexts(list)
      #expect(page.entries.count <= list.limit)
      found += page.entries.map { entry in
        let id = String(decoding: entry.record.contextID ?? .init(start: nil, count: 0), as: UTF8.self)
        return "\(id) \(entry.record.context?.revision ?? 0).\(entry.lastSequence.rawValue)"
      }
      withExtendedLifetime(page) {}
      guard let reached = page.reached else { break }
      #expect(list.after.map { $0.lexicographicallyPrecedes(reached) } ?? true)
      list.after = reached
    }
    #expect(found == expected, "\(list)")
    let id = Array((names + ["never"]).randomElement(using: &world.random)?.utf8 ?? "".utf8)
    let one = try await world.engine.context(id)
    let known = world.contexts[id]
    #expect(one.entries.first?.record.context?.revision == known?.revision)
    #expect(one.entries.first?.lastSequence.rawValue == known?.lastSequence)
    withExtendedLifetime(one) {}
  }

  @Test(arguments: [1, 2] as [UInt64])
  func listsAreWhatANaiveModelSays(_ seed: UInt64) async throws {
    print("seed \(seed)")
    let world = try World(seed: seed)
    defer { world.close() }
    let names = (0..<14).map { "c\($0)" } + ["x", "x\u{1F600}"]
    for round in 0..<60 {
      for _ in 0..<Int.random(in: 1...4, using: &world.random) {
        let busy = names.prefix(min(names.count, 1 + round / 3))
        try world.publish(
          (0..<Int.random(in: 1...12, using: &world.random)).map { _ in
            Bool.random(using: &world.random) ? "c0" : busy.randomElement(using: &world.random) ?? "c0"
          })
      }
      if Bool.random(using: &world.random) { world.apply(Int.random(in: 0...5, using: &world.random)) }
      if Bool.random(using: &world.random) { world.evict(Int.random(in: 0...5, using: &world.random)) }
      world.move()
      for _ in 0..<20 { try await compareUnits(world, names) }
      for _ in 0..<6 { try await compareContexts(world, names) }
    }
  }
}
