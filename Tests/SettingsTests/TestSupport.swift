import Testing

@testable import Settings

/// A configuration file that was never on a disk, readable by its owner alone unless told otherwise.
func file(_ text: String, mode: UInt32 = 0o600, path: String = "engram.toml") -> CheckedFile {
  CheckedFile(path: path, bytes: Array(text.utf8), mode: mode)
}

/// Resolves without a disk; secrets are what the table says.
func resolve(
  _ text: String? = nil, mode: UInt32 = 0o600, path: String = "engram.toml",
  environment: [String: String] = [:],
  flags: [String: String] = [:], secrets: [String: String] = [:]
) throws(SettingsFailure) -> Settings {
  try Settings.resolve(
    file: text.map { file($0, mode: mode, path: path) }, environment: environment, flags: flags
  ) { path throws(FileFault) in
    guard let secret = secrets[path] else { throw FileFault(path: path, cause: "No such file or directory") }
    return Array(secret.utf8)
  }
}

/// The lines of the refusal; empty if there is none.
func refusal(
  of text: String? = nil, mode: UInt32 = 0o600, environment: [String: String] = [:],
  flags: [String: String] = [:], secrets: [String: String] = [:]
) -> [String] {
  do throws(SettingsFailure) {
    _ = try resolve(text, mode: mode, environment: environment, flags: flags, secrets: secrets)
    return []
  } catch {
    return error.lines
  }
}

/// TLS and tokens, as far as the settings look: what a network asks for.
let safe = """
  [tls]
  certificate = "server.crt"
  key = "server.key"
  [auth]
  providers = ["token"]
  [auth.token]
  file = "tokens"

  """
