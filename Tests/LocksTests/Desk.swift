import Bytes
import Locks
import Model

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// A lock table behind a desk: it calls `expire` before each command and gives out positions, as the sequencer does,
/// and speaks in strings.
struct Desk {
  var table = LockTable()
  /// Milliseconds of both clocks. Log time is this much after 1000 s.
  var now: UInt64 = 0
  /// Of the next event.
  var position: UInt64 = 1
  /// All events so far, such as `acquired a by anna (1)`.
  var log: [String] = []
  /// All answers so far to requests that had to wait, in order, such as `anna: granted a(1)`.
  var answers: [String] = []
  private var tickets: [LockTicket: String] = [:]
  private var lastTicket: UInt64 = 0

  init(_ table: LockTable = LockTable()) { self.table = table }

  var moment: LockMoment {
    LockMoment(
      monotonic: now * 1_000_000, logTime: LogTime(microseconds: 1_000_000_000 + now * 1000),
      position: Position(position))
  }

  /// Asks for locks, for 60 s if not said. Returns the answer, or nil if the agent waits.
  mutating func ask(
    _ agent: String, _ paths: String..., ttl: UInt64 = 60_000, wait: UInt64 = 0, metadata: String = "{}"
  ) -> String? {
    perform { table, moment, effects, ticket in
      table.acquire(
        LockAcquisition(
          paths: paths.map(bytes), agent: bytes(agent), ttlMicroseconds: ttl * 1000,
          waitNanoseconds: wait * 1_000_000, metadata: bytes(metadata), random: 7),
        ticket, moment, &effects)
    } as: {
      agent
    }
  }

  mutating func release(_ path: String, by agent: String?, id: UnitID? = nil, force: Bool = false) -> String {
    change(path) { table, path, moment, effects in
      table.release(
        path, agent: agent.map(bytes), lockID: id, isForced: force, moment, &effects)
    }
  }

  mutating func renew(_ path: String, id: UnitID, by agent: String? = nil, ttl: UInt64?) -> String {
    change(path) { table, path, moment, effects in
      table.renew(
        path, lockID: id, agent: agent.map(bytes), ttlMicroseconds: ttl.map { $0 * 1000 }, moment, &effects)
    }
  }

  /// Lets time go by, as if a timer called at each deadline, or (`isLate`) only at the end.
  mutating func pass(_ milliseconds: UInt64, isLate: Bool = false) {
    let end = now + milliseconds
    while !isLate, let next = table.nextDeadline, next <= end * 1_000_000 {
      now = next / 1_000_000
      expire()
    }
    now = end
    expire()
  }

  /// The connection of an agent's last request is gone.
  mutating func hangUp(_ agent: String) {
    guard let ticket = tickets.filter({ $0.value == agent }).keys.max(by: { $0.rawValue < $1.rawValue })
    else {
      return
    }
    tickets[ticket] = nil
    var effects = LockEffects()
    table.forget(ticket, moment, &effects)
    take(effects, asking: nil)
  }

  mutating func stop() {
    var effects = LockEffects()
    table.cancelWaiters(&effects)
    take(effects, asking: nil)
  }

  func lock(_ path: String) -> LockState? { bytes(path).withUnsafeBytes { table.lock($0) } }

  func holder(_ path: String) -> String? { lock(path).map { text($0.holder) } }

  func fence(_ path: String, _ token: UInt64) -> Bool {
    bytes(path).withUnsafeBytes { table.holds($0, token: token) }
  }

  /// When a lock expires, in milliseconds of `now`.
  func end(_ path: String) -> UInt64? {
    lock(path).map { ($0.expiresAt.microseconds - 1_000_000_000) / 1000 }
  }

  private mutating func expire() {
    var effects = LockEffects()
    table.expire(moment, &effects)
    take(effects, asking: nil)
  }

  private mutating func perform(
    _ command: (inout LockTable, LockMoment, inout LockEffects, LockTicket) -> Void, as agent: () -> String
  ) -> String? {
    expire()
    lastTicket += 1
    let ticket = LockTicket(lastTicket)
    tickets[ticket] = agent()
    var effects = LockEffects()
    command(&table, moment, &effects, ticket)
    return take(effects, asking: ticket)
  }

  private mutating func change(
    _ path: String,
    _ command: (inout LockTable, UnsafeRawBufferPointer, LockMoment, inout LockEffects) -> LockChange
  ) -> String {
    expire()
    var effects = LockEffects()
    let change = bytes(path).withUnsafeBytes { command(&table, $0, moment, &effects) }
    take(effects, asking: nil)
    switch change {
    case .done(let lock): return "done, of \(text(lock.holder))"
    case .notHeld(let lock): return "not held, but by \(text(lock.holder))"
    case .none: return "none"
    }
  }

  @discardableResult
  private mutating func take(_ effects: LockEffects, asking: LockTicket?) -> String? {
    for event in effects.events {
      log.append(
        "\(event.action.name) \(text(event.lock.path)) by \(text(event.lock.holder)) (\(event.lock.token.rawValue))"
      )
    }
    position += UInt64(effects.events.count)
    var answer: String?
    for reply in effects.replies {
      let agent = tickets.removeValue(forKey: reply.ticket) ?? "?"
      if reply.ticket == asking {
        answer = Self.phrase(reply.answer)
      } else {
        answers.append("\(agent): \(Self.phrase(reply.answer))")
      }
    }
    return answer
  }

  private static func phrase(_ answer: LockAnswer) -> String {
    switch answer {
    case .granted(let locks, let fresh):
      let all = locks.map { "\(text($0.path))(\($0.token.rawValue))" }.joined(separator: " ")
      return fresh.count == locks.count ? "granted \(all)" : "granted \(all), \(fresh.count) of them now"
    case .held(let obstacle):
      let lock = obstacle.lock.map { "\(text($0.path)) of \(text($0.holder))" }
      guard let waiter = obstacle.waiter else { return "held: \(lock ?? "?")" }
      return
        "held: \(text(obstacle.path)) is kept for \(text(waiter)), behind \(lock ?? "?")"
    case .deadlock(let agents):
      return "deadlock: " + agents.map { text($0) }.joined(separator: " > ")
    case .tooMany: return "too many"
    case .full: return "full"
    case .cancelled: return "cancelled"
    }
  }
}
