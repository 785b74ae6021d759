public import Bytes

/// What happened to a lock. Numbers stand on disk: they are for ever.
public enum LockAction: UInt8, CaseIterable, Sendable {
  case acquired = 1, renewed, released, expired

  public var name: StaticString {
    switch self {
    case .acquired: "acquired"
    case .renewed: "renewed"
    case .released: "released"
    case .expired: "expired"
    }
  }
}

/// A lock that an agent holds, as clients see it.
public struct LockState: Hashable, Sendable {
  /// Canonical (`ResourcePath`).
  public var path: [UInt8]
  /// The holder's id, UTF-8.
  public var holder: [UInt8]
  public var id: UnitID
  /// The fencing token: the position of the event that granted the lock.
  public var token: Position
  public var ttlMicroseconds: UInt64
  public var acquiredAt: LogTime
  public var expiresAt: LogTime
  /// A JSON object, on one line.
  public var metadata: [UInt8]

  public init(
    path: [UInt8], holder: [UInt8], id: UnitID, token: Position, ttlMicroseconds: UInt64, acquiredAt: LogTime,
    expiresAt: LogTime, metadata: [UInt8]
  ) {
    self.path = path
    self.holder = holder
    self.id = id
    self.token = token
    self.ttlMicroseconds = ttlMicroseconds
    self.acquiredAt = acquiredAt
    self.expiresAt = expiresAt
    self.metadata = metadata
  }

  /// The lock after a lock's event. Nil if the record is of another kind, or damaged.
  public init?(_ record: EventView) {
    guard record.kind == .lock, let head = record.lock, let path = record.resourcePath, !path.isEmpty,
      let holder = record.agentID, !holder.isEmpty
    else { return nil }
    let body = record.body
    let end = body.count - LockEncoder.tailBytes
    guard head.metadataBytes >= 2, end >= head.metadataBytes else { return nil }
    self.init(
      path: Array(path), holder: Array(holder), id: head.id, token: head.token,
      ttlMicroseconds: head.ttlMicroseconds, acquiredAt: head.acquiredAt, expiresAt: head.expiresAt,
      metadata: Array(body[end - head.metadataBytes..<end]))
  }
}

/// The binary header of a lock's event.
public struct LockHead: Hashable, Sendable {
  public var action: LockAction
  public var id: UnitID
  public var token: Position
  public var ttlMicroseconds: UInt64
  public var acquiredAt: LogTime
  public var expiresAt: LogTime
  /// Of the metadata's JSON, at the body's end.
  public var metadataBytes: Int

  public init(_ action: LockAction, _ lock: LockState) {
    self.action = action
    id = lock.id
    token = lock.token
    ttlMicroseconds = lock.ttlMicroseconds
    acquiredAt = lock.acquiredAt
    expiresAt = lock.expiresAt
    metadataBytes = lock.metadata.count
  }

  public init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= EventRecord.lockHeadBytes, let action = LockAction(rawValue: bytes[48]) else {
      return nil
    }
    func word(_ offset: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    self.action = action
    id = UnitID(high: UInt64(bigEndian: word(0)), low: UInt64(bigEndian: word(8)))
    token = Position(UInt64(littleEndian: word(16)))
    ttlMicroseconds = UInt64(littleEndian: word(24))
    acquiredAt = LogTime(microseconds: UInt64(littleEndian: word(32)))
    expiresAt = LogTime(microseconds: UInt64(littleEndian: word(40)))
    metadataBytes = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 52, as: UInt32.self)))
  }

  public func write(to writer: inout ByteWriter) {
    writer.integer(id.high.byteSwapped)
    writer.integer(id.low.byteSwapped)
    writer.integer(token.rawValue)
    writer.integer(ttlMicroseconds)
    writer.integer(acquiredAt.microseconds)
    writer.integer(expiresAt.microseconds)
    writer.byte(action.rawValue)
    writer.zeros(3)
    writer.integer(UInt32(metadataBytes))
  }
}

extension EventView {
  public var lock: LockHead? { field(.lockHead).flatMap(LockHead.init) }
}

/// A lock's JSON, and the records of locks' events.
public enum LockEncoder {
  /// Brackets, names, times, an id, a number of 20 digits, the longest action.
  private static let fixedBytesMax = 320
  /// What stands in a body behind the metadata.
  static let tailBytes = 2

  /// Room that `writeJSON` needs at most, in bytes.
  public static func jsonBytesMax(_ lock: LockState) -> Int {
    let names = lock.path.withUnsafeBytes { JSONText.quotedCount($0) }
    return fixedBytesMax + names + lock.holder.withUnsafeBytes { JSONText.quotedCount($0) }
      + lock.metadata.count
  }

  /// Writes the Lock on one line, members in the order of the wire contract; the metadata comes last.
  public static func writeJSON(_ lock: LockState, to out: inout ByteWriter) {
    out.run("{\"resource_path\":")
    lock.path.withUnsafeBytes { JSONText.writeQuoted($0, to: &out) }
    out.run(",\"holder_agent\":")
    lock.holder.withUnsafeBytes { JSONText.writeQuoted($0, to: &out) }
    out.run(",\"lock_id\":\"")
    lock.id.write(to: &out)
    out.run("\",\"token\":")
    out.decimal(lock.token.rawValue)
    out.run(",\"acquired_at\":\"")
    lock.acquiredAt.write(to: &out)
    out.run("\",\"expires_at\":\"")
    lock.expiresAt.write(to: &out)
    out.run("\",\"metadata\":")
    lock.metadata.withUnsafeBytes { out.run($0) }
    out.run("}")
  }

  /// Room that `encode` needs at most, in bytes.
  public static func bytesMax(_ lock: LockState) -> Int {
    let header = EventRecord.fieldHeaderBytes
    return EventRecord.headerBytes + EventRecord.checksumBytes + header + EventRecord.lockHeadBytes + header
      + lock.path.count + header + lock.holder.count + header + 4 + jsonBytesMax(lock)
  }

  /// Writes the record of an event after which the lock is `lock`, or was, if it was released or has expired.
  /// - Parameters:
  ///   - requestRemainder: events of the same request that follow this one.
  ///   - capacity: at least `bytesMax`; requires it.
  /// - Returns: the record's length in bytes.
  public static func encode(
    _ action: LockAction, _ lock: LockState, position: Position, logTime: LogTime,
    requestRemainder: UInt32 = 0, into base: UnsafeMutableRawPointer, capacity: Int
  ) -> Int {
    var writer = EventRecordWriter(
      at: base, capacity: capacity, kind: .lock, position: position, logTime: logTime)
    writer.beginField(.lockHead, bytes: EventRecord.lockHeadBytes)
    LockHead(action, lock).write(to: &writer.out)
    lock.path.withUnsafeBytes { writer.field(.resourcePath, $0) }
    lock.holder.withUnsafeBytes { writer.field(.agentID, $0) }
    if requestRemainder > 0 {
      writer.beginField(.requestRemainder, bytes: 4)
      writer.out.integer(requestRemainder)
    }
    writer.beginBody()
    writer.out.run("{\"action\":\"")
    writer.out.run(action.name)
    writer.out.run("\",\"lock\":")
    writeJSON(lock, to: &writer.out)
    writer.out.run("}")
    return writer.finish()
  }

  /// Bytes of the record of a restart.
  public static let restartBytes = EventRecord.headerBytes + EventRecord.checksumBytes

  /// Writes the record of a restart into `restartBytes` bytes.
  public static func encodeRestart(
    position: Position, logTime: LogTime, into base: UnsafeMutableRawPointer
  ) -> Int {
    var writer = EventRecordWriter(
      at: base, capacity: restartBytes, kind: .restart, position: position, logTime: logTime)
    writer.beginBody()
    return writer.finish()
  }
}
