/// The value of a setting.
public enum Value: Hashable, Sendable {
  case text(String)
  case integer(Int)
  case flag(Bool)
  case list([String])
}

/// What a setting's value may be. Whatever passes `Reading` has the kind of `Value` that belongs to it.
enum Shape: Hashable, Sendable {
  /// From 1 to 4096 bytes without control characters.
  case text
  /// A text. Relative ones of the file begin at the file's directory.
  case path
  case flag
  case integer(ClosedRange<Int>)
  case choice([String])
  /// Texts, each once; of `choices` if there are any. A single text stands for a list of one.
  case list(choices: [String]?)
}

/// A flag of the command line that sets a key.
struct Flag: Hashable, Sendable {
  /// Without dashes.
  var name: String
  /// `--no-search` sets `search = false`; the variable of the environment is turned round as well.
  var isInverted = false
}

/// When a changed value takes effect.
enum Change: Hashable, Sendable {
  case restart
  /// On SIGHUP too.
  case reload
}

/// One key of the schema.
struct Entry: Sendable {
  /// As in `auth.jwt.issuer`: the last part is the key, the others are its section.
  var path: String
  var shape: Shape
  /// Nil: nothing, unless somebody sets it.
  var standard: Value?
  /// The default for people, where the value depends on the machine.
  var standardText: String?
  /// For `engram config example`, where there is no default.
  var example: Value?
  var isSecret = false
  var change = Change.restart
  var flag: Flag?
  /// One sentence, or a few.
  var help: String
  /// Says what is wrong with a text, or with one of a list; nil: nothing is.
  var check: (@Sendable (String) -> String?)?

  var section: String { path.lastIndex(of: ".").map { String(path[..<$0]) } ?? "" }
  var name: String { path.lastIndex(of: ".").map { String(path[path.index(after: $0)...]) } ?? path }

  /// `ENGRAM_` and the path in capitals. Keys of `server` go without their section's name, as they always did, and what
  /// has an inverted flag is inverted in the environment too.
  var variable: String {
    var name = path.hasPrefix("server.") ? self.name : path
    if let flag, flag.isInverted { name = flag.name }
    return "ENGRAM_" + String(name.uppercased().map { $0 == "." || $0 == "-" ? "_" : $0 })
  }
}

/// A key that has values of this kind.
public struct Key<Kind: SettingKind>: Sendable {
  let entry: Entry

  public var path: String { entry.path }
}

/// What the program makes of a value.
public protocol SettingKind: Sendable {
  /// Requires a value of the key's shape; nil only for kinds that are optional.
  init(setting: Value?)
}

extension String: SettingKind {
  public init(setting: Value?) {
    guard case .text(let text) = setting else { preconditionFailure("the schema has no text here") }
    self = text
  }
}

extension Int: SettingKind {
  public init(setting: Value?) {
    guard case .integer(let number) = setting else { preconditionFailure("the schema has no integer here") }
    self = number
  }
}

extension Bool: SettingKind {
  public init(setting: Value?) {
    guard case .flag(let flag) = setting else { preconditionFailure("the schema has no flag here") }
    self = flag
  }
}

extension [String]: SettingKind {
  public init(setting: Value?) {
    guard case .list(let list) = setting else { preconditionFailure("the schema has no list here") }
    self = list
  }
}

extension Optional: SettingKind where Wrapped: SettingKind {
  public init(setting: Value?) { self = setting.map { Wrapped(setting: $0) } }
}
