internal import CTOML

/// Where the value of a setting comes from, the strongest last.
public enum Origin: Hashable, Sendable {
  case standard
  case file(path: String, line: Int)
  case environment(variable: String)
  case flag(name: String)
}

/// The version of TOML that configuration files are written in.
public let tomlVersion = String(cString: engram_toml_version())
