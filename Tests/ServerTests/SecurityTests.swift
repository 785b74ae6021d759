import Access
import Glibc
import Settings
import Testing

@testable import Server

/// What the files of a configuration are made into, and how a bad one is refused.
@Suite struct SecurityTests {
  private let policy = """
    [[policy]]
    roles = ["worker"]
    verbs = ["context:read"]
    resources = ["context/team/**"]

    """

  private func configuration(
    _ directory: TemporaryDirectory, _ text: String, files: [String: (text: String, mode: mode_t)] = [:]
  ) throws -> Configuration {
    for (name, file) in files { try write("\(directory.path)/\(name)", file.text, file.mode) }
    let path = "\(directory.path)/engram.toml"
    try write(path, text, 0o600)
    let settings = try SettingsSource(config: path, flags: [:], environment: [:]).load()
    return try Configuration(settings, version: "test", generation: 7)
  }

  private func write(_ path: String, _ text: String, _ mode: mode_t) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    var text = text
    let count = text.withUTF8 { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    guard count == text.utf8.count, fchmod(descriptor, mode) == 0 else { throw TestFailure("write \(path)") }
  }

  /// The lines of the refusal, without the directory.
  private func refusal(
    _ text: String, files: [String: (text: String, mode: mode_t)] = [:]
  ) throws -> [String] {
    let directory = try TemporaryDirectory()
    do {
      _ = try configuration(directory, text, files: files)
      return []
    } catch let failure as SettingsFailure {
      #expect(failure.exitCode == EX_CONFIG)
      return failure.lines.map { line in
        line.split(separator: "\(directory.path)/", omittingEmptySubsequences: false).joined()
      }
    }
  }

  private let tokens = "[auth]\nproviders = [\"token\"]\n[auth.token]\nfile = \"tokens\"\n"
  private let line = "anna:worker:" + String(repeating: "ab", count: 32) + "\n"

  @Test(
    arguments: [
      ("audit", 0o666, "mode 0666 lets others change it; chmod go-w audit"),
      (".", nil, "can't be opened: Is a directory"), ("/dev/full", nil, "no regular file"),
      ("none/audit", nil, "can't be opened: No such file or directory"),
    ] as [(String, mode_t?, String)])
  func `an audit that can't be written is a fault of its line`(path: String, mode: mode_t?, cause: String)
    throws
  {
    let files = mode.map { ["audit": (text: "", mode: $0)] } ?? [:]
    let lines = try refusal("[audit]\nfile = \"\(path)\"\n", files: files)
    #expect(lines.count == 1)
    #expect(lines.first?.hasPrefix("engram.toml:2: audit.file: ") == true)
    #expect(lines.first?.hasSuffix(cause) == true, "\(lines)")
    // Together with what else is wrong.
    #expect(try refusal("[audit]\nfile = \"\(path)\"\n" + tokens, files: files).count == 2)
  }

  @Test(.timeLimit(.minutes(1))) func `nobody waits for the other end of a pipe`() throws {
    let directory = try TemporaryDirectory()
    try #require(mkfifo("\(directory.path)/pipe", 0o600) == 0)
    #expect(throws: SettingsFailure.self) { try configuration(directory, "[audit]\nfile = \"pipe\"\n") }
  }

  @Test func `refused settings make no audit`() throws {
    let directory = try TemporaryDirectory()
    let audit = "[audit]\nfile = \"audit\"\n"
    #expect(throws: SettingsFailure.self) { try configuration(directory, audit + tokens) }
    #expect(access("\(directory.path)/audit", F_OK) != 0)
    _ = try configuration(directory, audit)
    #expect(access("\(directory.path)/audit", F_OK) == 0)
  }

  @Test func `what is odd about an audit is a warning of the settings`() throws {
    let directory = try TemporaryDirectory()
    let made = try configuration(
      directory, "[audit]\nfile = \"audit\"\n", files: ["audit": ("", 0o644)])
    #expect(made.settings.warnings.count == 1)
    #expect(made.settings.warnings.first?.hasPrefix("audit.file: \(directory.path)/audit: mode 0644") == true)
  }

  @Test func withoutProvidersAuthenticationIsOff() throws {
    let directory = try TemporaryDirectory()
    #expect(try configuration(directory, "[server]\nloops = 1\n").access == nil)
  }

  @Test func tokensAndPoliciesAreThere() throws {
    let directory = try TemporaryDirectory()
    let made = try configuration(directory, tokens + policy, files: ["tokens": (line, 0o600)])
    let access = try #require(made.access)
    #expect(access.generation == 7)
    let anna = Principal(agent: Array("anna".utf8), roles: ["worker"], provider: .token)
    let permissions = access.policy.permissions(of: anna)
    func allows(_ verb: Verb, _ context: String) -> Bool {
      Array(context.utf8).withUnsafeBytes { permissions.allows(verb, context: $0) }
    }
    #expect(allows(.contextRead, "team/a"))
    #expect(!allows(.contextRead, "other"))
    #expect(!allows(.contextWrite, "team/a"))
  }

  @Test func filesThatAreNotGood() throws {
    #expect(
      try refusal(tokens + policy) == [
        "engram.toml:4: auth.token.file: tokens: No such file or directory"
      ])
    #expect(
      try refusal(tokens + policy, files: ["tokens": (line, 0o644)]) == [
        "engram.toml:4: auth.token.file: tokens: mode 0644 gives others access to a secret; chmod 600 tokens"
      ])
    let lines = try refusal(tokens + policy, files: ["tokens": (line + "bob:x:secret-itself\n", 0o600)])
    #expect(lines.first?.hasPrefix("engram.toml:4: auth.token.file: tokens: line 2 ") == true, "\(lines)")
    #expect(!lines.joined().contains("secret-itself"))
  }

  // MARK: TLS

  private let tls = """
    [tls]
    certificate = "own.pem"
    key = "own.key"
    client_certificates = "optional"
    client_ca = "clients.pem"

    """

  @Test(
    arguments: [
      ("own.pem", 0o600, "2: tls.certificate: own.pem: no usable PEM certificate ("),
      ("own.key", 0o604, "3: tls.key: own.key: mode 0604 gives others access to a secret; chmod 600 own.key"),
      ("own.key", 0o660, "3: tls.key: own.key: mode 0660 lets its group change a secret; chmod 600 own.key"),
      (
        "clients.pem", 0o606,
        "5: tls.client_ca: clients.pem: mode 0606 lets everybody change it; chmod o-w clients.pem"
      ),
    ] as [(String, mode_t, String)])
  func `files of TLS that are refused`(name: String, mode: mode_t, cause: String) throws {
    var files: [String: (text: String, mode: mode_t)] = [:]
    for file in ["own.pem", "own.key", "clients.pem"] { files[file] = ("nothing\n", 0o600) }
    files[name]?.mode = mode
    let lines = try refusal(tls, files: files)
    #expect(lines.count == 1 && lines.first?.hasPrefix("engram.toml:\(cause)") == true, "\(lines)")
    files[name] = nil
    #expect(try refusal(tls, files: files).contains { $0.contains("\(name): No such file or directory") })
  }

  /// Between a look at a file and a second opening, another could be put there.
  @Test func `each file of TLS is opened once`() throws {
    let directory = try TemporaryDirectory()
    let names = ["own.pem", "own.key", "clients.pem"]
    for name in names { try write("\(directory.path)/\(name)", "nothing\n", 0o600) }
    let watch = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
    defer { close(watch) }
    let places = names.map { inotify_add_watch(watch, "\(directory.path)/\($0)", UInt32(IN_OPEN)) }
    #expect(throws: SettingsFailure.self) { try configuration(directory, tls) }
    var opened: [Int32] = []
    let eventBytes = MemoryLayout<inotify_event>.size
    try withUnsafeTemporaryAllocation(byteCount: 64 * eventBytes, alignment: 8) { room in
      let count = read(watch, room.baseAddress, room.count)
      try #require(count > 0)
      // Events of a watched file, not of a directory, bring no name.
      for place in stride(from: 0, to: count, by: eventBytes) {
        opened.append(room.load(fromByteOffset: place, as: inotify_event.self).wd)
      }
    }
    #expect(opened.sorted() == places.sorted())
  }

  @Test(arguments: [(0o600, true), (0o640, true), (0o644, false)] as [(mode_t, Bool)])
  func `shared secrets of a key file are secrets`(mode: mode_t, isTaken: Bool) throws {
    let keys = #"{"keys":[{"kty":"oct","alg":"HS256","k":"\#(String(repeating: "A", count: 43))"}]}"#
    let text = "[auth]\nproviders = [\"jwt\"]\n[auth.jwt]\njwks = \"keys\"\n" + policy
    let lines = try refusal(text, files: ["keys": (keys, mode)])
    #expect(lines.isEmpty == isTaken, "\(lines)")
    #expect(isTaken || lines[0].hasPrefix("engram.toml:4: auth.jwt.jwks: keys: mode 0644"))
  }

  @Test func everyFaultIsTold() throws {
    let bad = """
      [[policy]]
      roles = ["worker"]
      verbs = ["context:read"]
      resources = ["context/a", "nothing/a"]
      [[policy]]
      roles = ["worker"]
      verbs = ["lock:read"]

      """
    let lines = try refusal(tokens + bad)
    #expect(lines.map { $0.prefix { $0 != " " } } == ["engram.toml:4:", "engram.toml:5:", "engram.toml:9:"])
    #expect(lines[1].hasPrefix("engram.toml:5: policy: resources[1] has \"nothing/a\""))
    #expect(lines[2].hasPrefix("engram.toml:9: policy: resources name no lock/"))
  }
}
