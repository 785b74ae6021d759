internal import EventLoop
internal import Model
internal import Storage

/// What comes to one position after another: the index, or the store.
protocol PositionSource: AnyObject {
  /// Calls `body`, once, on a thread of its own, when `position` is reached.
  /// - Returns: what cancels the wait; nil, and `body` is not called, if it is reached or the end has come.
  func whenReached(_ position: Position, _ body: @escaping @Sendable () -> Void) -> PositionWaiters.Ticket?
  /// Ends a wait. False: its body was or will be called.
  func cancel(_ ticket: PositionWaiters.Ticket) -> Bool
}

extension Indexer: PositionSource {
  func whenReached(_ position: Position, _ body: @escaping @Sendable () -> Void) -> PositionWaiters.Ticket? {
    whenIndexed(position, body)
  }
}

extension Applier: PositionSource {
  func whenReached(_ position: Position, _ body: @escaping @Sendable () -> Void) -> PositionWaiters.Ticket? {
    whenApplied(position, body)
  }
}

/// Waits until the index or the store has come to a position: no longer than it is let, and no longer than there is a
/// client. Loop thread.
final class PositionWait: TimerTarget, @unchecked Sendable {
  private let loop: EventLoop
  private let source: any PositionSource
  private var continuation: UnsafeContinuation<Void, Never>?
  private var ticket: PositionWaiters.Ticket?
  private var timer = TimerID.none

  init(_ loop: EventLoop, _ source: any PositionSource) {
    self.loop = loop
    self.source = source
  }

  func run(_ position: Position, nanoseconds: UInt64) async {
    await withUnsafeContinuation { continuation in
      self.continuation = continuation
      timer = loop.setTimer(after: nanoseconds, self, tag: 0)
      ticket = source.whenReached(position) { [self] in loop.perform { self.end() } }
      if ticket == nil { end() }
    }
  }

  /// Ends the wait, if it isn't over.
  func end() {
    guard let continuation else { return }
    self.continuation = nil
    loop.cancel(timer)
    if let ticket { _ = source.cancel(ticket) }
    continuation.resume()
  }

  func timerFired(tag: UInt64) {
    timer = .none
    end()
  }
}

/// A request that may wait for a position. Loop thread, but for `isCancelled`.
protocol PositionWaiting: AnyObject {
  /// Nobody is there to be answered. Any thread.
  var isCancelled: Bool { get }
  /// What whoever abandons it ends.
  var wait: PositionWait? { get set }
}

extension LoopEngine {
  static let storeIsBehind = Problem(.unavailable, "the store is far behind the log; try again")

  /// Waits until the store has everything up to a position that is durable: for reads that ask the store alone. Mostly at
  /// once, and within a millisecond on a quiet server; as long as the store is behind on a busy one, up to a limit: one
  /// on a full disk may not come up for hours. Suspends.
  /// - Returns: false if the limit has passed, or the client has gone.
  func applied(through position: Position, _ request: any PositionWaiting) async -> Bool {
    guard !request.isCancelled else { return false }
    guard store.appliedPosition() < position else { return true }
    let wait = PositionWait(loop, engine.applier)
    request.wait = wait
    await wait.run(position, nanoseconds: Limits.storeWaitNanosecondsMax)
    request.wait = nil
    return !request.isCancelled && store.appliedPosition() >= position
  }
}
