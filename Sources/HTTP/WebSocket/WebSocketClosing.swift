/// Who has closed a WebSocket, and what is left to do (RFC 6455, section 7.1). A machine without clock: `now` is in ns
/// of one clock that never falls.
///
/// | | open | answering: the peer closed, replies are owed | closing: we closed, the peer hasn't | ended |
/// |---|---|---|---|---|
/// | `close` | send, closing | that code is sent at once, ended | | |
/// | `received`, nothing owed | send it back, ended | | end, ended | |
/// | `received`, replies owed | answering | | end, ended | |
/// | `settled` | | send it back, ended | | |
/// | `failed` | send, ended | send, ended | end, ended | |
/// | `inputEnded` | end, ended | end, ended | end, ended | |
/// | `tick` when overdue | | send it back, ended | end, ended | |
public struct WebSocketClosing: Equatable, Sendable {
  public enum Action: Equatable, Sendable {
    case none
    /// Send a close frame, which is the last frame, and wait for the peer's.
    case send(WebSocketCloseCode)
    /// Send a close frame, without payload if there is no code, and end the connection behind it.
    case sendAndEnd(WebSocketCloseCode?)
    /// End the connection behind what is queued: the server ends it first (section 7.1.1), so that it is the server's
    /// side that lingers.
    case end
  }

  private enum State: Equatable {
    case open
    case answering(WebSocketCloseCode?, since: UInt64)
    case closing(since: UInt64)
    case ended
  }

  /// How long the peer may take to answer a close frame, and how long its own may wait for replies that are owed.
  public static let nanosecondsMax: UInt64 = 5_000_000_000

  private var state = State.open

  public init() {}

  /// Whether frames may still be sent: after a close frame there are none (section 5.5.1).
  public var maySend: Bool {
    switch state {
    case .open, .answering: true
    case .closing, .ended: false
    }
  }

  /// Whether what the peer sends is still to be acted upon.
  public var listens: Bool { state == .open }

  /// Whether there is nothing left to do.
  public var isEnded: Bool { state == .ended }

  /// When `tick` is to be called, if nothing happens before; `nil` for never.
  public var deadline: UInt64? {
    switch state {
    case .open, .ended: nil
    case .answering(_, let since), .closing(let since): since &+ WebSocketClosing.nanosecondsMax
    }
  }

  /// The server wants to close, for a reason of its own.
  public mutating func close(_ code: WebSocketCloseCode, now: UInt64) -> Action {
    switch state {
    case .open:
      state = .closing(since: now)
      return .send(code)
    case .answering: return end(with: .sendAndEnd(code))
    case .closing, .ended: return .none
    }
  }

  /// The peer's close frame. `owes`: replies to what it sent before are still to come, and go first (section 5.5.1 lets
  /// an answer wait for the current message): `settled` says when they are sent.
  public mutating func received(_ code: WebSocketCloseCode?, owes: Bool, now: UInt64) -> Action {
    switch state {
    case .open:
      guard !owes else {
        state = .answering(code, since: now)
        return .none
      }
      return end(with: .sendAndEnd(code))
    case .closing: return end(with: .end)
    case .answering, .ended: return .none
    }
  }

  /// No reply is owed any more.
  public mutating func settled() -> Action {
    guard case .answering(let code, _) = state else { return .none }
    return end(with: .sendAndEnd(code))
  }

  /// The peer broke a rule: nothing more of it is understood.
  public mutating func failed(_ error: WebSocketError) -> Action {
    switch state {
    case .open, .answering: end(with: .sendAndEnd(error.code))
    case .closing: end(with: .end)
    case .ended: .none
    }
  }

  /// The peer has ended the connection's other half, with or without a close frame.
  public mutating func inputEnded() -> Action {
    state == .ended ? .none : end(with: .end)
  }

  /// Time has passed.
  public mutating func tick(now: UInt64) -> Action {
    guard let deadline, now >= deadline else { return .none }
    if case .answering = state { return settled() }
    return end(with: .end)
  }

  private mutating func end(with action: Action) -> Action {
    state = .ended
    return action
  }
}
