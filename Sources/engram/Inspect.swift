internal import ArgumentParser
internal import Glibc
internal import Server

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print segments, positions and damage of a stopped server's log.",
    discussion: "Reads only. Exits with 1 if the log is damaged, with 73 if a server is using the directory.")

  @Option(help: "Directory of log and store. (default: ENGRAM_DATA_DIR, or ./data)")
  var dataDir: String?

  func run() throws {
    func complain(_ text: String) {
      var text = text
      text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
    let path = dataDir ?? getenv("ENGRAM_DATA_DIR").map { String(cString: $0) } ?? "./data"
    do throws(ServerFailure) {
      let (text, exitCode) = try LogReport.make(dataDirectory: path)
      print(text)
      if exitCode != 0 { throw ServerFailure(exitCode, "") }
    } catch {
      if !error.description.isEmpty { complain("engram inspect: \(error)\n") }
      throw ExitCode(error.exitCode)
    }
  }
}
