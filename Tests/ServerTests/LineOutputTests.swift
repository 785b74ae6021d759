import EventLoop
import Glibc
import Testing

@testable import Server

/// A log whose reader stalls, and reads again.
@Suite struct LineOutputTests {
  /// Two ends, of which the first is read by hand.
  private final class Ends {
    let reader: Int32
    let writer: Int32

    init(isSocket: Bool) throws {
      var pair: [Int32] = [-1, -1]
      let failed =
        isSocket
        ? socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair)
        : pipe(&pair)
      guard failed == 0 else { throw TestFailure("two ends: \(errno)") }
      (reader, writer) = (pair[0], pair[1])
    }

    deinit {
      close(reader)
      close(writer)
    }

    /// What waits to be read.
    func drain() -> String {
      var bytes: [UInt8] = []
      var waiting = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
      while poll(&waiting, 1, 0) == 1 {
        var part = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(reader, &part, part.count)
        guard count > 0 else { break }
        bytes += part[..<count]
      }
      return String(decoding: bytes, as: UTF8.self)
    }
  }

  private func write(_ line: String, to output: LineOutput) {
    output.write(line + "\n") { "lost \($0)\n" }
  }

  @Test(arguments: [(false, true), (false, false), (true, true)])
  func `a reader that stalls is waited for once, and told what it missed`(
    isSocket: Bool, opensAgain: Bool
  ) throws {
    let ends = try Ends(isSocket: isSocket)
    let output = LineOutput(ends.writer, opensAgain: opensAgain)
    let text = String(repeating: "x", count: 900)
    let began = EventLoop.monotonicNanoseconds()
    for number in 0..<2000 { write("\(number) \(text)", to: output) }
    // Far from a tenth of a second for each.
    #expect(EventLoop.monotonicNanoseconds() - began < 20 * LineOutput.patienceNanoseconds)
    #expect(fcntl(ends.writer, F_GETFL) & O_NONBLOCK == 0)
    let first = ends.drain().split(separator: "\n")
    write("after", to: output)
    write("at last", to: output)
    let rest = ends.drain().split(separator: "\n")
    #expect(rest.suffix(2) == ["after", "at last"])
    let whole = first.filter { $0.hasSuffix(text) }
    #expect(whole.count > 10 && whole.enumerated().allSatisfy { $1.hasPrefix("\($0) ") })
    #expect(rest.contains("lost \(2000 - whole.count)"))
  }

  @Test func `a line that was cut leaves the next one a line of its own`() throws {
    let ends = try Ends(isSocket: false)
    let output = LineOutput(ends.writer)
    write(String(repeating: "x", count: 1 << 18), to: output)
    let cut = ends.drain()
    #expect(cut.allSatisfy { $0 == "x" } && !cut.isEmpty)
    write("next", to: output)
    #expect(ends.drain() == "\nlost 1\nnext\n")
  }

  @Test func `a file takes every line`() throws {
    let directory = try TemporaryDirectory()
    let path = "\(directory.path)/log"
    let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(file) }
    let output = LineOutput(file)
    for number in 0..<1000 { write("\(number)", to: output) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = pread(file, &bytes, bytes.count, 0)
    #expect(
      String(decoding: bytes[..<count], as: UTF8.self) == (0..<1000).map { "\($0)\n" }.joined())
  }
}
