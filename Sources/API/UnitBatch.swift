internal import Bytes
internal import Engine
internal import Model

/// Reads the body of a batch that is one JSON text: an array of units, or an object whose `work_units` is one.
enum UnitBatch {
  /// - Returns: what is wrong with it; the request is of no use then.
  static func parse(
    _ body: UnsafeRawBufferPointer, into request: AppendRequest, by writer: Writer
  ) -> Problem? {
    var scanner = JSONScanner(body)
    do throws(JSONError) {
      try scanner.beginDocument()
      switch try scanner.peek() {
      case .array:
        if let problem = try units(&scanner, into: request, writer, UnitPlace.element) { return problem }
      case .object:
        if let problem = try object(&scanner, into: request, writer) { return problem }
      default:
        return Problem(at: "", "must be an array of units, or an object with work_units")
      }
      try scanner.endDocument()
      return nil
    } catch {
      return Problem(error)
    }
  }

  private static func object(
    _ scanner: inout JSONScanner, into request: AppendRequest, _ writer: Writer
  ) throws(JSONError) -> Problem? {
    var isThere = false
    var more = try scanner.enterObject()
    while more {
      let name = try scanner.key()
      guard scanner.matches(name, "work_units") else {
        return Problem(at: pointer(name, in: scanner.bytes), "is not a member of a batch")
      }
      guard !isThere else { return Problem(at: "/work_units", "stands more than once") }
      isThere = true
      guard try scanner.peek() == .array else { return Problem(at: "/work_units", "must be an array") }
      if let problem = try units(&scanner, into: request, writer, UnitPlace.workUnit) { return problem }
      more = try scanner.nextMember()
    }
    return isThere ? nil : Problem(at: "/work_units", "is required")
  }

  private static func units(
    _ scanner: inout JSONScanner, into request: AppendRequest, _ writer: Writer,
    _ place: (Int) -> UnitPlace
  ) throws(JSONError) -> Problem? {
    var more = try scanner.enterArray()
    while more {
      guard request.count < Limits.batchUnitsMax else { return tooMany }
      let place = place(request.count)
      let draft = request.addDraft()
      if let problem = draft.parseUnit(&scanner, at: place) { return problem }
      if let problem = writer.take(draft) { return problem }
      more = try scanner.nextElement()
    }
    return nil
  }

  static var tooMany: Problem {
    Problem(.invalidRequest, "a batch has at most \(Limits.batchUnitsMax) units")
  }

  /// The pointer of a member that the client named, cut short if need be.
  private static func pointer(_ name: JSONString, in bytes: UnsafeRawBufferPointer) -> String {
    JSONText.withDecoded(name, of: bytes) {
      Problem.pointer(to: String(decoding: $0.prefix(64), as: UTF8.self))
    }
  }
}

/// Reads a batch of one JSON text a line (NDJSON), as far as it has come. Lines end with LF or CR LF, the last one
/// also with the body; empty lines are passed over, and count.
struct UnitLines {
  /// Bytes of the body that are read.
  private var offset = 0
  /// Bytes behind them that hold no LF.
  private var searched = 0
  private var line = 0
  /// Where the body was.
  private var base: UnsafeRawPointer?

  var isUnderWay: Bool { offset > 0 || searched > 0 }

  /// Reads the lines that have come since the last call.
  /// - Parameters:
  ///   - body: the body from its start; it may have moved, and grown.
  ///   - isWhole: whether it is all there. Then the next body may begin.
  /// - Returns: what is wrong with the lines; the request is of no use then.
  mutating func read(
    _ body: UnsafeRawBufferPointer, isWhole: Bool, into request: AppendRequest,
    by writer: Writer
  ) -> Problem? {
    follow(body, request)
    defer { if isWhole { self = UnitLines() } }
    while let end = nextEnd(body, isWhole) {
      var last = end
      if last > offset, body[last - 1] == 0x0d { last -= 1 }
      let text = UnsafeRawBufferPointer(rebasing: body[offset..<last])
      if let problem = read(text, into: request, writer) {
        self = UnitLines()
        return problem
      }
      line += 1
      offset = min(end + 1, body.count)
      searched = 0
    }
    return nil
  }

  /// The drafts that were read point into the body.
  private mutating func follow(_ body: UnsafeRawBufferPointer, _ request: AppendRequest) {
    guard let now = body.baseAddress else { return }
    if let base, base != now {
      for index in 0..<request.count { request.draft(index).follow(from: base, to: now) }
    }
    base = now
  }

  /// Where the next line ends, if it does.
  private mutating func nextEnd(_ body: UnsafeRawBufferPointer, _ isWhole: Bool) -> Int? {
    guard offset < body.count else { return nil }
    if let found = body[(offset + searched)...].firstIndex(of: 0x0a) { return found }
    searched = body.count - offset
    return isWhole ? body.count : nil
  }

  private func read(
    _ text: UnsafeRawBufferPointer, into request: AppendRequest, _ writer: Writer
  ) -> Problem? {
    guard text.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { return nil }
    guard request.count < Limits.batchUnitsMax else { return UnitBatch.tooMany }
    var scanner = JSONScanner(text)
    let draft = request.addDraft()
    do throws(JSONError) {
      try scanner.beginDocument()
      if let problem = draft.parseUnit(&scanner, at: .element(line)) { return named(problem) }
      try scanner.endDocument()
    } catch {
      return named(Problem(error))
    }
    return writer.take(draft)
  }

  /// Where a line isn't JSON, the problem at least says which.
  private func named(_ problem: Problem) -> Problem {
    guard problem.errors.isEmpty else { return problem }
    return Problem(
      problem.code, problem.detail, errors: [Problem.Field(pointer: "/\(line)", detail: problem.detail)])
  }
}
