internal import Glibc

/// A file that only takes up room, to be given away when a server starts on a full file system: RocksDB can't open
/// without writing a new manifest, and reads must go on also after a restart.
struct Ballast: Sendable {
  static let bytes: UInt64 = 16 << 20
  private let directory: String
  private var path: String { "\(directory)/ballast" }

  /// - Parameter log: path of the log's directory; the ballast lies beside it.
  init(besides log: String) { directory = "\(log)/.." }

  /// Gives the room away if there is less of it left than the ballast takes. At the start.
  func giveIfShort() {
    if let free = FreeSpace.bytes(at: directory), free < Ballast.bytes { unlink(path) }
  }

  /// Makes the file again if it is gone and there is plenty of room. May wait for the disk:
  /// for the time before a start is done, and for threads that read.
  func makeUp(free: UInt64, keeping least: UInt64) {
    guard free >= least + 2 * Ballast.bytes, access(path, F_OK) != 0 else { return }
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
    guard file >= 0 else { return }
    // Reserved, not only promised: a hole would take nothing.
    if posix_fallocate(file, 0, off_t(Ballast.bytes)) != 0 { unlink(path) }
    close(file)
  }
}

/// What statvfs(3) says to those who aren't root.
enum FreeSpace {
  static func bytes(at path: String) -> UInt64? {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return nil }
    let bytes = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    return bytes.overflow ? .max : bytes.partialValue
  }
}
