internal import Glibc

/// Why a file that the settings name isn't taken.
public struct FileFault: Error, Hashable, Sendable, CustomStringConvertible {
  public var path: String
  public var cause: String

  public var description: String { "\(path): \(cause)" }
}

/// A file that was read whole, with who may get at it: of the very descriptor that was read (fstat(2)), so that nobody
/// puts another file there between the look and the reading. Symbolic links are followed: that is how Kubernetes hands
/// over secrets.
public struct CheckedFile: Sendable {
  public var path: String
  public var bytes: [UInt8]
  /// Permission bits.
  var mode: UInt32
  /// Who may change those.
  var owner: UInt32 = 0

  /// Reads a regular file. Blocks; never on a pipe or a device.
  public static func read(_ path: String, bytesMax: Int) throws(FileFault) -> CheckedFile {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw FileFault(path: path, cause: String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FileFault(path: path, cause: String(cString: strerror(errno)))
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw FileFault(path: path, cause: "no regular file") }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileFault(path: path, cause: String(cString: strerror(errno))) }
      if count == 0 { break }
      bytes += chunk[..<count]
      guard bytes.count <= bytesMax else {
        throw FileFault(path: path, cause: "larger than \(bytesMax) bytes")
      }
    }
    return CheckedFile(path: path, bytes: bytes, mode: status.st_mode & 0o7777, owner: status.st_uid)
  }

  /// Reads a file that holds a secret.
  public static func readPrivate(_ path: String, bytesMax: Int) throws(FileFault) -> CheckedFile {
    let file = try read(path, bytesMax: bytesMax)
    try file.requirePrivate()
    return file
  }

  /// Throws unless the owner and, for reading, its group are alone with it.
  public func requirePrivate() throws(FileFault) {
    try requireOwn()
    if mode & 0o007 != 0 { throw refusal("gives others access to a secret") }
    if mode & 0o020 != 0 { throw refusal("lets its group change a secret") }
  }

  /// Throws if anybody could change it: who may do what is written there.
  public func requireUnchangeable() throws(FileFault) {
    try requireOwn()
    if mode & 0o002 != 0 { throw refusal("lets everybody change it", "chmod o-w") }
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
