public import Bytes
internal import Glibc

/// Why a file that the settings name isn't taken.
public struct FileFault: Error, Hashable, Sendable, CustomStringConvertible {
  public var path: String
  public var cause: String

  public init(path: String, cause: String) {
    self.path = path
    self.cause = cause
  }

  public var description: String { "\(path): \(cause)" }
}

/// Whose a file is and who may get at it: of the very descriptor that is read or written (fstat(2)), so that nobody puts
/// another file there between the look and the use. Symbolic links are followed: that is how Kubernetes hands over
/// secrets.
public struct FileRights: Sendable {
  let path: String
  /// Permission bits.
  let mode: UInt32
  /// Who may change those.
  let owner: UInt32

  init(path: String, mode: UInt32, owner: UInt32) {
    self.path = path
    self.mode = mode
    self.owner = owner
  }

  /// Of an open file. Throws if it isn't a regular one.
  public init(of descriptor: Int32, path: String) throws(FileFault) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FileFault(path: path, cause: String(cString: strerror(errno)))
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw FileFault(path: path, cause: "no regular file") }
    self.init(path: path, mode: status.st_mode & 0o7777, owner: status.st_uid)
  }

  /// Throws unless the owner and, for reading, its group are alone with it.
  func requirePrivate() throws(FileFault) {
    try requireOwn()
    if mode & 0o007 != 0 { throw refusal("gives others access to a secret") }
    if mode & 0o020 != 0 { throw refusal("lets its group change a secret") }
  }

  /// Throws if anybody could change it: who may do what is written there.
  func requireUnchangeable() throws(FileFault) {
    try requireOwn()
    if mode & 0o002 != 0 { throw refusal("lets everybody change it", "chmod o-w") }
  }

  /// Throws if anybody but its owner could change it: what stands there is to be a witness against them.
  public func requireWitness() throws(FileFault) {
    try requireOwn()
    if mode & 0o022 != 0 { throw refusal("lets others change it", "chmod go-w") }
  }

  /// What is to be said of a file that everybody may read though nobody should; nil: nothing.
  public var readersDoubt: FileFault? {
    mode & 0o004 != 0 ? refusal("lets everybody read it", "chmod o-r") : nil
  }

  /// Throws if it is somebody's who is neither this process's user nor root: its owner may do with it what he likes.
  private func requireOwn() throws(FileFault) {
    guard owner != 0, owner != geteuid() else { return }
    throw FileFault(
      path: path,
      cause: "belongs to the user \(owner), neither to root nor to the server's; chown \(geteuid()) \(path)")
  }

  private func refusal(_ cause: String, _ advice: String = "chmod 600") -> FileFault {
    let digits = String(mode, radix: 8)
    let padded = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    return FileFault(path: path, cause: "mode \(padded) \(cause); \(advice) \(path)")
  }
}

/// A file that was read whole, with who may get at it. What was read is cleared when nobody holds it any more: it may be
/// a key.
public struct CheckedFile: Sendable {
  public var path: String { rights.path }
  public let contents: SecretBytes
  private let rights: FileRights

  private init(_ contents: SecretBytes, _ rights: FileRights) {
    self.contents = contents
    self.rights = rights
  }

  /// One that was never on a disk.
  init(path: String, bytes: [UInt8], mode: UInt32, owner: UInt32 = 0) {
    self.init(
      bytes.withUnsafeBytes { SecretBytes(copying: $0) }, FileRights(path: path, mode: mode, owner: owner))
  }

  /// A copy, which nobody clears.
  public var bytes: [UInt8] { withExtendedLifetime(contents) { Array(contents.bytes) } }

  /// Reads a regular file. Blocks; never on a pipe or a device.
  public static func read(_ path: String, bytesMax: Int) throws(FileFault) -> CheckedFile {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw FileFault(path: path, cause: String(cString: strerror(errno))) }
    defer { close(descriptor) }
    let rights = try FileRights(of: descriptor, path: path)
    return CheckedFile(try readAll(descriptor, path, bytesMax: bytesMax), rights)
  }

  /// Reads to the end, whatever the file's size was said to be: it may grow meanwhile.
  private static func readAll(
    _ descriptor: Int32, _ path: String, bytesMax: Int
  ) throws(FileFault) -> SecretBytes {
    // One piece, so that no copy is left behind where it would have grown; pages are taken as they are written to.
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytesMax + 1, alignment: 16)
    var used = 0
    defer { SecretBytes.discard(room, used: used) }
    while used <= bytesMax {
      let count = Glibc.read(descriptor, room.baseAddress.map { $0 + used }, room.count - used)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileFault(path: path, cause: String(cString: strerror(errno))) }
      if count == 0 { break }
      used += count
    }
    guard used <= bytesMax else { throw FileFault(path: path, cause: "larger than \(bytesMax) bytes") }
    return SecretBytes(copying: UnsafeRawBufferPointer(rebasing: room[..<used]))
  }

  /// Reads a file that holds a secret.
  public static func readPrivate(_ path: String, bytesMax: Int) throws(FileFault) -> CheckedFile {
    let file = try read(path, bytesMax: bytesMax)
    try file.requirePrivate()
    return file
  }

  /// Throws unless the owner and, for reading, its group are alone with it.
  public func requirePrivate() throws(FileFault) { try rights.requirePrivate() }

  /// Throws if anybody could change it: who may do what is written there.
  public func requireUnchangeable() throws(FileFault) { try rights.requireUnchangeable() }
}
