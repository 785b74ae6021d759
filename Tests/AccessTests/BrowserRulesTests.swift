internal import Access
internal import Testing

@Suite struct BrowserRulesTests {
  private func rules(
    _ change: (inout BrowserSettings) -> Void = { _ in }, isLoopback: Bool = true, isTLS: Bool = false
  ) -> BrowserRules {
    var settings = BrowserSettings()
    change(&settings)
    return BrowserRules(settings, isLoopback: isLoopback, isTLS: isTLS)
  }

  private func answers(_ rules: BrowserRules, _ host: String) -> Bool {
    host.withAgent { rules.answers(to: $0) }
  }

  private func standing(_ rules: BrowserRules, _ origin: String, _ host: String) -> BrowserRules.Standing {
    origin.withAgent { origin in host.withAgent { rules.standing(origin: origin, host: $0) } }
  }

  // MARK: Host

  @Test(
    arguments: [
      "127.0.0.1", "127.0.0.1:8080", "127.255.0.9:1", "localhost", "LocalHost:8080", "a.localhost", "[::1]",
      "[::1]:8080", "x.y.LOCALHOST:80",
    ])
  func namesOfThisMachineAreAnsweredOnLoopback(_ host: String) {
    #expect(answers(rules(), host))
  }

  @Test(
    arguments: [
      "", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "127.0.0.1.nip.io",
      "localhost.evil.example",
      "notlocalhost", "alocalhost", ".localhost", "localhost.", "127.1", "127.0.1", "0127.0.0.1",
      "127.0.0.01",
      "127.0.0.256", "127.0.0.1.", "128.0.0.1", "10.0.0.1", "0.0.0.0", "2130706433", "0x7f.0.0.1", "[::2]",
      "[::ffff:127.0.0.1]", "127.0.0.1:80:80", "127..0.1", "1270.0.0.1",
    ])
  func otherNamesAreNot(_ host: String) {
    #expect(!answers(rules(), host))
  }

  @Test func configuredNamesAreAnsweredToo() {
    let rules = rules { $0.hosts = ["Engram.internal", "other.example:8443"] }
    #expect(answers(rules, "engram.INTERNAL"))
    #expect(answers(rules, "engram.internal:9"))
    #expect(answers(rules, "other.example:8443"))
    #expect(!answers(rules, "other.example:8080"))
    #expect(!answers(rules, "other.example"))
    #expect(answers(rules, "127.0.0.1"))
  }

  @Test func beyondLoopbackNamesAreCheckedOnlyIfConfigured() {
    #expect(answers(rules(isLoopback: false), "anything.example"))
    let strict = rules({ $0.hosts = ["engram.example"] }, isLoopback: false)
    #expect(answers(strict, "engram.example:443"))
    #expect(!answers(strict, "anything.example"))
  }

  // MARK: Origin

  /// Origin, host, whether the server speaks TLS, and what the page is.
  static let origins: [(String, String, Bool, BrowserRules.Standing)] = [
    ("http://127.0.0.1:8080", "127.0.0.1:8080", false, .own),
    ("http://localhost:8080", "localhost:8080", false, .own),
    ("HTTP://LocalHost:8080", "localhost:8080", false, .own),
    ("http://localhost", "localhost:80", false, .own), ("http://localhost:80", "localhost", false, .own),
    ("https://localhost", "localhost:443", true, .own), ("http://[::1]:1", "[::1]:1", false, .own),
    // Another scheme, host or port is another origin.
    ("https://localhost:8080", "localhost:8080", false, []),
    ("http://localhost:8080", "localhost:8080", true, []),
    ("http://localhost:8081", "localhost:8080", false, []),
    ("http://localhost", "localhost:8080", false, []),
    ("http://127.0.0.1:8080", "localhost:8080", false, []),
    ("http://localhost.evil.example:8080", "localhost:8080", false, []),
    ("http://localhost:80", "localhost:443", false, []),
    ("https://localhost:80", "localhost:80", false, []),
    // What is none.
    ("null", "localhost:8080", false, []), ("", "localhost:8080", false, []),
    ("localhost:8080", "localhost:8080", false, []), ("http://", "", false, []),
    ("://localhost", "localhost", false, []), ("http:/localhost", "localhost", false, []),
    ("http://localhost/", "localhost", false, []), ("http://localhost", "", false, []),
    ("http://localhost:8080, http://localhost:8080", "localhost:8080", false, []),
  ]

  @Test(arguments: origins)
  func anOriginIsTheServersOwnOrAStrangers(
    _ origin: String, _ host: String, _ isTLS: Bool, _ expected: BrowserRules.Standing
  ) {
    #expect(standing(rules(isTLS: isTLS), origin, host) == expected)
  }

  @Test func configuredOriginsAreOwnOrGranted() {
    let rules = rules {
      $0.origins = ["https://Console.example", "chrome-extension://abcdef"]
      $0.corsOrigins = ["http://app.example:3000", "https://cdn.example:443"]
    }
    #expect(rules.allowsCORS)
    #expect(standing(rules, "https://console.example", "h") == .own)
    #expect(standing(rules, "https://console.example:443", "h") == .own)
    #expect(standing(rules, "https://console.example:444", "h") == [])
    #expect(standing(rules, "http://console.example", "h") == [])
    #expect(standing(rules, "chrome-extension://abcdef", "h") == .own)
    #expect(standing(rules, "http://app.example:3000", "h") == [.acts, .reads])
    #expect(standing(rules, "http://app.example", "h") == [])
    #expect(standing(rules, "https://cdn.example", "h") == [.acts, .reads])
    #expect(standing(rules, "https://a.cdn.example", "h") == [])
    #expect(standing(rules, "null", "h") == [])
  }

  @Test func allOriginsAreGrantedWithoutCredentials() {
    let rules = rules {
      $0.corsOrigins = ["*"]
      $0.corsCredentials = true
    }
    #expect(rules.allowsCORS && rules.allowsAll && !rules.corsCredentials)
    #expect(standing(rules, "https://anything.example", "h") == [.reads, .actsByCredential])
    #expect(standing(rules, "null", "h") == [])
  }

  @Test func aPageShowsCertificatesOnlyWhereItMayActForItsVisitor() {
    let rules = rules {
      $0.origins = ["https://console.example", "https://both.example"]
      $0.corsOrigins = ["https://app.example", "https://both.example"]
    }
    #expect(!standing(rules, "https://app.example", "h").contains(.showsCertificates))
    #expect(standing(rules, "https://both.example", "h") == [.acts, .reads, .showsCertificates])
    let trusting = self.rules {
      $0.corsOrigins = ["https://app.example"]
      $0.corsCredentials = true
    }
    #expect(standing(trusting, "https://app.example", "h") == [.acts, .reads, .showsCertificates])
  }

  @Test func withoutConfigurationCORSIsOff() {
    #expect(!rules().allowsCORS)
  }

  // MARK: Configuration

  static let faulty: [(String, @Sendable (inout BrowserSettings) -> Void)] = [
    ("browser.origins", { $0.origins = ["null"] }), ("browser.origins", { $0.origins = ["example.com"] }),
    ("browser.origins", { $0.origins = ["https://example.com/"] }),
    ("browser.origins", { $0.origins = ["https://example.com/app"] }),
    ("browser.origins", { $0.origins = ["https://"] }), ("browser.origins", { $0.origins = ["*"] }),
    ("browser.origins", { $0.origins = ["https://a b"] }),
    ("browser.origins", { $0.origins = ["https://u@h"] }),
    ("browser.origins", { $0.origins = ["https://h:0"] }),
    ("browser.origins", { $0.origins = ["https://h:65536"] }),
    ("browser.origins", { $0.origins = ["://h"] }),
    ("browser.origins", { $0.origins = ["https://h\r\nX: y"] }),
    ("browser.hosts", { $0.hosts = ["http://h"] }), ("browser.hosts", { $0.hosts = [""] }),
    ("browser.hosts", { $0.hosts = ["a/b"] }), ("browser.hosts", { $0.hosts = ["h:x"] }),
    ("browser.hosts", { $0.hosts = ["[]"] }),
    ("browser.cors_origins", { $0.corsOrigins = ["https://*.example"] }),
    (
      "browser.cors_credentials",
      {
        $0.corsOrigins = ["*"]
        $0.corsCredentials = true
      }
    ),
  ]

  @Test(arguments: faulty.indices)
  func faultyTextsAreNamedByTheirKey(_ place: Int) {
    var settings = BrowserSettings()
    BrowserRulesTests.faulty[place].1(&settings)
    #expect(settings.faults().map(\.key) == [BrowserRulesTests.faulty[place].0])
  }

  @Test func rightTextsAreTaken() {
    var settings = BrowserSettings()
    settings.origins = [
      "https://a.example", "http://localhost:3000", "http://[::1]:80", "vscode-webview://x1-y",
    ]
    settings.hosts = ["engram", "engram.example:8080", "[fe80::1]", "[::1]:8080", "10.0.0.1"]
    settings.corsOrigins = ["*", "https://b.example:8443"]
    #expect(settings.faults().isEmpty)
  }
}
