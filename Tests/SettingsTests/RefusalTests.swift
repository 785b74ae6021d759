import Testing

@testable import Settings

/// Each refusal with its line.
@Suite struct RefusalTests {
  @Test(arguments: [
    // Names
    ("[server]\nlisen = \"x\"", 2, "unknown key \"lisen\" in [server]; did you mean \"listen\"?"),
    ("listen = \"x\"", 1, "unknown key \"listen\"; \"listen\" belongs to [server]"),
    ("[sever]\nlisten = \"x\"", 1, "unknown section \"sever\"; did you mean [server]?"),
    ("[auth.jwks]\nfile = \"x\"", 1, "unknown section \"auth.jwks\"; \"jwks\" belongs to [auth.jwt]"),
    ("[auth.jwtt]", 1, "unknown section \"auth.jwtt\"; did you mean [auth.jwt]?"),
    ("[zebra]", 1, "unknown section \"zebra\""),
    ("\n\n\"a\\nb\" = 1", 3, "unknown key \"a?b\""),
    ("[tls]\nlisten = \"x\"", 2, "unknown key \"listen\" in [tls]; \"listen\" belongs to [server]"),
    ("server.lisen = \"x\"", 1, "unknown key \"lisen\" in [server]; did you mean \"listen\"?"),
    ("\"server.loops\" = 2", 1, "unknown key \"server.loops\": without quotes, please"),
    ("[auth.token]\n[\"auth.token\"]\nfile = \"x\"", 2, "unknown key \"auth.token\": without quotes, please"),
    // Kinds
    ("[server]\nloops = \"2\"", 2, "server.loops: expected an integer from 1 to 256, not a text"),
    (
      "[server]\nloops = 2.0", 2,
      "server.loops: expected an integer from 1 to 256, not a number with a fraction"
    ),
    ("[server]\nlisten = 8080", 2, "server.listen: expected a text, not an integer"),
    ("[server]\nsearch = 1", 2, "server.search: expected true or false, not an integer"),
    ("[server]\ndata_dir = 1979-05-27", 2, "server.data_dir: expected a path, not a date or time"),
    ("[server.listen]\nport = 1", 1, "server.listen: expected a text, not a table"),
    ("server = 1", 1, "server: expected a section, not an integer"),
    ("[[server]]\nloops = 1", 1, "server: expected a section, not an array"),
    ("[browser]\norigins = [\"a\", 1]", 2, "browser.origins: expected texts in the array, not an integer"),
    // Values
    ("[server]\nloops = 257", 2, "server.loops: 257 is out of range: expected 1 to 256"),
    (
      "[server]\nloops = -9223372036854775808", 2,
      "server.loops: -9223372036854775808 is out of range: expected 1 to 256"
    ),
    (
      "[server]\nlisten = \"8080\"", 2,
      "server.listen: expected ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080"
    ),
    ("[server]\ndata_dir = \"\"", 2, "server.data_dir: an empty text"),
    ("[server]\ndata_dir = \"a\\u0000b\"", 2, "server.data_dir: a control character in the text"),
    ("[tls]\nmin_version = \"1.1\"", 2, "tls.min_version: expected \"1.2\" or \"1.3\""),
    (
      "[auth]\nproviders = [\"basic\"]", 2,
      "auth.providers: expected of each element \"token\", \"jwt\" or \"mtls\""
    ),
    ("[auth]\nproviders = [\"jwt\", \"jwt\"]", 2, "auth.providers: the same element twice"),
    // Policies
    ("policy = 1", 1, "policy: expected [[policy]] tables, not an integer"),
    ("policy = [1]", 1, "policy: expected a [[policy]] table, not an integer"),
    ("[policy]\nroles = [\"a\"]", 1, "policy: expected [[policy]] tables, not a table"),
    (
      "[[policy]]\nrole = [\"a\"]\nagents = [\"a\"]\nverbs = [\"search\"]", 2,
      "unknown key \"role\" in [[policy]]; did you mean \"roles\"?"
    ),
    ("[[policy]]\nverbs = [\"search\"]", 1, "policy: names neither roles nor agents, so it is for nobody"),
    ("[[policy]]\nroles = [\"a\"]", 1, "policy: names no verbs"),
    ("[[policy]]\nroles = [\"a\"]\nverbs = []", 1, "policy: names no verbs"),
    (
      "[[policy]]\nagents = []\nverbs = [\"search\"]", 1,
      "policy: names neither roles nor agents, so it is for nobody"
    ),
    (
      "[[policy]]\nroles = 7\nagents = [\"a\"]\nverbs = [\"search\"]", 2,
      "policy.roles: expected an array of texts, not an integer"
    ),
  ])
  func `what stands in the file`(text: String, line: Int, cause: String) {
    #expect(refusal(of: text) == ["engram.toml:\(line): \(cause)"])
  }

  @Test func aSectionTwiceInTwoSpellings() {
    let lines = refusal(of: "[server]\nloops = 1\n[\"server\"]\nloops = 2")
    #expect(lines.count == 1)
    #expect(lines.first?.hasPrefix("engram.toml:3: column ") == true)
  }

  @Test func aVerbThatIsNone() {
    let lines = refusal(of: safe + "[[policy]]\nroles = [\"a\"]\nverbs = [\"context:delete\"]")
    #expect(
      lines.first?.hasPrefix("engram.toml:10: policy.verbs: expected of each element \"context:read\"")
        == true)
  }

  @Test func severalFaultsAreToldTogetherInTheOrderOfTheFile() {
    let lines = refusal(
      of: "[tls]\nb = 1\n[server]\na = 1\nloops = 0", environment: ["ENGRAM_LOOPS": "x"],
      flags: ["listen": "x"])
    #expect(
      lines.map { $0.prefix { $0 != " " } } == [
        "engram.toml:2:", "engram.toml:4:", "engram.toml:5:", "ENGRAM_LOOPS:", "--listen:",
      ])
  }

  @Test func faultsWithoutEndAreCounted() {
    let text = "[server]\n" + (0..<1000).map { "k\($0) = 1\n" }.joined()
    let lines = refusal(of: text)
    #expect(lines.count == SettingsFailure.shownMax + 1)
    #expect(lines.last == "and 980 more")
  }

  /// 80,000 unknown keys took six seconds, because for each its neighbour was looked for.
  @Test func neighboursOfWhatIsNotShownAreNotLookedFor() {
    let text = "[limits]\n" + (0..<1000).map { "head_second\($0) = 1\n" }.joined()
    do throws(SettingsFailure) {
      _ = try resolve(text)
      Issue.record("taken")
    } catch {
      let advised = error.faults.map { $0.cause.hasSuffix("did you mean \"head_seconds\"?") }
      #expect(advised == (0..<1000).map { $0 < SettingsFailure.shownMax })
    }
  }

  /// A secret without quotes is taken for something else, which is refused without saying what it was.
  @Test(arguments: [
    "123456789012345678901234567890", "trustno1", "infamous", "nan1", "0x1234567890abcdef12345", "1_234__5",
    "1.5e3.7",
    "2024-99-12", "1979-05-27T99:00", "12:61:00", "hunter2", "\"hunter2", "'hunter2", "+hunter2",
    "9223372036854775808",
    "[1, 123456789012345678901234567890]", "{ hunter2 = 1, hunter2 = 2 }", "1 hunter2",
    "\"a\"\n[hunter2]\n[hunter2]",
    "\"a\"\n'it''s'.x = 1", "\"a\\qhunter2\"", "1\nhunter2 = 1\nhunter2.x = 2",
  ])
  func `what the parser has read is not repeated`(value: String) throws {
    let lines = refusal(of: "[tls]\nkey_passphrase = \(value)")
    let line = try #require(lines.first)
    #expect(line.hasPrefix("engram.toml:"))
    let said = line.drop { $0 != " " }.dropFirst("column ".count)
    for word in ["hunter", "12345", "trus", "infa", "nan1", "1_23", "99", "61", "9223", "it''s"] {
      #expect(!said.contains(word), "\(line)")
    }
    #expect(!said.contains(", saw"), "\(line)")
  }

  @Test(arguments: [
    (
      "Error while parsing integer: '12' is not representable",
      "Error while parsing integer: '…' is not representable"
    ),
    ("Error while parsing key: expected '=', saw 'x'", "Error while parsing key: expected '='"),
    ("x: cannot redefine table 'a: expected b'", "x: cannot redefine table '…'"),
    ("x: '12', saw 'it's' as 'a table'", "x: '…'"), ("x: cut 'off", "x: cut '…'"),
    ("x: no quotes", "x: no quotes"),
  ])
  func `what stands between quotes is dropped`(message: String, said: String) {
    #expect(Document.unquoted(message) == said)
  }

  // MARK: Contradictions

  @Test(arguments: [
    ("[tls]\ncertificate = \"c\"", 2, "tls.certificate is set, and tls.key is not"),
    ("[tls]\nkey = \"k\"", 2, "tls.key is set, and tls.certificate is not: TLS is off"),
    ("[tls]\nmin_version = \"1.3\"", 2, "tls.min_version is set, and tls.certificate is not: TLS is off"),
    (
      "[tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_certificates = \"required\"", 4,
      "tls.client_certificates is \"required\", and tls.client_ca is not set: nobody's certificate could be checked"
    ),
    (
      "[tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"", 4,
      "tls.client_ca is set, and tls.client_certificates is \"off\""
    ),
    (
      "[auth]\nproviders = [\"token\"]\n[auth.token]\nfile = \"f\"\n[auth.jwt]", 5,
      "[auth.jwt] is given, and \"jwt\" is not in auth.providers"
    ),
    ("[auth.token]\nfile = \"f\"", 1, "[auth.token] is given, and \"token\" is not in auth.providers"),
    ("[auth.mtls]\nroles = [\"f\"]", 1, "[auth.mtls] is given, and \"mtls\" is not in auth.providers"),
    ("[auth]\nproviders = [\"token\"]", 2, "\"token\" is in auth.providers, and auth.token.file is not set"),
    (
      "[auth]\nproviders = [\"jwt\"]\njwt.issuer = \"i\"\njwt.audience = \"a\"", 2,
      "\"jwt\" is in auth.providers, and auth.jwt.jwks is not set"
    ),
    (
      "[auth]\nproviders = [\"mtls\"]", 2,
      "\"mtls\" is in auth.providers, and tls.client_certificates is \"off\": nobody has a certificate"
    ),
    ("[auth]\nticket_seconds = 5", 2, "auth.ticket_seconds is set, and authentication is off"),
    (
      "[server]\nloops = 1\n[[policy]]\nroles = [\"a\"]\nverbs = [\"search\"]", 3,
      "[[policy]] is given, and authentication is off (auth.providers): it would not be asked"
    ),
    (
      "[limits]\nagent_request_burst = 5", 2,
      "limits.agent_request_burst is set, and limits.agent_requests_per_second is not"
    ),
    (
      "[limits]\naddress_search_burst = 5", 2,
      "limits.address_search_burst is set, and limits.address_searches_per_second is not"
    ),
    (safe + "[server]\ninsecure = true", 9, "insecure is set, and TLS and authentication are on: drop it"),
  ])
  func contradictions(text: String, line: Int, cause: String) {
    #expect(refusal(of: text) == ["engram.toml:\(line): \(cause)"])
  }

  // MARK: Exposure

  private let loud = "refusing to listen on"

  @Test(arguments: [
    ("127.0.0.1:1", true), ("127.8.8.8:1", true), ("[::1]:1", true), ("localhost:1", true),
    ("0.0.0.0:1", false),
    ("[::]:1", false), ("192.0.2.1:1", false), ("[::ffff:127.0.0.1]:1", false), ("[fe80::1]:1", false),
    ("127.evil.example:1", false),
  ])
  func `beyond loopback`(listen: String, isServed: Bool) {
    let bare = refusal(flags: ["listen": listen])
    #expect(bare.isEmpty == isServed, "\(bare)")
    #expect(isServed || bare[0].hasPrefix("--listen: \(loud)"))
    #expect(isServed || bare[0].contains("without TLS and authentication"))
    #expect(refusal(of: safe, flags: ["listen": listen]).isEmpty)
    #expect(refusal(flags: ["listen": listen, "insecure": "true"]).isEmpty)
  }

  @Test func oneOfTwoIsNotEnough() {
    let onlyTLS = "[server]\nlisten = \"0.0.0.0:1\"\n[tls]\ncertificate = \"c\"\nkey = \"k\""
    let onlyTokens =
      "[server]\nlisten = \"0.0.0.0:1\"\n[auth]\nproviders = [\"token\"]\n[auth.token]\nfile = \"f\""
    #expect(
      refusal(of: onlyTLS).first?.hasPrefix("engram.toml:2: \(loud) 0.0.0.0:1: without authentication")
        == true)
    #expect(
      refusal(of: onlyTokens).first?.hasPrefix("engram.toml:2: \(loud) 0.0.0.0:1: without TLS only") == true)
  }

  // MARK: Environment, flags, exit codes

  @Test(arguments: [
    ("ENGRAM_AUTH_PROVIDER", "ENGRAM_AUTH_PROVIDER: no such setting; did you mean ENGRAM_AUTH_PROVIDERS?"),
    ("ENGRAM_LIMITS_X", "ENGRAM_LIMITS_X: no such setting"),
    ("ENGRAM_POLICY_ROLES", "ENGRAM_POLICY_ROLES: no such setting"),
  ])
  func `a variable that begins like a section must be a key`(name: String, line: String) {
    #expect(refusal(environment: [name: "token"]) == [line])
  }

  /// Each key that is true or false, in the environment: these two words, to the letter.
  @Test(arguments: Schema.entries.filter { $0.shape == .flag }.map { ($0.path, $0.variable) })
  func `of yes nobody guesses that it is true`(path: String, variable: String) {
    for text in ["yes", "no", "1", "0", "on", "off", "TRUE", "True", "False", " true", "true\n", "t", "y"] {
      #expect(
        refusal(environment: [variable: text]) == ["\(variable): \(path): expected true or false"], "\(text)")
    }
    for text in ["true", "false"] {
      let lines = refusal(environment: [variable: text])
      #expect(!lines.contains { $0.contains("expected") }, "\(text)")
    }
  }

  @Test func aProtectionStaysOnWhateverIsNotTrue() {
    for text in ["yes", "TRUE", "1"] {
      let lines = refusal(environment: ["ENGRAM_INSECURE": text], flags: ["listen": "0.0.0.0:1"])
      #expect(lines == ["ENGRAM_INSECURE: server.insecure: expected true or false"])
    }
  }

  @Test func othersAreToldOnly() throws {
    let settings = try resolve(environment: [
      "ENGRAM_SERVICE_HOST": "10.0.0.1", "ENGRAM_LOG_LEVELL": "debug", "PATH": "/bin", "ENGRAM_CONFIG": "x",
    ])
    #expect(
      settings.warnings == [
        "the environment has ENGRAM_LOG_LEVELL, which is no setting; did you mean ENGRAM_LOG_LEVEL?",
        "the environment has ENGRAM_SERVICE_HOST, which is no setting",
      ])
  }

  @Test func whatKubernetesPutsThereIsNoMistake() throws {
    let names = ["SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR"]
    for prefix in ["ENGRAM_", "ENGRAM_AUTH_", "ENGRAM_TLS_"] {
      for name in names {
        #expect(try resolve(environment: [prefix + name: "x"]).warnings.count == 1, "\(prefix)\(name)")
      }
    }
    // And no key of ours looks like that.
    for entry in Schema.entries {
      #expect(!entry.variable.contains("_SERVICE_") && !entry.variable.contains("_PORT"), "\(entry.path)")
    }
  }

  @Test func theCommandLineAloneIsWrongUsage() {
    func code(_ text: String?, _ environment: [String: String], _ flags: [String: String]) -> Int32? {
      do throws(SettingsFailure) {
        _ = try resolve(text, environment: environment, flags: flags)
        return nil
      } catch { return error.exitCode }
    }
    #expect(code(nil, [:], ["loops": "many"]) == 64)
    #expect(code(nil, ["ENGRAM_LOOPS": "many"], [:]) == 78)
    #expect(code("x = 1", [:], [:]) == 78)
    #expect(code("x = 1", [:], ["loops": "many"]) == 78)
    #expect(code(nil, [:], ["listen": "0.0.0.0:1"]) == 78, "a network that isn't safe is no wrong usage")
  }
}
