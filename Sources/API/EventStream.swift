internal import Bytes
public import Engine
public import EventLoop
internal import HTTP
internal import Model
internal import Notifier
internal import Router
internal import Telemetry
public import WAL

/// The live streams of one loop: told of each published batch, it offers each unit to the streams that want it.
/// Loop thread.
public final class StreamHub: PublicationObserver {
  let engine: LoopEngine
  let metrics: APIMetrics
  private var router = Router()
  private var streams: [EventStream?] = []
  private var free: [UInt32] = []

  init(engine: LoopEngine, metrics: APIMetrics) {
    self.engine = engine
    self.metrics = metrics
  }

  public var count: Int { streams.count - free.count }

  public func published(_ batch: Batch) {
    guard !router.isEmpty else { return }
    for offset in 0..<batch.count {
      let event = batch.record(offset)
      guard event.kind == .unit, let context = event.contextID else { continue }
      router.match(context: context) { streams[Int($0)]?.offer(event) }
    }
  }

  func add(_ stream: EventStream) -> UInt32 {
    let slot: UInt32
    if let reused = free.popLast() {
      slot = reused
      streams[Int(slot)] = stream
    } else {
      slot = UInt32(streams.count)
      streams.append(stream)
    }
    router.subscribe(slot, to: stream.subscription.contexts)
    metrics.streams.add()
    return slot
  }

  func remove(_ slot: UInt32, _ stream: EventStream) {
    router.unsubscribe(slot, from: stream.subscription.contexts)
    streams[Int(slot)] = nil
    free.append(slot)
    metrics.streams.subtract()
  }

  /// The server goes away: every stream ends once its outbox is sent.
  public func closeAll() {
    for stream in streams { stream?.end(.shutdown) }
  }
}

/// One subscriber over Server-Sent Events: performs what its session decides, on the socket that it owns.
/// Loop thread, all of it: hence unchecked.
public final class EventStream: SocketDelegate, TimerTarget, @unchecked Sendable {
  /// Nanoseconds between heartbeats (api.md: 15 s).
  static let heartbeatNanoseconds: UInt64 = 15_000_000_000
  /// Nanoseconds between looks at a subscriber that doesn't read.
  static let stallCheckNanoseconds: UInt64 = 5_000_000_000
  private static let heartbeatTag: UInt64 = 1
  private static let stallTag: UInt64 = 2

  let subscription: Subscription
  private let socket: Socket
  private let hub: StreamHub
  private var session: SubscriberSession
  private var slot: UInt32?
  private var timers = (heartbeat: TimerID.none, stall: TimerID.none)
  private var isEnded = false
  private var isLagging = false
  /// Set where something else than the client ends it.
  private var ending = StreamEnd.client

  init(socket: Socket, hub: StreamHub, subscription: Subscription, after start: Position) {
    self.socket = socket
    self.hub = hub
    self.subscription = subscription
    session = SubscriberSession(subscription, after: start)
  }

  /// Takes over the socket, whose response head is in the outbox: from here on it is subscribed.
  func begin() {
    guard !socket.isClosing else { return }
    socket.delegate = self
    slot = hub.add(self)
    writeSubscribed()
    let jitter = UInt64.random(in: 0..<EventStream.heartbeatNanoseconds / 4)
    timers.heartbeat = socket.loop.setTimer(
      after: EventStream.heartbeatNanoseconds - jitter, self, tag: EventStream.heartbeatTag)
    timers.stall = socket.loop.setTimer(
      after: EventStream.stallCheckNanoseconds, self, tag: EventStream.stallTag)
    pump()
  }

  // MARK: Framing

  private func write(_ bytes: Int, _ body: (inout ByteWriter) -> Void) {
    var writer = ByteWriter(socket.output.reserve(bytes), capacity: bytes)
    body(&writer)
    socket.output.commit(writer.count)
  }

  private func writeSubscribed() {
    var text = "{\"position\":\(session.cursor.rawValue),\"contexts\":["
    var data = Array(text.utf8)
    for (place, name) in (subscription.contexts ?? []).enumerated() {
      if place > 0 { data.append(UInt8(ascii: ",")) }
      data += EventStream.quoted(name)
    }
    text = "]}"
    data += text.utf8
    let id = session.cursor.rawValue
    data.withUnsafeBytes { data in
      write(
        ServerSentEvents.retryBytes(milliseconds: 1000)
          + ServerSentEvents.eventBytes("subscribed", id: id, data: data)
      ) { writer in
        ServerSentEvents.retry(milliseconds: 1000, to: &writer)
        ServerSentEvents.event("subscribed", id: id, data: data, to: &writer)
      }
    }
  }

  /// A JSON string of a context's name.
  private static func quoted(_ name: [UInt8]) -> [UInt8] {
    name.withUnsafeBytes { name in
      [UInt8](unsafeUninitializedCapacity: JSONText.quotedCount(name)) { memory, count in
        guard let base = memory.baseAddress else { return }
        var writer = ByteWriter(base, capacity: memory.count)
        JSONText.writeQuoted(name, to: &writer)
        count = writer.count
      }
    }
  }

  private func frame(_ event: EventView) {
    let id = event.position.rawValue
    write(ServerSentEvents.prefixBytes(event: "workunit", id: id)) {
      ServerSentEvents.prefix(event: "workunit", id: id, to: &$0)
    }
    let body = event.body
    if body.count > Exchange.copiedBytesMax, let slab = hub.engine.window.slab(holding: event) {
      socket.output.write(shared: slab, body)
    } else {
      socket.output.write(body)
    }
    socket.output.write(ServerSentEvents.suffix)
    hub.metrics.delivered.add()
  }

  // MARK: Following

  /// A unit of a context that this stream follows was published.
  func offer(_ event: EventView) {
    guard !isEnded, subscription.admits(event),
      offers(event.position)
    else { return }
    frame(event)
  }

  /// Asks the session, and counts it when it falls behind.
  private func offers(_ position: Position) -> Bool {
    if session.offers(position, queuedBytes: socket.queuedBytes) { return true }
    if !isLagging, session.mode == .catchingUp { hub.metrics.streamLags.add() }
    noteMode()
    return false
  }

  private func noteMode() {
    let lags = slot != nil && session.mode == .catchingUp
    guard lags != isLagging else { return }
    isLagging = lags
    hub.metrics.laggingStreams.add(lags ? 1 : -1)
  }

  /// Does what the session wants done until it waits.
  private func pump() {
    defer { noteMode() }
    while !isEnded {
      let window = hub.engine.window
      switch session.next(head: window.head, lowest: window.lowest, queuedBytes: socket.queuedBytes) {
      case .wait: return
      case .readWindow(let after): readWindow(after)
      case .readStore(let after, let through): return readStore(after, through)
      }
    }
  }

  private func readWindow(_ after: Position) {
    var isWhole = true
    hub.engine.window.units(after: after, contexts: subscription.contexts) { event in
      guard socket.queuedBytes < session.limits.catchUpBytes else {
        isWhole = false
        return false
      }
      if subscription.admits(event) {
        frame(event)
        session.delivered(event.position)
      }
      return true
    }
    if isWhole { session.scanned(through: hub.engine.window.head) }
  }

  private func readStore(_ after: Position, _ through: Position) {
    let stream = self
    socket.loop.spawn { domain in await stream.deliverStored(after, through) }
  }

  private func deliverStored(_ after: Position, _ through: Position) async {
    do throws(Problem) {
      let found = try await hub.engine.events(
        after: after, through: through, contexts: subscription.contexts,
        bytesMax: session.limits.catchUpBytes)
      guard !isEnded else { return }
      for event in found.page.units where subscription.admits(event) {
        frame(event)
        session.delivered(event.position)
      }
      session.scanned(through: found.scannedThrough)
      pump()
      withExtendedLifetime(found.page) {}
    } catch {
      end(.failed)
    }
  }

  // MARK: Life

  public func timerFired(tag: UInt64) {
    if tag == EventStream.stallTag {
      // Also of a stream that has ended: what is left in its outbox must not keep the socket for ever.
      checkStall()
    } else if !isEnded {
      heartbeat()
    }
  }

  private func heartbeat() {
    let id = session.progress(head: hub.engine.window.head).rawValue
    if socket.queuedBytes < session.limits.catchUpBytes {
      write(ServerSentEvents.commentBytes("") + ServerSentEvents.bookmarkBytes(id: id)) {
        ServerSentEvents.comment("", to: &$0)
        ServerSentEvents.bookmark(id: id, to: &$0)
      }
    }
    timers.heartbeat = socket.loop.setTimer(
      after: EventStream.heartbeatNanoseconds, self, tag: EventStream.heartbeatTag)
  }

  /// A subscriber whose outbox is full and doesn't move for too long is let go; it can resume.
  private func checkStall() {
    let stalled = socket.loop.now &- socket.lastSendProgress
    if socket.queuedBytes > 0, stalled > session.limits.stallNanosecondsMax {
      isEnded = true
      ending = .stalled
      socket.abort()
      return
    }
    timers.stall = socket.loop.setTimer(
      after: EventStream.stallCheckNanoseconds, self, tag: EventStream.stallTag)
  }

  /// Ends the stream once its outbox is sent.
  func end(_ reason: StreamEnd) {
    guard !isEnded else { return }
    isEnded = true
    ending = reason
    socket.close(after: true)
  }

  public func socket(
    _ s: Socket, received bytes: UnsafeMutableRawBufferPointer, buffer: ReceiveBufferID
  ) -> BufferDisposition {
    // Nothing is asked of a client of an event stream.
    .returned
  }

  public func socketReachedEnd(_ s: Socket) { end(.client) }

  public func socketDrained(_ s: Socket) { pump() }

  public func socketClosed(_ s: Socket, reason: SocketCloseReason) {
    isEnded = true
    socket.loop.cancel(timers.heartbeat)
    socket.loop.cancel(timers.stall)
    if let slot {
      hub.remove(slot, self)
      hub.metrics.count(ending)
    }
    slot = nil
    noteMode()
  }
}
