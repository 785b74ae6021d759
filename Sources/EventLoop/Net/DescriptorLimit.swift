internal import Glibc
internal import Synchronization

/// The process's limit of open files (RLIMIT_NOFILE), of which connections leave some to the files of log and store: a
/// log that can't open a segment takes no writes, and a store that can't open a table is broken until a restart.
enum DescriptorLimit {
  /// The limit belongs to the whole process: one change at a time.
  private static let change = Mutex(())

  /// Whether a descriptor could be opened now with `reserved` left over. The kernel gives out the lowest free number
  /// (open(2)), so the number of a duplicate says it.
  static func hasRoom(beyond reserved: Int, _ descriptor: Int32) -> Bool {
    let lowest = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    guard lowest >= 0 else { return false }
    Glibc.close(lowest)
    return Int(lowest) < current() - reserved
  }

  /// Runs `body`, microseconds, while the limit is lower by `reserved`. `hasRoom` was true: other threads that open a
  /// file meanwhile find a number below the lowered limit.
  static func lowered(by reserved: Int, _ body: () -> Void) {
    change.withLock { _ in
      var limit = rlimit()
      guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return body() }
      let whole = limit
      limit.rlim_cur -= min(limit.rlim_cur, rlim_t(reserved))
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      body()
      limit = whole
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
  }

  private static func current() -> Int {
    change.withLock { _ in
      var limit = rlimit()
      guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
      return Int(clamping: limit.rlim_cur)
    }
  }
}
