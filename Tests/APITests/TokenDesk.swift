import Access
import Model
import Synchronization

/// An audit that keeps what it is told.
final class Written: AuditSink {
  private let events = Mutex<[AuditEvent]>([])

  func record(_ event: AuditEvent) { events.withLock { $0.append(event) } }

  /// What it was told since it was asked.
  func take() -> [AuditEvent] {
    events.withLock { events in
      defer { events = [] }
      return events
    }
  }
}

/// Tokens of agents, as a file has them: that of `ann` is `token-of-ann`.
enum TokenDesk {
  static func authenticator(_ agents: [String], expiresAt: UInt64? = nil) throws -> Authenticator {
    let lines = try agents.map { agent in
      try TokenLine(agent: Array(agent.utf8), roles: [], token: "token-of-\(agent)", expiresAt: expiresAt)
        .text
    }
    let table = try Array(lines.joined(separator: "\n").utf8).withUnsafeBytes {
      try TokenTable(parsing: $0)
    }
    return Authenticator([.tokens(table)])
  }

  /// As `policy` has it.
  static func caller(_ policy: Policy, _ agent: String = "ann", expiresAt: UInt64? = nil) throws -> Caller {
    let authenticator = try authenticator([agent], expiresAt: expiresAt)
    let found = Array("token-of-\(agent)".utf8).withUnsafeBytes {
      authenticator.authenticate(bearer: $0, now: 0)
    }
    guard let principal = found else { throw TestFailure("no principal for \(agent)") }
    return .known(principal, policy.permissions(of: principal))
  }
}

extension AccessControl {
  /// Under which these agents have tokens.
  convenience init(agents: [String], _ policy: Policy, generation: UInt64 = 2) throws {
    self.init(
      authenticator: try TokenDesk.authenticator(agents), policy: policy, generation: generation)
  }
}
