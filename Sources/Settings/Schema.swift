/// Every key that there is: what it is called, what it may be, and what it means. The file, the environment, flags,
/// `engram config check`, `engram config example` and the page `SETTINGS.md` all come from here.
///
/// A new key: a static constant in one of the `Schema+….swift` files, and its name in the list below it.
public enum Schema {
  static let entries: [Entry] = server + tls + auth + limits + browser + audit

  private static let byPath = Dictionary(uniqueKeysWithValues: entries.map { ($0.path, $0) })

  /// Sections in the order of the page. `policy` is an array of tables, and has a reader of its own.
  static let sections: [(name: String, help: String)] = [
    ("server", "The process: where it listens, where its data is, how much of the machine it takes."),
    ("tls", "TLS, for the one port that is served. Off without a certificate."),
    ("auth", "Who is asking. Off without providers."),
    ("auth.token", "Tokens that `engram token create` makes. For the provider \"token\"."),
    ("auth.jwt", "Signed tokens of an identity provider. For the provider \"jwt\"."),
    ("auth.mtls", "Names in client certificates. For the provider \"mtls\"."),
    ("limits", "What one agent, one address and all together may take. 0 is no limit."),
    ("browser", "Pages of other origins."),
    ("audit", "A line for each failure, denial and administrative act."),
  ]

  static func entry(_ path: String) -> Entry? { byPath[path] }

  static func isSection(_ path: String) -> Bool { sections.contains { $0.name == path } }
}

extension Key {
  init(
    _ path: String, _ shape: Shape, _ standard: Value? = nil, standardText: String? = nil,
    example: Value? = nil, isSecret: Bool = false, change: Change = .restart, flag: Flag? = nil,
    check: (@Sendable (String) -> String?)? = nil, help: String
  ) {
    entry = Entry(
      path: path, shape: shape, standard: standard, standardText: standardText, example: example,
      isSecret: isSecret, change: change, flag: flag, help: help, check: check)
  }
}
