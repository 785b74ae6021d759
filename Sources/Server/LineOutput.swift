internal import EventLoop
internal import Glibc
internal import Synchronization

/// Lines on a descriptor that other processes may share, such as standard error: what its reader doesn't take in time is
/// dropped and counted, so that a log that nobody reads holds up neither an answer nor the end. Any thread.
public final class LineOutput: Sendable {
  public static let standardError = LineOutput(STDERR_FILENO)

  /// How long a line waits for its reader, all of it together. Who reads takes what a pipe holds (64 KiB) in less.
  static let patienceNanoseconds: UInt64 = 100_000_000

  /// How to write without being held up. Not by O_NONBLOCK on the descriptor: that would be the others' too.
  private enum Way {
    /// A file takes what it is given.
    case file
    /// send(2) has a flag for it.
    case socket
    /// The same pipe or terminal, opened once more for us alone.
    case own(Int32)
    /// It can't be: the pipe is another user's, or its reader is gone. What poll(2) says holds for `PIPE_BUF` bytes, as
    /// long as nobody else writes in between.
    case polled
  }

  private struct State {
    /// Lines since the last one that was written.
    var lost: UInt64 = 0
    /// The last one was written in part: the next begins on a line of its own.
    var isCut = false
  }

  private let descriptor: Int32
  private let way: Way
  private let state = Mutex(State())

  /// - Parameters:
  ///   - descriptor: stays the caller's, and open.
  ///   - opensAgain: whether to try; tests say no.
  init(_ descriptor: Int32, opensAgain: Bool = true) {
    self.descriptor = descriptor
    var status = stat()
    fstat(descriptor, &status)
    switch status.st_mode & S_IFMT {
    case S_IFREG: way = .file
    case S_IFSOCK: way = .socket
    default:
      let path = opensAgain ? "/proc/self/fd/\(descriptor)" : ""
      let own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
      way = own >= 0 ? .own(own) : .polled
    }
  }

  deinit { if case .own(let own) = way { close(own) } }

  /// Writes a line. Blocks for `patienceNanoseconds` at most, and not at all while lines are being lost.
  /// - Parameters:
  ///   - line: ends with a line feed.
  ///   - notice: the line that says how many were lost before this one.
  public func write(_ line: String, afterLosing notice: (UInt64) -> String) {
    state.withLock { state in
      // In one piece: where a long line has no room, a short one may still have some, and would be all there is.
      let told = state.lost == 0 ? "" : notice(state.lost)
      let text = told + line
      let done = put(text, &state, patience: state.lost == 0 ? LineOutput.patienceNanoseconds : 0)
      if done >= told.utf8.count { state.lost = 0 }
      if done < text.utf8.count { state.lost += 1 }
    }
  }

  /// How many bytes of the text were written.
  private func put(_ text: String, _ state: inout State, patience: UInt64) -> Int {
    let prefix = state.isCut ? "\n" : ""
    var whole = prefix + text
    let deadline = EventLoop.monotonicNanoseconds() + patience
    let done = whole.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = take(UnsafeBufferPointer(rebasing: bytes[done...]))
        if count > 0 { done += count } else if !isTaken(by: deadline) { break }
      }
      return done
    }
    if done > 0 { state.isCut = done < whole.utf8.count }
    return max(0, done - prefix.utf8.count)
  }

  /// How many bytes were taken at once; less than 1: none.
  private func take(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
    switch way {
    case .file: Glibc.write(descriptor, bytes.baseAddress, bytes.count)
    case .socket:
      send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
    case .own(let own): Glibc.write(own, bytes.baseAddress, bytes.count)
    case .polled:
      poll(milliseconds: 0) ? Glibc.write(descriptor, bytes.baseAddress, min(bytes.count, Int(PIPE_BUF))) : 0
    }
  }

  /// After nothing was taken: waits for the reader. False if it is too late, or there is more amiss than a full pipe.
  private func isTaken(by deadline: UInt64) -> Bool {
    guard errno == EAGAIN || errno == EINTR else { return false }
    let now = EventLoop.monotonicNanoseconds()
    return now < deadline && poll(milliseconds: Int32((deadline - now) / 1_000_000 + 1))
  }

  private func poll(milliseconds: Int32) -> Bool {
    var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    if Glibc.poll(&wanted, 1, milliseconds) > 0 { return true }
    errno = EAGAIN
    return false
  }
}
