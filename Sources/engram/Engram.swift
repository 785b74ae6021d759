internal import ArgumentParser

@main
struct Engram: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "engram",
    abstract: "Stores and carries the work of AI agents: durable work units over HTTP, followed live.",
    discussion: """
      Exit codes: 0 in order, 1 damage found by inspect or verify, 64 wrong usage, 65 damaged data, 66 nothing to inspect or verify, 69 a service or kernel \
      feature is missing, 73 the data directory is in use or can't be made, 74 input or output failed, 78 the \
      configuration is refused.
      """,
    version: Version.text,
    subcommands: [Serve.self, ConfigCommand.self, Token.self, Inspect.self, Verify.self])
}

enum Version {
  static let text = "0.1.0"
}
