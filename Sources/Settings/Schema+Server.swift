internal import Glibc

extension Schema {
  public static let listen = Key<String>(
    "server.listen", .text, .text("127.0.0.1:8080"), flag: Flag(name: "listen"),
    check: { text in
      ListenAddress(text) == nil
        ? "expected ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080" : nil
    },
    help: """
      Address and port. An address beyond loopback (0.0.0.0 and [::] too) needs TLS and authentication, or `insecure`.
      """)
  public static let dataDirectory = Key<String>(
    "server.data_dir", .path, .text("./data"), flag: Flag(name: "data-dir"),
    help: "Directory of log and store; made if it isn't there.")
  public static let loops = Key<Int>(
    "server.loops", .integer(1...loopsMax), .integer(loopsDefault()),
    standardText: "one less than there are online processors, at least 1", flag: Flag(name: "loops"),
    help: "Event loops, one thread each.")
  public static let search = Key<Bool>(
    "server.search", .flag, .flag(true), flag: Flag(name: "no-search", isInverted: true),
    help: "Whether units are indexed. Without, `POST /search` is answered by 503.")
  public static let logLevel = Key<String>(
    "server.log_level",
    .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]), .text("info"),
    flag: Flag(name: "log-level"), help: "The least that is logged.")
  public static let logFormat = Key<String>(
    "server.log_format", .choice(["text", "json"]), .text("text"), flag: Flag(name: "log-format"),
    help: "How log lines look.")
  public static let isInsecure = Key<Bool>(
    "server.insecure", .flag, .flag(false), flag: Flag(name: "insecure"),
    help: """
      Listens beyond loopback though TLS or authentication is off: whoever reaches the address can read, and without \
      authentication write, everything.
      """)
  public static let connectionsMax = Key<Int>(
    "server.connections_max", .integer(1...1_000_000), .integer(100_000), change: .reload,
    help: "Open connections, all together. At the limit new ones are closed at once.")

  static let server = [
    listen.entry, dataDirectory.entry, loops.entry, search.entry, logLevel.entry, logFormat.entry,
    isInsecure.entry, connectionsMax.entry,
  ]

  static let loopsMax = 256

  /// The applier, RocksDB and the kernel's flushes need a processor too (ARCHITECTURE.md has the measurement).
  private static func loopsDefault() -> Int {
    min(loopsMax, max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) - 1))
  }
}
