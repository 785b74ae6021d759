public import Bytes

/// What an event says happened. Numbers are for ever: they stand on disk.
public enum EventKind: UInt8, Sendable {
  /// A work unit was appended to its context. Body: the unit's JSON, as every reader is sent it.
  case unit = 1
  /// A context was created or changed. Body: the Context's JSON after the change.
  case context = 2
  /// A lock was acquired, renewed or released, or it expired. Body: what followers of locks are sent.
  case lock = 3
  /// The server began anew: every lock that is held expires no sooner than its TTL after this event's log time. No
  /// body.
  case restart = 4
}

/// One event as log, recent window and store keep it, byte by byte; all numbers little-endian:
///
///     0   u32  length         of the whole record, this field and the checksum included
///     4   u8   kind           `EventKind`
///     5   u8   flags          bit 0: a reader that doesn't know the kind must stop, not skip
///     6   u16  namespace      0 today
///     8   u64  position
///     16  u64  logTime        microseconds since 1970
///     24  u32  fieldsLength
///     28  u32  bodyLength
///     32  fields              each u16 tag, u16 length, then that many bytes; unknown tags are skipped
///     …   body
///     …   u32  checksum       CRC32C of all that stands before it in the record
///
/// `WAL/WAL.md` is the specification; this file and the log's golden files follow it.
public enum EventRecord {
  public static let headerBytes = 32
  public static let checksumBytes = 4
  public static let fieldHeaderBytes = 4
  /// Flag: the kind must be understood.
  public static let flagRequired: UInt8 = 1
  /// A record's length, limit: a unit of 8 MiB escaped six-fold would pass it, but no request body of 16 MiB can.
  public static let bytesMax = 24 << 20

  /// Tags of the header fields. Numbers are for ever.
  public enum Field: UInt16, Sendable {
    /// Unit: id (16 bytes, big-endian), sequence u64, content hash 2 × u64, type u8, payload encoding u8 (0 utf8, 1 base64),
    /// 6 zero bytes, and where the payload's JSON string token stands in the body (u32 offset, u32 length with quotes).
    case unitHead = 1
    /// The context's id, UTF-8.
    case contextID = 2
    /// The agent's id, UTF-8. In a context's event once for each agent that joined, in order.
    case agentID = 3
    /// Idempotency key: u64 hash of the request, u64 second half, then the key's bytes. In the request's first unit.
    case idempotency = 4
    /// The fence that the append named: u64 token, then the canonical resource path.
    case fence = 5
    /// Context: revision u64, lastSequence u64, createdAt u64 (µs).
    case contextHead = 6
    /// Where a request's events end: u32 events of the same request that follow this one (absent: 0).
    case requestRemainder = 7
    /// Lock: id (16 bytes, big-endian), token u64, TTL u64, acquiredAt u64, expiresAt u64 (all µs), action u8, 3 zero
    /// bytes, and how many bytes the metadata's JSON takes (u32), which stands at the body's end before `}}`.
    case lockHead = 8
    /// The canonical path of the lock, UTF-8.
    case resourcePath = 9
  }
  public static let unitHeadBytes = 56
  public static let contextHeadBytes = 24
  public static let lockHeadBytes = 56
}

/// A record in memory that outlives the view (a slab, a log being scanned, a value of the store).
/// `init` checks the frame, so that the accessors can't leave it; `isIntact` checks the checksum.
public struct EventView {
  public let bytes: UnsafeRawBufferPointer
  public let fieldsLength: Int
  public let bodyLength: Int

  /// Nil unless `memory` begins with a frame whose lengths agree with each other and with `memory`.
  public init?(_ memory: UnsafeRawBufferPointer) {
    guard memory.count >= EventRecord.headerBytes + EventRecord.checksumBytes else { return nil }
    let length = Int(UInt32(littleEndian: memory.loadUnaligned(as: UInt32.self)))
    guard length >= EventRecord.headerBytes + EventRecord.checksumBytes, length <= memory.count,
      length <= EventRecord.bytesMax
    else { return nil }
    let fields = Int(UInt32(littleEndian: memory.loadUnaligned(fromByteOffset: 24, as: UInt32.self)))
    let body = Int(UInt32(littleEndian: memory.loadUnaligned(fromByteOffset: 28, as: UInt32.self)))
    guard EventRecord.headerBytes + fields + body + EventRecord.checksumBytes == length else { return nil }
    bytes = UnsafeRawBufferPointer(rebasing: memory[0..<length])
    fieldsLength = fields
    bodyLength = body
  }

  /// For memory that this process has framed or checked itself: no checks in release builds.
  public init(trusted base: UnsafeRawPointer) {
    let length = Int(UInt32(littleEndian: base.loadUnaligned(as: UInt32.self)))
    bytes = UnsafeRawBufferPointer(start: base, count: length)
    fieldsLength = Int(UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 24, as: UInt32.self)))
    bodyLength = Int(UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 28, as: UInt32.self)))
    assert(EventRecord.headerBytes + fieldsLength + bodyLength + EventRecord.checksumBytes == length)
  }

  public var length: Int { bytes.count }
  public var kindNumber: UInt8 { bytes[4] }
  public var kind: EventKind? { EventKind(rawValue: bytes[4]) }
  public var flags: UInt8 { bytes[5] }
  public var namespace: UInt16 {
    UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
  }
  public var position: Position {
    Position(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }
  public var logTime: LogTime {
    LogTime(microseconds: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)))
  }
  public var body: UnsafeRawBufferPointer {
    let start = EventRecord.headerBytes + fieldsLength
    return UnsafeRawBufferPointer(rebasing: bytes[start..<start + bodyLength])
  }
  public var checksum: UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: length - 4, as: UInt32.self))
  }
  public var isIntact: Bool {
    CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[0..<length - 4])) == checksum
  }

  /// The bytes of the first header field with this tag.
  public func field(_ tag: EventRecord.Field) -> UnsafeRawBufferPointer? {
    var found: UnsafeRawBufferPointer?
    fields(tag) {
      found = $0
      return false
    }
    return found
  }

  /// Hands the bytes of each header field with this tag to `body`, in order, until it returns false.
  @inline(__always)
  private func fields(_ tag: EventRecord.Field, _ body: (UnsafeRawBufferPointer) -> Bool) {
    var offset = EventRecord.headerBytes
    let end = offset + fieldsLength
    while end - offset >= EventRecord.fieldHeaderBytes {
      let found = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
      let length = Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self)))
      let start = offset + EventRecord.fieldHeaderBytes
      guard length <= end - start else { return }
      if found == tag.rawValue, !body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + length])) {
        return
      }
      offset = start + length
    }
  }

  public var contextID: UnsafeRawBufferPointer? { field(.contextID) }
  public var agentID: UnsafeRawBufferPointer? { field(.agentID) }
  /// Events of the same request that follow this one.
  public var requestRemainder: UInt32 {
    guard let bytes = field(.requestRemainder), bytes.count >= 4 else { return 0 }
    return UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
  }
  /// The key under which the request's answer is kept; it stands in the first unit of the request.
  public var idempotency: IdempotencyMark? {
    guard let bytes = field(.idempotency), bytes.count > 16 else { return nil }
    let hash = ContentHash(
      high: UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)),
      low: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    return IdempotencyMark(requestHash: hash, key: UnsafeRawBufferPointer(rebasing: bytes[16...]))
  }
  /// Hands every agent that the event names to `body`: of a context's event, those that joined by it.
  public func forEachAgent(_ body: (UnsafeRawBufferPointer) -> Void) {
    fields(.agentID) {
      body($0)
      return true
    }
  }
  /// The id alone of what `unit` says.
  public var unitID: UnitID? {
    guard let bytes = field(.unitHead), bytes.count >= EventRecord.unitHeadBytes else { return nil }
    return UnitID(
      high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
      low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }
  /// Of a lock's event.
  public var resourcePath: UnsafeRawBufferPointer? { field(.resourcePath) }
  public var unit: UnitHead? { field(.unitHead).flatMap(UnitHead.init) }
  public var context: ContextHead? { field(.contextHead).flatMap(ContextHead.init) }
}

/// The binary header of a unit's event: what sequencer, store and filters need without reading JSON.
public struct UnitHead: Hashable, Sendable {
  public var id: UnitID
  public var sequence: Sequence
  public var hash: ContentHash
  public var type: UInt8
  /// 0 utf8, 1 base64.
  public var encoding: UInt8
  /// The payload's JSON string token in the record's body, quotes included.
  public var payloadOffset: UInt32
  public var payloadLength: UInt32

  public init(
    id: UnitID, sequence: Sequence, hash: ContentHash, type: UInt8, encoding: UInt8, payloadOffset: UInt32,
    payloadLength: UInt32
  ) {
    self.id = id
    self.sequence = sequence
    self.hash = hash
    self.type = type
    self.encoding = encoding
    self.payloadOffset = payloadOffset
    self.payloadLength = payloadLength
  }

  public init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= EventRecord.unitHeadBytes else { return nil }
    func word(_ offset: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    func half(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    self.init(
      id: UnitID(high: UInt64(bigEndian: word(0)), low: UInt64(bigEndian: word(8))),
      sequence: Sequence(UInt64(littleEndian: word(16))),
      hash: ContentHash(high: UInt64(littleEndian: word(24)), low: UInt64(littleEndian: word(32))),
      type: bytes[40], encoding: bytes[41], payloadOffset: half(48), payloadLength: half(52))
  }

  public func write(to writer: inout ByteWriter) {
    writer.integer(id.high.byteSwapped)
    writer.integer(id.low.byteSwapped)
    writer.integer(sequence.rawValue)
    writer.integer(hash.high)
    writer.integer(hash.low)
    writer.byte(type)
    writer.byte(encoding)
    writer.zeros(6)
    writer.integer(payloadOffset)
    writer.integer(payloadLength)
  }
}

/// The binary header of a context's event.
public struct ContextHead: Hashable, Sendable {
  public var revision: UInt64
  public var lastSequence: Sequence
  public var createdAt: LogTime

  public init(revision: UInt64, lastSequence: Sequence, createdAt: LogTime) {
    self.revision = revision
    self.lastSequence = lastSequence
    self.createdAt = createdAt
  }

  public init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= EventRecord.contextHeadBytes else { return nil }
    func word(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    self.init(
      revision: word(0), lastSequence: Sequence(word(8)), createdAt: LogTime(microseconds: word(16)))
  }

  public func write(to writer: inout ByteWriter) {
    writer.integer(revision)
    writer.integer(lastSequence.rawValue)
    writer.integer(createdAt.microseconds)
  }
}

/// Writes one record into memory that has room for it: header fields first, then the body, then `finish`.
public struct EventRecordWriter {
  public var out: ByteWriter
  private var fieldsEnd = 0

  /// Begins a record at `base`.
  public init(
    at base: UnsafeMutableRawPointer, capacity: Int, kind: EventKind, position: Position, logTime: LogTime,
    namespace: UInt16 = 0
  ) {
    out = ByteWriter(base, capacity: capacity)
    out.integer(UInt32(0))
    out.byte(kind.rawValue)
    out.byte(EventRecord.flagRequired)
    out.integer(namespace)
    out.integer(position.rawValue)
    out.integer(logTime.microseconds)
    out.integer(UInt32(0))
    out.integer(UInt32(0))
  }

  /// A field of at most 65,535 bytes.
  public mutating func field(_ tag: EventRecord.Field, _ bytes: UnsafeRawBufferPointer) {
    out.integer(tag.rawValue)
    out.integer(UInt16(bytes.count))
    out.run(bytes)
  }

  public mutating func unitHead(_ head: UnitHead) {
    out.integer(EventRecord.Field.unitHead.rawValue)
    out.integer(UInt16(EventRecord.unitHeadBytes))
    head.write(to: &out)
  }

  public mutating func contextHead(_ head: ContextHead) {
    out.integer(EventRecord.Field.contextHead.rawValue)
    out.integer(UInt16(EventRecord.contextHeadBytes))
    head.write(to: &out)
  }

  /// Ends the header fields. What is written to `out` from here on is the body.
  public mutating func beginBody() { fieldsEnd = out.count }

  /// Offset of the next byte within the body.
  public var bodyOffset: Int { out.count - fieldsEnd }

  /// Fills in the lengths and the checksum.
  /// - Returns: the record's length in bytes.
  public mutating func finish() -> Int {
    let fields = fieldsEnd - EventRecord.headerBytes
    let body = out.count - fieldsEnd
    let length = out.count + EventRecord.checksumBytes
    out.base.storeBytes(of: UInt32(length).littleEndian, toByteOffset: 0, as: UInt32.self)
    out.base.storeBytes(of: UInt32(fields).littleEndian, toByteOffset: 24, as: UInt32.self)
    out.base.storeBytes(of: UInt32(body).littleEndian, toByteOffset: 28, as: UInt32.self)
    out.integer(CRC32C.checksum(UnsafeRawBufferPointer(start: out.base, count: out.count)))
    return length
  }
}
