extension Schema {
  // MARK: browser

  public static let origins = Key<[String]>(
    "browser.origins", .list(choices: nil), .list([]), change: .reload,
    help: """
      Origins (`https://app.example.com`) whose pages may write and open WebSockets, besides the server's own.
      """)
  public static let hosts = Key<[String]>(
    "browser.hosts", .list(choices: nil), .list([]), change: .reload,
    help: "Names that `Host` may have on a loopback address, besides localhost and addresses of this machine."
  )
  public static let corsOrigins = Key<[String]>(
    "browser.cors_origins", .list(choices: nil), .list([]), change: .reload,
    help: """
      Origins whose pages may read answers, and act (CORS). None: CORS is off. With "*" every page may read, and act by a \
      credential of its own.
      """)
  public static let corsCredentials = Key<Bool>(
    "browser.cors_credentials", .flag, .flag(false), change: .reload,
    help: """
      Whether those pages may act with what the browser adds by itself: the client certificate of its user.
      """)
  public static let corsMaxAgeSeconds = Key<Int>(
    "browser.cors_max_age_seconds", .integer(0...86400), .integer(600), change: .reload,
    help: "How long a browser may remember what a preflight was answered.")

  static let browser = [
    origins.entry, hosts.entry, corsOrigins.entry, corsCredentials.entry, corsMaxAgeSeconds.entry,
  ]

  // MARK: audit

  public static let auditFile = Key<String?>(
    "audit.file", .path, example: .text("/var/log/engram/audit.log"), change: .reload,
    help: """
      File that audit lines are appended to, made with mode 0600 and opened anew on SIGHUP. Nobody but its owner may \
      write it. `-` is standard error; without, they go into the log.
      """)

  static let audit = [auditFile.entry]
}
