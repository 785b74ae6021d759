import Glibc
import Testing

@testable import Server

@Suite struct DirectoryLockTests {
  private func failure(_ path: String) -> DirectoryLock.Failure? {
    do throws(DirectoryLock.Failure) {
      _ = try DirectoryLock(path)
      return nil
    } catch {
      return error
    }
  }

  @Test func `one holder at a time, and the next after it`() throws {
    let directory = try TemporaryDirectory()
    let first = try DirectoryLock(directory.path)
    guard case .held = failure(directory.path) else {
      Issue.record("a second lock was had")
      return
    }
    withExtendedLifetime(first) {}
    _ = consume first
    #expect(failure(directory.path) == nil)
  }

  @Test func `directories on the way are made`() throws {
    let directory = try TemporaryDirectory()
    let deep = directory.path + "/a//b/c"
    #expect(failure(deep) == nil)
    #expect(access(deep + "/LOCK", F_OK) == 0)
  }

  @Test func `a file in the way is named`() throws {
    let directory = try TemporaryDirectory()
    let file = directory.path + "/file"
    close(open(file, O_CREAT | O_WRONLY, 0o644))
    guard case .failed(let code, let operation) = failure(file + "/below") else {
      Issue.record("a directory was made below a file")
      return
    }
    #expect(code == ENOTDIR)
    #expect(operation == "mkdir \(file)/below")
    // The file itself as directory: it exists, so that only the lock in it fails.
    guard case .failed(ENOTDIR, "open \(file)/LOCK") = failure(file) else {
      Issue.record("a lock was had in a file")
      return
    }
  }
}
