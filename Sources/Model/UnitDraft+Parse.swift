internal import Bytes

/// The members of a unit in a create request. Raw values are bits of the set of those seen.
private enum Member: Int {
  case id, contextID, agentID, type, payload, payloadEncoding, metadata, meta, relationships, fence
  case expectedSequence, timestamp, ts, sequence, position

  var bit: UInt32 { 1 << UInt32(rawValue) }

  init?(_ name: UnsafeRawBufferPointer) {
    @inline(__always)
    func named(_ text: StaticString, _ member: Member) -> Member? { name.spells(text) ? member : nil }
    let found: Member?
    switch name.count {
    case 2: found = named("id", .id) ?? named("ts", .ts)
    case 4: found = named("type", .type) ?? named("meta", .meta)
    case 5: found = named("fence", .fence)
    case 7: found = named("payload", .payload)
    case 8:
      found =
        named("metadata", .metadata) ?? named("agent_id", .agentID) ?? named("sequence", .sequence)
        ?? named("position", .position)
    case 9: found = named("timestamp", .timestamp)
    case 10: found = named("context_id", .contextID)
    case 13: found = named("relationships", .relationships)
    case 16: found = named("payload_encoding", .payloadEncoding)
    case 17: found = named("expected_sequence", .expectedSequence)
    default: found = nil
    }
    guard let found else { return nil }
    self = found
  }
}

extension UnsafeRawBufferPointer {
  /// Whether these bytes are that text, of at most 24 bytes: words that overlap, without a call.
  @inline(__always)
  func spells(_ text: StaticString) -> Bool {
    guard count == text.utf8CodeUnitCount, let base = baseAddress else { return false }
    let wanted = UnsafeRawPointer(text.utf8Start)
    func same<T: FixedWidthInteger>(_: T.Type, _ at: Int) -> Bool {
      base.loadUnaligned(fromByteOffset: at, as: T.self)
        == wanted.loadUnaligned(fromByteOffset: at, as: T.self)
    }
    switch count {
    case 16...24: return same(UInt64.self, 0) && same(UInt64.self, 8) && same(UInt64.self, count - 8)
    case 8...15: return same(UInt64.self, 0) && same(UInt64.self, count - 8)
    case 4...7: return same(UInt32.self, 0) && same(UInt32.self, count - 4)
    case 2...3: return same(UInt16.self, 0) && same(UInt16.self, count - 2)
    default: return JSONText.same(self, text.bytes)
    }
  }
}

extension UnitParts {
  /// A name that is longer than this is none that we know, in bytes.
  private static let memberBytesMax = 17
  /// Of a member that is refused, so much is named, in bytes.
  private static let quotedBytesMax = 128

  // MARK: The unit

  mutating func parse(_ scanner: inout JSONScanner, _ place: UnitPlace) throws(JSONError) {
    body = scanner.bytes
    self.place = place
    guard try scanner.peek() == .object else { throw refuse("", "must be an object") }
    var seen: UInt32 = 0
    var more = try scanner.enterObject()
    while more {
      let name = try scanner.key()
      guard let member = knownName(name).flatMap(Member.init) else { throw refuseMember(name, under: "") }
      guard seen & member.bit == 0 else { throw duplicate(name, under: "") }
      seen |= member.bit
      try parse(member, &scanner)
      more = try scanner.nextMember()
    }
    if seen & Member.contextID.bit == 0 { throw refuse("/context_id", "is required") }
    if seen & Member.type.bit == 0 { throw refuse("/type", "is required") }
    if seen & Member.payload.bit == 0 { throw refuse("/payload", "is required") }
    let both = Member.metadata.bit | Member.meta.bit
    if seen & both == both { throw refuse("/meta", "is another name of metadata: only one may be given") }
    try finishPayload()
  }

  private mutating func parse(_ member: Member, _ scanner: inout JSONScanner) throws(JSONError) {
    switch member {
    case .id:
      id = try unitID(&scanner, "/id")
    case .contextID:
      context = try identifier(&scanner, "/context_id", at: Scratch.context)
    case .agentID:
      agent = try identifier(&scanner, "/agent_id", at: Scratch.agent)
    case .type:
      type = try unitType(&scanner)
    case .payload:
      payload = try string(&scanner, "/payload")
    case .payloadEncoding:
      let token = try string(&scanner, "/payload_encoding")
      guard let found = knownName(token).flatMap(PayloadEncoding.init(name:)) else {
        throw refuse("/payload_encoding", "must be \"utf8\" or \"base64\"")
      }
      encoding = found
    case .metadata, .meta:
      let pointer: StaticString = member == .meta ? "/meta" : "/metadata"
      (metadata, metadataPrint) = try pairs(&scanner) { "\(pointer)" }
    case .relationships:
      try parseRelationships(&scanner)
    case .fence:
      try parseFence(&scanner)
    case .expectedSequence:
      expectedSequence = Sequence(try integer(&scanner, "/expected_sequence"))
    case .timestamp, .ts, .sequence, .position:
      try scanner.skipValue(&keys)
    }
  }

  private mutating func finishPayload() throws(JSONError) {
    let raw = payload.raw(of: body)
    func tooLarge() -> JSONError {
      refuse("/payload", "must be at most \(Limits.payloadBytesMax) bytes", .payloadTooLarge)
    }
    variableBytes += raw.count
    if encoding == .utf8, !payload.hasEscapes {
      guard raw.count <= Limits.payloadBytesMax else { throw tooLarge() }
      payloadCount = raw.count
      payloadPrint = Fingerprint.of(raw)
      return
    }
    // What base64 stands for is checked before it is decoded, so that it costs nothing to refuse.
    let atLeast = encoding == .utf8 ? Int(payload.decodedCount) : Int(payload.decodedCount) / 4 * 3 - 2
    guard atLeast <= Limits.payloadBytesMax else { throw tooLarge() }
    let memory = scratchMemory()
    let scratch = UnsafeMutableRawBufferPointer(rebasing: memory[Scratch.piece...])
    var reader = PayloadReader(raw, hasEscapes: payload.hasEscapes, encoding: encoding)
    var stream = FingerprintStream()
    var count = 0
    reading: while true {
      switch reader.next(scratch) {
      case .bytes(let piece):
        stream.add(piece)
        count += piece.count
      case .end: break reading
      case .malformed: throw refuse("/payload", "must be base64 with padding (RFC 4648, section 4)")
      }
    }
    guard count <= Limits.payloadBytesMax else { throw tooLarge() }
    payloadCount = count
    payloadPrint = stream.finish()
  }

  // MARK: Members of one kind

  private mutating func string(
    _ scanner: inout JSONScanner, _ pointer: @autoclosure () -> String
  ) throws(JSONError) -> JSONString {
    guard try scanner.peek() == .string else { throw refuse(pointer(), "must be a string") }
    return try scanner.string()
  }

  private mutating func identifier(
    _ scanner: inout JSONScanner, _ pointer: StaticString, at offset: Int
  ) throws(JSONError) -> Text {
    let token = try string(&scanner, "\(pointer)")
    guard token.decodedCount >= 1, token.decodedCount <= Limits.identifierBytesMax else {
      throw refuse("\(pointer)", "must be 1 to \(Limits.identifierBytesMax) bytes")
    }
    let text = keep(token, at: offset, room: Limits.identifierBytesMax)
    guard !JSONText.hasControl(bytes(text)) else {
      throw refuse("\(pointer)", "must not hold control characters")
    }
    // A quote or backslash takes at least as much in the body as it will in the record.
    variableBytes += Int(token.count)
    return text
  }

  private mutating func unitID(
    _ scanner: inout JSONScanner, _ pointer: @autoclosure () -> String
  ) throws(JSONError) -> UnitID {
    let token = try string(&scanner, pointer())
    guard token.decodedCount == UnitID.textBytes, let found = UnitID(decoded(token)) else {
      throw refuse(pointer(), "must be a UUID of version 7 (RFC 9562)")
    }
    return found
  }

  private mutating func integer(
    _ scanner: inout JSONScanner, _ pointer: StaticString
  ) throws(JSONError) -> UInt64 {
    guard try scanner.peek() == .number, let value = try scanner.whole(), value >= 0 else {
      throw refuse("\(pointer)", "must be an integer from 0 to \(Limits.integerMax)")
    }
    return UInt64(value)
  }

  private mutating func unitType(_ scanner: inout JSONScanner) throws(JSONError) -> WorkUnitType {
    let found: WorkUnitType?
    switch try scanner.peek() {
    case .string: found = knownName(try scanner.string()).flatMap(WorkUnitType.init(name:))
    case .number: found = try scanner.whole().flatMap(WorkUnitType.init(number:))
    default: throw refuse("/type", "must be a name or a number")
    }
    guard let found else { throw refuse("/type", "is not a type of work unit") }
    return found
  }

  private mutating func relationshipType(
    _ scanner: inout JSONScanner, _ pointer: @autoclosure () -> String
  ) throws(JSONError) -> RelationshipType {
    let found: RelationshipType?
    switch try scanner.peek() {
    case .string: found = knownName(try scanner.string()).flatMap(RelationshipType.init(name:))
    case .number: found = try scanner.whole().flatMap(RelationshipType.init(number:))
    default: throw refuse(pointer(), "must be a name or a number")
    }
    guard let found else { throw refuse(pointer(), "is not a type of relationship") }
    return found
  }

  // MARK: Metadata

  private mutating func pairs(
    _ scanner: inout JSONScanner, _ pointer: () -> String
  ) throws(JSONError) -> (Range<Int>, Fingerprint) {
    guard try scanner.peek() == .object else { throw refuse(pointer(), "must be an object of strings") }
    let first = pairs.count
    var sum = Fingerprint(high: 0, low: 0)
    let mark = keys.begin()
    var more = try scanner.enterObject()
    while more {
      let key = try scanner.key()
      guard pairs.count - first < Limits.metadataPairsMax else {
        throw refuse(pointer(), "must hold at most \(Limits.metadataPairsMax) pairs")
      }
      guard key.decodedCount <= Limits.metadataKeyBytesMax else {
        throw refuse(pointer(), "must have keys of at most \(Limits.metadataKeyBytesMax) bytes")
      }
      let keyPrint = Fingerprint.of(decoded(key), seed: 1)
      do throws(JSONError) { try keys.insert(key, hash: keyPrint.low, of: body, since: mark) } catch {
        throw duplicate(key, under: pointer())
      }
      guard try scanner.peek() == .string else { throw refuse(pointer() + step(key), "must be a string") }
      let value = try scanner.string()
      guard value.decodedCount <= Limits.metadataValueBytesMax else {
        throw refuse(pointer() + step(key), "must be at most \(Limits.metadataValueBytesMax) bytes")
      }
      let pair = MetadataPair(key: key, value: value)
      pairs.append(pair)
      sum = sum &+ Self.print(keyPrint, value: decoded(value))
      variableBytes += Int(key.count) + Int(value.count) + 6  // quotes, colon, comma
      more = try scanner.nextMember()
    }
    try keys.end(mark, of: body)
    return (first..<pairs.count, sum)
  }

  // MARK: Relationships

  private mutating func parseRelationships(_ scanner: inout JSONScanner) throws(JSONError) {
    guard try scanner.peek() == .array else { throw refuse("/relationships", "must be an array") }
    var stream = FingerprintStream(seed: 3)
    var more = try scanner.enterArray()
    while more {
      guard relationships.count < Limits.relationshipsMax else {
        throw refuse("/relationships", "must hold at most \(Limits.relationshipsMax) relationships")
      }
      let (found, print) = try relationship(&scanner)
      let counts = UInt64(found.type.rawValue) | UInt64(found.metadata.count) << 8
      stream.add([found.target.high, found.target.low, counts, print.high, print.low])
      relationships.append(found)
      variableBytes += UnitEncoder.relationshipBytesMax
      more = try scanner.nextElement()
    }
    if !relationships.isEmpty { relationshipsPrint = stream.finish() }
  }

  private mutating func relationship(
    _ scanner: inout JSONScanner
  ) throws(JSONError) -> (DraftRelationship, Fingerprint) {
    let index = relationships.count
    func pointer(_ tail: String) -> String { "/relationships/\(index)\(tail)" }
    guard try scanner.peek() == .object else { throw refuse(pointer(""), "must be an object") }
    var target: UnitID?
    var type: RelationshipType?
    var metadata: (Range<Int>, Fingerprint)?
    var spelledMeta = false
    var more = try scanner.enterObject()
    while more {
      let key = try scanner.key()
      guard let name = knownName(key) else { throw refuseMember(key, under: pointer("")) }
      if name.spells("target_id") {
        guard target == nil else { throw duplicate(key, under: pointer("")) }
        target = try unitID(&scanner, pointer("/target_id"))
      } else if name.spells("type") {
        guard type == nil else { throw duplicate(key, under: pointer("")) }
        type = try relationshipType(&scanner, pointer("/type"))
      } else if name.spells("metadata") || name.spells("meta") {
        let isMeta = name.count == 4
        if metadata != nil {
          guard isMeta != spelledMeta else { throw duplicate(key, under: pointer("")) }
          throw refuse(pointer("/meta"), "is another name of metadata: only one may be given")
        }
        spelledMeta = isMeta
        metadata = try pairs(&scanner) { pointer(isMeta ? "/meta" : "/metadata") }
      } else {
        throw refuseMember(key, under: pointer(""))
      }
      more = try scanner.nextMember()
    }
    guard let target else { throw refuse(pointer("/target_id"), "is required") }
    guard let type else { throw refuse(pointer("/type"), "is required") }
    let (range, print) = metadata ?? (0..<0, Fingerprint(high: 0, low: 0))
    return (DraftRelationship(target: target, type: type, metadata: range), print)
  }

  // MARK: Fence

  private mutating func parseFence(_ scanner: inout JSONScanner) throws(JSONError) {
    guard try scanner.peek() == .object else { throw refuse("/fence", "must be an object") }
    var path: Text?
    var more = try scanner.enterObject()
    while more {
      let key = try scanner.key()
      guard let name = knownName(key) else { throw refuseMember(key, under: "/fence") }
      if name.spells("resource_path") {
        guard path == nil else { throw duplicate(key, under: "/fence") }
        path = try resourcePath(&scanner)
      } else if name.spells("token") {
        guard fenceToken == nil else { throw duplicate(key, under: "/fence") }
        fenceToken = try integer(&scanner, "/fence/token")
      } else {
        throw refuseMember(key, under: "/fence")
      }
      more = try scanner.nextMember()
    }
    guard let path else { throw refuse("/fence/resource_path", "is required") }
    guard fenceToken != nil else { throw refuse("/fence/token", "is required") }
    fencePath = path
  }

  private mutating func resourcePath(_ scanner: inout JSONScanner) throws(JSONError) -> Text {
    let pointer = "/fence/resource_path"
    let token = try string(&scanner, pointer)
    guard token.decodedCount <= Scratch.pathBytes else {
      throw refuse(pointer, ResourcePath.Fault.tooLong.detail)
    }
    var text = keep(token, at: Scratch.path, room: Scratch.pathBytes)
    do throws(ResourcePath.Fault) {
      // The canonical form is what remains behind a leading slash.
      let dropped = text.count - UInt32(try ResourcePath.canonical(bytes(text)).count)
      text.start += dropped
      text.count -= dropped
    } catch {
      throw refuse(pointer, error.detail)
    }
    return text
  }

  // MARK: Errors

  /// A name's decoded bytes, if it can be one that we know.
  private mutating func knownName(_ token: JSONString) -> UnsafeRawBufferPointer? {
    token.decodedCount <= Self.memberBytesMax ? decoded(token) : nil
  }

  private mutating func refuse(
    _ pointer: String, _ detail: String, _ code: ErrorCode = .invalidRequest
  ) -> JSONError {
    pending = Problem(code, at: place.pointer(pointer), detail)
    return JSONError(.refused, at: 0)
  }

  private mutating func refuseMember(_ name: JSONString, under pointer: String) -> JSONError {
    refuse(pointer + step(name), "is not a member of this object")
  }

  private mutating func duplicate(_ name: JSONString, under pointer: String) -> JSONError {
    refuse(pointer + step(name), "is given twice")
  }

  /// A step of a JSON pointer (RFC 6901, section 3) by a member's name, cut if that is very long.
  private func step(_ name: JSONString) -> String {
    JSONText.withDecoded(name, of: body) {
      Problem.pointer(to: String(decoding: $0.prefix(Self.quotedBytesMax), as: UTF8.self))
    }
  }
}
