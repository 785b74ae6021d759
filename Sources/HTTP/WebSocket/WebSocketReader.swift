internal import CBytes
#if canImport(Glibc)
  internal import Glibc
#endif

/// What a client's frames come to. Bytes lie in the input or in the reader's memory: they are valid until `next` is
/// called again, and as long as the input stays.
public enum WebSocketEvent {
  /// Everything was taken, and there is no more to say: call again with what arrives next.
  case more
  /// A whole message, which is UTF-8.
  case text(UnsafeRawBufferPointer)
  /// To be answered by a pong with the same bytes, at most 125.
  case ping(UnsafeRawBufferPointer)
  case pong(UnsafeRawBufferPointer)
  /// The peer's close frame, with its code unless it has none. Everything behind it is dropped.
  case close(WebSocketCloseCode?, reason: UnsafeRawBufferPointer)
  /// The connection is to be closed with this error's code. Everything behind it is dropped.
  case failure(WebSocketError)
}

/// Reads what a client sends after the opening handshake (RFC 6455, section 5): frames in, messages out. A machine
/// without I/O, whose outcome does not depend on how the bytes are cut.
///
/// A message that came in one frame, all of it in one input, is unmasked where it lies and not copied; else it is
/// gathered in memory of the reader's own, which grows with what has arrived, never with what is only declared. UTF-8
/// is checked as it arrives: a bad text fails at its first bad byte, not at its end. Binary messages fail at their
/// head. An idle reader holds no memory.
/// ```
/// var used = 0
/// reading: while true {
///   let step = reader.next(UnsafeMutableRawBufferPointer(rebasing: input[used...]))
///   used += step.consumed
///   switch step.event {
///   case .more: break reading
///   case .text(let message): …
/// ```
public struct WebSocketReader: ~Copyable {
  /// What one call has found.
  public struct Step {
    /// Bytes of the input that are done with, those of the event included.
    public let consumed: Int
    public let event: WebSocketEvent
  }

  private enum Stage: UInt8 {
    /// Before a frame's head, or in one.
    case head
    /// In the payload of a text or of its continuation, which is gathered.
    case text
    /// In the payload of a control frame, which is gathered behind the message that it interrupts.
    case control
    /// A close frame or an error was told.
    case over
  }

  private var memory: UnsafeMutableRawPointer?
  private var capacity = 0
  /// Bytes of the message in `memory`.
  private var gathered = 0
  /// Bytes behind it, of the control frame under way.
  private var gatheredControl = 0
  /// Bytes of the frame's payload that are still to come.
  private var missing = 0
  /// The frame's masking key, turned so that it begins with the next byte.
  private var key: UInt32 = 0
  /// What came of a head that is not all there.
  private var head: (UInt64, UInt64) = (0, 0)
  private var headBytes: UInt8 = 0
  private var stage = Stage.head
  private var opcode = WebSocketOpcode.text
  private var isFinal = false
  /// Between the first byte of a fragmented or gathered message and its last.
  public private(set) var isInMessage = false
  private var utf8: UInt32 = ENGRAM_UTF8_WHOLE
  private var fragments: UInt32 = 0
  private var emptyFragments: UInt32 = 0
  private let limits: WebSocketLimits

  private static let growthBytesMin = 512

  public init(limits: WebSocketLimits = WebSocketLimits()) { self.limits = limits }

  deinit { free(memory) }

  /// Bytes of memory held for a message under way, or for the one of the last event: to be charged by the caller.
  public var heldBytes: Int { capacity }

  /// Whether a frame or a message has begun that has not ended.
  public var isUnderWay: Bool { isInMessage || stage == .control || headBytes > 0 }

  /// Reads on, up to the next event; unmasks `input` in place. Call it again with what was not consumed, until it says
  /// `more`: then `input` may go, and so has the memory of messages told before.
  public mutating func next(_ input: UnsafeMutableRawBufferPointer) -> Step {
    if capacity > 0, !isInMessage, stage == .head { letGo() }
    var used = 0
    while true {
      switch stage {
      case .over:
        letGo()
        return Step(consumed: input.count, event: .more)
      case .head:
        switch readHead(input, &used) {
        case .needs: return Step(consumed: used, event: .more)
        case .failure(let error): return fail(error, used)
        case .head(let head, _):
          if let error = begin(head) { return fail(error, used) }
          if let event = takeWhole(input, &used) { return Step(consumed: used, event: event) }
        }
      case .text, .control:
        if let event = gather(input, &used) { return Step(consumed: used, event: event) }
        if missing > 0 { return Step(consumed: used, event: .more) }
      }
    }
  }

  /// The memory that the bytes of the last event, a text, begin at: the caller's from now on, to be given to `free`.
  /// `nil` if they lie in the input, or if there are none.
  public mutating func takeMemory() -> UnsafeMutableRawPointer? {
    guard !isInMessage, stage == .head, gathered > 0 else { return nil }
    let taken = memory
    memory = nil
    letGo()
    return taken
  }
}

extension WebSocketReader {
  /// The head of a frame out of the input, where it mostly lies whole, or put together in `head`.
  @inline(__always) private mutating func readHead(
    _ input: UnsafeMutableRawBufferPointer, _ used: inout Int
  ) -> WebSocketFrameHead.Parsed {
    if headBytes == 0 {
      let parsed = WebSocketFrameHead.parse(UnsafeRawBufferPointer(rebasing: input[used...]))
      if case .head(_, let bytes) = parsed { used += bytes }
      guard case .needs = parsed else { return parsed }
    }
    return joinHead(input, &used)
  }

  private mutating func joinHead(
    _ input: UnsafeMutableRawBufferPointer, _ used: inout Int
  ) -> WebSocketFrameHead.Parsed {
    while true {
      let count = Int(headBytes)
      let parsed = withUnsafeBytes(of: head) {
        WebSocketFrameHead.parse(UnsafeRawBufferPointer(rebasing: $0[..<count]))
      }
      guard case .needs(let wanted) = parsed else {
        headBytes = 0
        return parsed
      }
      let added = min(wanted - count, input.count - used)
      guard added > 0 else { return parsed }
      withUnsafeMutableBytes(of: &head) { head in
        UnsafeMutableRawBufferPointer(rebasing: head[count...])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: input[used..<used + added]))
      }
      used += added
      headBytes = UInt8(truncatingIfNeeded: count + added)
    }
  }

  /// Takes up a frame whose head was read. Says what is wrong with it here.
  private mutating func begin(_ head: WebSocketFrameHead) -> WebSocketError? {
    if head.opcode.isControl {
      stage = .control
      gatheredControl = 0
    } else {
      guard head.opcode != .binary else { return isInMessage ? .messageUnfinished : .binary }
      guard (head.opcode == .continuation) == isInMessage else {
        return isInMessage ? .messageUnfinished : .nothingToContinue
      }
      // Less than 2^63, by the head, and at most the limit, by these lines: no sum overflows.
      guard head.length + UInt64(gathered) <= UInt64(limits.messageBytesMax) else { return .messageTooBig }
      if !isInMessage {
        fragments = 0
        emptyFragments = 0
        utf8 = ENGRAM_UTF8_WHOLE
      }
      fragments += 1
      guard fragments <= limits.fragmentsMax else { return .tooManyFragments }
      if head.length == 0 { emptyFragments += 1 }
      guard emptyFragments <= limits.emptyFragmentsMax else { return .tooManyEmptyFragments }
      stage = .text
    }
    opcode = head.opcode
    isFinal = head.isFinal
    missing = Int(head.length)
    key = head.key
    return nil
  }

  /// The event of a frame that lies whole in the input, unless it is part of a fragmented message.
  @inline(__always) private mutating func takeWhole(
    _ input: UnsafeMutableRawBufferPointer, _ used: inout Int
  ) -> WebSocketEvent? {
    guard input.count - used >= missing, stage == .control || (isFinal && !isInMessage) else { return nil }
    let payload = UnsafeMutableRawBufferPointer(rebasing: input[used..<used + missing])
    engram_websocket_unmask(payload.baseAddress, payload.baseAddress, missing, key)
    used += missing
    missing = 0
    let bytes = UnsafeRawBufferPointer(payload)
    if stage == .control { return endControl(bytes) }
    stage = .head
    utf8 = engram_utf8_follow(utf8, bytes.baseAddress, bytes.count)
    return utf8 == ENGRAM_UTF8_WHOLE ? .text(bytes) : failed(.invalidText)
  }

  /// Moves what there is of the payload to the reader's memory. The event, if that was the last of it.
  private mutating func gather(
    _ input: UnsafeMutableRawBufferPointer, _ used: inout Int
  ) -> WebSocketEvent? {
    let taken = min(missing, input.count - used)
    let isText = stage == .text
    if isText { isInMessage = true }
    if taken > 0, let source = input.baseAddress {
      let end = gathered + gatheredControl
      let to = room(end + taken, of: end + missing) + end
      engram_websocket_unmask(to, source + used, taken, key)
      let turned = UInt32(truncatingIfNeeded: taken & 3) * 8
      key = key >> turned | key << ((32 - turned) & 31)
      used += taken
      missing -= taken
      if isText {
        gathered += taken
        utf8 = engram_utf8_follow(utf8, to, taken)
        guard utf8 != ENGRAM_UTF8_BAD else { return failed(.invalidText) }
      } else {
        gatheredControl += taken
      }
    }
    guard missing == 0 else { return nil }
    guard isText else {
      let count = gatheredControl
      gatheredControl = 0
      return endControl(
        UnsafeRawBufferPointer(start: memory.map { $0 + gathered }, count: memory == nil ? 0 : count))
    }
    stage = .head
    guard isFinal else { return nil }
    isInMessage = false
    guard utf8 == ENGRAM_UTF8_WHOLE else { return failed(.invalidText) }
    return .text(UnsafeRawBufferPointer(start: memory, count: gathered))
  }

  private mutating func endControl(_ payload: UnsafeRawBufferPointer) -> WebSocketEvent {
    stage = .head
    switch opcode {
    case .ping: return .ping(payload)
    case .pong: return .pong(payload)
    default: return endClose(payload)
    }
  }

  /// RFC 6455, section 5.5.1.
  private mutating func endClose(_ payload: UnsafeRawBufferPointer) -> WebSocketEvent {
    stage = .over
    guard payload.count > 0 else { return .close(nil, reason: payload) }
    guard payload.count > 1 else { return .failure(.closeOfOneByte) }
    let code = WebSocketCloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
    guard code.mayStandInFrame else { return .failure(.invalidCloseCode) }
    let reason = UnsafeRawBufferPointer(rebasing: payload[2...])
    guard engram_utf8_follow(ENGRAM_UTF8_WHOLE, reason.baseAddress, reason.count) == ENGRAM_UTF8_WHOLE else {
      return .failure(.invalidCloseReason)
    }
    return .close(code, reason: reason)
  }

  private mutating func failed(_ error: WebSocketError) -> WebSocketEvent {
    stage = .over
    letGo()
    return .failure(error)
  }

  private mutating func fail(_ error: WebSocketError, _ used: Int) -> Step {
    Step(consumed: used, event: failed(error))
  }

  /// Memory for `needed` bytes. Twice what has arrived is held at most, and never more than is `declared`.
  private mutating func room(_ needed: Int, of declared: Int) -> UnsafeMutableRawPointer {
    if let memory, needed <= capacity { return memory }
    let grown = max(needed, min(declared, max(2 * capacity, WebSocketReader.growthBytesMin)))
    guard let larger = realloc(memory, grown) else {
      fatalError("out of memory: \(grown) bytes of a message")
    }
    memory = larger
    capacity = grown
    return larger
  }

  private mutating func letGo() {
    free(memory)
    memory = nil
    capacity = 0
    gathered = 0
    gatheredControl = 0
    isInMessage = false
  }
}
