/// A disk operation that failed: the `errno`, the call, and the file.
public struct DiskError: Error, Equatable, Sendable {
  public var code: Int32
  public var operation: String
  public var file: String

  public init(code: Int32, operation: String, file: String) {
    self.code = code
    self.operation = operation
    self.file = file
  }
}

/// An open file: a descriptor in the real disk.
public struct DiskFile: Hashable, Sendable {
  public let id: Int32

  public init(id: Int32) { self.id = id }
}

/// Told that a durable write completed. On the loop.
public protocol DiskCompletion: AnyObject {
  /// `result` is the number of bytes that are durable, or -errno. Less than was asked for is a failure too.
  func diskWriteCompleted(tag: UInt64, result: Int32)
}

/// The door to one directory of files. The log's only way to the disk, and where a faulty or simulated one
/// stands in.
public protocol Disk: AnyObject {
  // MARK: Blocking, cold: start-up, tools, and the thread that prepares segments.

  /// Names of the regular files, in no order.
  func list() throws(DiskError) -> [String]
  /// Opens an existing file; past the page cache (O_DIRECT) when writable and supported.
  func open(_ name: String, writable: Bool) throws(DiskError) -> DiskFile
  /// Makes a new file of `bytes` zeros, written (not only allocated) in paced pieces of 1 MiB; file and
  /// directory are synced. An existing file is an error (EEXIST).
  func create(_ name: String, bytes: UInt64) throws(DiskError)
  func size(_ file: DiskFile) throws(DiskError) -> UInt64
  /// Reads until `into` is full or the file ends; returns how much. `into` is aligned to 4 KiB.
  func read(
    _ file: DiskFile, at: UInt64, into: UnsafeMutableRawBufferPointer
  ) throws(DiskError) -> Int
  /// Writes all of `from`; not durable yet.
  func write(_ file: DiskFile, at: UInt64, from: UnsafeRawBufferPointer) throws(DiskError)
  /// fdatasync(2).
  func synchronize(_ file: DiskFile) throws(DiskError)
  /// fsync(2) of the directory: names are durable after it.
  func synchronizeDirectory() throws(DiskError)
  func rename(_ from: String, to: String) throws(DiskError)
  func remove(_ name: String) throws(DiskError)
  func close(_ file: DiskFile)

  // MARK: Hot.

  /// Writes `from` durably at `at`, both aligned to 4 KiB; the memory lives until `completion` is called, on
  /// the loop. `registration` is the index of the memory in the loop's registered buffers, or -1. Never
  /// retried.
  func writeDurably(
    _ file: DiskFile, at: UInt64, from: UnsafeRawBufferPointer, registration: Int32,
    _ completion: any DiskCompletion, tag: UInt64)

  // MARK: Off the loop.

  /// Runs `work` on the disk's own background thread (or, simulated, as a later event), then `done` on the
  /// loop.
  func background(
    _ work: @escaping @Sendable () -> DiskError?, _ done: @escaping @Sendable (DiskError?) -> Void)
}
