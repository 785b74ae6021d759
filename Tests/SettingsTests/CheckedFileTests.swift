import Glibc
import Testing

@testable import Settings

@Suite struct CheckedFileTests {
  /// A file of the test's own, in a directory that goes with it.
  private final class Scratch {
    let directory: String
    init() throws {
      var template = Array("/tmp/engram-settings.XXXXXX".utf8CString)
      let made = template.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } != nil }
      guard made else { throw Failed() }
      directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    deinit {
      for name in ["file", "link", "pipe"] { unlink("\(directory)/\(name)") }
      rmdir("\(directory)/directory")
      rmdir(directory)
    }
    func write(_ bytes: [UInt8], mode: mode_t) -> String {
      let path = "\(directory)/file"
      let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
      _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      fchmod(descriptor, mode)
      close(descriptor)
      return path
    }
    struct Failed: Error {}
  }

  @Test(
    arguments: [
      (0o600, nil), (0o400, nil), (0o640, nil), (0o440, nil),
      (0o644, "mode 0644 gives others access to a secret; chmod 600 "),
      (0o604, "mode 0604 gives others access to a secret; chmod 600 "),
      (0o602, "mode 0602 gives others access to a secret; chmod 600 "),
      (0o601, "mode 0601 gives others access to a secret; chmod 600 "),
      (0o660, "mode 0660 lets its group change a secret; chmod 600 "),
    ] as [(mode_t, String?)])
  func `who may get at a secret`(mode: mode_t, cause: String?) throws {
    let scratch = try Scratch()
    let path = scratch.write([1, 2, 3], mode: mode)
    #expect(try CheckedFile.read(path, bytesMax: 3).bytes == [1, 2, 3])
    do throws(FileFault) {
      #expect(try CheckedFile.readPrivate(path, bytesMax: 3).bytes == [1, 2, 3])
      #expect(cause == nil)
    } catch {
      #expect(error.path == path)
      #expect(error.cause == cause.map { $0 + path })
    }
  }

  /// The owner of a file can change its mode, so it must be the server's own or root's.
  @Test(arguments: [(0, true), (geteuid(), true), (geteuid() &+ 4242, false)] as [(UInt32, Bool)])
  func `whose a file is`(owner: UInt32, isTaken: Bool) {
    let file = CheckedFile(path: "f", bytes: [], mode: 0o600, owner: owner)
    for check in [file.requirePrivate, file.requireUnchangeable] {
      do throws(FileFault) {
        try check()
        #expect(isTaken)
      } catch {
        #expect(!isTaken)
        #expect(error.cause.hasPrefix("belongs to the user \(owner)"))
      }
    }
  }

  @Test(
    arguments: [
      (0o600, nil, nil), (0o640, nil, nil),
      (0o644, nil, "f: mode 0644 lets everybody read it; chmod o-r f"),
      (0o620, "f: mode 0620 lets others change it; chmod go-w f", nil),
      (0o602, "f: mode 0602 lets others change it; chmod go-w f", nil),
    ] as [(UInt32, String?, String?)])
  func `who may write what is to be a witness, and read it`(mode: UInt32, refusal: String?, doubt: String?) {
    let rights = FileRights(path: "f", mode: mode, owner: geteuid())
    do throws(FileFault) {
      try rights.requireWitness()
      #expect(refusal == nil)
      #expect(rights.readersDoubt?.description == doubt)
    } catch {
      #expect(error.description == refusal)
    }
    #expect(throws: FileFault.self) {
      try FileRights(path: "f", mode: mode & 0o600, owner: geteuid() &+ 4242).requireWitness()
    }
  }

  @Test func aLinkIsAsItsTargetIs() throws {
    let scratch = try Scratch()
    let path = scratch.write([1], mode: 0o644)
    let link = "\(scratch.directory)/link"
    symlink(path, link)
    #expect(throws: FileFault.self) { try CheckedFile.readPrivate(link, bytesMax: 9) }
    chmod(path, 0o600)
    #expect(try CheckedFile.readPrivate(link, bytesMax: 9).bytes == [1])
  }

  @Test func onlyRegularFiles() throws {
    let scratch = try Scratch()
    let pipe = "\(scratch.directory)/pipe"
    let directory = "\(scratch.directory)/directory"
    mkfifo(pipe, 0o600)
    mkdir(directory, 0o700)
    for path in [pipe, directory, "/dev/zero"] {
      do throws(FileFault) {
        _ = try CheckedFile.read(path, bytesMax: 9)
        Issue.record("taken: \(path)")
      } catch {
        #expect(error.cause == "no regular file")
      }
    }
    do throws(FileFault) {
      _ = try CheckedFile.read("\(scratch.directory)/none", bytesMax: 9)
      Issue.record("taken")
    } catch {
      #expect(error.cause == "No such file or directory")
    }
  }

  @Test func sizeHasAnEnd() throws {
    let scratch = try Scratch()
    let path = scratch.write([UInt8](repeating: 7, count: 40_000), mode: 0o600)
    #expect(try CheckedFile.read(path, bytesMax: 40_000).bytes.count == 40_000)
    #expect(throws: FileFault.self) { try CheckedFile.read(path, bytesMax: 39_999) }
  }

  @Test func aFileThatEverybodyMayChangeDecidesNothing() throws {
    let scratch = try Scratch()
    let path = scratch.write(Array("[server]\nloops = 1\n".utf8), mode: 0o646)
    do throws(SettingsFailure) {
      _ = try SettingsSource(config: path, flags: [:], environment: [:]).load()
      Issue.record("taken")
    } catch {
      #expect(error.lines == ["\(path): mode 0646 lets everybody change it; chmod o-w \(path)"])
      #expect(error.exitCode == 78)
    }
    chmod(path, 0o644)
    let settings = try SettingsSource(config: nil, flags: [:], environment: ["ENGRAM_CONFIG": path]).load()
    #expect(settings.origin(of: Schema.loops) == .file(path: path, line: 2))
  }
}
