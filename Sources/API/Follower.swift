internal import Access
internal import Bytes
internal import Engine
internal import EventLoop
internal import Model
internal import Notifier
internal import Router
internal import Telemetry

/// One subscriber, whatever carries it: does what its session decides, on a socket that its owner reads. It frames into
/// the socket's output in its format, reads history, keeps time, and notices a peer that takes nothing.
///
/// Life: made → `start` → `subscribe` and `unsubscribe`, any number of times → `end` → `close`, once the socket has
/// closed. All of it on the loop's thread: hence unchecked.
final class Follower: TimerTarget, @unchecked Sendable {
  /// Nanoseconds between heartbeats (api.md: 15 s).
  static let heartbeatNanoseconds: UInt64 = 15_000_000_000
  /// Heartbeats begin up to this much earlier, so that followers who came together are not all served at once.
  static let jitterNanoseconds: UInt64 = 7_500_000_000
  /// Nanoseconds for which a peer may take nothing of what is left for it once the stream has ended.
  static let farewellNanoseconds: UInt64 = 15_000_000_000
  /// Nanoseconds after which history is read again where too many did: anew each time.
  static let retryNanoseconds: ClosedRange<UInt64> = 20_000_000...100_000_000
  private static let retryTag: UInt64 = 1
  /// Records of the window that catching up looks at in one turn.
  static let scannedRecordsMax = 4096

  let socket: Socket
  let format: StreamFormat
  private let hub: StreamHub
  private(set) var viewing: Viewing
  /// Given back when the connection has ended.
  private let lease: ConnectionLease?
  private var owner: (any FollowerOwner)?
  private var session: SubscriberSession
  private(set) var subscription: Subscription?
  private var slot: UInt32?
  private var timer = TimerID.none
  private var beatDue: UInt64 = 0
  /// Counts subscriptions that have begun: what was read for an earlier one is dropped.
  private var epoch: UInt32 = 0
  /// Counts what was asked for: a start that is looked up is superseded by what is asked meanwhile.
  private var asked: UInt32 = 0
  private(set) var isEnded = false
  private var isCountedBehind = false
  private var isPumping = false
  /// Whether history is looked at for a start; its owner asks for no other meanwhile, or much could be under way.
  private(set) var isLooking = false
  private var retry = TimerID.none
  private var endedAt: UInt64 = 0
  /// What of the outbox counts against the budget of all.
  private var chargedBytes = 0

  init(
    socket: Socket, hub: StreamHub, format: StreamFormat, caller: Caller, lease: ConnectionLease? = nil
  ) {
    self.socket = socket
    self.lease = lease
    self.hub = hub
    self.format = format
    viewing = Viewing(caller)
    session = SubscriberSession(after: .zero)
  }

  /// Begins to keep time for `owner`, which it holds until `close`. Once.
  func start(_ owner: any FollowerOwner) {
    precondition(slot == nil, "a follower starts once")
    self.owner = owner
    slot = hub.add(self)
    let now = socket.loop.now
    beatDue = now &+ Follower.heartbeatNanoseconds &- .random(in: 0..<Follower.jitterNanoseconds)
    setTimer()
  }

  // MARK: Subscribing

  /// Follows `subscription` from behind `start` (nil: from now on) instead of what was followed before. Writes
  /// `subscribed` first, then what matches. If `start` is no longer kept, or lies ahead, the owner is told, perhaps
  /// later, and nothing has changed.
  /// - Parameter isKept: whether that was found out in this turn: then it begins at once.
  func subscribe(_ subscription: Subscription, after start: Position?, isKept: Bool = false) {
    guard !isEnded, slot != nil else { return }
    asked &+= 1
    let window = hub.engine.window
    guard let start else { return begin(subscription, after: window.head) }
    if start <= window.head, start.next >= window.lowest || isKept {
      return begin(subscription, after: start)
    }
    if start > window.head, hub.engine.isHome {
      owner?.follower(self, refuses: StreamHub.aheadOfHistory)
      return
    }
    let (follower, asked) = (self, asked)
    isLooking = true
    socket.loop.spawn { _ in await follower.beginIfKept(subscription, after: start, asked) }
  }

  /// Follows nothing any more; what is queued is still sent.
  func unsubscribe() {
    asked &+= 1
    epoch &+= 1
    guard subscription != nil, let slot else { return }
    subscription = nil
    socket.isPatient = false
    session.close()
    hub.unsubscribe(slot)
    noteMode()
  }

  /// The position up to which the peer has been sent all that it wants, if it follows something.
  var progress: Position? {
    subscription == nil ? nil : session.progress(head: hub.engine.window.head)
  }

  /// In a task, which runs when the loop has learned of all that was told on connections of other loops before what
  /// asked for the start arrived.
  private func beginIfKept(_ subscription: Subscription, after start: Position, _ request: UInt32) async {
    defer {
      isLooking = false
      owner?.followerHasLooked(self)
    }
    do throws(Problem) {
      guard start <= hub.engine.window.head else { throw StreamHub.aheadOfHistory }
      try await hub.checkKept(start)
      guard request == asked, !isEnded else { return }
      begin(subscription, after: start)
    } catch {
      guard request == asked, !isEnded else { return }
      owner?.follower(self, refuses: error)
    }
  }

  private func begin(_ subscription: Subscription, after start: Position) {
    guard let slot else { return }
    epoch &+= 1
    session = SubscriberSession(after: start)
    self.subscription = subscription
    hub.subscribe(slot, to: subscription)
    // Whoever waits for an answer goes before a thousand followers.
    socket.isPatient = true
    format.subscribed(start, contexts: subscription.contexts ?? []).withUnsafeBytes {
      socket.output.write($0)
    }
    pump()
  }

  // MARK: Live

  /// An event that this follower wants was published, and is in hand in `frames`.
  /// - Returns: whether it was framed.
  func offer(_ event: EventView, _ frames: StreamFrames) -> Bool {
    guard session.state == .live else { return false }
    // Before anything is counted: what is hidden makes nobody slow.
    if let viewer = viewing.viewer, !hub.shows(event, to: viewer) { return false }
    var queued = socket.queuedBytes
    // Its peer has not taken what it was sent in an earlier turn: what comes on top is its own memory, not that of all.
    let isSlow = queued > Limits.outboxSharedBytesMax && socket.isSending
    if isSlow {
      charge(queued)
      queued += frames.bytes(format)
    }
    guard session.offers(event.position, queuedBytes: queued, isStrained: isSlow && hub.isStrained) else {
      fellBehind()
      return false
    }
    frames.write(to: socket.output, format, isShared: !isSlow)
    return true
  }

  private func fellBehind() {
    guard !isCountedBehind, session.state == .lagging else { return }
    hub.metrics.streamLags.add()
    noteMode()
  }

  private func noteMode() {
    let isBehind = session.isBehind
    guard isBehind != isCountedBehind else { return }
    isCountedBehind = isBehind
    hub.metrics.laggingStreams.add(isBehind ? 1 : -1)
  }

  private func charge(_ bytes: Int) {
    guard bytes != chargedBytes else { return }
    hub.charge(bytes - chargedBytes)
    chargedBytes = bytes
  }

  // MARK: Catching up

  /// The kernel has taken all that was queued: for the owner to call.
  func drained() {
    charge(0)
    if session.isBehind { pump() }
  }

  /// Does what the session wants done until it waits.
  private func pump() {
    defer { noteMode() }
    while let subscription {
      let window = hub.engine.window
      switch session.next(head: window.head, lowest: window.lowest, queuedBytes: socket.queuedBytes) {
      case .wait: return
      case .readWindow(let after):
        if !readWindow(after, subscription) { return }
      case .readStore(let after, let through):
        let (follower, epoch) = (self, epoch)
        socket.loop.spawn { _ in await follower.readStore(after, through, subscription, epoch) }
        return
      }
    }
  }

  /// - Returns: whether to go on at once.
  private func readWindow(_ after: Position, _ subscription: Subscription) -> Bool {
    var isFull = false
    let window = hub.engine.window
    let scanned = window.events(
      after: after, filter: subscription.filter, recordsMax: Follower.scannedRecordsMax
    ) { event in
      guard subscription.admits(event), sees(event) else { return true }
      let queued = socket.queuedBytes
      guard queued < session.limits.catchUpBytes,
        queued <= Limits.outboxSharedBytesMax || queued + event.bodyLength <= session.limits.liveBytesMax
      else {
        isFull = true
        return false
      }
      frame(event)
      return true
    }
    session.scanned(through: scanned)
    if isFull || scanned >= window.head { return !isFull }
    goOnLater()
    return false
  }

  /// Goes on in the next turn: others have to be served.
  private func goOnLater() {
    guard !isPumping else { return }
    isPumping = true
    let follower = self
    socket.loop.perform {
      follower.isPumping = false
      follower.pump()
    }
  }

  private func readStore(
    _ after: Position, _ through: Position, _ subscription: Subscription, _ begun: UInt32
  ) async {
    do throws(Problem) {
      let found = try await hub.engine.events(
        after: after, through: through, filter: subscription.filter, bytesMax: session.limits.catchUpBytes)
      guard begun == epoch, !isEnded else { return }
      if let next = session.kept(from: found.oldest) {
        format.gap(after: after, next: next).withUnsafeBytes { socket.output.write($0) }
      }
      for event in found.page.units where subscription.admits(event) && sees(event) { frame(event) }
      session.scanned(through: found.scannedThrough)
      pump()
      withExtendedLifetime(found.page) {}
    } catch {
      guard begun == epoch, !isEnded else { return }
      guard error.code == .unavailable else { return end(.failed) }
      // Too many read at this moment: they come together where thousands resume.
      session.scanned(through: after)
      if retry == .none {
        retry = socket.loop.setTimer(
          after: .random(in: Follower.retryNanoseconds), self, tag: Follower.retryTag)
      }
    }
  }

  /// Frames an event of history, into the follower's own memory where it is small.
  private func frame(_ event: EventView) {
    guard let body = format.body(of: event) else { return }
    let output = socket.output
    var writer = ByteWriter(
      output.reserve(StreamFormat.prefixBytesMax), capacity: StreamFormat.prefixBytesMax)
    format.writePrefix(of: event, bodyBytes: body.count, to: &writer)
    output.commit(writer.count)
    if body.count > StreamFrames.copiedBytesMax, output.queuedBytes <= Limits.outboxSharedBytesMax,
      let slab = hub.engine.window.slab(holding: event)
    {
      output.write(shared: slab, body)
    } else {
      output.write(body)
    }
    output.write(format.suffix(event.kind))
    session.delivered(event.position)
    hub.metrics.countDelivered(event.kind, 1)
  }

  // MARK: Who follows

  private func sees(_ event: EventView) -> Bool { viewing.viewer?.sees(event) ?? true }

  /// - Parameter now: nanoseconds since 1970.
  func accessChanged(_ access: AccessControl?, now: UInt64) {
    guard !isEnded, slot != nil else { return }
    guard let renewed = viewing.renewed(by: access, now: now) else { return end(.revoked) }
    viewing = renewed
    socket.loop.cancel(timer)
    setTimer()
  }

  // MARK: Time

  func timerFired(tag: UInt64) {
    if tag == Follower.retryTag {
      retry = .none
      return pump()
    }
    timer = .none
    let now = socket.loop.now
    if isEnded { return checkFarewell(now) }
    if viewing.endsAt != nil, viewing.isOver(now: hub.wallClock()) { return end(.revoked) }
    if isStalled(now) { return end(.stalled) }
    if now >= beatDue {
      beatDue = now &+ Follower.heartbeatNanoseconds
      beat()
      if isEnded { return }
    }
    setTimer()
  }

  private func beat() {
    if let progress, socket.queuedBytes < session.limits.catchUpBytes {
      let room = StreamFormat.progressBytesMax
      var writer = ByteWriter(socket.output.reserve(room), capacity: room)
      format.writeProgress(progress, to: &writer)
      socket.output.commit(writer.count)
    }
    owner?.followerBeats(self)
  }

  /// Progress is what the kernel takes. A peer that reads a byte a second opens its window in large steps, rarely: it
  /// is closed like one that reads nothing. One whose window does open is slow, not gone: it costs its outbox, no more.
  private func isStalled(_ now: UInt64) -> Bool {
    socket.queuedBytes > 0 && now &- socket.lastSendProgress >= session.limits.stallNanosecondsMax
  }

  private func setTimer() {
    var due = beatDue
    // One that takes nothing is noticed when its time is up, not at the heartbeat after.
    if socket.queuedBytes > 0 {
      due = min(due, socket.lastSendProgress &+ session.limits.stallNanosecondsMax)
    }
    // A credential ends by the clock on the wall, which may be set meanwhile.
    let left = viewing.endsAt == nil ? nil : viewing.left(now: hub.wallClock())
    if let left, left < Follower.heartbeatNanoseconds { due = min(due, socket.loop.now &+ left) }
    setTimer(for: due)
  }

  private func setTimer(for due: UInt64) {
    let now = socket.loop.now
    timer = socket.loop.setTimer(after: due > now ? due - now : 0, self, tag: 0)
  }

  // MARK: The end

  /// Frames nothing more; the owner takes leave of the peer. Only the first reason counts.
  func end(_ reason: StreamEnd) {
    guard !isEnded, slot != nil else { return }
    isEnded = true
    hub.metrics.count(reason)
    unsubscribe()
    endedAt = socket.loop.now
    socket.loop.cancel(timer)
    setTimer(for: endedAt &+ Follower.farewellNanoseconds)
    owner?.follower(self, ends: reason)
  }

  /// What is left in the outbox of a stream that has ended must not keep the socket for ever.
  private func checkFarewell(_ now: UInt64) {
    let due = max(endedAt, socket.lastSendProgress) &+ Follower.farewellNanoseconds
    guard socket.queuedBytes > 0, due > now else { return socket.abort() }
    setTimer(for: due)
  }

  /// The socket has closed: the last call.
  func close() {
    socket.loop.cancel(timer)
    socket.loop.cancel(retry)
    charge(0)
    if !isEnded, slot != nil { hub.metrics.count(.client) }
    isEnded = true
    epoch &+= 1
    asked &+= 1
    session.close()
    noteMode()
    if let slot { hub.remove(slot, self) }
    slot = nil
    subscription = nil
    owner = nil
    lease?.end()
  }
}
