public import EventLoop

/// A disk in memory that keeps no more than a disk must: what wasn't synced, a crash keeps, loses or tears,
/// sector by
/// sector. Deterministic from its seed. Durable writes and background work complete when the test calls
/// `step`.
///
/// One thread. Each blocking call, and each start of a durable write, counts as one call for `failCall` and
/// `cutPower`.
public final class SimulatedDisk: Disk {
  public static let noSpace: Int32 = 28
  public static let inputOutput: Int32 = 5
  public static let notFound: Int32 = 2
  public static let exists: Int32 = 17

  private struct Write {
    var file: SimulatedFile
    var offset: UInt64
    var bytes: UnsafeRawBufferPointer
    var completion: any DiskCompletion
    var tag: UInt64
    /// Instead of success; the first `kept` bytes become durable.
    var failure: (result: Int32, kept: Int)?
  }
  private struct Job {
    var work: @Sendable () -> DiskError?
    var done: @Sendable (DiskError?) -> Void
  }
  private enum Change {
    case create(String, SimulatedFile)
    case remove(String)
    case rename(String, String)
  }

  public private(set) var calls = 0
  /// Space for all files; a `create` beyond it fails with ENOSPC.
  public var capacityBytes = UInt64.max
  public private(set) var isDead = false

  private var random: SeededRandom
  private var names: [String: SimulatedFile] = [:]
  private var durableNames: [String: SimulatedFile] = [:]
  private var changes: [Change] = []
  private var opened: [Int32: SimulatedFile] = [:]
  private var openedNames: [Int32: String] = [:]
  private var nextFile: Int32 = 3
  private var writes: [Write] = []
  private var jobs: [Job] = []
  private var failures: [Int: Int32] = [:]
  private var shortWrites: Set<Int> = []
  private var powerCut: Int?

  public init(seed: UInt64) { random = SeededRandom(seed: seed) }

  // MARK: Faults

  /// The call with this number (`calls` counts from 1) fails with `code`.
  public func failCall(_ number: Int, code: Int32 = SimulatedDisk.inputOutput) { failures[number] = code }

  /// The call with this number, if it is a durable write, writes only a part.
  public func shortenCall(_ number: Int) { shortWrites.insert(number) }

  /// Power goes in the middle of the call with this number: it and all later ones fail, until `crash`.
  public func cutPower(atCall number: Int) { powerCut = number }

  /// Flips bits of what is durable.
  public func rot(_ name: String, at offset: UInt64, mask: UInt8) {
    names[name]?.flip(at: offset, mask: mask)
  }

  /// Cuts a file short, or extends it by zeros.
  public func truncate(_ name: String, to bytes: UInt64) { names[name]?.truncate(bytes) }

  /// Power goes, and comes back. What was in flight is kept, lost or torn; completions never come; open
  /// files are closed.
  public func crash() {
    var resolving = random
    for write in writes { write.file.write(write.bytes, at: write.offset) }
    forget()
    var kept = durableNames
    for change in changes.prefix(resolving.below(changes.count + 1)) { Self.apply(change, to: &kept) }
    changes.removeAll()
    names = kept
    durableNames = kept
    for name in names.keys.sorted() { names[name]?.crash(&resolving) }
    random = resolving
  }

  /// The process dies, the machine doesn't: what was in flight is written or not, nothing else is lost, and
  /// nothing
  /// becomes durable that wasn't.
  public func kill() {
    for write in writes where random.oneIn(2) { write.file.write(write.bytes, at: write.offset) }
    forget()
  }

  private func forget() {
    writes.removeAll()
    jobs.removeAll()
    opened.removeAll()
    openedNames.removeAll()
    failures.removeAll()
    shortWrites.removeAll()
    powerCut = nil
    isDead = false
  }

  private static func apply(_ change: Change, to names: inout [String: SimulatedFile]) {
    switch change {
    case .create(let name, let file): names[name] = file
    case .remove(let name): names[name] = nil
    case .rename(let from, let to):
      names[to] = names[from]
      names[from] = nil
    }
  }

  // MARK: Looking in

  public var fileNames: [String] { names.keys.sorted() }

  /// A file's bytes as a reader sees them; nil if there is none.
  public func contents(_ name: String) -> [UInt8]? {
    names[name].map { $0.bytes(at: 0, count: Int($0.size)) }
  }

  /// Puts a durable file there, in place of one of that name.
  public func install(_ name: String, _ bytes: [UInt8]) {
    let file = SimulatedFile(bytes)
    names[name] = file
    durableNames[name] = file
  }

  public func uninstall(_ name: String) {
    names[name] = nil
    durableNames[name] = nil
  }

  /// Where these bytes, of whole pages, stand so that no crash can take them back; nil if nowhere.
  public func durablePlace(of bytes: UnsafeRawBufferPointer) -> (name: String, offset: UInt64)? {
    for name in durableNames.keys.sorted() {
      guard let file = durableNames[name] else { continue }
      if let offset = file.durableOffset(of: bytes) { return (name, offset) }
    }
    return nil
  }

  /// What a crash at this moment leaves that takes back all it may.
  public func durableCopy(seed: UInt64) -> SimulatedDisk {
    let other = SimulatedDisk(seed: seed)
    for (name, file) in durableNames { other.install(name, file.durableBytes()) }
    return other
  }

  /// A disk with the same files, all durable, and another seed.
  public func copy(seed: UInt64) -> SimulatedDisk {
    let other = SimulatedDisk(seed: seed)
    for name in fileNames { if let bytes = contents(name) { other.install(name, bytes) } }
    return other
  }

  // MARK: Events

  public var hasPending: Bool { !writes.isEmpty || !jobs.isEmpty }
  public var hasPendingWrite: Bool { !writes.isEmpty }

  /// Completes one of what is pending, drawn by the seed. Background work completes in its order.
  /// - Returns: false if nothing was pending, or the disk is dead.
  @discardableResult
  public func step() -> Bool {
    guard hasPending, !isDead else { return false }
    let drawn = random.below(writes.count + (jobs.isEmpty ? 0 : 1))
    if drawn < writes.count {
      let write = writes.remove(at: drawn)
      complete(write)
    } else {
      let job = jobs.removeFirst()
      let error = job.work()
      if !isDead { job.done(error) }
    }
    return true
  }

  /// Steps until nothing is pending.
  public func drain() { while step() {} }

  private func complete(_ write: Write) {
    if let (result, kept) = write.failure {
      let part = UnsafeRawBufferPointer(rebasing: write.bytes[0..<kept])
      write.file.write(part, at: write.offset)
      write.file.sync(at: write.offset, count: kept)
      write.completion.diskWriteCompleted(tag: write.tag, result: result)
      return
    }
    write.file.write(write.bytes, at: write.offset)
    write.file.sync(at: write.offset, count: write.bytes.count)
    write.completion.diskWriteCompleted(tag: write.tag, result: Int32(write.bytes.count))
  }

  /// Counts a call. Throws if it is to fail; says whether power goes in the middle of it.
  private func enter(_ operation: String, _ name: String) throws(DiskError) -> Bool {
    guard !isDead else { throw DiskError(code: Self.inputOutput, operation: operation, file: name) }
    calls += 1
    if let code = failures.removeValue(forKey: calls) {
      throw DiskError(code: code, operation: operation, file: name)
    }
    if powerCut == calls {
      isDead = true
      return true
    }
    return false
  }

  private func gone(_ operation: String, _ name: String) -> DiskError {
    DiskError(code: Self.inputOutput, operation: operation, file: name)
  }

  private func file(_ handle: DiskFile, _ operation: String) throws(DiskError) -> (SimulatedFile, String) {
    guard let file = opened[handle.id], let name = openedNames[handle.id] else {
      throw DiskError(code: 9, operation: operation, file: "\(handle.id)")
    }
    return (file, name)
  }
}

extension SimulatedDisk {
  public func list() throws(DiskError) -> [String] {
    if try enter("list", "") { throw gone("list", "") }
    return fileNames
  }

  public func open(_ name: String, writable: Bool) throws(DiskError) -> DiskFile {
    if try enter("open", name) { throw gone("open", name) }
    guard let file = names[name] else { throw DiskError(code: Self.notFound, operation: "open", file: name) }
    nextFile += 1
    opened[nextFile] = file
    openedNames[nextFile] = name
    return DiskFile(id: nextFile)
  }

  public func create(_ name: String, bytes: UInt64) throws(DiskError) {
    let cut = try enter("create", name)
    guard names[name] == nil else { throw DiskError(code: Self.exists, operation: "create", file: name) }
    let used = names.values.reduce(0) { $0 + $1.size }
    guard used <= capacityBytes, bytes <= capacityBytes - used else {
      // A part of the file may be left behind, as by a real disk that fills up.
      if random.oneIn(2) {
        let part = SimulatedFile(zeros: bytes / 2)
        names[name] = part
        changes.append(.create(name, part))
      }
      throw DiskError(code: Self.noSpace, operation: "create", file: name)
    }
    let file = SimulatedFile(zeros: bytes)
    names[name] = file
    changes.append(.create(name, file))
    if cut { throw gone("create", name) }
    file.syncAll()
    syncDirectory()
  }

  public func size(_ file: DiskFile) throws(DiskError) -> UInt64 {
    let (found, name) = try self.file(file, "size")
    if try enter("size", name) { throw gone("size", name) }
    return found.size
  }

  public func read(_ file: DiskFile, at offset: UInt64, into room: UnsafeMutableRawBufferPointer)
    throws(DiskError)
    -> Int
  {
    let (found, name) = try self.file(file, "read")
    if try enter("read", name) { throw gone("read", name) }
    return found.read(at: offset, into: room)
  }

  public func write(_ file: DiskFile, at offset: UInt64, from bytes: UnsafeRawBufferPointer) throws(DiskError)
  {
    let (found, name) = try self.file(file, "write")
    let cut = try enter("write", name)
    found.write(bytes, at: offset)
    if cut { throw gone("write", name) }
  }

  public func synchronize(_ file: DiskFile) throws(DiskError) {
    let (found, name) = try self.file(file, "fsync")
    if try enter("fsync", name) { throw gone("fsync", name) }
    found.syncAll()
  }

  public func synchronizeDirectory() throws(DiskError) {
    if try enter("fsync", ".") { throw gone("fsync", ".") }
    syncDirectory()
  }

  private func syncDirectory() {
    durableNames = names
    changes.removeAll()
  }

  public func rename(_ from: String, to: String) throws(DiskError) {
    let cut = try enter("rename", from)
    guard names[from] != nil else { throw DiskError(code: Self.notFound, operation: "rename", file: from) }
    let change = Change.rename(from, to)
    Self.apply(change, to: &names)
    changes.append(change)
    if cut { throw gone("rename", from) }
  }

  public func remove(_ name: String) throws(DiskError) {
    let cut = try enter("remove", name)
    guard names[name] != nil else { throw DiskError(code: Self.notFound, operation: "remove", file: name) }
    names[name] = nil
    changes.append(.remove(name))
    if cut { throw gone("remove", name) }
  }

  public func close(_ file: DiskFile) {
    opened[file.id] = nil
    openedNames[file.id] = nil
  }

  public func writeDurably(
    _ file: DiskFile, at offset: UInt64, from bytes: UnsafeRawBufferPointer, registration: Int32,
    _ completion: any DiskCompletion, tag: UInt64
  ) {
    precondition(offset % 4096 == 0 && bytes.count % 4096 == 0, "unaligned durable write")
    precondition(UInt(bitPattern: bytes.baseAddress) % 4096 == 0, "unaligned memory")
    guard let found = opened[file.id] else { preconditionFailure("a write to a closed file") }
    precondition(offset + UInt64(bytes.count) <= found.size, "a durable write extends its file")
    guard !isDead else { return }
    calls += 1
    var write = Write(
      file: found, offset: offset, bytes: bytes, completion: completion, tag: tag, failure: nil)
    if let code = failures.removeValue(forKey: calls) {
      write.failure = (-code, random.below(bytes.count / 512 + 1) * 512)
    } else if shortWrites.remove(calls) != nil {
      let kept = random.below(bytes.count / 512) * 512
      write.failure = (Int32(kept), kept)
    }
    writes.append(write)
    if powerCut == calls { isDead = true }
  }

  public func background(
    _ work: @escaping @Sendable () -> DiskError?, _ done: @escaping @Sendable (DiskError?) -> Void
  ) {
    guard !isDead else { return }
    jobs.append(Job(work: work, done: done))
  }
}
