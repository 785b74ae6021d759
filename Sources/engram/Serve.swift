internal import ArgumentParser
internal import Glibc
internal import Logging
internal import Server
internal import Settings

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve a data directory until SIGTERM or SIGINT.",
    discussion: """
      Each option is a key of the configuration file too, and a variable of the environment (ENGRAM_LISTEN, \
      ENGRAM_DATA_DIR, ENGRAM_LOOPS, ENGRAM_LOG_LEVEL, ENGRAM_LOG_FORMAT, ENGRAM_NO_SEARCH, ENGRAM_INSECURE, \
      ENGRAM_CONFIG). An option on the command line goes before the environment, that before the file, and that before \
      the default. TLS, authentication, policies and limits are set in the file: `engram config example` prints one, \
      `engram config check` says what is in force and where it comes from. SIGHUP reads certificates, tokens, keys, \
      policies and limits again.
      """)

  @OptionGroup var options: ServerOptions

  func run() throws {
    Program.installSignals()
    Program.keepToItself()
    let source = options.source
    let settings: Settings
    let configuration: Configuration
    do throws(SettingsFailure) {
      settings = try source.load()
      configuration = try Configuration(settings, version: Version.text)
    } catch {
      Program.complain(error.lines.map { "engram serve: \($0)\n" }.joined())
      throw ExitCode(error.exitCode)
    }
    let format = LogFormat(rawValue: settings[Schema.logFormat]) ?? .text
    var logger = Logger(label: "engram") { _ in LineLogHandler(format: format) }
    logger.logLevel = Logger.Level(rawValue: settings[Schema.logLevel]) ?? .info
    for warning in configuration.settings.warnings { logger.warning("\(warning)") }
    do throws(ServerFailure) {
      try Program(source, configuration, logger).run()
    } catch {
      logger.critical("\(error)")
      throw ExitCode(error.exitCode)
    }
  }
}

/// One run of the server, from start-up line to end.
struct Program {
  private let source: SettingsSource
  private let configuration: Configuration
  private let logger: Logger

  init(_ source: SettingsSource, _ configuration: Configuration, _ logger: Logger) {
    self.source = source
    self.configuration = configuration
    self.logger = logger
  }

  /// First of all: SIGHUP kills a process that doesn't ask for it, and one that comes before the server is ready is
  /// for later.
  static func installSignals() {
    Server.prepareSignals()
    signal(SIGPIPE, SIG_IGN)
    signal(SIGHUP) { _ in Server.hungUp() }
  }

  /// What is stored is for the server and its group: RocksDB makes its files for everybody, and whoever has an account on
  /// the machine would read there what no policy lets him ask for.
  static func keepToItself() {
    let inherited = umask(0o077)
    umask(inherited | 0o007)
  }

  func run() throws(ServerFailure) {
    Program.raiseDescriptorLimit()
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
    try server.waitForEnd(source)
  }

  /// A line on standard output, at once.
  static func say(_ line: String) {
    print(line)
    fflush(nil)
  }

  /// A text on standard error.
  static func complain(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
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
