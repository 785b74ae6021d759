internal import ArgumentParser
internal import Glibc
internal import Server

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Read log, store and search index of a stopped server whole, and compare them.",
    discussion: """
      Checks every checksum, the chain of batches, that each context's sequences have no gap, that all families of the \
      store agree with each other and with the log, that the search index holds every unit's words up to where it says it does. \
      Reads only, and goes on behind what it finds. Progress goes to \
      standard error. Exits with 0 if all is well, 1 if there is damage, 66 if there is nothing to read, 73 if a server \
      is using the directory.
      """)

  @Option(help: "Directory of log and store. (default: ENGRAM_DATA_DIR, or ./data)")
  var dataDir: String?

  @Flag(help: "No progress on standard error.")
  var quiet = false

  func run() throws {
    let path = dataDir ?? getenv("ENGRAM_DATA_DIR").map { String(cString: $0) } ?? "./data"
    let meter = ProgressMeter(isQuiet: quiet)
    do throws(ServerFailure) {
      let (text, exitCode) = try VerifyReport.make(dataDirectory: path) { meter.show($0) }
      print(text)
      if exitCode != 0 { throw ServerFailure(exitCode, "") }
    } catch {
      if !error.description.isEmpty { ProgressMeter.say("engram verify: \(error)") }
      throw ExitCode(error.exitCode)
    }
  }
}

/// A line on standard error each second, at most.
private final class ProgressMeter {
  private let isQuiet: Bool
  private var shown = ProgressMeter.seconds()

  init(isQuiet: Bool) { self.isQuiet = isQuiet }

  func show(_ text: String) {
    let now = ProgressMeter.seconds()
    guard !isQuiet, now > shown else { return }
    shown = now
    ProgressMeter.say(text)
  }

  static func say(_ line: String) {
    var line = line + "\n"
    line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  private static func seconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec
  }
}
