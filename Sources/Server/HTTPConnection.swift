// Longer than most files: one connection from first byte to last, whose phases are understood together.
internal import API
internal import Bytes
internal import EventLoop
internal import HTTP
internal import Model

/// Drives one HTTP/1.1 connection: gathers requests from what the socket receives, and has a task answer them
/// one after the other. Parsing happens where bytes arrive; the task is resumed once per request that is complete.
/// A request that lies whole in a receive buffer is handled there, and the buffer goes back afterwards.
///
/// Everything happens on the loop's thread: hence unchecked.
final class HTTPConnection: SocketDelegate, TimerTarget, @unchecked Sendable {
  private enum Phase {
    /// Waiting for a head, or in one.
    case head
    /// The head is taken; its body is awaited.
    case body
    /// The task has a request.
    case handling
    /// Nothing more is read.
    case over
  }

  /// Where the bytes of the request in hand lie.
  private enum Source {
    case none
    /// A receive buffer of the loop that is ours until it is recycled.
    case lent(ReceiveBufferID, UnsafeRawBufferPointer)
    /// `input`.
    case gathered
  }

  /// Bodies count against the limits by what has come and this many bytes, a page of memory, or an eighth of it: who
  /// sends a byte doesn't hold others' room, who sends many isn't counted at each.
  private static let chargedAheadMin = 4 << 10
  /// Answers of more bytes count among those that wait to be read.
  private static let countedBytesMin = 64 << 10

  private let socket: Socket
  private let services: LoopServices
  private let acceptor: Acceptor
  private let exchange: Exchange
  private var parser = HeadParser()
  private var phase = Phase.head
  private var source = Source.none
  private var input = InputBuffer()
  /// What arrived while a request was being handled.
  private var ahead = InputBuffer()
  private var decoder: BodyDecoder?
  /// A chunked body, decoded.
  private var decoded = InputBuffer()
  private var headBytes = 0
  private var bodyBytes = 0
  private var chargedBytes = 0
  private let lease: ConnectionLease
  private var clock = ConnectionClock()
  /// Nothing has been received yet.
  private var isSilent = true
  private var isEnded = false
  /// Inside the callback that lends a buffer: giving it back is then the callback's answer.
  private var isReceiving = false
  /// The head of a request with chunks, which are dropped once they are decoded.
  private var headApart = InputBuffer()
  /// Whether the route takes the body in pieces; nil before it was asked.
  private var readsAsItArrives: Bool?
  private var isPaused = false
  private var waiter: UnsafeContinuation<Bool, Never>?
  private var isReady = false
  private var timer = TimerID.none
  /// When the connection is to be looked at for time-outs: `began` is when the phase began.
  private var began: UInt64

  init(socket: Socket, services: LoopServices, acceptor: Acceptor, lease: ConnectionLease) {
    self.socket = socket
    self.services = services
    self.acceptor = acceptor
    self.lease = lease
    exchange = Exchange(socket: socket, services: services)
    exchange.lease = lease
    began = socket.loop.now
  }

  func start() {
    socket.delegate = self
    socket.start()
    timer = socket.loop.setTimer(after: acceptor.limits.lookNanoseconds, self, tag: 0)
    socket.loop.spawn { _ in await self.run() }
  }

  // MARK: The task

  private func run() async {
    while await nextRequest() {
      switch await services.handle(exchange) {
      case .answered:
        finishRequest()
      case .streaming:
        leave()
        acceptor.endStreamsIfDraining()
        return
      case .upgraded(let connection):
        var rest = bytesBehind()
        leave()
        rest.withUnsafeMutableBytes { connection.takeOver($0, isEnded: isEnded) }
        acceptor.endStreamsIfDraining()
        return
      }
    }
  }

  /// The socket is another's: gives back all that this connection has.
  private func leave() {
    resumeReceiving()
    release()
    phase = .over
    socket.loop.cancel(timer)
    lease.holdsAnswers(0)
    acceptor.becameStream(self)
  }

  /// What has arrived behind the request in hand.
  private func bytesBehind() -> [UInt8] {
    Array(available.dropFirst(headBytes + bodyBytes)) + Array(ahead.bytes)
  }

  /// Waits for a complete request; false when there will be none.
  private func nextRequest() async -> Bool {
    if isReady {
      isReady = false
      return true
    }
    if phase == .over { return false }
    return await withUnsafeContinuation { waiter = $0 }
  }

  private func wake(_ hasRequest: Bool) {
    if let waiter {
      self.waiter = nil
      waiter.resume(returning: hasRequest)
    } else {
      isReady = hasRequest
    }
  }

  // MARK: Receiving

  func socket(
    _ s: Socket, received bytes: UnsafeMutableRawBufferPointer, buffer: ReceiveBufferID
  ) -> BufferDisposition {
    let bytes = UnsafeRawBufferPointer(bytes)
    isSilent = false
    switch phase {
    case .over:
      return .returned
    case .handling:
      ahead.append(bytes)
      pauseIfFull()
      return .returned
    case .head, .body:
      if case .none = source {
        source = .lent(buffer, bytes)
        isReceiving = true
        advance()
        isReceiving = false
        if case .lent = source { return .kept }
        return .returned
      }
      input.append(bytes)
      source = .gathered
      advance()
      return .returned
    }
  }

  private func pauseIfFull() {
    guard !isPaused, ahead.count > acceptor.limits.aheadBytesMax else { return }
    isPaused = true
    socket.pauseReceiving()
    exchange.isBlind = true
  }

  private var available: UnsafeRawBufferPointer {
    switch source {
    case .none: UnsafeRawBufferPointer(start: nil, count: 0)
    case .lent(_, let bytes): bytes
    case .gathered: input.bytes
    }
  }

  /// Goes as far as the bytes at hand allow: to a complete request that the task has to answer, or until more are
  /// needed.
  private func advance() {
    repeat {
      if phase == .head { parseHead() }
      if phase == .body { gatherBody() }
    } while phase == .handling && answersAtOnce()
    if phase == .head || phase == .body { moveToInput() }
    if phase == .body { readWhatArrived() }
  }

  /// Lets the route look at a body that is not all there, if it reads as it arrives.
  private func readWhatArrived() {
    showHead()
    let isRead = readsAsItArrives ?? services.readsAsItArrives(exchange)
    readsAsItArrives = isRead
    guard isRead else { return }
    exchange.body =
      headApart.isEmpty ? UnsafeRawBufferPointer(rebasing: available[headBytes...]) : decoded.bytes
    guard let problem = services.bodyArrives(exchange) else { return }
    exchange.keeps = false
    exchange.answer(problem)
    close()
  }

  /// Answers the complete request if that can be done here. False: it is the task's, or there is nothing to go on with.
  private func answersAtOnce() -> Bool {
    guard services.answerAtOnce(exchange) else {
      // Requests may wait for minutes, and thousands of them must not keep all that the loop receives into.
      if socket.loop.isShortOfReceiveBuffers { moveRequestToInput() }
      wake(true)
      return false
    }
    return settleRequest() && !available.isEmpty
  }

  private func parseHead() {
    if !parser.isUnderWay {
      began = socket.loop.now
      exchange.begin()
    }
    switch parser.parse(available, into: &exchange.head) {
    case .needMore:
      break
    case .failure(let error):
      fail(error)
    case .head(let consumed):
      headBytes = consumed
      beginBody()
    }
  }

  private func beginBody() {
    bodyBytes = 0
    readsAsItArrives = nil
    exchange.keeps = !acceptor.isDraining
    showHead()
    let refusal = services.admit(exchange)
    if exchange.head.body == .none {
      complete(body: UnsafeRawBufferPointer(start: nil, count: 0))
      return
    }
    if let refusal, !isWhollyHere { return refuse(refusal) }
    if refusal == nil, !isWhollyHere, !services.readsBody(exchange) {
      // Nothing is gathered that nobody reads: the answer comes without it, and the connection ends.
      exchange.keeps = false
      return complete(body: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    if exchange.head.body.exceeds(UInt64(Limits.bodyBytesMax)) { return fail(.bodyTooLarge) }
    phase = .body
    began = socket.loop.now
    let isAwaited = exchange.head.expectsContinue && available.count == headBytes
    if case .length(let length) = exchange.head.body {
      if length > UInt64(available.count - headBytes), !chargeArrived(of: Int(length)) { return refuseBody() }
    } else {
      decoder = BodyDecoder(exchange.head.body, bytesMax: UInt64(Limits.bodyBytesMax))
      headApart.append(UnsafeRawBufferPointer(rebasing: available[..<headBytes]))
      drop(headBytes)
      headBytes = 0
    }
    if isAwaited { socket.output.write(ResponseHead.continueLine) }
  }

  /// Takes the body from what is there. A body of fixed length stays where it is, behind its head.
  private func gatherBody() {
    if case .length(let length) = exchange.head.body {
      let total = headBytes + Int(length)
      guard available.count >= total else {
        if !chargeArrived(of: Int(length)) { refuseBody() }
        return
      }
      bodyBytes = Int(length)
      complete(body: UnsafeRawBufferPointer(rebasing: available[headBytes..<total]))
      return
    }
    gatherChunks()
  }

  private func gatherChunks() {
    guard var decoder else { return }
    let before = decoded.count
    let (consumed, state) = decoder.decode(available) { decoded.append($0) }
    self.decoder = decoder
    services.chargeBody(exchange, bytes: decoded.count - before)
    drop(consumed)
    switch state {
    case .failure(let error): fail(error)
    case .complete: complete(body: decoded.bytes)
    case .more:
      guard charge(decoded.heldBytes) else { return refuseBody() }
    }
  }

  /// The bytes at hand aren't enough: those in a receive buffer move to the connection's own memory.
  private func moveToInput() {
    guard case .lent(let buffer, let bytes) = source else { return }
    if phase == .body, case .length(let length) = exchange.head.body {
      input.reserve(headBytes + Int(length))
    }
    input.append(bytes)
    recycle(buffer)
    source = .gathered
  }

  /// The same for a request that is complete, before anybody refers to its bytes.
  private func moveRequestToInput() {
    guard case .lent = source else { return }
    moveToInput()
    showHead()
    if bodyBytes > 0 {
      exchange.body = UnsafeRawBufferPointer(rebasing: available[headBytes..<headBytes + bodyBytes])
    }
  }

  private func recycle(_ buffer: ReceiveBufferID) {
    if !isReceiving { socket.loop.recycle(buffer) }
  }

  /// Drops the first bytes of what is at hand.
  private func drop(_ consumed: Int) {
    switch source {
    case .none: break
    case .lent(let buffer, let bytes):
      if consumed < bytes.count {
        source = .lent(buffer, UnsafeRawBufferPointer(rebasing: bytes[consumed...]))
      } else {
        recycle(buffer)
        source = .none
      }
    case .gathered:
      input.consume(consumed)
      if input.isEmpty { source = .none }
    }
  }

  private func complete(body: UnsafeRawBufferPointer) {
    let hasWaited = phase == .body && began != socket.loop.now
    phase = .handling
    showHead()
    if hasWaited { services.readmit(exchange) }
    exchange.isHeadOnly = exchange.head.method == .head
    exchange.body = body
    exchange.startedAt = socket.loop.now
  }

  /// Tells the exchange where the head's bytes are.
  private func showHead() {
    exchange.headBytes = headApart.isEmpty ? available : headApart.bytes
  }

  // MARK: Between requests

  /// The answer is in the outbox: on to the next request, or to the end.
  private func finishRequest() {
    guard phase == .handling else { return }
    if settleRequest() { goOn() }
  }

  /// Lets go of the request that was answered. False: the next one has to wait, or there will be none.
  private func settleRequest() -> Bool {
    countQueued()
    guard exchange.keeps, exchange.head.keepAlive, !socket.isClosing else {
      close()
      return false
    }
    settle(headBytes + bodyBytes)
    began = socket.loop.now
    guard mayAnswerMore else {
      // The peer asks faster than it reads: it waits until it has read, and holds none of the loop's buffers.
      moveToInput()
      headBytes = 0
      bodyBytes = 0
      isWaitingForDrain = true
      return false
    }
    phase = .head
    return true
  }

  private var isWaitingForDrain = false

  /// Counts what waits to be sent among that of all connections, if it is much.
  private func countQueued() {
    let queued = socket.queuedBytes
    lease.holdsAnswers(queued > HTTPConnection.countedBytesMin ? queued : 0)
  }

  /// Whether another request may be begun though the answers before it wait. Where room is scarce, who holds much of it
  /// doesn't add to that by small answers.
  private var mayAnswerMore: Bool {
    let queued = socket.queuedBytes
    if queued <= HTTPConnection.countedBytesMin / 2 { return true }
    return queued <= acceptor.limits.queuedBytesMax && !lease.isPressed
  }

  private func goOn() {
    advanceBuffered()
    switch phase {
    case .head: if isEnded || (acceptor.isDraining && !parser.isUnderWay) { close() }
    // The rest of the body will not come.
    case .body: if isEnded { close() }
    case .handling, .over: break
    }
  }

  /// Takes up what is left over of the request before and what came meanwhile.
  private func advanceBuffered() {
    if case .none = source, input.isEmpty, ahead.isEmpty { return resumeReceiving() }
    if !ahead.isEmpty {
      moveToInput()
      input.append(ahead.bytes)
      ahead.consume(ahead.count)
      ahead.shrink()
      source = .gathered
    }
    resumeReceiving()
    advance()
  }

  private func resumeReceiving() {
    guard isPaused else { return }
    isPaused = false
    exchange.isBlind = false
    socket.resumeReceiving()
  }

  /// Drops the bytes of the request that was answered.
  private func settle(_ consumed: Int) {
    drop(consumed)
    input.shrink()
    headApart.consume(headApart.count)
    decoder = nil
    decoded.consume(decoded.count)
    decoded.shrink()
    uncharge()
  }

  // MARK: Limits

  /// Counts a body of `length` bytes by what has come of it. Who only announces much holds nothing: memory that nobody has
  /// written to is none.
  private func chargeArrived(of length: Int) -> Bool {
    let arrived = available.count - headBytes
    guard arrived > chargedBytes else { return true }
    return charge(min(length, arrived + max(HTTPConnection.chargedAheadMin, arrived / 8)))
  }

  /// Counts a body that is being gathered against the limit of all of them.
  private func charge(_ bytes: Int) -> Bool {
    guard bytes > chargedBytes else { return true }
    guard lease.charge(bytes - chargedBytes) else { return false }
    chargedBytes = bytes
    return true
  }

  private func uncharge() {
    if chargedBytes > 0 { lease.uncharge(chargedBytes) }
    chargedBytes = 0
  }

  /// Whether the request whose head is parsed has all of its body behind it.
  private var isWhollyHere: Bool {
    guard case .length(let length) = exchange.head.body else { return false }
    return length <= UInt64(available.count - headBytes)
  }

  /// Answers a request without its body, for which nothing is gathered.
  private func refuse(_ problem: Problem) {
    exchange.keeps = false
    exchange.startedAt = socket.loop.now
    services.refuse(exchange, problem)
    close()
  }

  private func refuseBody() {
    exchange.keeps = false
    showHead()
    exchange.answer(Problem(.unavailable, "too many large bodies are being received; try again"))
    close()
  }

  private func fail(_ error: HTTPError) {
    showHead()
    exchange.answer(error)
    close()
  }

  func timerFired(tag: UInt64) {
    countQueued()
    if phase == .over, socket.isClosing { return }
    let now = socket.loop.now
    switch clock.look(state, now: now, acceptor.limits) {
    case .waits(let due): timer = socket.loop.setTimer(after: due &- now, self, tag: 0)
    case .closes(let lapse):
      acceptor.count(lapse)
      close()
    case .refuses(let lapse):
      acceptor.count(lapse)
      fail(.requestTimeout)
    case .cuts(let lapse):
      acceptor.count(lapse)
      socket.abort()
    }
  }

  private var state: ConnectionClock.State {
    var state = ConnectionClock.State(
      phase: .handling, began: began, received: socket.lastReceiveProgress, queuedBytes: socket.queuedBytes,
      sent: socket.lastSendProgress, sentBytes: socket.sentBytes, isStrained: lease.isPressed)
    switch phase {
    case .head: state.phase = parser.isUnderWay ? .head : isSilent ? .silent : .idle
    case .body:
      state.phase = .body
      let whole = headApart.isEmpty ? available.count - headBytes : decoded.count
      state.bodyBytes = UInt64(whole + socket.pendingBytes)
    case .handling: state.phase = .handling
    case .over: state.phase = .over
    }
    return state
  }

  // MARK: The end

  /// The server goes away: idle connections close, others after their answer.
  func drain() {
    exchange.keeps = false
    if phase == .head, !parser.isUnderWay { close() }
  }

  func abort() { socket.abort() }

  private func close() {
    guard phase != .over else { return }
    phase = .over
    release()
    socket.loop.cancel(timer)
    wake(false)
    guard !socket.isClosing else { return }
    // Cut if the peer doesn't take its last answer.
    timer = socket.loop.setTimer(after: acceptor.limits.stallNanoseconds, self, tag: 0)
    socket.close(after: true)
  }

  /// Gives everything back that a request holds.
  private func release() {
    if case .lent(let buffer, _) = source { recycle(buffer) }
    source = .none
    headApart.consume(headApart.count)
    decoded.consume(decoded.count)
    decoded.shrink()
    input.consume(input.count)
    input.shrink()
    ahead.consume(ahead.count)
    ahead.shrink()
    uncharge()
  }

  func socket(_ s: Socket, refusedCertificate isMissing: Bool) {
    services.refusedCertificate(of: lease.address, isMissing: isMissing)
  }

  func socketReachedEnd(_ s: Socket) {
    isEnded = true
    exchange.abandon()
    // A request that is complete is still answered.
    if phase == .head || phase == .body { close() }
  }

  func socketDrained(_ s: Socket) {
    clock.drained()
    countQueued()
    guard isWaitingForDrain else { return }
    isWaitingForDrain = false
    phase = .head
    goOn()
  }

  func socketClosed(_ s: Socket, reason: SocketCloseReason) {
    socket.loop.cancel(timer)
    countQueued()
    acceptor.closed(self)
    exchange.abandon()
    if phase == .handling, !isWaitingForDrain {
      // The task still uses the request's bytes: it ends after its answer, which goes nowhere.
      return
    }
    phase = .over
    release()
    wake(false)
  }
}
