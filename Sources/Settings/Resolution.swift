internal import Access

/// Brings file, environment and flags together under the schema, the stronger over the weaker, and gathers all faults.
/// A value: it reads no file but through what it is given.
struct Resolution {
  private(set) var settings = Settings.standard
  private(set) var faults: [SettingFault] = []
  private let secretFile: (String) throws(FileFault) -> [UInt8]

  /// - Parameter secretFile: reads the file that a `…_FILE` variable names, and refuses it if others may.
  init(secretFile: @escaping (String) throws(FileFault) -> [UInt8]) { self.secretFile = secretFile }

  // MARK: The file

  mutating func add(file: CheckedFile) {
    let document: Document
    do throws(Document.Fault) {
      document = try Document(file.bytes)
    } catch {
      faults.append(
        SettingFault(
          .file(path: file.path, line: error.line),
          "column \(error.column): \(Words.shown(error.cause, max: 512))"))
      return
    }
    var secrets = false
    for node in document.nodes {
      if node.key == "policy" {
        addPolicies(node, file.path)
      } else {
        add(node, "", file, &secrets)
      }
    }
    guard secrets else { return }
    do throws(FileFault) {
      try file.requirePrivate()
    } catch {
      faults.append(SettingFault(.file(path: file.path, line: 0), error.cause))
    }
  }

  private mutating func add(
    _ node: Document.Node, _ section: String, _ file: CheckedFile, _ secrets: inout Bool
  ) {
    let origin = Origin.file(path: file.path, line: node.line)
    let path = section.isEmpty ? node.key : "\(section).\(node.key)"
    // `"auth.token" = …` is a key with a dot in its name, not one in a section: a second spelling would win silently.
    if node.key.contains(".") {
      fault(origin, "unknown key \"\(Words.shown(node.key))\": without quotes, please")
    } else if let entry = Schema.entry(path) {
      secrets = secrets || entry.isSecret
      set(entry, origin) { () throws(Reading.Refusal) in
        let value = try Reading.value(node.content, entry)
        guard case .path = entry.shape, case .text(let text) = value else { return value }
        return .text(Resolution.resolve(text, besides: file.path))
      }
    } else if Schema.isSection(path) {
      settings.sections[path] = origin
      guard case .table(let nodes) = node.content else {
        return fault(origin, "\(path): expected a section, not \(node.content.name)")
      }
      for node in nodes { add(node, path, file, &secrets) }
    } else {
      fault(origin, unknown(node, section))
    }
  }

  /// Whether it is looked for what somebody may have meant: as long as faults are shown. A file of noise has tens of
  /// thousands of keys.
  private var isAdvising: Bool { faults.count + settings.warnings.count < SettingsFailure.shownMax }

  private func near(_ word: String, in candidates: [String]) -> String? {
    isAdvising ? Words.nearest(word, in: candidates) : nil
  }

  /// Names what somebody may have meant.
  private func unknown(_ node: Document.Node, _ section: String) -> String {
    let name = Words.shown(node.key)
    let place = section.isEmpty ? "" : " in [\(section)]"
    var what = "unknown key \"\(name)\"\(place)"
    if case .table = node.content {
      what = "unknown section \"\(section.isEmpty ? "" : "\(section).")\(name)\""
    }
    guard isAdvising else { return what }
    let inside = Schema.entries.filter { $0.section == section }.map(\.name)
    let subsections = (Schema.sections.map(\.name) + ["policy"]).filter { $0 != section }
    if let near = near(node.key, in: inside) { return "\(what); did you mean \"\(near)\"?" }
    if let elsewhere = Schema.entries.first(where: { $0.name == node.key }) {
      return "\(what); \"\(node.key)\" belongs to [\(elsewhere.section)]"
    }
    let path = section.isEmpty ? node.key : "\(section).\(node.key)"
    if let near = near(path, in: subsections) { return "\(what); did you mean [\(near)]?" }
    return what
  }

  /// A relative path of the file begins at the file's directory, wherever the server is started.
  static func resolve(_ path: String, besides file: String) -> String {
    guard path != "-", !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
    return file[...slash] + path
  }

  // MARK: Policies

  private mutating func addPolicies(_ node: Document.Node, _ file: String) {
    let origin = Origin.file(path: file, line: node.line)
    guard case .array(let rules) = node.content else {
      return fault(origin, "policy: expected [[policy]] tables, not \(node.content.name)")
    }
    settings.sections["policy"] = origin
    guard rules.count <= SettingsLimits.policiesMax else {
      return fault(origin, "policy: more than \(SettingsLimits.policiesMax) rules")
    }
    for rule in rules { addPolicy(rule, file) }
  }

  private mutating func addPolicy(_ node: Document.Node, _ file: String) {
    let origin = Origin.file(path: file, line: node.line)
    guard case .table(let nodes) = node.content else {
      return fault(origin, "policy: expected a [[policy]] table, not \(node.content.name)")
    }
    var policy = PolicySetting(origin: origin)
    let before = faults.count
    for node in nodes {
      let place = Origin.file(path: file, line: node.line)
      guard let entry = PolicyKeys.entry(node.key) else {
        let near = near(node.key, in: PolicyKeys.entries.map(\.name))
        fault(
          place,
          "unknown key \"\(Words.shown(node.key))\" in [[policy]]"
            + (near.map { "; did you mean \"\($0)\"?" } ?? ""))
        continue
      }
      do throws(Reading.Refusal) {
        guard case .list(let list) = try Reading.value(node.content, entry) else { continue }
        policy.rule[keyPath: PolicyKeys.member(node.key)] = list
      } catch {
        fault(place, "policy.\(node.key): \(error.cause)")
      }
    }
    settings.policies.append(policy)
    // What is empty because it couldn't be read is told already.
    guard faults.count == before else { return }
    if policy.rule.roles.isEmpty, policy.rule.agents.isEmpty {
      fault(origin, "policy: names neither roles nor agents, so it is for nobody")
    } else if policy.rule.verbs.isEmpty {
      fault(origin, "policy: names no verbs")
    }
  }

  // MARK: Environment and flags

  /// Variables that begin with `ENGRAM_`; others are left alone. An empty one counts as not set.
  mutating func add(environment: [String: String]) {
    for (name, text) in environment.sorted(by: { $0.key < $1.key }) {
      guard name.hasPrefix("ENGRAM_"), name != SettingsSource.fileVariable, !text.isEmpty else { continue }
      let origin = Origin.environment(variable: name)
      if let entry = Schema.entries.first(where: { $0.variable == name }) {
        set(entry, origin) { () throws(Reading.Refusal) in try Reading.value(text, entry) }
      } else if let entry = Schema.entries.first(where: { $0.isSecret && "\($0.variable)_FILE" == name }) {
        addSecret(entry, file: text, origin, environment)
      } else {
        addUnknown(variable: name)
      }
    }
  }

  private mutating func addSecret(
    _ entry: Entry, file: String, _ origin: Origin, _ environment: [String: String]
  ) {
    if environment[entry.variable]?.isEmpty == false {
      return fault(origin, "\(entry.variable) is set too: one of them")
    }
    do throws(FileFault) {
      var bytes = try secretFile(file)[...]
      // Editors end a file with a line's end.
      if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
      if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
      let text = String(validating: bytes, as: UTF8.self)
      set(entry, origin) { () throws(Reading.Refusal) in
        guard let text else { throw Reading.Refusal("\(file) is no UTF-8") }
        return try Reading.value(text, entry)
      }
    } catch {
      fault(origin, "\(error)")
    }
  }

  /// What begins like a section of ours is refused: a limit or a provider that is misspelt would be missing silently.
  /// Others are told only: a Kubernetes service of the name engram or engram-auth puts `ENGRAM_SERVICE_HOST`,
  /// `ENGRAM_AUTH_PORT_80_TCP` and their like there.
  private mutating func addUnknown(variable: String) {
    let near = near(variable, in: Schema.entries.map(\.variable))
    let advice = near.map { "; did you mean \($0)?" } ?? ""
    let name = Words.shown(variable)
    let prefixes = (Schema.sections.map(\.name) + ["policy"]).map { "ENGRAM_\($0.uppercased())_" }
    let isOfKubernetes =
      variable.contains("_SERVICE_") || variable.hasSuffix("_PORT") || variable.contains("_PORT_")
    if prefixes.contains(where: variable.hasPrefix), !isOfKubernetes {
      fault(.environment(variable: name), "no such setting\(advice)")
    } else {
      settings.warnings.append("the environment has \(name), which is no setting\(advice)")
    }
  }

  /// - Parameter flags: values by the flag's name without dashes; of a flag that takes none, `true`.
  mutating func add(flags: [String: String]) {
    for (name, text) in flags.sorted(by: { $0.key < $1.key }) {
      guard let entry = Schema.entries.first(where: { $0.flag?.name == name }) else {
        preconditionFailure("--\(name) has no key in the schema")
      }
      set(entry, .flag(name: "--\(name)")) { () throws(Reading.Refusal) in try Reading.value(text, entry) }
    }
  }

  // MARK: What all have in common

  private mutating func set(
    _ entry: Entry, _ origin: Origin, _ read: () throws(Reading.Refusal) -> Value
  ) {
    do throws(Reading.Refusal) {
      settings.values[entry.path] = Settings.Setting(value: try read(), origin: origin)
    } catch {
      fault(origin, "\(entry.path): \(error.cause)")
    }
  }

  private mutating func fault(_ origin: Origin, _ cause: String) {
    faults.append(SettingFault(origin, cause))
  }
}

extension Settings {
  /// Nothing given at all.
  public static let standard = Settings(
    values: Dictionary(
      uniqueKeysWithValues: Schema.entries.map { ($0.path, Setting(value: $0.standard, origin: .standard)) }))
}

/// The keys of a rule.
enum PolicyKeys {
  static let entries = [
    Entry(
      path: "policy.roles", shape: .list(choices: nil), example: .list(["worker"]),
      help: "Whom the rule is for: who has one of these roles, or is one of `agents`."),
    Entry(
      path: "policy.agents", shape: .list(choices: nil), example: .list(["anna"]),
      help: "Whom the rule is for, by id. `*` is everybody who is known."),
    Entry(
      path: "policy.verbs", shape: .list(choices: Verb.allCases.map(\.rawValue)),
      example: .list(["context:read", "context:write"]),
      help: "What they may do."),
    Entry(
      path: "policy.resources", shape: .list(choices: nil), example: .list(["context/team/**"]),
      help: """
        What they may do it to: `context/PATTERN` or `lock/PATTERN`, where `*` is one segment, `**` any number of them \
        and `{agent}` the caller's id. Not for `search` and `metrics`.
        """),
  ]

  static func entry(_ name: String) -> Entry? { entries.first { $0.name == name } }

  /// Requires a name of `entries`.
  static func member(_ name: String) -> WritableKeyPath<PolicySetting.Rule, [String]> {
    switch name {
    case "roles": \.roles
    case "agents": \.agents
    case "verbs": \.verbs
    default: \.resources
    }
  }
}
