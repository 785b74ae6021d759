internal import ArgumentParser
internal import Glibc
internal import Logging
internal import Server

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve a data directory until SIGTERM or SIGINT.",
    discussion: """
      Each option can also be given in the environment, as ENGRAM_ and its name in capitals (ENGRAM_LISTEN, \
      ENGRAM_DATA_DIR, ENGRAM_LOOPS, ENGRAM_LOG_LEVEL, ENGRAM_LOG_FORMAT, ENGRAM_NO_SEARCH). An option on the \
      command line goes before the environment, and that before the default.
      """)

  @Option(
    help: "Address and port to listen on; only loopback addresses are served. (default: 127.0.0.1:8080)")
  var listen: String?

  @Option(help: "Directory of log and store; made if it isn't there. (default: ./data)")
  var dataDir: String?

  @Option(
    help: "Event loops, one thread each. (default: one less than there are online processors, at least 1)")
  var loops: Int?

  @Flag(help: "Don't index what is posted: POST /search is answered by 503. (default: units are indexed)")
  var noSearch = false

  @Option(help: "trace, debug, info, notice, warning, error or critical. (default: info)")
  var logLevel: String?

  @Option(help: "Log lines as text or json. (default: text)")
  var logFormat: String?

  func run() throws {
    var configuration = Configuration()
    configuration.version = Version.text
    let wanted = setting(listen, "LISTEN") ?? "127.0.0.1:8080"
    guard let (address, port) = Configuration.parseListen(wanted) else {
      throw ValidationError("--listen \(wanted): expected ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    }
    configuration.address = address
    configuration.port = port
    configuration.dataDirectory = setting(dataDir, "DATA_DIR") ?? "./data"
    configuration.loops = try loopCount()
    configuration.search = try !withoutSearch()
    let level = setting(logLevel, "LOG_LEVEL") ?? "info"
    guard let level = Logger.Level(rawValue: level) else {
      throw ValidationError(
        "--log-level \(level): expected trace, debug, info, notice, warning, error or critical")
    }
    let format = setting(logFormat, "LOG_FORMAT") ?? "text"
    guard let format = LogFormat(rawValue: format) else {
      throw ValidationError("--log-format \(format): expected text or json")
    }
    var logger = Logger(label: "engram") { _ in LineLogHandler(format: format) }
    logger.logLevel = level
    do throws(ServerFailure) {
      try Program(configuration, logger).run()
    } catch {
      logger.critical("\(error)")
      throw ExitCode(error.exitCode)
    }
  }

  private func loopCount() throws -> Int {
    if let loops { return try checked(loops) }
    guard let text = setting(nil, "LOOPS") else {
      // The applier, RocksDB and the kernel's flushes need a processor too (ARCHITECTURE.md has the measurement).
      return min(Program.loopsMax, max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) - 1))
    }
    guard let count = Int(text) else { throw ValidationError("ENGRAM_LOOPS \(text): expected a number") }
    return try checked(count)
  }

  private func withoutSearch() throws -> Bool {
    guard !noSearch, let text = setting(nil, "NO_SEARCH") else { return noSearch }
    switch text.lowercased() {
    case "1", "true", "yes", "on": return true
    case "", "0", "false", "no", "off": return false
    default: throw ValidationError("ENGRAM_NO_SEARCH \(text): expected true or false")
    }
  }

  private func checked(_ count: Int) throws -> Int {
    guard (1...Program.loopsMax).contains(count) else {
      throw ValidationError("--loops \(count): expected 1 to \(Program.loopsMax)")
    }
    return count
  }

  /// The option, or the variable of the environment.
  private func setting(_ option: String?, _ name: String) -> String? {
    if let option { return option }
    return getenv("ENGRAM_\(name)").map { String(cString: $0) }
  }
}

/// One run of the server, from start-up line to end.
struct Program {
  static let loopsMax = 256

  private let configuration: Configuration
  private let logger: Logger

  init(_ configuration: Configuration, _ logger: Logger) {
    self.configuration = configuration
    self.logger = logger
  }

  func run() throws(ServerFailure) {
    Program.raiseDescriptorLimit()
    signal(SIGPIPE, SIG_IGN)
    let began = Program.milliseconds()
    let server = try Server(configuration, logger: logger)
    signal(SIGTERM) { _ in Server.signalled() }
    signal(SIGINT) { _ in Server.signalled() }
    server.start()
    Program.say(
      "engram \(configuration.version) listening on \(server.address), data in \(configuration.dataDirectory), "
        + "\(configuration.loops) loops, recovered \(server.recoveredEvents) events in "
        + "\(Program.milliseconds() - began) ms")
    Program.say("ready")
    try server.waitForEnd()
  }

  /// A line on standard output, at once.
  static func say(_ line: String) {
    print(line)
    fflush(nil)
  }

  private static func milliseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }

  /// As many descriptors as the system allows: each connection takes one.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
