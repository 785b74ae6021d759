import Testing

@testable import Settings

@Suite struct PrecedenceTests {
  @Test func nothingGivenIsTheSchemasDefaults() throws {
    let settings = try resolve()
    #expect(settings[Schema.listen] == "127.0.0.1:8080")
    #expect(settings[Schema.dataDirectory] == "./data")
    #expect(settings[Schema.search])
    #expect(settings[Schema.loops] >= 1)
    #expect(settings[Schema.certificate] == nil)
    #expect(settings[Schema.providers] == [])
    for entry in Schema.entries { #expect(settings[entry].origin == .standard, "\(entry.path)") }
    #expect(settings.warnings.isEmpty)
  }

  /// Which of the four sources are there, and which one holds.
  @Test(arguments: [
    (false, false, false, "127.0.0.1:8080", Origin.standard),
    (true, false, false, "127.0.0.1:1", .file(path: "engram.toml", line: 2)),
    (false, true, false, "127.0.0.1:2", .environment(variable: "ENGRAM_LISTEN")),
    (true, true, false, "127.0.0.1:2", .environment(variable: "ENGRAM_LISTEN")),
    (false, false, true, "127.0.0.1:3", .flag(name: "--listen")),
    (true, false, true, "127.0.0.1:3", .flag(name: "--listen")),
    (false, true, true, "127.0.0.1:3", .flag(name: "--listen")),
    (true, true, true, "127.0.0.1:3", .flag(name: "--listen")),
  ])
  func `flag over environment over file over default`(
    inFile: Bool, inEnvironment: Bool, onLine: Bool, value: String, origin: Origin
  ) throws {
    let settings = try resolve(
      inFile ? "[server]\nlisten = \"127.0.0.1:1\"" : nil,
      environment: inEnvironment ? ["ENGRAM_LISTEN": "127.0.0.1:2"] : [:],
      flags: onLine ? ["listen": "127.0.0.1:3"] : [:])
    #expect(settings[Schema.listen] == value)
    #expect(settings.origin(of: Schema.listen) == origin)
  }

  @Test func aWeakerSourceIsCheckedAllTheSame() {
    #expect(
      refusal(of: "[server]\nloops = 0", flags: ["loops": "2"]) == [
        "engram.toml:2: server.loops: 0 is out of range: expected 1 to 256"
      ])
  }

  @Test func anEmptyVariableIsNotSet() throws {
    let settings = try resolve(environment: [
      "ENGRAM_LISTEN": "", "ENGRAM_NO_SEARCH": "", "ENGRAM_TLS_NO": "",
    ])
    #expect(settings.origin(of: Schema.listen) == .standard)
    #expect(settings[Schema.search])
  }

  @Test(arguments: [("true", false), ("false", true)])
  func `a variable that is turned round`(text: String, searches: Bool) throws {
    #expect(try resolve(environment: ["ENGRAM_NO_SEARCH": text])[Schema.search] == searches)
  }

  @Test func listsInTheEnvironmentHaveCommas() throws {
    let settings = try resolve(
      environment: [
        "ENGRAM_AUTH_PROVIDERS": "jwt, token", "ENGRAM_AUTH_TOKEN_FILE": "t", "ENGRAM_AUTH_JWT_JWKS": "j",
        "ENGRAM_AUTH_JWT_ISSUER": "i", "ENGRAM_AUTH_JWT_AUDIENCE": "a",
      ])
    #expect(settings[Schema.providers] == ["jwt", "token"])
  }

  @Test func eachVariableIsOneKeysOnly() {
    let variables = Schema.entries.flatMap { [$0.variable, "\($0.variable)_FILE"] }
    #expect(Set(variables).count == variables.count)
    #expect(Schema.entry("server.data_dir")?.variable == "ENGRAM_DATA_DIR")
    #expect(Schema.entry("server.search")?.variable == "ENGRAM_NO_SEARCH")
    #expect(Schema.entry("auth.jwt.leeway_seconds")?.variable == "ENGRAM_AUTH_JWT_LEEWAY_SECONDS")
  }

  @Test(arguments: ["a", "audience = [\"a\"]", "audience = \"a\""])
  func `a text is a list of one`(line: String) throws {
    let text = line == "a" ? "audience = [\n\"a\",\n]" : line
    let settings = try resolve(
      "auth.providers = [\"jwt\"]\n[auth.jwt]\njwks = \"k\"\nissuer = \"i\"\n\(text)")
    #expect(settings[Schema.audience] == ["a"])
  }

  // MARK: Secrets

  private let withKey = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n"

  @Test(arguments: [("hush", "hush"), ("hush\n", "hush"), ("hush\r\n", "hush"), ("a b ", "a b ")])
  func `a secret comes from a file that a variable names`(content: String, value: String) throws {
    let settings = try resolve(
      withKey, environment: ["ENGRAM_TLS_KEY_PASSPHRASE_FILE": "/run/secret"],
      secrets: ["/run/secret": content])
    #expect(settings[Schema.keyPassphrase] == value)
    #expect(
      settings.origin(of: Schema.keyPassphrase) == .environment(variable: "ENGRAM_TLS_KEY_PASSPHRASE_FILE"))
  }

  @Test func aSecretInTwoPlacesIsRefused() {
    let lines = refusal(
      of: withKey,
      environment: ["ENGRAM_TLS_KEY_PASSPHRASE_FILE": "/run/secret", "ENGRAM_TLS_KEY_PASSPHRASE": "hush"],
      secrets: ["/run/secret": "hush"])
    #expect(
      lines == ["ENGRAM_TLS_KEY_PASSPHRASE_FILE: ENGRAM_TLS_KEY_PASSPHRASE is set too: one of them"])
  }

  @Test func aSecretsFileThatIsMissing() {
    #expect(
      refusal(of: withKey, environment: ["ENGRAM_TLS_KEY_PASSPHRASE_FILE": "/none"]) == [
        "ENGRAM_TLS_KEY_PASSPHRASE_FILE: /none: No such file or directory"
      ])
  }

  @Test func noRefusalRepeatsASecret() {
    let secret = "hush\u{1}hush"
    let fromVariable = refusal(of: withKey, environment: ["ENGRAM_TLS_KEY_PASSPHRASE": secret])
    let fromFile = refusal(
      of: withKey, environment: ["ENGRAM_TLS_KEY_PASSPHRASE_FILE": "/s"], secrets: ["/s": secret])
    let inFile = refusal(of: withKey + "key_passphrase = \"hush\\u0001hush\"")
    for lines in [fromVariable, fromFile, inFile] {
      #expect(lines.count == 1)
      #expect(!lines.joined().contains("hush"))
    }
  }

  @Test(arguments: [
    (0o600, true), (0o640, true), (0o644, false), (0o604, false), (0o660, false), (0o601, false),
  ])
  func `a file with a secret is its owner's`(mode: UInt32, isTaken: Bool) {
    let lines = refusal(of: withKey + "key_passphrase = \"hush\"", mode: mode)
    #expect(lines.isEmpty == isTaken, "\(lines)")
    #expect(isTaken || lines[0].contains("chmod 600 engram.toml"))
    #expect(refusal(of: withKey, mode: mode).isEmpty, "without a secret everybody may read it")
  }

  // MARK: Paths

  @Test(arguments: [
    ("engram.toml", "tokens", "tokens"), ("/etc/engram.toml", "tokens", "/etc/tokens"),
    ("conf/engram.toml", "../tokens", "conf/../tokens"), ("conf/engram.toml", "/tokens", "/tokens"),
    ("/engram.toml", "tokens", "/tokens"),
  ])
  func `paths of the file begin at its directory`(config: String, written: String, effective: String) throws {
    let text = "[auth]\nproviders = [\"token\"]\n[auth.token]\nfile = \"\(written)\""
    #expect(try resolve(text, path: config)[Schema.tokenFile] == effective)
  }

  @Test func pathsOfVariablesBeginWhereTheServerIsStarted() throws {
    let settings = try resolve("", path: "/etc/engram.toml", environment: ["ENGRAM_DATA_DIR": "d"])
    #expect(settings[Schema.dataDirectory] == "d")
  }

  @Test func standardErrorIsNoPath() throws {
    let settings = try resolve("[audit]\nfile = \"-\"", path: "/etc/engram.toml")
    #expect(settings[Schema.auditFile] == "-")
  }

  // MARK: Comparing

  @Test func whatAReloadCannotChangeIsNamed() throws {
    let old = try resolve("[limits]\nidle_seconds = 5\n[server]\nloops = 1")
    let new = try resolve("[limits]\nidle_seconds = 6\n[server]\nloops = 2\ndata_dir = \"./data\"")
    #expect(new.needingRestart(comparedWith: old) == ["server.loops"])
    #expect(new.changes(comparedWith: old) == ["server.loops", "limits.idle_seconds"])
  }

  @Test func aPolicyThatOnlyMovedHasNotChanged() throws {
    let rule = "[[policy]]\nroles = [\"r\"]\nverbs = [\"search\"]"
    let old = try resolve(safe + rule)
    #expect(try resolve(safe + "\n\n" + rule).changes(comparedWith: old) == [])
    #expect(try resolve(safe + rule + "\n" + rule).changes(comparedWith: old) == ["policy"])
  }

  /// Shares of bodies: parts of the whole, and no less than the largest body, unless somebody says otherwise.
  @Test(arguments: [
    ("", 128, 64), ("inflight_bytes_max = 1073741824", 512, 256), ("inflight_bytes_max = 16777216", 16, 16),
    ("inflight_bytes_max = 50331648", 24, 16),
    ("inflight_bytes_per_address_max = 0\ninflight_bytes_per_agent_max = 1048576", 0, 1),
  ])
  func `shares follow the whole`(text: String, address: Int, agent: Int) throws {
    let settings = try resolve("[limits]\n" + text)
    #expect(settings[Schema.inflightBytesPerAddressMax] == address << 20)
    #expect(settings[Schema.inflightBytesPerAgentMax] == agent << 20)
  }

  // MARK: Doubts

  /// The time for the first request begins with the connection, before the handshake.
  @Test(arguments: [(30, 30, false), (31, 30, true), (300, 300, false), (10, 5, true)])
  func `a handshake has no longer than a first request`(shake: Int, silence: Int, isTold: Bool) throws {
    let tls = "certificate = \"c\"\nkey = \"k\"\nhandshake_timeout_seconds = \(shake)\n"
    let warnings = try resolve("[tls]\n\(tls)[limits]\nfirst_request_seconds = \(silence)").warnings
    #expect(warnings.count == (isTold ? 1 : 0))
    #expect(
      warnings.allSatisfy { $0.contains("\(shake)") && $0.contains("first_request_seconds, \(silence),") })
    #expect(try resolve("[limits]\nfirst_request_seconds = 5").warnings.isEmpty)
  }
}
