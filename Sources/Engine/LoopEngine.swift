internal import Bytes
public import EventLoop
internal import Model
internal import Storage
public import WAL

/// What the home tells another loop, in this order: a batch before any reply that depends on it.
enum HomeMessage {
  case published(Batch)
  case completed(HomeRequest)
  case evicted(through: Position)
}

/// What a loop tells the home.
enum HomeCall {
  case request(HomeRequest)
  /// The connection of a request for locks is gone.
  case abandoned(LockRequest)
  /// It is not to wait for locks any longer.
  case endWait(LockRequest)
}

/// Who on a loop wants to know of each published batch: the loop's live streams.
public protocol PublicationObserver: AnyObject {
  func published(_ batch: Batch)
}

/// The engine as one loop sees it: its index of the recent window, its way to the home of the log, and its way
/// to the store. Everything happens on the loop's thread; functions that suspend say so by `async`.
public final class LoopEngine {
  public let loop: EventLoop
  public let window: WindowIndex
  public weak var observer: (any PublicationObserver)?
  unowned let engine: LiveEngine
  let store: any EventStore
  /// Nil on the home loop, which calls the home directly.
  let toHome: Mailbox<HomeCall>?
  let fromHome: Mailbox<HomeMessage>?
  /// Messages that found the mailbox full; touched by the home thread.
  var overflow = Ring<HomeMessage>()
  var isPosted = false

  init(
    loop: EventLoop, window: WindowIndex, engine: LiveEngine, store: any EventStore, isHome: Bool
  ) {
    self.loop = loop
    self.window = window
    self.engine = engine
    self.store = store
    toHome = isHome ? nil : Mailbox(capacity: 16_384)
    fromHome = isHome ? nil : Mailbox(capacity: 65_536)
  }

  /// Whether the home of the log is on this loop: then a submitted request is mostly sequenced before `submit` returns.
  public var isHome: Bool { toHome == nil }

  /// Messages to and from the home that wait. Home thread; the other side may be at work.
  var mailboxCount: Int { (toHome?.count ?? 0) + (fromHome?.count ?? 0) + overflow.count }

  // MARK: Writing

  /// Has the home perform the request, and returns once its outcome is durable, or refused. Suspends.
  public func perform(_ request: HomeRequest) async {
    await withUnsafeContinuation { continuation in
      request.continuation = continuation
      hand(request)
    }
  }

  /// Has the home append the request's units; its `completion` is told. What its drafts borrow must stay as it is
  /// until the request `isEncoded` or complete, of which it may be either when this returns.
  public func submit(_ request: AppendRequest) { hand(request) }

  private func hand(_ request: HomeRequest) {
    guard let toHome else {
      engine.home.submit(request)
      return request.letGo()
    }
    if toHome.push(.request(request)) {
      engine.homeLoop.wakeIfAsleep()
    } else {
      request.refuse(Problem(.unavailable, "too many writes wait; try again"))
      request.resume()
    }
  }

  /// The connection of a request for locks is gone: it waits no more.
  public func abandon(_ request: LockRequest) {
    guard let toHome else { return engine.home.abandon(request) }
    // A full mailbox: the grant is released when it comes.
    if toHome.push(.abandoned(request)) { engine.homeLoop.wakeIfAsleep() }
  }

  /// The end of the connection of a request for locks would not be seen: it doesn't wait, or waits no more.
  public func endWait(_ request: LockRequest) {
    guard let toHome else { return engine.home.endWait(request) }
    if toHome.push(.endWait(request)) { engine.homeLoop.wakeIfAsleep() }
  }

  // MARK: Turns

  /// Puts a message into this loop's mailbox. Home thread; the loop is woken at the end of the home's turn.
  func post(_ message: HomeMessage) {
    isPosted = true
    if overflow.isEmpty, fromHome?.push(message) == true { return }
    overflow.append(message)
  }

  /// Moves what found the mailbox full, and wakes the loop. Home thread.
  func flushPosted() {
    while let message = overflow.first, fromHome?.push(message) == true { _ = overflow.popFirst() }
    isPosted = !overflow.isEmpty
    loop.wakeIfAsleep()
  }

  private func receive(_ message: HomeMessage) {
    switch message {
    case .published(let batch):
      window.append(batch)
      observer?.published(batch)
    case .completed(let request):
      request.resume()
    case .evicted(let position):
      while let oldest = window.oldest, oldest.lastPosition <= position { window.evictOldest() }
    }
  }
}

extension LoopEngine: TurnDelegate {
  /// Learns what was published before any handler of this turn runs: what a client was told on another
  /// connection, this loop knows.
  public func turnDidReap(_ loop: EventLoop) {
    guard let fromHome else { return engine.homeDidReap() }
    fromHome.drain { receive($0) }
  }

  public func turnWillSubmit(_ loop: EventLoop) {
    if fromHome == nil { engine.homeWillSubmit() }
  }
}
