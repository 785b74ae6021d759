internal import Access
@testable internal import API
internal import Bytes
internal import Engine
@testable internal import Model

/// `JSONScanner` accepts what a plain reader of RFC 8259 accepts; no reader of a body accepts more than that; what a
/// body says, encoded as a record and read again, says the same; lines that come in pieces say what they say at once.
enum JSON {
  nonisolated(unsafe) private static let pool = UnitDraftPool()
  private static let caller = Array("fuzz".utf8)
  private static let facts = UnitFacts(
    id: UnitID(high: 0x0190_0000_0000_7abc, low: 0x8000_0000_0000_0001), sequence: Sequence(7),
    position: Position(12), logTime: LogTime(microseconds: 1_700_000_000_123_456))

  static func run(_ input: [UInt8]) {
    let isJSON = NaiveJSON.accepts(input)
    let bytes = UnsafeRawBufferPointer(Fenced.copy(input))
    demand(scans(bytes) == isJSON, "accepted \(!isJSON), but by the plain reader \(isJSON)")
    unit(bytes, isJSON)
    body(isJSON, "a search") { () throws(Problem) in
      let draft = try SearchDraft(bytes)
      demand(draft.text.isText && draft.contexts.allSatisfy(\.isText), "a search's text")
      demand(draft.offset + draft.limit <= Limits.searchOffsetMax && draft.limit > 0, "a search's page")
      demand(draft.waitNanoseconds <= Limits.searchWaitMicrosecondsMax * 1000, "a search's wait")
      _ = draft.hash(order: .recent)
    }
    body(isJSON, "a request for locks") { () throws(Problem) in
      let draft = try LockDraft(bytes)
      demand(NaiveJSON.accepts(draft.metadata), "a lock's metadata: \(shown(draft.metadata))")
      demand(Set(draft.paths).count == draft.paths.count && !draft.paths.isEmpty, "a lock's paths")
      for path in draft.paths { demand(NaivePath.canonical(path) == path, "no path: \(shown(path))") }
      demand((100_000...86_400_000_000).contains(draft.ttlMicroseconds), "a TTL of \(draft.ttlMicroseconds)")
      demand(draft.waitNanoseconds <= 300_000_000_000, "a wait of \(draft.waitNanoseconds)")
    }
    body(isJSON, "a renewal") { () throws(Problem) in
      demand(try LockRenewal(bytes).ttlMicroseconds.map { $0 >= 100_000 } ?? true, "a TTL")
    }
    body(isJSON, "a patch") { () throws(Problem) in try patch(try ContextPatch(bytes)) }
    body(isJSON, "a walk") { () throws(Problem) in
      let query = try GraphQuery(bytes)
      demand((1...10).contains(query.depth) && (1...1000).contains(query.limit), "a walk's bounds")
    }
    batch(bytes, isJSON)
    lines(input)
  }

  static func prove() {
    let text = Array(#"{"context_id":"c","type":"ERROR","payload":"aGk=","payload_encoding":"base64"}"#.utf8)
    let draft = UnitDraft()
    let problem = draft.parse(UnsafeRawBufferPointer(Fenced.copy(text)))
    demand(problem == nil && draft.payloadCount == 2, problem?.detail ?? "the payload's length")
    check(draft)
    demand(Lines(text + [10, 10] + text, cuts: [7], caller, pool).hashes.count == 2, "two lines")
  }

  /// A problem is one of the client's, and can be told.
  static func check(_ problem: Problem) {
    demand([400, 403, 413].contains(problem.code.status), "\(problem.code)")
    demand(problem.detail.utf8.count <= 4096 && !problem.detail.isEmpty, "\(problem.detail)")
    // Telling it costs more than finding it.
    guard problem.detail.utf8.count % 4 == 0 else { return }
    let told = caller.withUnsafeBytes { problem.json(requestID: $0) }
    demand(NaiveJSON.accepts(told), "no JSON: \(shown(told))")
  }

  /// A unit that was accepted: its record holds, says what the draft says, and is a body that is accepted again.
  static func check(_ draft: UnitDraft) {
    let named = caller.withUnsafeBytes {
      draft.agentID == nil ? draft.resolveAgent($0, isAuthenticated: false) : nil
    }
    demand(named == nil, "the caller's name is refused")
    demand([UInt8](draft.contextID).isText && !draft.contextID.isEmpty, "a context's id")
    demand(draft.payloadCount <= Limits.payloadBytesMax, "a payload of \(draft.payloadCount) bytes")
    let record = encoded(draft)
    let first = UnsafeRawBufferPointer(Fenced.copy(record))
    guard let view = EventView(first), view.isIntact, let head = view.unit else {
      return demand(false, "no record")
    }
    demand(NaiveJSON.accepts([UInt8](view.body)), "the record's body is no JSON")
    demand(PayloadDecoder.decodedCount(view) == draft.payloadCount, "the payload's length")
    var relationships = 0
    UnitRelationships.forEach(view) { relationship in
      demand(relationship.target == draft.relationship(relationships).target, "a target")
      relationships += 1
      return true
    }
    demand(relationships == draft.relationshipCount, "\(relationships) of \(draft.relationshipCount)")
    let again = UnitDraft()
    let problem = again.parse(UnsafeRawBufferPointer(Fenced.copy(view.body)))
    demand(problem == nil, "what was encoded is refused: \(problem.map(\.detail) ?? "")")
    demand(again.contentHash == draft.contentHash && again.contentHash == head.hash, "the hash differs")
    let second = encoded(again)
    second.withUnsafeBytes { bytes in
      guard let other = EventView(bytes) else { return demand(false, "no second record") }
      demand([UInt8](other.body) == [UInt8](view.body), "encoded twice, it differs")
    }
  }

  private static func encoded(_ draft: UnitDraft) -> [UInt8] {
    let room = UnitEncoder.bytesMax(for: draft, idempotency: nil)
    return [UInt8](unsafeUninitializedCapacity: room) { memory, count in
      guard let base = memory.baseAddress else { return }
      count = UnitEncoder.encode(draft, facts, idempotency: nil, into: base, capacity: room)
      demand(count <= room, "a record of \(count) bytes in \(room)")
    }
  }

  private static func scans(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var scanner = JSONScanner(bytes)
    var keys = JSONKeys()
    do throws(JSONError) {
      try scanner.beginDocument()
      try scanner.skipValue(&keys)
      try scanner.endDocument()
      return true
    } catch {
      demand(Int(error.offset) <= bytes.count, "an error at \(error.offset) of \(bytes.count)")
      return false
    }
  }

  private static func unit(_ bytes: UnsafeRawBufferPointer, _ isJSON: Bool) {
    let draft = UnitDraft()
    if let problem = draft.parse(bytes) { return check(problem) }
    demand(isJSON, "a unit that isn't JSON was accepted")
    check(draft)
  }

  private static func body(_ isJSON: Bool, _ what: String, _ read: () throws(Problem) -> Void) {
    do throws(Problem) {
      try read()
      demand(isJSON, "\(what) that isn't JSON was accepted")
    } catch {
      check(error)
    }
  }

  /// A context that was patched, written and read again is the same.
  private static func patch(_ patch: ContextPatch) throws(Problem) {
    let id = Array("context".utf8)
    var state = id.withUnsafeBytes { ContextState(id: $0, createdAt: LogTime(microseconds: 1_000_000)) }
    if let problem = state.apply(patch) { throw problem }
    let json = ByteWriter.bytes(capacity: ContextEncoder.jsonBytesMax(state)) {
      ContextEncoder.writeJSON(state, to: &$0)
    }
    demand(NaiveJSON.accepts(json), "a context that is no JSON: \(shown(json))")
    let copy = UnsafeRawBufferPointer(Fenced.copy(json))
    demand(ContextState(json: copy) == state, "a context read again: \(shown(json))")
    for agent in patch.addAgents {
      demand(ContextJSON.lists(agent, in: copy), "an agent that was added isn't listed")
    }
  }

  private static func batch(_ bytes: UnsafeRawBufferPointer, _ isJSON: Bool) {
    let request = AppendRequest(loop: 0, pool: pool)
    let problem = caller.withUnsafeBytes {
      UnitBatch.parse(bytes, into: request, by: Writer(.open, agent: $0))
    }
    if let problem {
      check(problem)
    } else {
      demand(isJSON, "a batch that isn't JSON was accepted")
      for index in 0..<request.count { check(request.draft(index)) }
    }
    request.reset()
  }

  /// NDJSON, once at once and once as it comes.
  private static func lines(_ input: [UInt8]) {
    let whole = Lines(input, cuts: [], caller, pool)
    var chance = Chance(input)
    let found = Lines(input, cuts: chance.cuts(of: input.count, 3), caller, pool)
    demand(found.problem == whole.problem, "\(found), not \(whole)")
    demand(whole.problem != nil || found.hashes == whole.hashes, "units of lines differ by cuts")
  }

  private struct Lines {
    var problem: String?
    var hashes: [ContentHash] = []

    init(_ input: [UInt8], cuts: [Int], _ caller: [UInt8], _ pool: UnitDraftPool) {
      let request = AppendRequest(loop: 0, pool: pool)
      var reader = UnitLines()
      for end in cuts + [input.count] where problem == nil {
        // The body moves each time it grows; an end that isn't the last may also be the last byte's.
        let body = UnsafeRawBufferPointer(Fenced.copy(input[..<end]))
        problem = caller.withUnsafeBytes {
          reader.read(body, isWhole: false, into: request, by: Writer(.open, agent: $0))?.detail
        }
      }
      if problem == nil {
        let body = UnsafeRawBufferPointer(Fenced.copy(input))
        problem = caller.withUnsafeBytes {
          reader.read(body, isWhole: true, into: request, by: Writer(.open, agent: $0))?.detail
        }
      }
      if problem == nil { hashes = (0..<request.count).map { request.draft($0).contentHash } }
      request.reset()
    }
  }
}
