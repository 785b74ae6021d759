internal import Glibc
internal import Settings
internal import Synchronization

/// Where audit lines go: opened and checked while the configuration is made, before anything of a running server is
/// touched, and handed over to the thread that writes. Any thread.
final class AuditFile: Sendable {
  /// What there is to say of a file that is taken all the same.
  let doubt: FileFault?
  /// Empty once it is handed over.
  private let outlet: Mutex<AuditOutlet>

  /// Lines go into the log.
  init() {
    doubt = nil
    outlet = Mutex(.log)
  }

  /// Opens the file. Blocks on its disk only: a pipe or a device isn't waited for, and is refused.
  /// - Parameters:
  ///   - path: `-` is standard error; empty, lines go into the log.
  ///   - isTrial: whether it is only to be seen if the file would do: it isn't made if it isn't there.
  /// - Throws: if it can't be opened, or if others could change what is written there.
  init(_ path: String, isTrial: Bool = false) throws(FileFault) {
    guard !path.isEmpty, path != "-" else {
      doubt = nil
      outlet = Mutex(path.isEmpty ? .log : .standardError)
      return
    }
    let creates = isTrial ? 0 : O_CREAT
    // For reading too: how it ends.
    let opened = open(path, O_RDWR | O_APPEND | creates | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0o600)
    if opened < 0 {
      let code = errno
      guard isTrial, code == ENOENT else { throw AuditFile.unopened(path, code) }
      try AuditFile.requirePlace(path)
      doubt = nil
      outlet = Mutex(.log)
      return
    }
    do throws(FileFault) {
      let rights = try FileRights(of: opened, path: path)
      try rights.requireWitness()
      doubt = rights.readersDoubt
    } catch {
      close(opened)
      throw error
    }
    outlet = Mutex(AuditOutlet(descriptor: opened, isOwned: true))
  }

  /// Hands over what was opened. Once: a second time there is the log only.
  func take() -> AuditOutlet {
    outlet.withLock { outlet in
      var taken = AuditOutlet.log
      swap(&taken, &outlet)
      return taken
    }
  }

  /// Throws if the file's directory isn't there, or doesn't let it be made.
  private static func requirePlace(_ path: String) throws(FileFault) {
    let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    guard faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0 else { throw unopened(path, errno) }
  }

  private static func unopened(_ path: String, _ code: Int32) -> FileFault {
    FileFault(path: path, cause: "can't be opened: \(String(cString: strerror(code)))")
  }
}

/// What audit lines are written to. A file is closed with it.
struct AuditOutlet: ~Copyable, Sendable {
  /// -1: lines go into the log.
  let descriptor: Int32
  fileprivate let isOwned: Bool

  static var log: AuditOutlet { AuditOutlet(descriptor: -1, isOwned: false) }
  static var standardError: AuditOutlet { AuditOutlet(descriptor: STDERR_FILENO, isOwned: false) }

  fileprivate init(descriptor: Int32, isOwned: Bool) {
    self.descriptor = descriptor
    self.isOwned = isOwned
  }

  /// Whether the file ends in the middle of a line; nil for what is no file. Blocks on its disk.
  var endsInLine: Bool? {
    guard isOwned else { return nil }
    var status = stat()
    var last: UInt8 = 0
    guard fstat(descriptor, &status) == 0 else { return true }
    guard status.st_size > 0 else { return false }
    var count = 0
    repeat { count = pread(descriptor, &last, 1, status.st_size - 1) } while count < 0 && errno == EINTR
    // Somebody may have cut it meanwhile. What can't be read gets a line's end: two lines in one are worse than an empty one.
    return count < 0 || count > 0 && last != UInt8(ascii: "\n")
  }

  deinit {
    if isOwned { close(descriptor) }
  }
}
