internal import HTTP
internal import Model

/// Bytes that arrived and can't be acted upon yet, gone through bit by bit: without moving the rest each time.
struct HeldInput {
  private var bytes: [UInt8] = []
  private var used = 0

  /// Bytes that wait.
  var count: Int { bytes.count - used }

  mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

  /// Shows what waits to `body`, which says how many bytes from the first it is done with.
  mutating func take(_ body: (UnsafeMutableRawBufferPointer) -> Int) {
    let from = used
    used += bytes.withUnsafeMutableBytes { body(UnsafeMutableRawBufferPointer(rebasing: $0[from...])) }
    if count == 0 { self = HeldInput() }
  }
}

/// What one connection may still do in the turn of its loop that began at some time.
struct TurnAllowance {
  var left = 0
  private var turn: UInt64 = 0

  mutating func begin(turn now: UInt64) {
    guard turn != now else { return }
    turn = now
    left = Limits.messagesPerTurnMax
  }
}

extension WebSocketConnection {
  /// A message may take as long as the body of a request.
  static let messageNanosecondsMax: UInt64 = 120_000_000_000
}

extension WebSocketLimits {
  static var ofMessages: WebSocketLimits {
    var limits = WebSocketLimits()
    limits.messageBytesMax = UInt32(Limits.messageBytesMax)
    limits.fragmentsMax = UInt32(Limits.messageFragmentsMax)
    limits.emptyFragmentsMax = UInt32(Limits.messageEmptyFragmentsMax)
    return limits
  }
}

extension StreamEnd {
  /// What the peer is told; nil if it is told already, or has gone.
  var farewell: (code: WebSocketCloseCode, reason: StaticString)? {
    switch self {
    case .client, .violated, .refused: nil
    case .stalled: (.tryAgainLater, "too slow")
    case .revoked: (.policy, "the credential is good no more")
    case .silent: (.policy, "nothing heard for too long")
    case .failed: (.internalError, "history can't be read")
    case .shutdown: (.goingAway, "")
    }
  }
}
