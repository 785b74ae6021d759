@testable internal import Access
internal import Model
@testable internal import Settings

/// Configuration files: whatever stands there is read or refused with lines that are there, and what was read fits the
/// schema. An input that begins with a zero byte is a pattern of resources, an agent's id and a name instead, with zero
/// bytes between them: a plain matcher finds the same.
enum PolicyFile {
  static func run(_ input: [UInt8]) {
    guard input.first == 0 else { return file(input) }
    let parts = input[1...].split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false).map(
      Array.init)
    guard parts.count == 3, let text = String(validating: parts[0], as: UTF8.self), parts[1].isText else {
      return
    }
    pattern(text, agent: parts[1], name: parts[2])
  }

  static func prove() {
    let text = """
      [auth]
      providers = ["token"]
      token = { file = "t" }
      [[policy]]
      roles = ["w"]
      verbs = ["context:read"]
      resources = ["context/{agent}/**"]
      """
    let file = CheckedFile(path: path, bytes: Array(text.utf8), mode: 0o100600)
    let settings = try? Settings.resolve(file: file) { path throws(FileFault) in
      throw FileFault(path: path, cause: "no file is read here")
    }
    demand(settings?.policies.count == 1, "a good file is refused")
    guard let pattern = try? ResourcePattern("context/{agent}/**") else {
      return demand(false, "a good pattern")
    }
    let name = Array("a/b/c".utf8)
    demand(
      name.withUnsafeBytes { NameMatcher(pattern, agent: [0x61])?.matches($0) } == true, "a/b/c isn't a's")
  }

  // MARK: Files

  private static let path = "/etc/engram/engram.toml"

  private static func file(_ text: [UInt8]) {
    let lines = text.count { $0 == 0x0a } + 1
    let settings: Settings
    do throws(SettingsFailure) {
      settings = try Settings.resolve(file: CheckedFile(path: path, bytes: text, mode: 0o100600)) {
        path throws(FileFault) in throw FileFault(path: path, cause: "no file is read here")
      }
    } catch {
      demand(
        !error.lines.isEmpty && error.lines.count <= SettingsFailure.shownMax + 1,
        "\(error.lines.count) lines")
      demand(error.exitCode == 78, "exit \(error.exitCode)")
      for line in error.lines { demand(isOneLine(line), "a line that could be two: \(shown(line.utf8))") }
      for fault in error.faults { demand(isThere(fault.origin, lines), "\(fault) of \(lines) lines") }
      return
    }
    demand(
      settings.listenAddress.isLoopback || settings.missingSafety.isEmpty || settings[Schema.isInsecure],
      "exposed")
    demand(settings.isAuthenticationOn || settings.policies.isEmpty, "policies that nobody asks")
    for entry in Schema.entries {
      demand(isThere(settings[entry].origin, lines), "the origin of \(entry.path)")
    }
    for policy in settings.policies {
      demand(isThere(policy.origin, lines), "the origin of a policy")
      let rule = policy.rule
      do throws(PolicyRule.Fault) {
        let made = try PolicyRule(
          roles: rule.roles, agents: rule.agents, verbs: rule.verbs, resources: rule.resources)
        demand(
          made.verbs.count <= rule.verbs.count && made.resources.count == rule.resources.count,
          "a rule's parts")
      } catch {
        demand(["roles", "agents", "verbs", "resources"].contains(error.key), "a fault of \(error.key)")
      }
    }
  }

  /// Nothing of the file may forge a line of the log.
  private static func isOneLine(_ line: String) -> Bool {
    !line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f }
  }

  private static func isThere(_ origin: Origin, _ lines: Int) -> Bool {
    switch origin {
    case .standard: true
    case .file(let path, let line): path == PolicyFile.path && (0...lines).contains(line)
    case .environment, .flag: false
    }
  }

  // MARK: Patterns

  private static func pattern(_ text: String, agent: [UInt8], name: [UInt8]) {
    let pattern: ResourcePattern
    do throws(ResourcePattern.Fault) { pattern = try ResourcePattern(text) } catch {
      return demand(!error.detail.isEmpty, "nothing to tell")
    }
    // What was read can be written, and read again.
    demand((try? ResourcePattern(pattern.description)) == pattern, "\(pattern), not \(text)")
    let copy = UnsafeRawBufferPointer(Fenced.copy(name))
    let found = NameMatcher(pattern, agent: agent)?.matches(copy) ?? false
    let plain = NaivePattern(text, agent: agent)
    demand(found == plain.matches(name), "\(text) by \(shown(agent)) matches \(shown(name)): \(found)")
    guard let agentText = String(validating: agent, as: UTF8.self), !agent.isEmpty, agentText != "*" else {
      return
    }
    rule(pattern, text, agent, agentText, name, isMatch: found)
  }

  /// What a rule gives, it gives to whom it names, for the verbs that it names, and for nothing else.
  private static func rule(
    _ pattern: ResourcePattern, _ text: String, _ agent: [UInt8], _ agentText: String, _ name: [UInt8],
    isMatch: Bool
  ) {
    let verbs = pattern.kind == .context ? ["context:read"] : ["lock:acquire"]
    guard let rule = try? PolicyRule(agents: [agentText], verbs: verbs, resources: [text]) else {
      return demand(false, "a rule with a good pattern is refused: \(text)")
    }
    let policy = Policy([rule])
    let own = policy.permissions(of: Principal(agent: agent, roles: [agentText], provider: .token))
    let foreign = policy.permissions(
      of: Principal(agent: agent + [0x78], roles: [agentText], provider: .token))
    name.withUnsafeBytes { name in
      let isContext = pattern.kind == .context
      demand(own.allows(.contextRead, context: name) == (isContext && isMatch), "read")
      demand(
        own.sees(context: name) == (isContext && isMatch) && !own.allows(.contextWrite, context: name),
        "write")
      demand(own.allows(.lockAcquire, lock: name) == (!isContext && isMatch), "acquire")
      demand(
        !own.allows(.lockForce, lock: name) && !own.sees(lock: name) && !own.allows(.search), "other verbs")
      demand(!own.seesAllContexts || isMatch, "everything, but not \(shown(name))")
      for verb in Verb.allCases {
        demand(
          !foreign.allows(verb) && !foreign.allows(verb, context: name) && !foreign.allows(verb, lock: name),
          "another agent may \(verb)")
      }
    }
  }
}

/// The rules of patterns, by arrays of segments.
struct NaivePattern {
  private var segments: [[UInt8]]
  /// Whether the agent's id can stand where it is asked for.
  private let isPossible: Bool

  init(_ text: String, agent: [UInt8]) {
    let body = Array(text.utf8.drop { $0 != UInt8(ascii: "/") }.dropFirst())
    let parts = body.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
    let placeholder = Array("{agent}".utf8)
    isPossible =
      !body.contains(UInt8(ascii: "{")) || (!agent.isEmpty && !agent.contains(UInt8(ascii: "/")))
    segments = parts.map { part in
      // A wildcard is marked by a byte that no text holds, so that the agent's own stars are none.
      var marked: [UInt8] = []
      var rest = part.map { $0 == UInt8(ascii: "*") ? 0xff : $0 }[...]
      while !rest.isEmpty {
        if rest.starts(with: placeholder) {
          marked += agent
          rest = rest.dropFirst(placeholder.count)
        } else {
          marked.append(rest.removeFirst())
        }
      }
      return marked
    }
  }

  func matches(_ name: [UInt8]) -> Bool {
    guard isPossible else { return false }
    let parts = name.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
    // By the pattern's end: whether the first n segments of the name are matched so far.
    var reached = [true] + [Bool](repeating: false, count: parts.count)
    for segment in segments {
      var next = [Bool](repeating: false, count: parts.count + 1)
      if segment == [0xff, 0xff] {
        var isOpen = false
        for place in 0...parts.count {
          isOpen = isOpen || reached[place]
          next[place] = isOpen
        }
      } else {
        for place in 0..<parts.count where reached[place] { next[place + 1] = fits(segment, parts[place]) }
      }
      reached = next
    }
    return reached[parts.count]
  }

  private func fits(_ segment: [UInt8], _ part: [UInt8]) -> Bool {
    guard let star = segment.firstIndex(of: 0xff) else { return segment == part }
    let (before, behind) = (segment[..<star], segment[(star + 1)...])
    return part.count >= before.count + behind.count && part.starts(with: before)
      && part.suffix(behind.count).elementsEqual(behind)
  }
}
