internal import Bytes
internal import Model

/// Keys and values, byte by byte; `STORE.md` draws them. Numbers in keys are big-endian, because RocksDB
/// orders keys as bytes; numbers in values are little-endian, as everywhere else on disk.
enum StoreKey {
  /// The namespace of every query today. Records bring their own.
  static let namespace: UInt16 = 0
  /// Never a record's: keys of the store itself start with it.
  static let namespaceReserved: UInt16 = 0xffff

  /// Each family: the position applied to it, u64.
  static let mark: [UInt8] = [0xff, 0xff] + Array("mark".utf8)
  /// `meta`: u32.
  static let format: [UInt8] = [0xff, 0xff] + Array("format".utf8)
  /// `meta`: 16 bytes.
  static let log: [UInt8] = [0xff, 0xff] + Array("log".utf8)

  /// 2: families `idempotency` and `filters`; a context's event names every agent that joined. 3: family `locks`.
  /// 4: family `relations`.
  static let formatVersion: UInt32 = 4

  /// Second-level tags of `units`.
  static let tagUnit: UInt8 = 0
  static let tagOther: UInt8 = 1
  /// First byte of a value of `log`.
  static let logReference: UInt8 = 0
  static let logRecord: UInt8 = 1
  /// Bytes of a reference in `log` before the key: tag and record length.
  static let logReferenceHeadBytes = 5
  /// Last byte of a key of `contexts`.
  static let contextHead: UInt8 = 0
  static let contextRecord: UInt8 = 1

  /// What stands behind the namespace in a key of `locks`.
  static let lockHeld: UInt8 = 0
  static let lockPosition: UInt8 = 1
  static let lockRestart: UInt8 = 2

  static let contextHeadBytes = 24
  static let idHeadBytes = 24

  static func units(_ context: [UInt8], tag: UInt8, number: UInt64) -> [UInt8] {
    var key = unitsPrefix(context)
    key.append(tag)
    append(number, to: &key)
    return key
  }

  static func unitsPrefix(_ context: [UInt8]) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(13 + context.count)
    append(namespace, to: &key)
    append(UInt16(truncatingIfNeeded: context.count), to: &key)
    key.append(contentsOf: context)
    return key
  }

  /// What a key of `units` begins with; nil if it is none.
  static func context(ofUnitsKey key: UnsafeRawBufferPointer) -> (UnsafeRawBufferPointer, tag: UInt8)? {
    guard let swapped: UInt16 = key.number(at: 2) else { return nil }
    let end = 4 + Int(swapped.byteSwapped)
    guard end < key.count else { return nil }
    return (UnsafeRawBufferPointer(rebasing: key[4..<end]), key[end])
  }

  static func id(_ id: UnitID) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(18)
    append(namespace, to: &key)
    append(id.high, to: &key)
    append(id.low, to: &key)
    return key
  }

  static func log(_ position: Position) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(10)
    append(namespace, to: &key)
    append(position.rawValue, to: &key)
    return key
  }

  static func context(_ context: [UInt8], part: UInt8) -> [UInt8] {
    var key = contextPrefix(context)
    key.append(0)
    key.append(1)
    key.append(part)
    return key
  }

  /// What keys of contexts whose ids start with `prefix` start with.
  static func contextPrefix(_ prefix: [UInt8]) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(prefix.count + 5)
    append(namespace, to: &key)
    for byte in prefix {
      key.append(byte)
      if byte == 0 { key.append(0xff) }
    }
    return key
  }

  static func agent(_ agent: [UInt8], context: [UInt8] = []) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(4 + agent.count + context.count)
    append(namespace, to: &key)
    append(UInt16(truncatingIfNeeded: agent.count), to: &key)
    key.append(contentsOf: agent)
    key.append(contentsOf: context)
    return key
  }

  static func append<T: FixedWidthInteger>(_ number: T, to key: inout [UInt8]) {
    withUnsafeBytes(of: number.bigEndian) { key.append(contentsOf: $0) }
  }

  /// The first key that no longer starts with `prefix`. `prefix` is not all 0xff (a namespace isn't).
  static func end(of prefix: [UInt8]) -> [UInt8] {
    var key = prefix
    while let last = key.popLast() {
      if last < 0xff {
        key.append(last + 1)
        return key
      }
    }
    return [0xff, 0xff]
  }
}

extension UnsafeRawBufferPointer {
  /// The little-endian number at `offset`; nil past the end.
  func number<T: FixedWidthInteger>(at offset: Int, as _: T.Type = T.self) -> T? {
    guard offset >= 0, count - offset >= MemoryLayout<T>.size else { return nil }
    return T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// The rest from `offset`; nil past the end.
  func tail(from offset: Int) -> UnsafeRawBufferPointer? {
    guard offset >= 0, offset <= count else { return nil }
    return UnsafeRawBufferPointer(rebasing: self[offset...])
  }
}

extension StoredContext.Head {
  init?(_ value: UnsafeRawBufferPointer) {
    guard let sequence: UInt64 = value.number(at: 0), let time: UInt64 = value.number(at: 8),
      let position: UInt64 = value.number(at: 16)
    else { return nil }
    self.init(
      lastSequence: Sequence(sequence), logTime: LogTime(microseconds: time), position: Position(position))
  }
}

extension UnitLocation {
  init?(_ value: UnsafeRawBufferPointer) {
    guard let sequence: UInt64 = value.number(at: 0), let high: UInt64 = value.number(at: 8),
      let low: UInt64 = value.number(at: 16), let context = value.tail(from: StoreKey.idHeadBytes)
    else { return nil }
    self.init(
      context: Array(context), sequence: Sequence(sequence), hash: ContentHash(high: high, low: low))
  }
}
