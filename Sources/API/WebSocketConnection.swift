// Longer than most files: one connection from its handshake to its end, whose parts are understood together.
internal import Access
internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model
internal import Router
internal import Telemetry
internal import WAL

/// One WebSocket after its opening handshake: reads messages where bytes arrive, follows contexts, and publishes units
/// with many under way at a time, without a task. Idle, it holds no memory but itself and its follower.
///
/// Who ends it: the peer's close frame (answered once all publishes are), a rule that the peer broke, the follower (the
/// peer takes nothing, says nothing, or the server goes away), or the socket. Everything on the loop's thread: hence
/// unchecked.
final class WebSocketConnection: SocketDelegate, FollowerOwner, UpgradedConnection, TimerTarget,
  @unchecked Sendable
{
  private let services: LoopServices
  private let follower: Follower
  private let lease: ConnectionLease?
  /// Whose credential the connection was opened with: what it sends counts against that agent.
  private let credentialAgent: [UInt8]?
  /// The agent of the upgrade, which that of each unit must be; empty if it names none.
  private let agent: [UInt8]
  private var reader: WebSocketReader
  private var closing = WebSocketClosing()
  private var heartbeat: WebSocketHeartbeat
  private var timer = TimerID.none
  /// What the connection begins with, until it does.
  private var first: (subscription: Subscription, start: Position?)?
  /// Keeps publishes in the order in which they came. Made with the first.
  private var lane: RequestLane?
  /// Publishes that are not answered.
  private var inFlight = 0
  /// Bytes of messages that they hold.
  private var inFlightBytes = 0
  /// Bytes of the message that is being gathered that count against the budget of all bodies.
  private var gatheredBytes = 0
  /// There was no budget for a message that had to be kept: nothing is read until all publishes are answered.
  private var isShort = false
  /// Nothing is read: what arrives all the same is held.
  private var isPaused = false
  private var isResuming = false
  private var held = HeldInput()
  private var allowance = TurnAllowance()
  /// When the message under way began; 0 if there is none.
  private var messageBegan: UInt64 = 0
  /// The `ref` of the subscription that was asked for last.
  private var subscribeRef: [UInt8] = []
  /// The server goes away: publishes are still answered, no more are taken.
  private var isLeaving = false

  /// What the memory of messages counts against.
  private var bodies: (any BodyBudget)? { lease ?? services.bodies }
  private var socket: Socket { follower.socket }
  private var address: ClientAddress { lease?.address ?? .unknown }
  private var now: UInt64 { follower.socket.loop.now }

  init(
    _ exchange: Exchange, agent: [UInt8], _ subscription: Subscription, after start: Position?
  ) {
    services = exchange.services
    self.agent = agent
    first = (subscription, start)
    lease = exchange.lease
    credentialAgent = exchange.withAgent { [UInt8]($0) }
    follower = Follower(
      socket: exchange.socket, hub: exchange.services.streams, format: .webSocket, caller: exchange.caller,
      lease: exchange.lease)
    reader = WebSocketReader(limits: .ofMessages)
    // The follower keeps time, with a phase of its own.
    heartbeat = WebSocketHeartbeat(now: exchange.socket.loop.now, phase: 0)
  }

  /// Takes over the socket, whose outbox has the answer to the handshake.
  func takeOver(_ rest: UnsafeMutableRawBufferPointer, isEnded: Bool) {
    guard !socket.isClosing, let (subscription, start) = first else { return }
    first = nil
    socket.delegate = self
    follower.start(self)
    follower.subscribe(subscription, after: start, isKept: true)
    take(rest)
    if isEnded { socketReachedEnd(socket) }
  }

  // MARK: Receiving

  func socket(
    _ s: Socket, received bytes: UnsafeMutableRawBufferPointer, buffer: ReceiveBufferID
  ) -> BufferDisposition {
    take(bytes)
    return .returned
  }

  private func take(_ bytes: UnsafeMutableRawBufferPointer) {
    let used = isPaused ? 0 : consume(bytes)
    if isPaused { held.append(UnsafeRawBufferPointer(rebasing: bytes[used...])) }
  }

  /// Acts on what has arrived, until more is needed or nothing more may be taken: then it is paused.
  /// - Returns: how many bytes of it are done with; all, unless it is paused.
  private func consume(_ input: UnsafeMutableRawBufferPointer) -> Int {
    allowance.begin(turn: now)
    var used = 0
    while !closing.isEnded {
      let step = reader.next(UnsafeMutableRawBufferPointer(rebasing: input[used...]))
      used += step.consumed
      switch step.event {
      case .more:
        charge()
        return used
      case .text(let text):
        messageBegan = 0
        if closing.listens, !isLeaving { read(text) }
      case .ping(let payload):
        if closing.maySend { WebSocketReply.control(.pong, payload, to: socket.output) }
      case .pong: break
      case .close(let code, _):
        perform(closing.received(code, owes: inFlight > 0, now: now))
        follower.end(.client)
      case .failure(let error):
        perform(closing.failed(error), reason: error.reason)
        follower.end(.violated)
      }
      allowance.left -= 1
      let isSpent = allowance.left <= 0 && used < input.count
      guard !closing.isEnded, isSpent || !hasRoom(1) else { continue }
      pause()
      return used
    }
    return input.count
  }

  /// Counts the message that is being gathered against the budget of all bodies.
  private func charge() {
    if !reader.isInMessage { messageBegan = 0 } else if messageBegan == 0 { messageBegan = now }
    let bytes = reader.heldBytes
    guard bytes != gatheredBytes else { return }
    if bytes < gatheredBytes {
      bodies?.uncharge(gatheredBytes - bytes)
    } else if bodies?.charge(bytes - gatheredBytes) == false {
      perform(closing.close(.tryAgainLater, now: now), reason: "too many large messages are being received")
      return follower.end(.refused)
    }
    gatheredBytes = bytes
  }

  // MARK: Pausing

  /// Whether there is room for another message; `share`: it must be this part of the whole.
  private func hasRoom(_ share: Int) -> Bool {
    inFlight < Limits.publishesInFlightMax / share && inFlightBytes < Limits.publishBytesInFlightMax / share
      && socket.queuedBytes <= Limits.outboxBytesMax && !(isShort && inFlight > 0) && !follower.isLooking
  }

  private func pause() {
    isPaused = true
    socket.pauseReceiving()
    resumeIfRoom()
  }

  /// Goes on in the next turn: not inside the home's, and others come first.
  private func resumeIfRoom() {
    guard isPaused, !isResuming, hasRoom(2) else { return }
    isResuming = true
    let connection = self
    socket.loop.perform { connection.resume() }
  }

  private func resume() {
    isResuming = false
    guard isPaused, hasRoom(2), !socket.isClosing, !closing.isEnded else { return }
    isPaused = false
    isShort = false
    // It could not go on meanwhile.
    if messageBegan > 0, allowance.left > 0 { messageBegan = now }
    heartbeat.hear(now: now)
    var rest = HeldInput()
    swap(&rest, &held)
    rest.take { consume($0) }
    if isPaused { held = rest } else { socket.resumeReceiving() }
  }

  // MARK: Messages

  private func read(_ text: UnsafeRawBufferPointer) {
    var message = WebSocketMessageReader(text)
    var publish: Publish?
    var isRead = false
    do throws(Problem) {
      let found = try message.read {
        let taken = services.publishes.take()
        publish = taken
        return taken.request.addDraft()
      }
      isRead = true
      try admit(found, bytes: text.count)
      switch found {
      case .ping: WebSocketReply.pong(to: socket.output)
      case .unsubscribe: follower.unsubscribe()
      case .subscribe(let subscription, let start):
        subscribeRef = Array(message.ref)
        follower.subscribe(subscription, after: start)
        // The others of the loop come first.
        allowance.left = 0
      case .publish:
        guard let publish else { return }
        try self.publish(publish, text, ref: message.ref)
      }
    } catch {
      if let publish { services.publishes.give(publish) }
      refuse(error, ref: message.ref)
      if !isRead { admitUnread(bytes: text.count) }
    }
  }

  /// A message that can't be read costs a request: who sends such beyond that is cut off, as each is looked at in full.
  private func admitUnread(bytes: Int) {
    do throws(Problem) {
      try admit(nil, bytes: bytes)
    } catch {
      perform(closing.close(.policy, now: now), reason: "too many messages that can't be read")
      follower.end(.refused)
    }
  }

  /// Throws if the agent, or the address, sends too much: the message is refused, and the connection lives.
  /// - Parameter message: nil if it can't be read.
  private func admit(_ message: WebSocketMessage?, bytes: Int) throws(Problem) {
    guard services.rates != nil else { return }
    var costs = RateCosts()
    costs.bytes = UInt64(bytes)
    switch message {
    case .publish: costs.publishes = 1
    case .subscribe, .unsubscribe, .ping, nil: costs.requests = 1
    }
    try services.admitMessage(costs, from: address, agent: credentialAgent, now: now)
  }

  private func refuse(_ problem: Problem, ref: some Collection<UInt8>) {
    services.metrics.countError(problem.code)
    if closing.maySend { WebSocketReply.error(problem, ref: ref, to: socket.output) }
  }

  // MARK: Publishing

  private func publish(
    _ publish: Publish, _ text: UnsafeRawBufferPointer, ref: UnsafeRawBufferPointer
  ) throws(Problem) {
    let request = publish.request
    // As of now: permissions may have changed since the upgrade.
    let problem = agent.withUnsafeBytes { agent in
      Writer(follower.viewing.caller, agent: agent.isEmpty ? nil : agent).take(request.draft(0))
    }
    if let problem {
      throw services.refused(problem, request.draft(0), by: follower.viewing.caller, from: address)
    }
    let lane = lane ?? RequestLane()
    self.lane = lane
    request.lane = lane
    publish.begin(for: self, ref: ref, now: now)
    let engine = services.engine
    // Another thread reads the message later than this one is done with it.
    if !engine.isHome { keep(text, for: publish) }
    inFlight += 1
    services.metrics.publishesInFlight.add()
    // Who waits for an answer goes before followers.
    socket.isPatient = false
    let kept = publish.heldBytes
    inFlightBytes += kept
    if publish.submit(to: engine) { return answered(publish) }
    if engine.isHome, !request.isEncoded { keep(text, for: publish) }
    inFlightBytes += publish.heldBytes - kept
  }

  /// Holds the message until the publish is answered.
  private func keep(_ text: UnsafeRawBufferPointer, for publish: Publish) {
    if let memory = reader.takeMemory() {
      publish.keep(memory, of: text)
      publish.chargedBytes = gatheredBytes
      gatheredBytes = 0
    } else {
      publish.keep(text)
    }
    guard let bodies = bodies, publish.chargedBytes < publish.heldBytes else { return }
    if bodies.charge(publish.heldBytes - publish.chargedBytes) {
      publish.chargedBytes = publish.heldBytes
    } else {
      isShort = true
    }
  }

  /// The home has decided, and what it decided is durable.
  func answered(_ publish: Publish) {
    switch publish.request.outcome {
    case .appended:
      if let unit = publish.request.unit(0) { return ack(unit, publish) }
      refuse(Problem(.internal, "the published unit is gone"), publish)
    case .exists:
      let connection = self
      socket.loop.spawn { _ in await connection.answerExisting(publish) }
    case .refused(let problem): refuse(problem, publish)
    case .answered, nil: refuse(Problem(.internal, "the publish has no outcome"), publish)
    }
  }

  /// Answers with the unit that was published before, under the id that the client chose.
  private func answerExisting(_ publish: Publish) async {
    do throws(Problem) {
      guard let id = publish.request.draft(0).id else { throw Problem(.internal, "an id is gone") }
      let page = try await services.engine.units([id])
      guard let unit = page.units.first else {
        throw Problem(.internal, "what was published before can't be read")
      }
      ack(unit, publish)
      withExtendedLifetime(page) {}
    } catch {
      refuse(error, publish)
    }
  }

  private func ack(_ unit: EventView, _ publish: Publish) {
    services.metrics.countPublish(nanoseconds: now &- publish.startedAt)
    if closing.maySend { WebSocketReply.ack(unit, ref: publish.ref, to: socket.output) }
    finish(publish)
  }

  private func refuse(_ problem: Problem, _ publish: Publish) {
    refuse(problem, ref: publish.ref)
    finish(publish)
  }

  private func finish(_ publish: Publish) {
    inFlight -= 1
    inFlightBytes -= publish.heldBytes
    services.metrics.publishesInFlight.subtract()
    if publish.chargedBytes > 0 { bodies?.uncharge(publish.chargedBytes) }
    publish.chargedBytes = 0
    services.publishes.give(publish)
    if inFlight == 0 {
      socket.isPatient = follower.subscription != nil
      perform(closing.settled())
      if isLeaving { perform(closing.close(.goingAway, now: now)) }
    }
    resumeIfRoom()
  }

  // MARK: FollowerOwner

  func followerBeats(_ follower: Follower) {
    if !isPaused, messageBegan > 0, now &- messageBegan >= WebSocketConnection.messageNanosecondsMax {
      perform(closing.close(.policy, now: now), reason: "a message took too long to arrive")
      return follower.end(.violated)
    }
    watch(beats: true)
  }

  func follower(_ follower: Follower, refuses problem: Problem) { refuse(problem, ref: subscribeRef) }

  func followerHasLooked(_ follower: Follower) { resumeIfRoom() }

  func follower(_ follower: Follower, ends reason: StreamEnd) {
    if reason == .shutdown { isLeaving = true }
    guard !isLeaving || inFlight == 0, let (code, words) = reason.farewell else { return }
    perform(closing.close(code, now: now), reason: words)
  }

  // MARK: Time

  /// Notices a peer that is silent; one that isn't gets a ping at each beat.
  private func watch(beats: Bool) {
    guard closing.listens else { return }
    heartbeat.hear(now: socket.lastReceiveProgress)
    // Its beats are the follower's. A peer that is still to take something has pings before it: whether it takes any is
    // the follower's to watch.
    let isListening = !isPaused && !socket.isSending
    if heartbeat.tick(now: now, isListening: isListening) == .silent { return follower.end(.silent) }
    if beats, socket.queuedBytes <= Limits.outboxBytesMax { WebSocketReply.control(.ping, to: socket.output) }
    // Silence ends on time, not at the beat behind it.
    let silent = socket.lastReceiveProgress &+ WebSocketHeartbeat.silenceNanoseconds
    if silent > now, silent < now &+ WebSocketHeartbeat.beatNanoseconds { setTimer(silent) }
  }

  private func setTimer(_ due: UInt64) {
    socket.loop.cancel(timer)
    timer = socket.loop.setTimer(after: due > now ? due - now : 0, self, tag: 0)
  }

  func timerFired(tag: UInt64) {
    timer = .none
    perform(closing.tick(now: now))
    watch(beats: false)
  }

  // MARK: The end

  private func perform(_ action: WebSocketClosing.Action, reason: StaticString = "") {
    switch action {
    case .none: break
    case .send(let code): WebSocketReply.close(code, reason: reason, to: socket.output)
    case .sendAndEnd(let code):
      WebSocketReply.close(code, reason: reason, to: socket.output)
      end()
    case .end: end()
    }
    if let deadline = closing.deadline { setTimer(deadline) }
  }

  /// The connection ends behind what is queued.
  private func end() {
    socket.loop.cancel(timer)
    timer = .none
    held = HeldInput()
    socket.close(after: true)
  }

  func socketReachedEnd(_ s: Socket) {
    perform(closing.inputEnded())
    follower.end(.client)
  }

  func socketDrained(_ s: Socket) {
    follower.drained()
    resumeIfRoom()
  }

  func socketClosed(_ s: Socket, reason: SocketCloseReason) {
    socket.loop.cancel(timer)
    perform(closing.inputEnded())
    if gatheredBytes > 0 { bodies?.uncharge(gatheredBytes) }
    gatheredBytes = 0
    held = HeldInput()
    follower.close()
  }
}
