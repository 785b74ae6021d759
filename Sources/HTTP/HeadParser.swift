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

  enum Stage: Equatable {
    case start, requestLine, fields
    case failed(HTTPError)
  }

  let limits: HTTPLimits
  private var stage = Stage.start
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
    if case .failed(let error) = stage { return .failure(error) }
    guard let base = bytes.baseAddress else { return .needMore }
    do throws(HTTPError) {
      guard let end = try advance(base, bytes.count, &head) else { return .needMore }
      self = HeadParser(limits: limits)
      return .head(consumed: end)
    } catch {
      stage = .failed(error)
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
    while true {
      let lineMax = stage == .fields ? limit : Int(limits.requestLineBytesMax)
      next = engram_scan_line(base, next, min(view, start + lineMax + 1))
      if next - start > lineMax { throw .requestLineTooLong }
      guard next + 1 < view else {
        if next < view { try check(base.load(fromByteOffset: next, as: UInt8.self), nil) }
        if count >= limit { throw .headTooLarge }
        lineStart = UInt16(truncatingIfNeeded: start)
        scanned = UInt16(truncatingIfNeeded: next)
        return nil
      }
      try check(
        base.load(fromByteOffset: next, as: UInt8.self), base.load(fromByteOffset: next + 1, as: UInt8.self))
      if try line(base, start, next, &head) { return next + 2 }
      next += 2
      start = next
    }
  }

  /// Whether a line ends here as it must, in CR and then LF, as far as they are known.
  @inline(__always) private func check(_ byte: UInt8, _ following: UInt8?) throws(HTTPError) {
    guard byte == ASCII.carriageReturn else {
      throw byte == ASCII.lineFeed ? .bareLineFeed : .controlCharacter
    }
    if let following, following != ASCII.lineFeed { throw .bareCarriageReturn }
  }

  /// Takes the line `start ..< end`; true if it was the last of the head.
  @inline(__always) private mutating func line(
    _ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ head: inout RequestHead
  ) throws(HTTPError) -> Bool {
    if stage == .fields {
      guard start < end else {
        try finish(base, &head)
        return true
      }
      try field(base, start, end, &head)
      return false
    }
    if start == end {
      // RFC 9112, section 2.2: one empty line before the request line is forgiven.
      guard stage == .start else { throw .malformedRequestLine }
      stage = .requestLine
      return false
    }
    try requestLine(base, start, end, &head)
    stage = .fields
    return false
  }

  /// Notes a field line, whose bytes are known to hold no control character but HTAB.
  private func field(
    _ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ head: inout RequestHead
  ) throws(HTTPError) {
    let first = base.load(fromByteOffset: start, as: UInt8.self)
    guard first != ASCII.space, first != ASCII.tab else { throw .foldedField }
    guard head.fieldCount < min(Int(limits.fieldsMax), head.capacity) else { throw .tooManyFields }
    let colon = engram_scan_byte(base, start, end, UInt8(ascii: ":"))
    let nameLength = colon - start
    guard colon < end else { throw .missingColon }
    guard nameLength > 0 else { throw .malformedFieldName }
    let known = KnownField.match(base + start, nameLength)
    if let known {
      if known.framesMessage, head.has(known) { throw .repeatedField }
    } else {
      try checkName(base, start, colon)
    }
    var valueStart = colon + 1
    var valueEnd = end
    while valueStart < valueEnd, isBlank(base, valueStart) { valueStart += 1 }
    while valueEnd > valueStart, isBlank(base, valueEnd - 1) { valueEnd -= 1 }
    head.append(
      RequestHead.Field(
        name: UInt16(truncatingIfNeeded: start), value: UInt16(truncatingIfNeeded: valueStart),
        valueLength: UInt16(truncatingIfNeeded: valueEnd - valueStart),
        nameLength: UInt8(truncatingIfNeeded: nameLength), known: known?.rawValue ?? RequestHead.absent))
  }

  private func checkName(_ base: UnsafeRawPointer, _ start: Int, _ colon: Int) throws(HTTPError) {
    let stop = engram_scan_token(base, start, colon)
    guard stop == colon else { throw isBlank(base, colon - 1) ? .spaceBeforeColon : .malformedFieldName }
    guard colon - start <= HTTPLimits.fieldNameBytesMax else { throw .fieldNameTooLong }
  }

  @inline(__always) private func isBlank(_ base: UnsafeRawPointer, _ offset: Int) -> Bool {
    let byte = base.load(fromByteOffset: offset, as: UInt8.self)
    return byte == ASCII.space || byte == ASCII.tab
  }
}

extension RequestHead {
  /// Notes one more field line; there is room for it.
  @inline(__always) mutating func append(_ field: Field) {
    fields[fieldCount] = field
    if field.known != RequestHead.absent, known[Int(field.known)] == RequestHead.absent {
      known[Int(field.known)] = UInt8(truncatingIfNeeded: fieldCount)
    }
    fieldCount += 1
  }
}
