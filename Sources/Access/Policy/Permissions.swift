public import Model

/// What one caller may do: the rules that are for it, with its id put in. Immutable, any thread.
public final class Permissions: Visibility, Sendable {
  /// What one verb is allowed for.
  private struct Grant: Sendable {
    var isEverything = false
    var names: ContiguousArray<NameMatcher> = []

    var isNothing: Bool { !isEverything && names.isEmpty }

    /// What names begin with that are covered: none of them begins with another.
    var prefixes: [[UInt8]] {
      if isEverything { return [[]] }
      let all = Set(names.map(\.literalPrefix))
      return all.filter { one in !all.contains { $0 != one && one.starts(with: $0) } }
    }

    @inline(__always)
    func covers(_ name: UnsafeRawBufferPointer) -> Bool {
      if isEverything { return true }
      for index in names.indices where names[index].matches(name) { return true }
      return false
    }
  }

  private let contextRead, contextWrite, lockRead, lockAcquire, lockForce: Grant
  private let search, metrics: Bool
  public let seesAllContexts: Bool
  public let seesAllLocks: Bool
  public let contextPrefixes: [[UInt8]]
  /// The caller's id, in memory that lives as long as this object.
  public let agent: AgentName

  /// - Parameters:
  ///   - rules: those that are for the caller.
  ///   - agent: the caller's id.
  init(_ rules: [PolicyRule], agent: [UInt8]) {
    func grant(_ verb: Verb) -> Grant {
      var grant = Grant()
      for rule in rules where rule.verbs.contains(verb) {
        for pattern in rule.resources where pattern.kind == verb.kind {
          if pattern.isEverything { grant.isEverything = true }
          if let matcher = NameMatcher(pattern, agent: agent) { grant.names.append(matcher) }
        }
      }
      if grant.isEverything { grant.names.removeAll() }
      return grant
    }
    contextRead = grant(.contextRead)
    contextWrite = grant(.contextWrite)
    lockRead = grant(.lockRead)
    lockAcquire = grant(.lockAcquire)
    lockForce = grant(.lockForce)
    search = rules.contains { $0.verbs.contains(.search) }
    metrics = rules.contains { $0.verbs.contains(.metrics) }
    seesAllContexts = contextRead.isEverything
    seesAllLocks = lockRead.isEverything
    contextPrefixes = contextRead.prefixes
    self.agent = AgentName(agent)
  }

  /// Of somebody who may do nothing.
  static let nothing = Permissions([], agent: [])

  // MARK: Questions

  /// Whether the caller may do this to anything at all.
  public func allows(_ verb: Verb) -> Bool {
    switch verb {
    case .search: search
    case .metrics: metrics
    case .contextRead: !contextRead.isNothing
    case .contextWrite: !contextWrite.isNothing
    case .lockRead: !lockRead.isNothing
    case .lockAcquire: !lockAcquire.isNothing
    case .lockForce: !lockForce.isNothing
    }
  }

  /// - Parameter context: the context's id.
  public func allows(_ verb: Verb, context: UnsafeRawBufferPointer) -> Bool {
    switch verb {
    case .contextRead: contextRead.covers(context)
    case .contextWrite: contextWrite.covers(context)
    case .lockRead, .lockAcquire, .lockForce, .search, .metrics: false
    }
  }

  /// - Parameter lock: a canonical path.
  public func allows(_ verb: Verb, lock: UnsafeRawBufferPointer) -> Bool {
    switch verb {
    case .lockRead: lockRead.covers(lock)
    case .lockAcquire: lockAcquire.covers(lock)
    case .lockForce: lockForce.covers(lock)
    case .contextRead, .contextWrite, .search, .metrics: false
    }
  }

  public func sees(context: UnsafeRawBufferPointer) -> Bool { contextRead.covers(context) }
  public func sees(lock: UnsafeRawBufferPointer) -> Bool { lockRead.covers(lock) }
}

/// An agent's id in memory of its own that stays where it is: requests borrow it.
public final class AgentName: @unchecked Sendable {
  public let bytes: UnsafeRawBufferPointer
  private let memory: UnsafeMutableRawBufferPointer

  init(_ name: [UInt8]) {
    memory = .allocate(byteCount: max(1, name.count), alignment: 1)
    memory.copyBytes(from: name)
    bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<name.count])
  }

  deinit { memory.deallocate() }
}
