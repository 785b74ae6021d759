internal import Bytes
public import Model

/// Builds intact records for tests.
public enum EventSamples {
  /// A unit's record. Its id is made of `position` unless one is given; body: `bodyBytes` bytes of text.
  public static func unit(
    position: UInt64, context: [UInt8], sequence: UInt64, agent: [UInt8] = Array("agent".utf8),
    id: UnitID? = nil, bodyBytes: Int = 40, logTime: UInt64? = nil
  ) -> [UInt8] {
    let head = UnitHead(
      id: id ?? UnitID(high: position << 16, low: position &* 0x9e37_79b9), sequence: Sequence(sequence),
      hash: ContentHash(high: position &* 31, low: position &* 17), type: 1, encoding: 0, payloadOffset: 0,
      payloadLength: 0)
    return record(.unit, position, logTime ?? position * 1000, bodyBytes: bodyBytes) { writer in
      writer.unitHead(head)
      context.withUnsafeBytes { writer.field(.contextID, $0) }
      agent.withUnsafeBytes { writer.field(.agentID, $0) }
    }
  }

  /// A unit's record as a filter sees it: with a type, an agent, and a body that holds metadata (ASCII, without quotes).
  public static func unit(
    position: UInt64, context: [UInt8], sequence: UInt64, type: UInt8, agent: [UInt8],
    metadata: [(key: String, value: String)], logTime: UInt64, bodyBytes: Int = 40
  ) -> [UInt8] {
    let pairs = metadata.map { "\"\($0.key)\":\"\($0.value)\"" }.joined(separator: ",")
    let head = "{\"id\":\"\(position)\",\"metadata\":{\(pairs)},\"payload\":"
    let text = head + "\"" + String(repeating: "x", count: bodyBytes) + "\"}"
    let unit = UnitHead(
      id: UnitID(high: position << 16, low: position &* 0x9e37_79b9), sequence: Sequence(sequence),
      hash: ContentHash(high: position &* 31, low: position &* 17), type: type, encoding: 0,
      payloadOffset: UInt32(head.utf8.count), payloadLength: UInt32(bodyBytes + 2))
    return record(.unit, position, logTime, body: Array(text.utf8)) { writer in
      writer.unitHead(unit)
      context.withUnsafeBytes { writer.field(.contextID, $0) }
      agent.withUnsafeBytes { writer.field(.agentID, $0) }
    }
  }

  /// The id of the unit that `relatedUnit` makes for a position: a UUIDv7, as relationships name it.
  public static func unitID(_ position: UInt64) -> UnitID {
    UnitID(high: position << 16 | 0x7000, low: 1 << 63 | position &* 0x9e37_79b9)
  }

  /// A unit's record that names others, as `UnitEncoder` writes it.
  /// - Parameter relationships: `metadata` is JSON.
  public static func relatedUnit(
    position: UInt64, context: [UInt8], sequence: UInt64, id: UnitID? = nil,
    relationships: [(target: UnitID, type: RelationshipType, metadata: String)], metadata: String = "{}",
    payload: String = "x", encoding: PayloadEncoding = .utf8, logTime: UInt64? = nil
  ) -> [UInt8] {
    let id = id ?? unitID(position)
    let head = "{\"id\":\"\(id)\",\"metadata\":\(metadata),\"payload\":"
    let list = relationships.map {
      "{\"target_id\":\"\($0.target)\",\"type\":\"\($0.type.name)\",\"metadata\":\($0.metadata)}"
    }
    let tail =
      ",\"payload_encoding\":\"\(encoding.name)\",\"relationships\":[\(list.joined(separator: ","))],"
      + "\"sequence\":\(sequence),\"position\":\(position)}"
    let unit = UnitHead(
      id: id, sequence: Sequence(sequence), hash: ContentHash(high: position &* 31, low: position &* 17),
      type: 1, encoding: encoding.rawValue, payloadOffset: UInt32(head.utf8.count),
      payloadLength: UInt32(payload.utf8.count + 2))
    let text = head + "\"" + payload + "\"" + tail
    return record(.unit, position, logTime ?? position * 1000, body: Array(text.utf8)) { writer in
      writer.unitHead(unit)
      context.withUnsafeBytes { writer.field(.contextID, $0) }
      Array("agent".utf8).withUnsafeBytes { writer.field(.agentID, $0) }
    }
  }

  /// A context event's record, whose body is a Context that lists `agents`.
  public static func context(
    position: UInt64, context: [UInt8], agents: [[UInt8]], revision: UInt64, lastSequence: UInt64
  ) -> [UInt8] {
    context.withUnsafeBytes { id in
      var state = ContextState(id: id, createdAt: LogTime(microseconds: 1))
      for agent in agents { _ = agent.withUnsafeBytes { state.addAgent($0) } }
      state.revision = revision
      state.lastSequence = Sequence(lastSequence)
      let room = ContextEncoder.bytesMax(state, joined: agents.suffix(1))
      return [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
        guard let base = buffer.baseAddress else { return }
        count = ContextEncoder.encode(
          state, joined: agents.suffix(1), position: Position(position),
          logTime: LogTime(microseconds: position), into: base, capacity: room)
      }
    }
  }

  /// A context event's record.
  public static func context(
    position: UInt64, context: [UInt8], agent: [UInt8] = Array("agent".utf8), revision: UInt64 = 1,
    bodyBytes: Int = 30
  ) -> [UInt8] {
    let head = ContextHead(
      revision: revision, lastSequence: .zero, createdAt: LogTime(microseconds: position))
    return record(.context, position, position * 1000, bodyBytes: bodyBytes) { writer in
      writer.contextHead(head)
      context.withUnsafeBytes { writer.field(.contextID, $0) }
      agent.withUnsafeBytes { writer.field(.agentID, $0) }
    }
  }

  /// The record of what happened to a lock.
  /// - Parameter token: the position of the event that granted the lock; this one's, unless given.
  public static func lock(
    _ action: LockAction, position: UInt64, path: [UInt8], holder: [UInt8] = Array("agent".utf8),
    token: UInt64? = nil, ttlMicroseconds: UInt64 = 60_000_000, metadata: String = "{}",
    logTime: UInt64? = nil
  ) -> [UInt8] {
    let logTime = logTime ?? position * 1000
    let lock = LockState(
      path: path, holder: holder, id: UnitID(high: (token ?? position) << 16, low: 0xabcd),
      token: Position(token ?? position), ttlMicroseconds: ttlMicroseconds,
      acquiredAt: LogTime(microseconds: logTime), expiresAt: LogTime(microseconds: logTime + ttlMicroseconds),
      metadata: Array(metadata.utf8))
    let room = LockEncoder.bytesMax(lock)
    return [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      count = LockEncoder.encode(
        action, lock, position: Position(position), logTime: LogTime(microseconds: logTime), into: base,
        capacity: room)
    }
  }

  /// The record of a restart.
  public static func restart(position: UInt64, logTime: UInt64? = nil) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: LockEncoder.restartBytes) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      count = LockEncoder.encodeRestart(
        position: Position(position), logTime: LogTime(microseconds: logTime ?? position * 1000), into: base)
    }
  }

  private static func record(
    _ kind: EventKind, _ position: UInt64, _ logTime: UInt64, bodyBytes: Int,
    _ fields: (inout EventRecordWriter) -> Void
  ) -> [UInt8] {
    let body = (0..<bodyBytes).map { UInt8(97 + (UInt64($0) &* 7 &+ position) % 26) }
    return record(kind, position, logTime, body: body, fields)
  }

  private static func record(
    _ kind: EventKind, _ position: UInt64, _ logTime: UInt64, body: [UInt8],
    _ fields: (inout EventRecordWriter) -> Void
  ) -> [UInt8] {
    let capacity = 2048 + body.count
    return [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      var writer = EventRecordWriter(
        at: base, capacity: capacity, kind: kind, position: Position(position),
        logTime: LogTime(microseconds: logTime))
      fields(&writer)
      writer.beginBody()
      body.withUnsafeBytes { writer.out.run($0) }
      count = writer.finish()
    }
  }

  /// Hands the records to `body` as views, which are valid only there.
  public static func withViews<Value, Failure: Error>(
    of records: [[UInt8]], _ body: ([EventView]) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: records.reduce(0) { $0 + $1.count }, alignment: 8)
    defer { memory.deallocate() }
    var views: [EventView] = []
    var offset = 0
    for record in records {
      let place = UnsafeMutableRawBufferPointer(rebasing: memory[offset..<offset + record.count])
      place.copyBytes(from: record)
      guard let view = EventView(UnsafeRawBufferPointer(place)) else {
        preconditionFailure("a sample record has no frame")
      }
      views.append(view)
      offset += record.count
    }
    return try body(views)
  }
}
