internal import Glibc

/// One process at a time on a data directory: a lock (flock(2)) on a file in it, which the kernel lets go when the
/// process ends, however it ends.
final class DirectoryLock {
  enum Failure: Error {
    case held
    case failed(Int32, String)
  }

  private let descriptor: Int32

  /// Makes the directory if it isn't there, and locks it.
  init(_ path: String) throws(Failure) {
    try DirectoryLock.make(path)
    let file = "\(path)/LOCK"
    descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .failed(errno, "open \(file)") }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(descriptor)
      throw code == EWOULDBLOCK ? .held : .failed(code, "flock \(file)")
    }
  }

  /// Unlocks before it closes: between fork(2) and execve(2) a child of this process has the descriptor too, and would
  /// keep the lock for that long.
  deinit {
    _ = flock(descriptor, LOCK_UN)
    close(descriptor)
  }

  /// Makes a directory and those above it.
  private static func make(_ path: String) throws(Failure) {
    var made = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      made += "/\(part)"
      guard mkdir(made, 0o755) == 0 || errno == EEXIST else { throw .failed(errno, "mkdir \(made)") }
    }
  }
}
