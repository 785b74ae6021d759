internal import Access
internal import Bytes
public import Engine
internal import EventLoop
internal import Model
internal import Router
internal import Telemetry
public import WAL

/// The followers of one loop: told of each published batch, it offers each event to those that want it. Loop thread.
public final class StreamHub: PublicationObserver {
  let engine: LoopEngine
  let metrics: APIMetrics
  private var router = Router()
  private let frames = StreamFrames()
  private var followers: [Follower?] = []
  private var free: [UInt32] = []
  /// Bytes queued for followers that are behind: `charge` keeps count.
  private var behindBytes = 0
  private var answers = ViewerAnswers()
  /// Nanoseconds since 1970; tests set their own.
  var wallClock: () -> UInt64 = { EventLoop.unixNanoseconds() }

  init(engine: LoopEngine, metrics: APIMetrics) {
    self.engine = engine
    self.metrics = metrics
  }

  /// Called when the last one has gone.
  public var onEmpty: (() -> Void)?

  public var count: Int { followers.count - free.count }

  /// Whether followers that are behind hold so much together that they must catch up from history earlier.
  var isStrained: Bool { behindBytes > Limits.outboxesBytesMax }

  public func published(_ batch: Batch) {
    guard !router.isEmpty else { return }
    for offset in 0..<batch.count {
      let event = batch.record(offset)
      frames.begin(event, in: batch.slab)
      answers.begin()
      var framed = 0
      router.match(event) { follower in
        if let follower = followers[Int(follower)], follower.offer(event, frames) { framed += 1 }
      }
      if framed > 0 { metrics.countDelivered(event.kind, framed) }
    }
    frames.end()
    answers.begin()
  }

  /// Whether the event in hand is one that a follower may see.
  func shows(_ event: EventView, to viewer: Permissions) -> Bool { answers.sees(viewer, event) }

  // MARK: Access

  /// Who may do what has changed: from the next event on it counts for everybody who follows, and whoever is nobody any
  /// more is ended. What was framed before is still sent.
  func accessChanged(_ access: AccessControl?) {
    let now = wallClock()
    for follower in followers { follower?.accessChanged(access, now: now) }
  }

  // MARK: Starts

  static let aheadOfHistory = Problem(.gone, "the cursor lies ahead of this server's history")

  /// Throws a problem (`gone`) if history doesn't go back to what follows `start`. May wait for the disk.
  func checkKept(_ start: Position) async throws(Problem) {
    guard start.next < engine.window.lowest, let oldest = try await engine.oldestPosition(),
      oldest > start.next
    else { return }
    throw Problem(.gone, "history begins at position \(oldest.rawValue) by now")
  }

  // MARK: Followers

  /// A follower has begun; it wants nothing yet.
  func add(_ follower: Follower) -> UInt32 {
    metrics.streams(follower.format).add()
    if let reused = free.popLast() {
      followers[Int(reused)] = follower
      return reused
    }
    followers.append(follower)
    return UInt32(followers.count - 1)
  }

  /// It has gone.
  func remove(_ slot: UInt32, _ follower: Follower) {
    router.unsubscribe(slot)
    followers[Int(slot)] = nil
    free.append(slot)
    metrics.streams(follower.format).subtract()
    if count == 0 { onEmpty?() }
  }

  /// From the next event on, the follower is offered what it wants, and nothing else.
  func subscribe(_ slot: UInt32, to subscription: Subscription) { router.subscribe(slot, to: subscription) }

  func unsubscribe(_ slot: UInt32) { router.unsubscribe(slot) }

  /// A follower that is behind has so many bytes more queued for it, or fewer.
  func charge(_ bytes: Int) { behindBytes += bytes }

  /// The server goes away: every follower ends once its outbox is sent.
  public func closeAll() {
    for follower in followers { follower?.end(.shutdown) }
  }
}
