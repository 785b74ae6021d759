internal import CBytes

/// Finds and checks one request head after another (RFC 9112, sections 2 to 5), strictly: what two readers could
/// take in two ways is refused.
///
/// A machine without I/O that goes line by line. A line is looked at when its CRLF is there, in order, so the
/// outcome depends only on the bytes, not on how they arrived; what has been scanned is not scanned again, so
/// a head that drips in costs no more than one that comes whole. About 20 bytes; the fields are kept in the
/// `RequestHead`, which must be the same in all calls for one head.
public struct HeadParser: Sendable {
  public enum Outcome: Equatable, Sendable {
    /// The head isn't complete: call again with the same bytes and more behind them.
    case needMore
    /// The head is the first `consumed` bytes; behind them stands the body, or the next head.
    case head(consumed: Int)
    /// Answer with the error's status and close. Every further call says the same.
    case failure(HTTPError)
  }

  private enum Stage: UInt8 {
    case start, requestLine, fields
  }

  private let limits: HTTPLimits
  private var stage = Stage.start
  private var failed: HTTPError?
  private var lineStart: UInt16 = 0
  private var scanned: UInt16 = 0

  /// The limits must fit the storage of the `RequestHead` that is parsed into.
  public init(limits: HTTPLimits = HTTPLimits()) {
    self.limits = limits
  }

  /// Whether a head has begun: the connection isn't idle, and the time for a head is running.
  public var isUnderWay: Bool { stage != .start || scanned > 0 }

  /// Looks at `bytes`, which begin where the last head or body ended and hold everything since, and fills `head`
  /// once its end is there. The bytes may have moved between calls; they are not kept.
  public mutating func parse(_ bytes: UnsafeRawBufferPointer, into head: inout RequestHead) -> Outcome {
    if let failed { return .failure(failed) }
    guard let base = bytes.baseAddress else { return .needMore }
    do throws(HTTPError) {
      guard let end = try advance(base, bytes.count, &head) else { return .needMore }
      stage = .start
      lineStart = 0
      scanned = 0
      return .head(consumed: end)
    } catch {
      failed = error
      return .failure(error)
    }
  }

  /// Goes on to the end of the head, or returns `nil` where the bytes end before it.
  private mutating func advance(
    _ base: UnsafeRawPointer, _ count: Int, _ head: inout RequestHead
  ) throws(HTTPError) -> Int? {
    let limit = Int(limits.headBytesMax)
    let view = min(count, limit)
    precondition(view >= Int(scanned), "the bytes of a head got fewer")
    if !isUnderWay { head.clear() }
    var start = Int(lineStart)
    var next = Int(scanned)
    while stage != .fields {
      let lineMax = Int(limits.requestLineBytesMax)
      next = engram_scan_line(base, next, min(view, start + lineMax + 1))
      guard next - start <= lineMax else { throw .requestLineTooLong }
      guard try lineEnds(base, next, view) else { return try wait(start, next, count >= limit) }
      if start < next {
        try head.readRequestLine(base, start, next)
        stage = .fields
      } else {
        // RFC 9112, section 2.2: one empty line before the request line is forgiven.
        guard stage == .start else { throw .malformedRequestLine }
        stage = .requestLine
      }
      next += 2
      start = next
    }
    let fieldsMax = min(Int(limits.fieldsMax), head.capacity)
    while true {
      next = engram_scan_line(base, next, view)
      guard try lineEnds(base, next, view) else { return try wait(start, next, count >= limit) }
      if start == next {
        try head.readMeaning(base)
        return next &+ 2
      }
      try head.readField(base, start, next, view, fieldsMax)
      next &+= 2
      start = next
    }
  }

  /// Whether CR and LF stand at `next`, where a line scan stopped; false if that can't be known yet.
  @inline(__always) private func lineEnds(
    _ base: UnsafeRawPointer, _ next: Int, _ view: Int
  ) throws(HTTPError) -> Bool {
    if next &+ 1 < view {
      let pair = UInt16(littleEndian: base.loadUnaligned(fromByteOffset: next, as: UInt16.self))
      if pair == 0x0a0d { return true }
    } else if next == view {
      return false
    }
    let byte = base.load(fromByteOffset: next, as: UInt8.self)
    guard byte == ASCII.carriageReturn else {
      throw byte == ASCII.lineFeed ? .bareLineFeed : .controlCharacter
    }
    guard next + 1 == view else { throw .bareCarriageReturn }
    return false
  }

  /// Remembers where to go on, unless the head has already used up its room.
  private mutating func wait(_ start: Int, _ next: Int, _ isFull: Bool) throws(HTTPError) -> Int? {
    guard !isFull else { throw .headTooLarge }
    lineStart = UInt16(truncatingIfNeeded: start)
    scanned = UInt16(truncatingIfNeeded: next)
    return nil
  }
}
