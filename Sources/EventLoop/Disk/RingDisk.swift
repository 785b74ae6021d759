internal import CIOUring
internal import Glibc

/// How a write is made durable.
public enum DurablePrimitive: String, Sendable, CaseIterable {
  /// One write past the page cache with RWF_DSYNC: one submission, one completion.
  case directSync
  /// A write, then a datasync that is submitted only once the write has completed in full.
  case writeThenDatasync
}

/// The real disk: one directory, durable writes through the loop's ring.
///
/// Blocking calls are for the time before the loop starts, and for the background thread; they take no lock.
/// `writeDurably` is for the loop's thread.
public final class RingDisk: Disk, @unchecked Sendable {
  /// Pieces in which new files are filled with zeros.
  static let pieceBytes = 1 << 20
  static let alignment = 4096
  /// Ten seconds for the writes of a killed process to land.
  static let claimAttempts = 10_000
  static let claimPause: UInt32 = 1000

  public let path: String
  public let loop: EventLoop
  /// Set before the first durable write, from a probe or by configuration.
  public var primitive = DurablePrimitive.directSync
  /// Rest after each piece of a new file, in ns, so that commits don't feel it: 1 MiB per 4 ms is 250 MiB/s
  /// at most.
  public var createPause: UInt64 = 4_000_000

  let directory: Int32
  let worker = BackgroundThread()
  var idleWrites: [DurableWrite] = []

  /// Opens the directory at `path`, which exists.
  public init(path: String, loop: EventLoop) throws(DiskError) {
    self.path = path
    self.loop = loop
    directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw DiskError(code: errno, operation: "open", file: path) }
  }

  /// Ends the background thread after what it was given. Its owner calls it before the loop stops.
  public func shutDown() { worker.end() }

  deinit {
    worker.end()
    Glibc.close(directory)
  }
}

// MARK: - Blocking

extension RingDisk {
  public func list() throws(DiskError) -> [String] {
    // A descriptor of its own: fdopendir(3) takes it over, with its position.
    let own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard own >= 0, let stream = fdopendir(own) else { throw failure("opendir", path) }
    defer { closedir(stream) }
    var names: [String] = []
    errno = 0
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      var status = stat()
      guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFREG { names.append(name) }
      errno = 0
    }
    guard errno == 0 else { throw failure("readdir", path) }
    return names
  }

  public func open(_ name: String, writable: Bool) throws(DiskError) -> DiskFile {
    try check(name)
    let flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC
    var descriptor = openat(directory, name, writable ? flags | engram_open_direct : flags)
    // Some file systems have no O_DIRECT (open(2)): RWF_DSYNC is as durable through the page cache.
    if descriptor < 0, errno == EINVAL, writable { descriptor = openat(directory, name, flags) }
    guard descriptor >= 0 else { throw failure("open", name) }
    if writable { try claim(descriptor, name) }
    return DiskFile(id: descriptor)
  }

  /// Waits until nobody else can write to the file: the requests in flight of a process that was killed hold its open
  /// file, and with it the lock (flock(2)), until the kernel is done with them.
  private func claim(_ descriptor: Int32, _ name: String) throws(DiskError) {
    for _ in 0..<RingDisk.claimAttempts {
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
      guard errno == EWOULDBLOCK || errno == EINTR else { break }
      usleep(RingDisk.claimPause)
    }
    let error = failure("flock", name)
    Glibc.close(descriptor)
    throw error
  }

  public func create(_ name: String, bytes: UInt64) throws(DiskError) {
    try check(name)
    try checkRoom(for: bytes, name)
    let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
    let isAligned = bytes % UInt64(RingDisk.alignment) == 0
    var descriptor = openat(directory, name, isAligned ? flags | engram_open_direct : flags, 0o640)
    if descriptor < 0, errno == EINVAL {
      unlinkat(directory, name, 0)  // the file may be there all the same (open(2), O_DIRECT)
      descriptor = openat(directory, name, flags, 0o640)
    }
    guard descriptor >= 0 else { throw failure("open", name) }
    defer { Glibc.close(descriptor) }
    do throws(DiskError) {
      try fillWithZeros(descriptor, bytes, name)
      guard fsync(descriptor) == 0 else { throw failure("fsync", name) }
    } catch {
      unlinkat(directory, name, 0)
      throw error
    }
    try synchronizeDirectory()
  }

  public func size(_ file: DiskFile) throws(DiskError) -> UInt64 {
    var status = stat()
    guard fstat(file.id, &status) == 0 else { throw failure("fstat", name(file)) }
    return UInt64(status.st_size)
  }

  public func read(
    _ file: DiskFile, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DiskError) -> Int {
    guard let base = buffer.baseAddress else { return 0 }
    var done = 0
    while done < buffer.count {
      let count = pread(file.id, base + done, buffer.count - done, off_t(offset) + off_t(done))
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("pread", name(file))
      }
      done += count
      // Direct reads are short in the middle of a block only at the end of the file.
      if count == 0 || done % 512 != 0 { break }
    }
    return done
  }

  public func write(
    _ file: DiskFile, at offset: UInt64, from bytes: UnsafeRawBufferPointer
  ) throws(DiskError) {
    try writeAll(file.id, bytes, offset, name(file))
  }

  public func synchronize(_ file: DiskFile) throws(DiskError) {
    guard fdatasync(file.id) == 0 else { throw failure("fdatasync", name(file)) }
  }

  public func synchronizeDirectory() throws(DiskError) {
    guard fsync(directory) == 0 else { throw failure("fsync", path) }
  }

  public func rename(_ from: String, to: String) throws(DiskError) {
    try check(from)
    try check(to)
    guard renameat(directory, from, directory, to) == 0 else { throw failure("rename", from) }
  }

  public func remove(_ name: String) throws(DiskError) {
    try check(name)
    guard unlinkat(directory, name, 0) == 0 else { throw failure("unlink", name) }
  }

  public func close(_ file: DiskFile) { Glibc.close(file.id) }

  public func background(
    _ work: @escaping @Sendable () -> DiskError?, _ done: @escaping @Sendable (DiskError?) -> Void
  ) {
    let loop = loop
    worker.add {
      let error = work()
      loop.perform { done(error) }
    }
  }

  // MARK: - Parts

  func failure(_ operation: String, _ file: String) -> DiskError {
    DiskError(code: errno, operation: operation, file: file)
  }

  /// A file that can't be finished isn't begun: filling the rest of a full file system, again with each attempt,
  /// would take from the store what it needs to let the log go.
  private func checkRoom(for bytes: UInt64, _ file: String) throws(DiskError) {
    var status = statvfs()
    guard fstatvfs(directory, &status) == 0 else { throw failure("fstatvfs", path) }
    let free = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    guard free.overflow || free.partialValue >= bytes else {
      throw DiskError(code: ENOSPC, operation: "make", file: file)
    }
  }

  /// Names are of this directory: no path leads out of it.
  private func check(_ name: String) throws(DiskError) {
    guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(UInt8(ascii: "/")),
      !name.utf8.contains(0)
    else { throw DiskError(code: EINVAL, operation: "name", file: name) }
  }

  /// The name of an open file, for an error: what the kernel says of the descriptor.
  private func name(_ file: DiskFile) -> String {
    let saved = errno
    defer { errno = saved }
    var text = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/fd/\(file.id)", &text, text.count)
    guard count > 0 else { return "descriptor \(file.id)" }
    let whole = String(decoding: text.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    return whole.split(separator: "/").last.map(String.init) ?? whole
  }

  private func writeAll(
    _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, _ offset: UInt64, _ file: String
  ) throws(DiskError) {
    guard let base = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, base + done, bytes.count - done, off_t(offset) + off_t(done))
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("pwrite", file)
      }
      guard count > 0 else { throw DiskError(code: EIO, operation: "pwrite", file: file) }
      done += count
    }
  }

  private func fillWithZeros(_ descriptor: Int32, _ bytes: UInt64, _ name: String) throws(DiskError) {
    let zeros = UnsafeMutableRawBufferPointer.allocate(
      byteCount: RingDisk.pieceBytes, alignment: RingDisk.alignment)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    var done: UInt64 = 0
    while done < bytes {
      let count = Int(min(bytes - done, UInt64(zeros.count)))
      try writeAll(descriptor, UnsafeRawBufferPointer(rebasing: zeros[..<count]), done, name)
      done += UInt64(count)
      guard done < bytes, createPause > 0 else { continue }
      var rest = timespec(
        tv_sec: Int(createPause / 1_000_000_000), tv_nsec: Int(createPause % 1_000_000_000))
      nanosleep(&rest, nil)  // a signal that shortens it does no harm
    }
  }
}
