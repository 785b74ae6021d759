/// Keeps those who are refused again and again from filling the audit log: a few lines in a while, and then one that
/// counts the rest. Agents that are known have budgets of their own, and peers without a credential have others: what an
/// agent was refused is hidden neither by noise that anybody can make, nor by what another agent does. A value without
/// a clock, bounded however many addresses and agents there are.
public struct AuditSieve: Sendable {
  /// Lines of one address, or of one agent from one address, in one window.
  public static let linesMax = 20
  /// Nanoseconds.
  public static let windowNanoseconds: UInt64 = 10_000_000_000
  /// Addresses of peers without a credential that are told apart. The others together have as many lines as one.
  public static let addressesMax = 1024
  /// Agents that are told apart. The others are told apart by their addresses, as if they were one.
  public static let agentsMax = 1024
  /// Addresses of one agent that are told apart: its machines don't hide what somebody else does with its credential.
  public static let addressesPerAgentMax = 4

  /// What was left out: whose, and how many lines.
  public struct Summary: Sendable, Equatable {
    /// Empty: nobody knows, or of agents that were not told apart.
    public var agent: [UInt8] = []
    /// Nil: of those that were not told apart.
    public var address: ClientAddress?
    public var count: UInt64
  }

  private var unknown = AddressWindows(addressesMax: addressesMax)
  private var agents: [[UInt8]: AddressWindows] = [:]
  private var otherAgents = AddressWindows(addressesMax: addressesMax)

  public init() {}

  /// Whether anything will have to be said when a window ends.
  public var isIdle: Bool { unknown.isIdle && agents.isEmpty && otherAgents.isIdle }

  /// Whether a line is written.
  /// - Parameters:
  ///   - address: where it came from.
  ///   - agent: whose credential it came with; empty if with none, whatever the peer calls itself.
  public mutating func admit(_ address: ClientAddress, agent: [UInt8] = [], now: UInt64) -> Bool {
    if agent.isEmpty { return unknown.admit(address, now: now) }
    guard agents.count < AuditSieve.agentsMax || agents[agent] != nil else {
      return otherAgents.admit(address, now: now)
    }
    return agents[agent, default: AddressWindows(addressesMax: AuditSieve.addressesPerAgentMax)]
      .admit(address, now: now)
  }

  /// Ends the windows that are over, and says what was left out in them.
  public mutating func summaries(now: UInt64) -> [Summary] {
    var found = unknown.end(now: now) + otherAgents.end(now: now)
    for (agent, windows) in agents {
      var windows = windows
      found += windows.end(now: now).map { Summary(agent: agent, address: $0.address, count: $0.count) }
      agents[agent] = windows.isIdle ? nil : windows
    }
    return found
  }
}

/// A window for each of so many addresses, and one for all the others.
private struct AddressWindows: Sendable {
  private struct Entry {
    var began: UInt64
    var lines = 0
    var left: UInt64 = 0

    mutating func admit() -> Bool {
      guard lines >= AuditSieve.linesMax else {
        lines += 1
        return true
      }
      left += 1
      return false
    }

    func isOver(_ now: UInt64) -> Bool { now >= began && now - began >= AuditSieve.windowNanoseconds }
  }

  private let addressesMax: Int
  private var entries: [ClientAddress: Entry] = [:]
  private var others: Entry?

  init(addressesMax: Int) { self.addressesMax = addressesMax }

  var isIdle: Bool { entries.isEmpty && others == nil }

  mutating func admit(_ address: ClientAddress, now: UInt64) -> Bool {
    let key = address.network
    if entries.count < addressesMax || entries[key] != nil {
      return entries[key, default: Entry(began: now)].admit()
    }
    var entry = others ?? Entry(began: now)
    defer { others = entry }
    return entry.admit()
  }

  mutating func end(now: UInt64) -> [AuditSieve.Summary] {
    var found: [AuditSieve.Summary] = []
    for (address, entry) in entries where entry.isOver(now) {
      if entry.left > 0 { found.append(AuditSieve.Summary(address: address, count: entry.left)) }
      entries[address] = nil
    }
    if let entry = others, entry.isOver(now) {
      if entry.left > 0 { found.append(AuditSieve.Summary(address: nil, count: entry.left)) }
      others = nil
    }
    return found
  }
}
