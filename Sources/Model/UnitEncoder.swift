internal import Bytes

/// What the sequencer decided about a draft.
public struct UnitFacts: Sendable {
  public var id: UnitID
  public var sequence: Sequence
  public var position: Position
  public var logTime: LogTime
  /// Events of the same request that follow this one.
  public var requestRemainder: UInt32
  /// The draft's `contentHash`, from those who know it already.
  public var hash: ContentHash?

  public init(
    id: UnitID, sequence: Sequence, position: Position, logTime: LogTime, requestRemainder: UInt32 = 0,
    hash: ContentHash? = nil
  ) {
    self.id = id
    self.sequence = sequence
    self.position = position
    self.logTime = logTime
    self.requestRemainder = requestRemainder
    self.hash = hash
  }
}

/// The key under which a request's answer is kept, and what the request was.
public struct IdempotencyMark {
  public var requestHash: ContentHash
  /// Borrowed, at most `Limits.idempotencyKeyBytesMax` bytes.
  public var key: UnsafeRawBufferPointer

  public init(requestHash: ContentHash, key: UnsafeRawBufferPointer) {
    self.requestHash = requestHash
    self.key = key
  }
}

/// Turns a draft into the record that log, window, store and every reader share: this happens once per unit.
/// The body is the WorkUnit's JSON on one line, members in the order of the wire contract; strings that the
/// client sent are copied as it spelled them, so a payload is copied once.
public enum UnitEncoder {
  /// `{"target_id":"…","type":"…","metadata":{}}` and a comma, the longest type.
  static let relationshipBytesMax = 90
  /// All that isn't the client's: brackets, names, id, time, numbers of 20 digits, the longest type.
  private static let fixedBytesMax = 280

  /// Room that `encode` needs at most, in bytes: close to the record's length. The draft is parsed, and its
  /// agent is resolved.
  public static func bytesMax(for draft: UnitDraft, idempotency: IdempotencyMark? = nil) -> Int {
    draft.parts.recordBytesMax(idempotency)
  }

  /// Writes the record to `base`.
  /// - Parameter capacity: at least `bytesMax`; requires it.
  /// - Returns: the record's length in bytes.
  public static func encode(
    _ draft: UnitDraft, _ facts: UnitFacts, idempotency: IdempotencyMark? = nil,
    into base: UnsafeMutableRawPointer, capacity: Int
  ) -> Int {
    draft.parts.encode(facts, idempotency, base, capacity)
  }

  fileprivate static func fixed() -> Int { fixedBytesMax }
}

extension UnitParts {
  fileprivate borrowing func recordBytesMax(_ idempotency: IdempotencyMark?) -> Int {
    let header = EventRecord.fieldHeaderBytes
    var bytes = EventRecord.headerBytes + EventRecord.checksumBytes + UnitEncoder.fixed() + variableBytes
    bytes += header + EventRecord.unitHeadBytes + header + Int(context.count) + header + Int(agent.count)
    bytes += header + 4
    if fenceToken != nil { bytes += header + 8 + Int(fencePath.count) }
    if let idempotency { bytes += header + 16 + idempotency.key.count }
    return bytes
  }

  fileprivate borrowing func encode(
    _ facts: UnitFacts, _ idempotency: IdempotencyMark?, _ base: UnsafeMutableRawPointer, _ capacity: Int
  ) -> Int {
    var writer = EventRecordWriter(
      at: base, capacity: capacity, kind: .unit, position: facts.position, logTime: facts.logTime)
    let headOffset = writer.out.count
    writer.unitHead(
      UnitHead(
        id: facts.id, sequence: facts.sequence, hash: facts.hash ?? contentHash, type: type.rawValue,
        encoding: encoding.rawValue, payloadOffset: 0, payloadLength: payload.count + 2))
    writer.field(.contextID, bytes(context))
    writer.field(.agentID, bytes(agent))
    if let token = fenceToken {
      writer.beginField(.fence, bytes: 8 + Int(fencePath.count))
      writer.out.integer(token)
      writer.out.run(bytes(fencePath))
    }
    if let idempotency {
      writer.beginField(.idempotency, bytes: 16 + idempotency.key.count)
      writer.out.integer(idempotency.requestHash.high)
      writer.out.integer(idempotency.requestHash.low)
      writer.out.run(idempotency.key)
    }
    if facts.requestRemainder > 0 {
      writer.beginField(.requestRemainder, bytes: 4)
      writer.out.integer(facts.requestRemainder)
    }
    writer.beginBody()
    let payloadOffset = writeBody(facts, &writer)
    // The field's header, then `payloadOffset` in `UnitHead`'s layout.
    base.storeBytes(
      of: UInt32(payloadOffset).littleEndian, toByteOffset: headOffset + EventRecord.fieldHeaderBytes + 48,
      as: UInt32.self)
    return writer.finish()
  }

  /// - Returns: where the payload's token stands in the body.
  private borrowing func writeBody(_ facts: UnitFacts, _ writer: inout EventRecordWriter) -> Int {
    writer.out.run("{\"id\":\"")
    facts.id.write(to: &writer.out)
    writer.out.run("\",\"context_id\":")
    JSONText.writeQuoted(bytes(context), to: &writer.out)
    writer.out.run(",\"agent_id\":")
    JSONText.writeQuoted(bytes(agent), to: &writer.out)
    writer.out.run(",\"type\":\"")
    writer.out.run(type.name)
    writer.out.run("\",\"timestamp\":\"")
    facts.logTime.write(to: &writer.out)
    writer.out.run("\",\"metadata\":")
    write(metadata, to: &writer.out)
    writer.out.run(",\"payload\":")
    let payloadOffset = writer.bodyOffset
    writer.out.run(payload.quoted(of: body))
    switch encoding {
    case .utf8: writer.out.run(",\"payload_encoding\":\"utf8\",\"relationships\":[")
    case .base64: writer.out.run(",\"payload_encoding\":\"base64\",\"relationships\":[")
    }
    for n in relationships.indices {
      writer.out.run(n == 0 ? "{\"target_id\":\"" : ",{\"target_id\":\"")
      relationships[n].target.write(to: &writer.out)
      writer.out.run("\",\"type\":\"")
      writer.out.run(relationships[n].type.name)
      writer.out.run("\",\"metadata\":")
      write(relationships[n].metadata, to: &writer.out)
      writer.out.run("}")
    }
    writer.out.run("],\"sequence\":")
    writer.out.decimal(facts.sequence.rawValue)
    writer.out.run(",\"position\":")
    writer.out.decimal(facts.position.rawValue)
    writer.out.run("}")
    return payloadOffset
  }

  private borrowing func write(_ range: Range<Int>, to out: inout ByteWriter) {
    out.byte(UInt8(ascii: "{"))
    for n in range {
      if n > range.lowerBound { out.byte(UInt8(ascii: ",")) }
      out.run(pairs[n].key.quoted(of: body))
      out.byte(UInt8(ascii: ":"))
      out.run(pairs[n].value.quoted(of: body))
    }
    out.byte(UInt8(ascii: "}"))
  }
}

extension EventRecordWriter {
  /// Begins a field of `bytes` bytes, at most 65,535, which the caller writes to `out`.
  mutating func beginField(_ tag: EventRecord.Field, bytes: Int) {
    out.integer(tag.rawValue)
    out.integer(UInt16(bytes))
  }
}
