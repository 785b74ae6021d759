internal import CIOUring
internal import Glibc

/// Why there is no ring, in one line that names the cause and its cure.
public struct RingError: Error, Sendable, CustomStringConvertible {
  /// The `errno` of the call.
  public let code: Int32
  /// The call that failed, as its manual page names it.
  public let operation: String
  /// What to change so that it works.
  public let hint: String

  public init(code: Int32, operation: String, hint: String) {
    self.code = code
    self.operation = operation
    self.hint = hint
  }

  init(_ result: Int32, _ operation: String) {
    code = abs(result)
    self.operation = operation
    hint = RingError.hint(code, disabled: engram_io_uring_disabled())
  }

  public var description: String {
    "\(operation): \(String(cString: strerror(code))) (errno \(code)); \(hint)"
  }

  /// `disabled` is the value of the sysctl kernel.io_uring_disabled
  /// (Documentation/admin-guide/sysctl/kernel.rst), or -1 where the kernel has none.
  static func hint(_ code: Int32, disabled: Int32) -> String {
    let allow =
      "allow io_uring_setup, io_uring_enter and io_uring_register, for example with"
      + " --security-opt seccomp=engram-seccomp.json"
    switch code {
    case EPERM where disabled > 0, EACCES where disabled > 0:
      return "io_uring is switched off by kernel.io_uring_disabled=\(disabled): set it with"
        + " sysctl -w kernel.io_uring_disabled=0"
    case EPERM, EACCES:
      return "io_uring is blocked, most likely by a seccomp profile: \(allow)"
    case ENOSYS:
      return "io_uring is missing: a seccomp profile hides it (\(allow)) or the kernel is older than 6.1"
    case ENOMEM:
      return "no memory to lock: raise RLIMIT_MEMLOCK (LimitMEMLOCK=infinity, ulimit -l unlimited)"
    case EMFILE, ENFILE:
      return "no descriptor left: raise RLIMIT_NOFILE (ulimit -n)"
    case EINVAL:
      return "the kernel doesn't know what is asked of it: Linux 6.1 or newer is needed"
    default:
      return "Linux 6.1 or newer with io_uring is needed"
    }
  }
}
