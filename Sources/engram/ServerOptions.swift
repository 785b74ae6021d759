internal import ArgumentParser
internal import Glibc
internal import Settings

/// The options of `engram serve`, which `engram config check` takes too. Each stands for a key of the schema.
struct ServerOptions: ParsableArguments {
  @Option(help: "Configuration file, TOML. (default: ENGRAM_CONFIG, or none)")
  var config: String?

  @Option(
    help: """
      Address and port to listen on. Beyond loopback TLS and authentication must be on, or --insecure. \
      (default: 127.0.0.1:8080)
      """)
  var listen: String?

  @Option(help: "Directory of log and store; made if it isn't there. (default: ./data)")
  var dataDir: String?

  @Option(
    help: "Event loops, one thread each. (default: one less than there are online processors, at least 1)")
  var loops: String?

  @Flag(help: "Don't index what is posted: POST /search is answered by 503. (default: units are indexed)")
  var noSearch = false

  @Option(help: "trace, debug, info, notice, warning, error or critical. (default: info)")
  var logLevel: String?

  @Option(help: "Log lines as text or json. (default: text)")
  var logFormat: String?

  @Flag(help: "Listen beyond loopback though TLS or authentication is off: the network is trusted.")
  var insecure = false

  var source: SettingsSource {
    var flags = [
      "listen": listen, "data-dir": dataDir, "loops": loops, "log-level": logLevel, "log-format": logFormat,
    ]
    .compactMapValues { $0 }
    if noSearch { flags["no-search"] = "true" }
    if insecure { flags["insecure"] = "true" }
    return SettingsSource(config: config, flags: flags, environment: Environment.variables)
  }
}

/// The environment of the process, as it was at start.
enum Environment {
  static var variables: [String: String] {
    var found: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
      let text = String(cString: entry)
      next += 1
      guard text.hasPrefix("ENGRAM_"), let equals = text.firstIndex(of: "=") else { continue }
      found[String(text[..<equals])] = String(text[text.index(after: equals)...])
    }
    return found
  }
}
