import Glibc
import Model
import Storage
import WAL

extension Workload {
  static let stores = [
    Workload("store.apply, 1000 units a batch, 10 contexts") { try ApplyPass(contexts: 10) },
    Workload("store.apply, 1000 units a batch, 500 contexts") { try ApplyPass(contexts: 500) },
    Workload("store.unit by id, warm") {
      let store = try FilledStore()
      return Repeated { try store.find($0) }
    },
    Workload("store.newest 100 of a context, warm", .one) {
      let store = try FilledStore()
      return Repeated { try store.newest($0) }
    },
  ]
}

/// A store in a directory that goes with it.
private final class TemporaryStore {
  let store: RocksStore
  private let path: String

  init() throws {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/engram-benchmark.XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    guard let made else { throw Unexpected("no directory below \(parent)") }
    path = made
    var options = StoreOptions()
    options.blockCacheBytes = 256 << 20
    options.writeBufferBytes = 32 << 20
    store = try RocksStore(path: made + "/db", logUUID: [UInt8](1...16), options: options)
  }

  deinit {
    store.close()
    TemporaryStore.remove(path)
  }

  private static func remove(_ path: String) {
    var names: [String] = []
    if let directory = opendir(path) {
      while let entry = readdir(directory) {
        names.append(
          withUnsafeBytes(of: entry.pointee.d_name) { name in
            String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
          })
      }
      closedir(directory)
    }
    for name in names where name != "." && name != ".." {
      if unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
    }
    rmdir(path)
  }
}

/// One `WriteBatch` of 1000 units; an operation is a unit.
private final class ApplyPass: Pass {
  private let temporary: TemporaryStore
  private let feed: UnitFeed
  private var batch: Batch?
  private var views: [EventView] = []

  init(contexts: Int) throws {
    temporary = try TemporaryStore()
    feed = try UnitFeed(contexts: contexts, slabBytes: 2 << 20)
  }

  func prepare(_ operations: Int) throws {
    let batch = try feed.batch(operations)
    views.removeAll(keepingCapacity: true)
    for index in 0..<batch.count { views.append(batch.record(index)) }
    self.batch = batch
  }

  func run(_ operations: Int) throws {
    let last = Position(feed.position)
    try temporary.store.apply(views, upTo: last)
    try expect(temporary.store.appliedPosition() == last, "the batch is not applied")
  }
}

/// 20,000 units of 1 KiB in 100 contexts, in tables on disk, all of which lie in the block cache.
private final class FilledStore {
  private static let batches = 20
  private let temporary: TemporaryStore
  private var store: RocksStore { temporary.store }
  private let feed: UnitFeed
  private var ids: [UnitID] = []
  private var next = 0

  init() throws {
    temporary = try TemporaryStore()
    feed = try UnitFeed(contexts: 100, slabBytes: 2 << 20)
    for _ in 0..<Self.batches {
      let batch = try feed.batch(1000)
      let views = (0..<batch.count).map { batch.record($0) }
      ids += views.compactMap { $0.unit?.id }
      try store.apply(views, upTo: Position(feed.position))
    }
    try store.flush(wait: true)
    for id in ids {
      try expect(try store.unit(id: id, tier: .disk) { _ in } == .found, "a unit is not in the store")
    }
    for _ in feed.contexts { try newest(1, .disk) }
  }

  func find(_ times: Int) throws {
    for _ in 0..<times {
      next = (next + 7919) % ids.count
      guard try store.unit(id: ids[next], tier: .cacheOnly, { _ in }) == .found else {
        throw Unexpected("a unit is not in memory")
      }
    }
  }

  func newest(_ times: Int, _ tier: ReadTier = .cacheOnly) throws {
    for _ in 0..<times {
      next = next + 1 < feed.contexts.count ? next + 1 : 0
      let last = feed.sequence(of: next)
      var units = 0
      let end = try store.units(
        in: feed.contexts[next], from: Sequence(1), through: Sequence(last), reverse: true, limit: 100,
        bytesMax: .max, tier: tier
      ) { _ in
        units += 1
        return true
      }
      guard units == 100, end == .stopped else { throw Unexpected("a page of \(units): \(end)") }
    }
  }
}
