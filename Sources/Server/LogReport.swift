internal import EventLoop
internal import Glibc
internal import WAL

/// What `engram inspect` prints.
public enum LogReport {
  /// Reads the log of a stopped server. Blocks, changes nothing.
  /// - Returns: the text, and the exit code: 1 if there is damage.
  public static func make(dataDirectory: String) throws(ServerFailure) -> (text: String, exitCode: Int32) {
    guard access("\(dataDirectory)/wal", F_OK) == 0 else {
      throw ServerFailure(EX_NOINPUT, "there is no log in \(dataDirectory)")
    }
    let lock: DirectoryLock
    do throws(DirectoryLock.Failure) {
      lock = try DirectoryLock(dataDirectory)
    } catch {
      throw ServerFailure(EX_CANTCREAT, "a server is using \(dataDirectory); stop it first")
    }
    defer { withExtendedLifetime(lock) {} }
    let loop: EventLoop
    do throws(RingError) {
      loop = try EventLoop(index: 0)
    } catch {
      throw ServerFailure(EX_UNAVAILABLE, "\(error)")
    }
    let inspection: LogInspection
    do throws(DiskError) {
      inspection = try LogInspection.run(try RingDisk(path: "\(dataDirectory)/wal", loop: loop))
    } catch {
      throw ServerFailure(
        EX_IOERR, "\(error.operation) \(error.file): \(String(cString: strerror(error.code)))")
    }
    return (inspection.text, inspection.exitCode)
  }
}
