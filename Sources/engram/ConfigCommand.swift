internal import ArgumentParser
internal import Server
internal import Settings

struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check a configuration, or print an example of one.",
    subcommands: [Check.self, Example.self])

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print what a server would be run with, and where each value comes from.",
      discussion: """
        Takes the options, the environment and the file of `engram serve`, and reads what the file names: certificates, \
        keys, tokens, and whether the audit can be written where it says. Prints TOML with secrets masked and exits \
        with 0; or prints what is wrong, each with its file and line, and exits with 78 (64 if only the command line \
        is wrong). Nothing is served or changed.
        """)

    @OptionGroup var options: ServerOptions

    func run() throws {
      do throws(SettingsFailure) {
        let settings = try options.source.load()
        let configuration = try Configuration(settings, version: Version.text, isTrial: true)
        for warning in configuration.settings.warnings {
          Program.complain("engram config check: warning: \(warning)\n")
        }
        print(settings.text, terminator: "")
      } catch {
        Program.complain(error.lines.map { "engram config check: \($0)\n" }.joined())
        throw ExitCode(error.exitCode)
      }
    }
  }

  struct Example: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print a configuration file with every key, its meaning and its default, commented out.")

    func run() { print(Schema.example, terminator: "") }
  }
}
