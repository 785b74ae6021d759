/// What a call on a disk came back with instead of a result.
public struct DiskError: Error, Equatable, Sendable {
  /// errno
  public var code: Int32
  public var operation: String
  public var file: String

  public init(code: Int32, operation: String, file: String) {
    self.code = code
    self.operation = operation
    self.file = file
  }
}

/// A file that a `Disk` has opened.
public struct DiskFile: Hashable, Sendable {
  public let id: Int32

  public init(id: Int32) { self.id = id }
}

/// One directory of files, as the log sees it. Calls other than the last two block.
public protocol Disk: AnyObject {
  func list() throws(DiskError) -> [String]
  func open(_ name: String, writable: Bool) throws(DiskError) -> DiskFile
  /// A new file of zeros: written, fsynced, directory fsynced.
  func create(_ name: String, bytes: UInt64) throws(DiskError)
  func size(_ file: DiskFile) throws(DiskError) -> UInt64
  /// Reads up to `into.count` bytes; fewer only at the end of the file.
  func read(_ file: DiskFile, at: UInt64, into: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int
  /// Blocking; not yet durable.
  func write(_ file: DiskFile, at: UInt64, from: UnsafeRawBufferPointer) throws(DiskError)
  func synchronize(_ file: DiskFile) throws(DiskError)
  func synchronizeDirectory() throws(DiskError)
  func rename(_ from: String, to: String) throws(DiskError)
  func remove(_ name: String) throws(DiskError)
  func close(_ file: DiskFile)
  /// Hot: one durable write, 4 KiB-aligned offset and memory that lives until completion; completion on the
  /// loop with bytes written or -errno. Never retried.
  func writeDurably(
    _ file: DiskFile, at: UInt64, from: UnsafeRawBufferPointer, registration: Int32,
    _ completion: any DiskCompletion, tag: UInt64)
  /// Runs `work` on the disk's background thread (real) or as a later event (simulated); then `done` on the loop.
  func background(
    _ work: @escaping @Sendable () -> DiskError?, _ done: @escaping @Sendable (DiskError?) -> Void)
}

public protocol DiskCompletion: AnyObject {
  func diskWriteCompleted(tag: UInt64, result: Int32)
}
