/// Settings as people read them: TOML that reads back as what it says.
extension Settings {
  /// What is in force, with the origin of each value behind it; secrets are masked. Defaults are commented out, so that
  /// it reads back as what somebody has set. For `engram config check`.
  public var text: String {
    var lines: [String] = []
    for section in Schema.sections {
      let entries = Schema.entries.filter { $0.section == section.name }
      let isGiven = entries.contains { self[$0].origin != .standard }
      lines.append(isGiven ? "[\(section.name)]" : "#[\(section.name)]")
      lines += entries.map(line)
      lines.append("")
    }
    for policy in policies {
      lines.append("[[policy]]  # \(Rendering.comment(policy.origin))")
      for entry in PolicyKeys.entries {
        let list = policy.rule[keyPath: PolicyKeys.member(entry.name)]
        if !list.isEmpty { lines.append("\(entry.name) = \(Rendering.toml(.list(list)))") }
      }
      lines.append("")
    }
    return lines.joined(separator: "\n")
  }

  private func line(_ entry: Entry) -> String {
    let setting = self[entry]
    guard let value = setting.value else { return "# \(entry.name) is not set" }
    let shown = entry.isSecret ? "\"\(Settings.mask)\"" : Rendering.toml(value)
    let mark = setting.origin == .standard ? "#" : ""
    return "\(mark)\(entry.name) = \(shown)  # \(Rendering.comment(setting.origin))"
  }

  /// What stands for a secret.
  static let mask = "********"
}

extension Schema {
  /// A configuration file with every key, its meaning and its default, all of it commented out. For
  /// `engram config example`.
  public static var example: String {
    var lines = [
      "# Every key that there is. A flag goes before a variable of the environment, that before this file, and that",
      "# before the default. Without the # a line holds; what is unknown or contradicts is refused with its line.",
      "# Relative paths begin where this file is. SIGHUP has it read again.",
    ]
    for section in sections {
      lines += ["", "# \(section.help)", "#[\(section.name)]"]
      for entry in entries where entry.section == section.name { lines += Rendering.example(entry) }
    }
    lines += [
      "", "# Who may do what. Without a rule that allows it nobody may do anything; rules add up.",
      "#[[policy]]",
    ]
    for entry in PolicyKeys.entries { lines += Rendering.example(entry) }
    return lines.joined(separator: "\n") + "\n"
  }
}

enum Rendering {
  static func toml(_ value: Value) -> String {
    switch value {
    case .text(let text): quoted(text)
    case .integer(let number): "\(number)"
    case .flag(let flag): "\(flag)"
    case .list(let list): "[\(list.map(quoted).joined(separator: ", "))]"
    }
  }

  /// A basic string. Control characters are refused before; all the same none may leave the quotes.
  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case _ where scalar.value < 0x20 || scalar.value == 0x7f:
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }

  /// A file's name may have any byte; a comment ends at a line's end.
  static func comment(_ origin: Origin) -> String { Words.shown(origin.description, max: 4096) }

  static func example(_ entry: Entry) -> [String] {
    var notes = ["", "# \(entry.help)"]
    var facts = [entry.shape.name]
    if let text = entry.standardText { facts.append("default: \(text)") }
    if entry.section != "policy" { facts.append(entry.variable) }
    if entry.isSecret { facts.append("\(entry.variable)_FILE") }
    if let flag = entry.flag { facts.append("--\(flag.name)") }
    if entry.standard == nil, entry.section != "policy" { facts.append("not set by default") }
    notes.append("# (\(facts.joined(separator: "; ")))")
    let value = entry.standard ?? entry.example ?? .text("")
    return notes + ["#\(entry.name) = \(toml(value))"]
  }
}
