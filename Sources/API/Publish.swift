internal import Engine
internal import Glibc
internal import Model

/// One work unit that a client publishes over its WebSocket, from the message to the answer; used again for another.
/// Of one loop's thread, except what it lends to the home: hence unchecked.
final class Publish: AppendCompletion, @unchecked Sendable {
  let request: AppendRequest
  /// The client's `ref` as it wrote it; empty if there is none.
  private(set) var ref: [UInt8] = []
  /// CLOCK_MONOTONIC, nanoseconds: when the message was read.
  private(set) var startedAt: UInt64 = 0
  /// Bytes of the message that are held until the answer.
  private(set) var heldBytes = 0
  /// What of them counts against the budget of all bodies.
  var chargedBytes = 0
  private var memory: UnsafeMutableRawPointer?
  private var connection: WebSocketConnection?
  private var isHanding = false
  private var isAnswered = false

  init(loop: Int, drafts: UnitDraftPool) { request = AppendRequest(loop: loop, pool: drafts) }

  deinit { free(memory) }

  /// The unit is in the request's draft.
  func begin(for connection: WebSocketConnection, ref: UnsafeRawBufferPointer, now: UInt64) {
    self.connection = connection
    self.ref.append(contentsOf: ref)
    startedAt = now
    request.completion = self
  }

  /// Copies the message, which goes away before the request is done with it.
  func keep(_ text: UnsafeRawBufferPointer) {
    guard let source = text.baseAddress, let copy = malloc(text.count) else {
      fatalError("out of memory: \(text.count) bytes of a message")
    }
    copy.copyMemory(from: source, byteCount: text.count)
    keep(copy, of: text)
  }

  /// The same with memory that holds the message already, and is the request's from now on.
  func keep(_ memory: UnsafeMutableRawPointer, of text: UnsafeRawBufferPointer) {
    self.memory = memory
    heldBytes = text.count
    guard let source = text.baseAddress, source != UnsafeRawPointer(memory) else { return }
    request.draft(0).follow(from: source, to: memory)
  }

  /// Hands the request to the home.
  /// - Returns: whether it was answered at once; the connection isn't told then.
  func submit(to engine: LoopEngine) -> Bool {
    isHanding = true
    engine.submit(request)
    isHanding = false
    return isAnswered
  }

  func completed(_ request: AppendRequest) {
    guard !isHanding else {
      isAnswered = true
      return
    }
    connection?.answered(self)
  }

  /// Forgets what was published.
  fileprivate func reset() {
    request.reset()
    request.completion = nil
    request.lane = nil
    ref.removeAll(keepingCapacity: true)
    free(memory)
    memory = nil
    heldBytes = 0
    connection = nil
    isAnswered = false
  }
}

/// Publishes that a loop's connections use in turn, so that an idle connection has none. Of one loop's thread.
final class PublishPool {
  /// Kept while nobody uses them: about 300 bytes each.
  private static let keptMax = 4096
  private let loop: Int
  private let drafts: UnitDraftPool
  private var free: [Publish] = []

  init(loop: Int, drafts: UnitDraftPool) {
    self.loop = loop
    self.drafts = drafts
  }

  func take() -> Publish { free.popLast() ?? Publish(loop: loop, drafts: drafts) }

  func give(_ publish: Publish) {
    publish.reset()
    if free.count < PublishPool.keptMax { free.append(publish) }
  }
}
