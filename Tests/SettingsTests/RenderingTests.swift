import Glibc
import Testing

@testable import Settings

@Suite struct RenderingTests {
  @Test func theEffectiveValuesWithTheirOrigins() throws {
    let settings = try resolve(
      safe + "[[policy]]\nagents = [\"a\\\"b\"]\nverbs = [\"search\"]\n",
      environment: ["ENGRAM_LOG_FORMAT": "json"], flags: ["listen": "0.0.0.0:1"])
    let lines = settings.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    for line in [
      "listen = \"0.0.0.0:1\"  # flag --listen", "log_format = \"json\"  # environment ENGRAM_LOG_FORMAT",
      "#data_dir = \"./data\"  # default", "#[audit]", "certificate = \"server.crt\"  # file engram.toml:2",
      "providers = [\"token\"]  # file engram.toml:5", "# issuer is not set",
      "[[policy]]  # file engram.toml:8",
      "agents = [\"a\\\"b\"]",
    ] { #expect(lines.contains(line), "\(line)") }
  }

  @Test func secretsAreMasked() throws {
    let withKey = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n"
    for settings in [
      try resolve(withKey, environment: ["ENGRAM_TLS_KEY_PASSPHRASE": "hush"]),
      try resolve(withKey + "key_passphrase = \"hush\""),
    ] {
      #expect(settings[Schema.keyPassphrase] == "hush")
      #expect(!settings.text.contains("hush"))
      #expect(settings.text.contains("key_passphrase = \"********\""))
    }
  }

  /// What is printed is a configuration that says the same.
  @Test func itReadsBack() throws {
    let settings = try resolve(
      safe + """
        [audit]
        file = "/var/log/a \\"quoted\\" \\\\ path # with é"
        [limits]
        agent_requests_per_second = 10
        [browser]
        origins = ["https://a.example", "https://b.example:8443"]
        [[policy]]
        roles = ["r"]
        verbs = ["search", "metrics"]
        """)
    let again = try resolve(settings.text)
    for entry in Schema.entries { #expect(again[entry].value == settings[entry].value, "\(entry.path)") }
    #expect(again.policies.map(\.rule) == settings.policies.map(\.rule))
  }

  // MARK: The example

  /// The lines that would hold without the #.
  private func uncommented(_ text: String) -> String {
    text.split(separator: "\n").map { line in
      line.hasPrefix("#") && !line.hasPrefix("# ") ? String(line.dropFirst()) : String(line)
    }.joined(separator: "\n")
  }

  @Test func theExampleIsAllCommentedOut() throws {
    #expect(try Document(Array(Schema.example.utf8)).nodes.isEmpty)
    for line in Schema.example.split(separator: "\n") { #expect(line.hasPrefix("#"), "\(line)") }
  }

  /// With every # gone each key is read, with its default where it has one.
  @Test func theExampleHasEveryKey() throws {
    var resolution = Resolution { path throws(FileFault) in throw FileFault(path: path, cause: "") }
    resolution.add(file: file(uncommented(Schema.example)))
    #expect(resolution.faults.isEmpty, "\(resolution.faults)")
    for entry in Schema.entries {
      let setting = resolution.settings[entry]
      #expect(setting.origin != .standard, "\(entry.path) is missing")
      if let standard = entry.standard { #expect(setting.value == standard, "\(entry.path)") }
    }
    #expect(
      resolution.settings.policies.map(\.rule) == [
        .init(
          roles: ["worker"], agents: ["anna"], verbs: ["context:read", "context:write"],
          resources: ["context/team/**"])
      ])
  }

  // MARK: The page

  /// `Sources/Settings/SETTINGS.md` has each key, as the schema has it.
  @Test func thePageIsTheSchema() throws {
    let root = String(#filePath.dropLast("Tests/SettingsTests/RenderingTests.swift".count))
    let page = try CheckedFile.read("\(root)Sources/Settings/SETTINGS.md", bytesMax: 1 << 20)
    let lines = String(decoding: page.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    var expected: [String] = []
    for section in Schema.sections {
      expected += ["## `[\(section.name)]`", section.help]
      expected += Schema.entries.filter { $0.section == section.name }.map(row)
    }
    expected += PolicyKeys.entries.map { "| `\($0.name)` | \(cell($0.shape.name)) | \(cell($0.help)) |" }
    for line in expected { #expect(lines.contains(line), "the page lacks: \(line)") }
    for (name, number) in [
      ("fileBytesMax", SettingsLimits.fileBytesMax), ("secretBytesMax", SettingsLimits.secretBytesMax),
      ("textBytesMax", SettingsLimits.textBytesMax), ("listMax", SettingsLimits.listMax),
      ("policiesMax", SettingsLimits.policiesMax), ("keyPartsMax", SettingsLimits.keyPartsMax),
    ] {
      let isThere = lines.contains { $0.contains("| \(number) ") && $0.contains("(`\(name)`)") }
      #expect(isThere, "the page lacks \(name), \(number)")
    }
    let rows = lines.filter { $0.hasPrefix("| `") && $0.split(separator: "|").count >= 5 }
    #expect(rows.count == Schema.entries.count, "the page has a key that the schema doesn't")
  }

  private func row(_ entry: Entry) -> String {
    let standard = entry.standardText ?? entry.standard.map { "`\(Rendering.toml($0))`" } ?? "not set"
    let change = entry.change == .reload ? "SIGHUP" : "restart"
    let flag = entry.flag.map { " `--\($0.name)`" } ?? ""
    return "| `\(entry.name)` | \(cell(entry.shape.name)) | \(cell(standard)) | \(change) | "
      + "`\(entry.variable)`\(flag) | \(cell(entry.help)) |"
  }

  private func cell(_ text: String) -> String {
    text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
  }
}
