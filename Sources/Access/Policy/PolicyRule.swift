/// One `[[policy]]` of the configuration: who may do what to which resources.
///
/// A rule is for whoever bears one of its roles or is one of its agents; `*` among the agents stands for everybody whose
/// credential is accepted. What no rule allows is denied; no rule takes back what another one gives.
public struct PolicyRule: Hashable, Sendable {
  /// What is wrong with a rule.
  public struct Fault: Error, Hashable, Sendable {
    /// The key at fault: `roles`, `agents`, `verbs` or `resources`.
    public var key: String
    /// Of the value at fault in its list.
    public var index: Int?
    public var detail: String
  }

  public let roles: [String]
  /// Ids, as bytes.
  public let agents: [[UInt8]]
  /// Whether it is for every agent.
  public let isForAll: Bool
  public let verbs: Set<Verb>
  public let resources: [ResourcePattern]

  /// Reads a rule as the configuration has it; refuses one that could never allow what it lists.
  public init(
    roles: [String] = [], agents: [String] = [], verbs: [String], resources: [String] = []
  ) throws(Fault) {
    for (key, names) in [("roles", roles), ("agents", agents), ("verbs", verbs), ("resources", resources)] {
      guard names.count <= PolicyLimits.namesMax else {
        throw Fault(key: key, index: nil, detail: "lists more than \(PolicyLimits.namesMax) names")
      }
    }
    guard !roles.isEmpty || !agents.isEmpty else {
      throw Fault(key: "roles", index: nil, detail: "or agents must name somebody")
    }
    if let index = roles.firstIndex(where: { $0.isEmpty || $0 == "*" }) {
      throw Fault(
        key: "roles", index: index,
        detail: roles[index].isEmpty ? "has an empty name" : "has no *: agents = [\"*\"] stands for everybody"
      )
    }
    if let index = agents.firstIndex(where: { $0.isEmpty }) {
      throw Fault(key: "agents", index: index, detail: "has an empty id")
    }
    self.roles = roles
    isForAll = agents.contains("*")
    self.agents = agents.filter { $0 != "*" }.map { Array($0.utf8) }
    self.verbs = try PolicyRule.verbs(verbs)
    self.resources = try PolicyRule.resources(resources)
    try checkPairs()
  }

  private static func verbs(_ names: [String]) throws(Fault) -> Set<Verb> {
    var found: Set<Verb> = []
    for (index, name) in names.enumerated() {
      guard let verb = Verb(rawValue: name) else {
        let known = Verb.allCases.map(\.rawValue).joined(separator: ", ")
        throw Fault(key: "verbs", index: index, detail: "has \(name.debugDescription): there are \(known)")
      }
      found.insert(verb)
    }
    guard !found.isEmpty else { throw Fault(key: "verbs", index: nil, detail: "must name a verb") }
    return found
  }

  private static func resources(_ texts: [String]) throws(Fault) -> [ResourcePattern] {
    var found: [ResourcePattern] = []
    for (index, text) in texts.enumerated() {
      do throws(ResourcePattern.Fault) { found.append(try ResourcePattern(text)) } catch {
        throw Fault(
          key: "resources", index: index, detail: "has \(text.debugDescription), which \(error.detail)")
      }
    }
    return found
  }

  /// A verb about contexts needs a context to allow it for, and a context a verb; so do locks.
  private func checkPairs() throws(Fault) {
    for (kind, word) in [(ResourcePattern.Kind.context, "context"), (.lock, "lock")] {
      let verb = Verb.allCases.first { $0.kind == kind && verbs.contains($0) }
      let index = resources.firstIndex { $0.kind == kind }
      if let verb, index == nil {
        throw Fault(
          key: "resources", index: nil, detail: "name no \(word)/..., which \(verb.rawValue) is about")
      }
      if let index, verb == nil {
        throw Fault(
          key: "verbs", index: nil,
          detail: "name nothing that may be done to \(resources[index])")
      }
    }
  }
}

extension Verb {
  /// What the verb is about; nil: the whole server.
  public var kind: ResourcePattern.Kind? {
    switch self {
    case .contextRead, .contextWrite: .context
    case .lockRead, .lockAcquire, .lockForce: .lock
    case .search, .metrics: nil
    }
  }
}
