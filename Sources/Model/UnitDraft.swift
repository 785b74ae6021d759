public import Bytes

/// Where a unit stands in a request's body, for the JSON pointers of errors.
public enum UnitPlace: Hashable, Sendable {
  /// The body is the unit.
  case body
  /// An element of an array, or a line of NDJSON, from 0.
  case element(Int)
  /// An element of the member `work_units`, from 0.
  case workUnit(Int)
  /// The member `work_unit` of a message.
  case member

  func pointer(_ tail: String) -> String {
    switch self {
    case .body: tail
    case .element(let index): "/\(index)\(tail)"
    case .workUnit(let index): "/work_units/\(index)\(tail)"
    case .member: "/work_unit\(tail)"
    }
  }
}

/// A metadata pair of a draft: tokens of the body.
public struct MetadataPair: Hashable, Sendable {
  public var key: JSONString
  public var value: JSONString
}

/// A relationship of a draft. `metadata` are indices into `UnitDraft.pair`.
public struct DraftRelationship: Hashable, Sendable {
  public var target: UnitID
  public var type: RelationshipType
  public var metadata: Range<Int>
}

/// A request to append one unit, parsed and checked. One per unit in flight, used again for the next one:
/// its memory is kept, so that in the steady state nothing is allocated.
///
/// It borrows the body: the body's memory must stay as it is until the draft is encoded, reset or gone.
///
/// @unchecked Sendable: a draft has one owner at a time. The connection's loop fills it and hands it over to
/// the home loop with the command, and gets it back with the answer; it is never shared.
public final class UnitDraft: @unchecked Sendable {
  /// Unchecked: one owner at a time, as above, so that no access can overlap another.
  @exclusivity(unchecked) var parts = UnitParts()

  public init() {}

  /// Forgets the unit; keeps the memory.
  public func reset() { parts.reset() }

  /// Reads a whole body that is one unit.
  /// - Returns: what is wrong with it (400, or 413 for a payload too large), or nil. After a problem the
  ///   draft holds nothing of use.
  public func parse(_ body: UnsafeRawBufferPointer) -> Problem? {
    guard body.count <= Limits.bodyBytesMax else {
      return Problem(.payloadTooLarge, "The body is larger than \(Limits.bodyBytesMax) bytes")
    }
    reset()
    var scanner = JSONScanner(body)
    do throws(JSONError) {
      try scanner.beginDocument()
      try parts.parse(&scanner, .body)
      try scanner.endDocument()
      return nil
    } catch {
      return parts.takeProblem(error)
    }
  }

  /// Reads the unit that comes next in a body of several, and leaves the scanner behind it.
  /// - Returns: as `parse`; after a problem the scanner is of no further use.
  public func parseUnit(_ scanner: inout JSONScanner, at place: UnitPlace) -> Problem? {
    reset()
    do throws(JSONError) {
      try parts.parse(&scanner, place)
      return nil
    } catch {
      return parts.takeProblem(error)
    }
  }

  /// The body has moved in memory: what stood at `old` stands at `new`.
  public func follow(from old: UnsafeRawPointer, to new: UnsafeRawPointer) {
    guard let base = parts.body.baseAddress else { return }
    parts.body = UnsafeRawBufferPointer(start: new + (base - old), count: parts.body.count)
  }

  /// Decides who posts: `caller` is the agent of the credential (`isAuthenticated`) or of `X-Agent-ID`,
  /// already checked to be an id; nil if there is none. Copies it.
  /// - Returns: the problem if body and caller differ (403 with a credential, else 400) or nobody is named (400).
  public func resolveAgent(_ caller: UnsafeRawBufferPointer?, isAuthenticated: Bool) -> Problem? {
    parts.resolveAgent(caller, isAuthenticated: isAuthenticated)
  }

  // MARK: What the client asked for

  /// The JSON pointer of a member of this unit in its request's body.
  public func pointer(_ member: String) -> String { parts.place.pointer(member) }

  /// The id that the client chose.
  public var id: UnitID? { parts.id }
  /// UTF-8, decoded; empty before `parse`. Valid until the next `parse` or `reset`, as are all buffers here.
  public var contextID: UnsafeRawBufferPointer { parts.bytes(parts.context) }
  /// UTF-8, decoded; nil if neither body nor `resolveAgent` named one.
  public var agentID: UnsafeRawBufferPointer? { parts.agent.count > 0 ? parts.bytes(parts.agent) : nil }
  public var type: WorkUnitType { parts.type }
  /// The payload's token: raw bytes, still escaped, in `body`.
  public var payload: JSONString { parts.payload }
  public var payloadEncoding: PayloadEncoding { parts.encoding }
  /// Bytes of the payload, decoded.
  public var payloadCount: Int { parts.payloadCount }
  /// Indices of the unit's own pairs.
  public var metadata: Range<Int> { parts.metadata }
  public func pair(_ index: Int) -> MetadataPair { parts.pairs[index] }
  public var relationshipCount: Int { parts.relationships.count }
  public func relationship(_ index: Int) -> DraftRelationship { parts.relationships[index] }
  /// The lock that must be held: its canonical path and its token.
  public var fence: (path: UnsafeRawBufferPointer, token: UInt64)? {
    parts.fenceToken.map { (parts.bytes(parts.fencePath), $0) }
  }
  /// The sequence that the unit must get.
  public var expectedSequence: Sequence? { parts.expectedSequence }
  /// The body that the tokens are ranges of.
  public var body: UnsafeRawBufferPointer { parts.body }

  /// What makes two posts of one id the same: context, agent, type, payload bytes, metadata (in any order),
  /// relationships (in order). The spelling of JSON and the payload's encoding are no part of it.
  public var contentHash: ContentHash { parts.contentHash }
}

/// The draft's contents. A struct, so that one access to the class reaches all of them.
struct UnitParts: ~Copyable {
  /// A run of bytes in the body or in the scratch memory, which may move until parsing ends.
  struct Text {
    var start: UInt32 = 0
    var count: UInt32 = 0
    var isScratch = false
  }

  /// Regions of the scratch memory: offset and bytes.
  enum Scratch {
    static let context = 0
    static let agent = 256
    static let caller = 512
    static let path = 768
    // A leading slash more than the limit. Names are at most 17 bytes, enumeration values fewer.
    static let pathBytes = Limits.resourcePathBytesMax + 1
    static let piece = 1_800
    static let bytes = piece + PayloadReader.scratchBytes
  }

  var body = UnsafeRawBufferPointer(start: nil, count: 0)
  var id: UnitID?
  var context = Text()
  var agent = Text()
  var type = WorkUnitType.message
  var payload = JSONString(start: 0, count: 0, decodedCount: 0)
  var encoding = PayloadEncoding.utf8
  var payloadCount = 0
  var metadata = 0..<0
  var pairs: [MetadataPair] = []
  var relationships: [DraftRelationship] = []
  var fencePath = Text()
  var fenceToken: UInt64?
  var expectedSequence: Sequence?
  var payloadPrint = Fingerprint(high: 0, low: 0)
  var metadataPrint = Fingerprint(high: 0, low: 0)
  var relationshipsPrint = Fingerprint(high: 0, low: 0)

  /// Bytes of the body's JSON as it will be written, without the parts that are the same for every unit.
  var variableBytes = 0
  /// What a schema's error left to tell.
  var pending: Problem?
  var place = UnitPlace.body
  var keys = JSONKeys()
  private var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  /// Memory for more pairs or relationships than this isn't kept for the next unit: thousands of drafts are.
  static let keptMax = 256

  deinit { scratch.deallocate() }

  mutating func reset() {
    body = UnsafeRawBufferPointer(start: nil, count: 0)
    id = nil
    context = Text()
    agent = Text()
    payload = JSONString(start: 0, count: 0, decodedCount: 0)
    encoding = .utf8
    payloadCount = 0
    metadata = 0..<0
    pairs.removeAll(keepingCapacity: pairs.capacity <= UnitParts.keptMax)
    relationships.removeAll(keepingCapacity: relationships.capacity <= UnitParts.keptMax)
    fenceToken = nil
    expectedSequence = nil
    metadataPrint = Fingerprint(high: 0, low: 0)
    relationshipsPrint = Fingerprint(high: 0, low: 0)
    variableBytes = 0
    pending = nil
    keys.reset()
  }

  mutating func takeProblem(_ error: JSONError) -> Problem {
    defer { pending = nil }
    return pending ?? Problem(error)
  }

  /// The scratch memory, made when something first has to be decoded.
  mutating func scratchMemory() -> UnsafeMutableRawBufferPointer {
    if scratch.isEmpty { scratch = .allocate(byteCount: Scratch.bytes, alignment: 8) }
    return scratch
  }

  func bytes(_ text: Text) -> UnsafeRawBufferPointer {
    let memory = text.isScratch ? UnsafeRawBufferPointer(scratch) : body
    return UnsafeRawBufferPointer(rebasing: memory[Int(text.start)..<Int(text.start) + Int(text.count)])
  }

  /// The decoded bytes of a token of at most `room` bytes: in the body, or decoded to `offset` of the scratch.
  mutating func keep(_ token: JSONString, at offset: Int, room: Int) -> Text {
    guard token.hasEscapes else { return Text(start: token.start, count: token.count) }
    let memory = UnsafeMutableRawBufferPointer(rebasing: scratchMemory()[offset..<offset + room])
    let count = JSONText.decode(token.raw(of: body), into: memory) ?? 0
    return Text(start: UInt32(offset), count: UInt32(count), isScratch: true)
  }

  /// The same, for use at once.
  mutating func decoded(_ token: JSONString) -> UnsafeRawBufferPointer {
    bytes(keep(token, at: Scratch.piece, room: PayloadReader.scratchBytes))
  }

  mutating func resolveAgent(_ caller: UnsafeRawBufferPointer?, isAuthenticated: Bool) -> Problem? {
    guard let caller, !caller.isEmpty, caller.count <= Limits.identifierBytesMax else {
      guard agent.count == 0 else { return nil }
      return Problem(at: place.pointer("/agent_id"), "is required unless X-Agent-ID names the agent")
    }
    if agent.count > 0 {
      guard !JSONText.same(bytes(agent), caller) else { return nil }
      return isAuthenticated
        ? Problem(.permissionDenied, at: place.pointer("/agent_id"), "is not the agent of the credential")
        : Problem(at: place.pointer("/agent_id"), "differs from X-Agent-ID")
    }
    let memory = UnsafeMutableRawBufferPointer(rebasing: scratchMemory()[Scratch.caller..<Scratch.path])
    memory.copyMemory(from: caller)
    agent = Text(start: UInt32(Scratch.caller), count: UInt32(caller.count), isScratch: true)
    variableBytes += JSONText.quotedCount(caller) - 2
    return nil
  }

  // MARK: Content hash

  /// What stands for a pair in the sum that stands for a set of pairs. `key`: the key's, with seed 1.
  static func print(_ key: Fingerprint, value: UnsafeRawBufferPointer) -> Fingerprint {
    let value = Fingerprint.of(value, seed: key.low)
    return Fingerprint(high: value.high ^ key.high, low: value.low)
  }

  /// Words in the order of the definition: it stands on disk in every unit's record.
  var contentHash: ContentHash {
    let context = Fingerprint.of(bytes(context))
    let agent = Fingerprint.of(bytes(agent))
    let counts = UInt64(type.rawValue) | UInt64(metadata.count) << 8 | UInt64(relationships.count) << 32
    let print = Fingerprint.of(
      [
        context.high, context.low, agent.high, agent.low, payloadPrint.high, payloadPrint.low,
        metadataPrint.high, metadataPrint.low, relationshipsPrint.high, relationshipsPrint.low, counts,
        UInt64(payloadCount),
      ], seed: 2)
    return ContentHash(high: print.high, low: print.low)
  }
}
