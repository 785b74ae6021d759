internal import CTOML

/// Where the value of a setting comes from, the weakest first.
public enum Origin: Hashable, Sendable {
  case standard
  case file(path: String, line: Int)
  case environment(variable: String)
  /// With its dashes.
  case flag(name: String)
}

extension Origin: CustomStringConvertible {
  /// As `engram config check` says it.
  public var description: String {
    switch self {
    case .standard: "default"
    case .file(let path, let line): "file \(path):\(line)"
    case .environment(let variable): "environment \(variable)"
    case .flag(let name): "flag \(name)"
    }
  }

  /// As it stands in front of a complaint.
  var place: String {
    switch self {
    case .standard: "default"
    case .file(let path, let line): line > 0 ? "\(path):\(line)" : path
    case .environment(let variable): variable
    case .flag(let name): name
    }
  }
}

/// The version of TOML that configuration files are written in.
public let tomlVersion = String(cString: engram_toml_version())

/// What the server is run with: every key of the schema has a value, and each value knows where it comes from.
/// Made by `Settings.resolve` and nowhere else, so that the values fit the schema and each other.
public struct Settings: Sendable {
  struct Setting: Hashable, Sendable {
    /// Nil: not set, and without a default.
    var value: Value?
    var origin: Origin
  }

  /// By the key's path. Complete.
  var values: [String: Setting]
  /// In the order of the file.
  public internal(set) var policies: [PolicySetting] = []
  /// Sections that the file names, with the lines of their heads.
  var sections: [String: Origin] = [:]
  /// What an operator should look at, though it is no reason to refuse.
  public var warnings: [String] = []

  public subscript<Kind: SettingKind>(key: Key<Kind>) -> Kind { Kind(setting: self[key.entry].value) }

  public func origin<Kind>(of key: Key<Kind>) -> Origin { self[key.entry].origin }

  /// Whether somebody has set it.
  public func isGiven<Kind>(_ key: Key<Kind>) -> Bool { self[key.entry].origin != .standard }

  /// Requires an entry of the schema.
  subscript(entry: Entry) -> Setting {
    guard let found = values[entry.path] else { preconditionFailure("\(entry.path) is not in the schema") }
    return found
  }

  /// Keys whose values differ and that a reload can't change, by path.
  public func needingRestart(comparedWith old: Settings) -> [String] {
    Schema.entries.filter { $0.change == .restart && self[$0].value != old[$0].value }.map(\.path)
  }

  /// Keys whose values differ, by path, and `policy` if a rule does.
  public func changes(comparedWith old: Settings) -> [String] {
    let changed = Schema.entries.filter { self[$0].value != old[$0].value }.map(\.path)
    return policies.map(\.rule) == old.policies.map(\.rule) ? changed : changed + ["policy"]
  }
}

/// One rule of the file, and where it stands.
public struct PolicySetting: Hashable, Sendable {
  public struct Rule: Hashable, Sendable {
    public var roles: [String] = []
    public var agents: [String] = []
    /// Names of `Access.Verb`.
    public var verbs: [String] = []
    public var resources: [String] = []
  }

  public var rule = Rule()
  public var origin: Origin
}
