internal import Bytes
internal import Engine
internal import Model
internal import Notifier
internal import Router
internal import Storage
internal import WAL

/// A subscriber of one loop, as a server's follower is one: what its session decides is done here, and what it is shown
/// is compared with history. It comes back in the next life, with the last cursor that it was told.
struct SimulatedFollower {
  /// Bytes that catching up reads, at most, before it lets others go on.
  static let pageBytes = 8 << 10

  /// A read of the store under way.
  struct Read {
    var after: Position
    var through: Position
    /// What was found; nil: not read yet.
    var found: (events: [Position], through: Position)?
  }

  let loop: Int
  var subscription: Subscription
  var session: SubscriberSession
  var read: Read?
  var queuedBytes = 0
  /// All that it wants up to here was shown to it.
  var shown: Position
  /// What it resumes from: the `id` of an event, or a heartbeat's.
  var cursor: Position
  var count = 0

  init(loop: Int, _ subscription: Subscription, after start: Position) {
    self.loop = loop
    self.subscription = subscription
    session = SubscriberSession(after: start, limits: Self.limits)
    shown = start
    cursor = start
  }

  static var limits: OutboxLimits {
    var limits = OutboxLimits()
    limits.liveBytesMax = 24 << 10
    limits.catchUpBytes = pageBytes
    return limits
  }

  /// The same subscriber, in another life.
  mutating func resume() {
    session = SubscriberSession(after: cursor, limits: Self.limits)
    shown = cursor
    read = nil
    queuedBytes = 0
  }
}

extension Simulation {
  /// A subscriber for each loop that wants everything, and others that want something.
  func makeFollowers() {
    for loop in 0..<2 {
      followers.append(
        SimulatedFollower(loop: loop, Subscription(kinds: [.units, .contexts, .locks]), after: .zero))
      followers.append(SimulatedFollower(loop: loop, drawSubscription(), after: .zero))
    }
  }

  private func drawSubscription() -> Subscription {
    let all = (0..<Post.contexts).map { Post.name("c", $0) }
    let contexts = draw.oneIn(3) ? nil : [all[draw.below(all.count)]]
    let agents = draw.oneIn(3) ? [Post.name("a", draw.below(Post.agents))] : []
    let locks: EventKinds = draw.oneIn(2) ? [.locks] : []
    let kinds: EventKinds = draw.oneIn(2) ? .units : draw.oneIn(2) ? .contexts : [.units, .contexts]
    return Subscription(
      contexts: contexts, agents: agents, kinds: kinds.union(locks),
      lockPrefix: draw.oneIn(2) ? Self.path(draw.below(LockClient.paths)) : [])
  }

  private func window(_ follower: Int, _ process: SimulatedProcess) -> WindowIndex {
    followers[follower].loop == 0 ? process.home.window : process.otherWindow
  }

  // MARK: What happens to them

  /// A loop has learned of a batch.
  func offered(_ batch: Batch, loop: Int) {
    if broken == .skipsFollowers, draw.oneIn(8) { return }
    for place in 0..<batch.count {
      let event = batch.record(place)
      for index in followers.indices where followers[index].loop == loop {
        guard followers[index].subscription.admits(event),
          followers[index].session.offers(event.position, queuedBytes: followers[index].queuedBytes)
        else { continue }
        show(event, to: index)
      }
    }
  }

  /// A subscriber's turn: it goes on, its peer takes what is queued, it is told its cursor, or it comes anew.
  func follow(_ process: SimulatedProcess) {
    let index = draw.below(followers.count)
    trace.note(.follow, UInt64(index), followers[index].shown.rawValue)
    switch draw.below(16) {
    case 0..<5: followers[index].queuedBytes = 0
    case 5: heartbeat(index, process)
    case 6: rejoin(index, process)
    default: pump(index, process)
    }
  }

  private func heartbeat(_ index: Int, _ process: SimulatedProcess) {
    let head = window(index, process).head
    let progress = followers[index].session.progress(head: head)
    followers[index].cursor = max(followers[index].cursor, progress)
    scanned(index, through: progress)
  }

  /// Another subscriber, from anywhere in history, in its place; now and then from where it stopped.
  private func rejoin(_ index: Int, _ process: SimulatedProcess) {
    let head = window(index, process).head
    if draw.oneIn(2) { return followers[index].resume() }
    let start = Position(draw.next() % (head.rawValue + 1))
    let subscription = draw.oneIn(3) ? drawSubscription() : followers[index].subscription
    followers[index] = SimulatedFollower(loop: followers[index].loop, subscription, after: start)
    counts.joins += 1
  }

  func pump(_ index: Int, _ process: SimulatedProcess) {
    if followers[index].read != nil { return stepRead(index) }
    let window = window(index, process)
    let step = followers[index].session.next(
      head: window.head, lowest: window.lowest, queuedBytes: followers[index].queuedBytes)
    switch step {
    case .wait:
      break
    case .readWindow(let after): readWindow(index, after, window)
    case .readStore(let after, let through):
      counts.storeReads += 1
      followers[index].read = SimulatedFollower.Read(after: after, through: through)
    }
  }

  private func readWindow(_ index: Int, _ after: Position, _ window: WindowIndex) {
    let subscription = followers[index].subscription
    let through = window.events(
      after: after, filter: subscription.filter, recordsMax: 1 + draw.below(64)
    ) { event in
      guard subscription.admits(event) else { return true }
      guard followers[index].queuedBytes < SimulatedFollower.pageBytes else { return false }
      show(event, to: index)
      followers[index].session.delivered(event.position)
      return true
    }
    followers[index].session.scanned(through: through)
    scanned(index, through: through)
  }

  /// Asks the store first, and brings back what it said at a later time.
  private func stepRead(_ index: Int) {
    guard var read = followers[index].read else { return }
    let subscription = followers[index].subscription
    guard let found = read.found else {
      var events: [Position] = []
      do throws(StoreError) {
        let through = try store.events(
          after: read.after, through: read.through, filter: subscription.filter,
          bytesMax: SimulatedFollower.pageBytes
        ) { event in
          if !model.holds(event) { violate("a follower reads what isn't history") }
          events.append(event.position)
          return true
        }
        read.found = (events, through)
        followers[index].read = read
      } catch {
        // Its stream ends; it comes again with its cursor.
        followers[index].resume()
      }
      return
    }
    followers[index].read = nil
    for position in found.events {
      model.record(position)?.withUnsafeBytes { bytes in
        guard let event = EventView(bytes), subscription.admits(event) else { return }
        show(event, to: index)
        followers[index].session.delivered(position)
      }
    }
    followers[index].session.scanned(through: found.through)
    scanned(index, through: found.through)
  }

  // MARK: What must hold

  /// An event is sent: the next one that it wants, as history has it.
  private func show(_ event: EventView, to index: Int) {
    let follower = followers[index]
    guard model.holds(event) else {
      return violate("follower \(index) is shown position \(event.position.rawValue), which isn't durable")
    }
    guard event.position > follower.shown else {
      return violate("follower \(index) is shown position \(event.position.rawValue) twice, or too late")
    }
    checkNothing(between: follower.shown, and: event.position, index)
    followers[index].shown = event.position
    followers[index].cursor = max(follower.cursor, event.position)
    followers[index].queuedBytes += event.bodyLength
    counts.shown += 1
  }

  /// The session says that it was shown all that it wants up to here.
  private func scanned(_ index: Int, through position: Position) {
    guard position > followers[index].shown else { return }
    checkNothing(between: followers[index].shown, and: position.next, index)
    followers[index].shown = position
  }

  private func checkNothing(between after: Position, and end: Position, _ index: Int) {
    var position = after.next
    while position < end {
      guard let record = model.record(position) else {
        return violate("follower \(index) is told of position \(end.rawValue), history ends before")
      }
      let isMissed = record.withUnsafeBytes {
        EventView($0).map(followers[index].subscription.admits) ?? false
      }
      if isMissed {
        return violate(
          "follower \(index) misses position \(position.rawValue), and goes on at \(end.rawValue)")
      }
      position = position.next
    }
  }

  /// When nothing is under way: everyone is live and has seen everything.
  var areFollowersLive: Bool { followers.allSatisfy { $0.session.state == .live && $0.read == nil } }

  func checkFollowers() {
    for index in followers.indices where followers[index].session.state == .live {
      checkNothing(between: followers[index].shown, and: model.head.next, index)
    }
  }
}
