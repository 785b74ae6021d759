import Model
import Testing

@testable import Access

@Suite struct PolicyTests {
  private func principal(_ agent: String, _ roles: [String] = []) -> Principal {
    Principal(agent: Array(agent.utf8), roles: roles, provider: .token)
  }

  private func allows(_ permissions: Permissions, _ verb: Verb, _ name: String) -> Bool {
    Array(name.utf8).withUnsafeBytes { name in
      switch verb.kind {
      case .context: permissions.allows(verb, context: name)
      case .lock: permissions.allows(verb, lock: name)
      case nil: permissions.allows(verb)
      }
    }
  }

  @Test func `without a rule nothing is allowed`() throws {
    for rules in [[], [try PolicyRule(roles: ["admin"], verbs: ["metrics", "search"])]] {
      let permissions = Policy(rules).permissions(of: principal("a", ["user"]))
      for verb in Verb.allCases {
        #expect(!permissions.allows(verb))
        #expect(!allows(permissions, verb, "x"))
      }
      #expect(!permissions.seesAllContexts && !permissions.seesAllLocks)
    }
  }

  @Test func `a rule gives its verbs for its resources to its roles and agents`() throws {
    let policy = Policy([
      try PolicyRule(
        roles: ["writer"], agents: ["root"], verbs: ["context:read", "context:write", "lock:read"],
        resources: ["context/team/**", "lock/team/*"])
    ])
    for who in [principal("a", ["writer"]), principal("root"), principal("b", ["x", "writer"])] {
      let permissions = policy.permissions(of: who)
      #expect(allows(permissions, .contextRead, "team/x"))
      #expect(allows(permissions, .contextWrite, "team"))
      #expect(!allows(permissions, .contextRead, "other"))
      #expect(allows(permissions, .lockRead, "team/x"))
      #expect(!allows(permissions, .lockRead, "team/x/y"))
      #expect(!allows(permissions, .lockAcquire, "team/x"))
      #expect(!allows(permissions, .lockForce, "team/x"))
      #expect(permissions.allows(.contextRead) && !permissions.allows(.search))
    }
    for who in [principal("writer"), principal("a", ["root"]), principal("a", ["Writer"])] {
      #expect(!policy.permissions(of: who).allows(.contextRead))
    }
  }

  @Test func `what is seen begins with what the patterns begin with`() throws {
    func prefixes(_ resources: [String], agent: String = "a") throws -> [String] {
      let policy = Policy([
        try PolicyRule(agents: ["*"], verbs: ["context:read"], resources: resources),
        try PolicyRule(agents: ["*"], verbs: ["lock:read"], resources: ["lock/z/**"]),
      ])
      return policy.permissions(of: principal(agent)).contextPrefixes
        .map { String(decoding: $0, as: UTF8.self) }.sorted()
    }
    #expect(try prefixes(["context/team/**"]) == ["team"])
    #expect(try prefixes(["context/team/*", "context/x/y"]) == ["team/", "x/y"])
    #expect(try prefixes(["context/te*m/x"]) == ["te"])
    #expect(
      try prefixes(["context/home/{agent}/**", "context/{agent}-*"], agent: "ann") == ["ann-", "home/ann"])
    #expect(try prefixes(["context/a/**", "context/a/b", "context/ab"]) == ["a"])
    #expect(try prefixes(["context/**/x", "context/y"]) == [""])
    #expect(try prefixes(["context/**"]) == [""])
    // A pattern that matches nothing: the agent doesn't fit into a segment.
    #expect(try prefixes(["context/{agent}"], agent: "a/b") == [])
  }

  @Test func `a context's pattern opens no lock, and a lock's no context`() throws {
    let permissions = Policy([
      try PolicyRule(agents: ["a"], verbs: ["context:read"], resources: ["context/**"]),
      try PolicyRule(agents: ["a"], verbs: ["lock:acquire"], resources: ["lock/**"]),
    ]).permissions(of: principal("a"))
    #expect(permissions.seesAllContexts && !permissions.seesAllLocks)
    #expect(allows(permissions, .contextRead, "x"))
    #expect(!allows(permissions, .contextWrite, "x"))
    #expect(!allows(permissions, .lockRead, "x"))
    #expect(allows(permissions, .lockAcquire, "x"))
    // Asked about the wrong kind of thing, the answer is no.
    Array("x".utf8).withUnsafeBytes { name in
      #expect(!permissions.allows(.contextRead, lock: name))
      #expect(!permissions.allows(.lockAcquire, context: name))
      #expect(!permissions.allows(.search, context: name))
    }
  }

  @Test func `everybody is whoever has a credential, and an agent called star is one of them`() throws {
    let policy = Policy([
      try PolicyRule(agents: ["*"], verbs: ["context:read"], resources: ["context/{agent}/**"])
    ])
    for agent in ["a", "b", "*"] {
      let permissions = policy.permissions(of: principal(agent))
      #expect(allows(permissions, .contextRead, agent + "/x"))
      #expect(!allows(permissions, .contextRead, "c/x"))
    }
  }

  @Test func `a role that only looks the same is another one`() throws {
    let policy = Policy([try PolicyRule(roles: ["caf\u{e9}"], verbs: ["metrics"])])
    #expect(policy.permissions(of: principal("a", ["caf\u{e9}"])).allows(.metrics))
    #expect(!policy.permissions(of: principal("a", ["cafe\u{301}"])).allows(.metrics))
    #expect(policy.permissions(of: principal("a", ["caf\u{e9}"])).allows(.metrics))
  }

  @Test func `one that is asked for again is the same, by agent and roles`() throws {
    let policy = Policy([try PolicyRule(roles: ["r"], verbs: ["metrics"])])
    let one = policy.permissions(of: principal("a", ["r"]))
    #expect(policy.permissions(of: principal("a", ["r"])) === one)
    #expect(policy.permissions(of: principal("a")) !== one)
    #expect(policy.permissions(of: principal("b", ["r"])) !== one)
    // Names that run into one another are different ones.
    #expect(policy.permissions(of: principal("ab", ["c"])) !== policy.permissions(of: principal("a", ["bc"])))
    for number in 0...PolicyLimits.permissionsKept { _ = policy.permissions(of: principal("x\(number)")) }
    #expect(policy.permissions(of: principal("a", ["r"])).allows(.metrics))
  }

  @Test(
    arguments: [
      ([], [], ["metrics"], [], "roles", nil), (["*"], [], ["metrics"], [], "roles", 0),
      (["a", ""], [], ["metrics"], [], "roles", 1), ([], ["a", ""], ["metrics"], [], "agents", 1),
      (["a"], [], [], [], "verbs", nil), (["a"], [], ["metrics", "read"], [], "verbs", 1),
      (["a"], [], ["context:read"], [], "resources", nil),
      (["a"], [], ["context:read"], ["lock/x"], "resources", nil),
      (["a"], [], ["context:read"], ["context/x", "lock/x"], "verbs", nil),
      (["a"], [], ["search"], ["context/x"], "verbs", nil),
      (["a"], [], ["context:read"], ["context/x", "context/y**"], "resources", 1),
      (Array(repeating: "a", count: PolicyLimits.namesMax + 1), [], ["metrics"], [], "roles", nil),
    ] as [([String], [String], [String], [String], String, Int?)])
  func `a rule that can't be meant names its key`(
    _ row: ([String], [String], [String], [String], String, Int?)
  ) {
    let fault = #expect(throws: PolicyRule.Fault.self) {
      try PolicyRule(roles: row.0, agents: row.1, verbs: row.2, resources: row.3)
    }
    #expect(fault?.key == row.4)
    #expect(fault?.index == row.5)
    #expect(fault?.detail.isEmpty == false)
  }
}
