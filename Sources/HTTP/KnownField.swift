/// The fields that somebody in the house asks for by name. The parser recognises them once and keeps the
/// place of the first of each, so that looking one up costs a load.
public enum KnownField: UInt8, Sendable, CaseIterable {
  case accept, acceptEncoding, accessControlRequestHeaders, accessControlRequestMethod, authorization
  case cacheControl, connection, contentEncoding, contentLength, contentType, cookie, expect, forwarded, host
  case idempotencyKey, ifMatch, ifModifiedSince, ifNoneMatch, ifRange, ifUnmodifiedSince, lastEventID
  case origin, prefer, range, referer, secWebSocketExtensions, secWebSocketKey, secWebSocketProtocol
  case secWebSocketVersion, te, traceparent, tracestate, trailer, transferEncoding, upgrade, userAgent
  case xAgentID, xForwardedFor, xForwardedProto, xRequestID

  static let count = 40

  /// The name in lower case.
  public var name: StaticString {
    switch self {
    case .accept: "accept"
    case .acceptEncoding: "accept-encoding"
    case .accessControlRequestHeaders: "access-control-request-headers"
    case .accessControlRequestMethod: "access-control-request-method"
    case .authorization: "authorization"
    case .cacheControl: "cache-control"
    case .connection: "connection"
    case .contentEncoding: "content-encoding"
    case .contentLength: "content-length"
    case .contentType: "content-type"
    case .cookie: "cookie"
    case .expect: "expect"
    case .forwarded: "forwarded"
    case .host: "host"
    case .idempotencyKey: "idempotency-key"
    case .ifMatch: "if-match"
    case .ifModifiedSince: "if-modified-since"
    case .ifNoneMatch: "if-none-match"
    case .ifRange: "if-range"
    case .ifUnmodifiedSince: "if-unmodified-since"
    case .lastEventID: "last-event-id"
    case .origin: "origin"
    case .prefer: "prefer"
    case .range: "range"
    case .referer: "referer"
    case .secWebSocketExtensions: "sec-websocket-extensions"
    case .secWebSocketKey: "sec-websocket-key"
    case .secWebSocketProtocol: "sec-websocket-protocol"
    case .secWebSocketVersion: "sec-websocket-version"
    case .te: "te"
    case .traceparent: "traceparent"
    case .tracestate: "tracestate"
    case .trailer: "trailer"
    case .transferEncoding: "transfer-encoding"
    case .upgrade: "upgrade"
    case .userAgent: "user-agent"
    case .xAgentID: "x-agent-id"
    case .xForwardedFor: "x-forwarded-for"
    case .xForwardedProto: "x-forwarded-proto"
    case .xRequestID: "x-request-id"
    }
  }

}

/// Finds known fields by name: a table without collisions over the length and the outer letters leaves one
/// candidate, and one comparison by words decides. Made once per process and never changed.
struct KnownFieldIndex: @unchecked Sendable {
  /// 256 slots of a field's number or `absent`, then for each field its name and, in the last byte, its length.
  private let table: UnsafeMutableRawPointer
  private static let slots = 256
  private static let nameBytes = 32

  static let shared = KnownFieldIndex()

  private init() {
    let size = KnownFieldIndex.slots + KnownField.count * KnownFieldIndex.nameBytes
    table = .allocate(byteCount: size, alignment: 64)
    table.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    table.initializeMemory(as: UInt8.self, repeating: RequestHead.absent, count: KnownFieldIndex.slots)
    for field in KnownField.allCases {
      let name = field.name
      let count = name.utf8CodeUnitCount
      precondition(count < KnownFieldIndex.nameBytes && Int(field.rawValue) < KnownField.count)
      let slot = KnownFieldIndex.slot(UnsafeRawPointer(name.utf8Start), count)
      let taken = table.load(fromByteOffset: slot, as: UInt8.self)
      precondition(taken == RequestHead.absent, "two names in one slot: find other factors")
      table.storeBytes(of: field.rawValue, toByteOffset: slot, as: UInt8.self)
      let entry = table + KnownFieldIndex.offset(field.rawValue)
      entry.copyMemory(from: name.utf8Start, byteCount: count)
      entry.storeBytes(of: UInt8(count), toByteOffset: KnownFieldIndex.nameBytes - 1, as: UInt8.self)
    }
  }

  private static func offset(_ field: UInt8) -> Int { slots &+ Int(field) &* nameBytes }

  /// The factors were found by search: with them the names above have slots of their own.
  @inline(__always) private static func slot(_ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    let first = Int(bytes.load(as: UInt8.self) | 0x20)
    let last = Int(bytes.load(fromByteOffset: count &- 1, as: UInt8.self) | 0x20)
    return (count &+ 21 &* first &+ last) & (slots &- 1)
  }

  /// The number of the field whose name is these `count` (at least 1) bytes, in any case, or `absent`. A match
  /// proves that the name is a token: setting bit 5 turns no printable byte but a letter into a letter, and none
  /// but '-' into '-'.
  @inline(__always) func match(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt8 {
    let field = table.load(fromByteOffset: KnownFieldIndex.slot(bytes, count), as: UInt8.self)
    guard field != RequestHead.absent else { return field }
    let name = UnsafeRawPointer(table + KnownFieldIndex.offset(field))
    let length = name.load(fromByteOffset: KnownFieldIndex.nameBytes &- 1, as: UInt8.self)
    guard count == Int(length), spell(bytes, name, count) else { return RequestHead.absent }
    return field
  }

  /// Whether `bytes` spell the lower-case `name` of equal length, by words that may overlap.
  @inline(__always) private func spell(
    _ bytes: UnsafeRawPointer, _ name: UnsafeRawPointer, _ count: Int
  ) -> Bool {
    if count >= 8 {
      var offset = 0
      while offset < count &- 8 {
        guard word(bytes, offset) == name.loadUnaligned(fromByteOffset: offset, as: UInt64.self) else {
          return false
        }
        offset &+= 8
      }
      return word(bytes, count &- 8) == name.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
    }
    if count >= 4 {
      let last = count &- 4
      return half(bytes, 0) == name.loadUnaligned(as: UInt32.self)
        && half(bytes, last) == name.loadUnaligned(fromByteOffset: last, as: UInt32.self)
    }
    for index in 0..<count {
      let byte = bytes.load(fromByteOffset: index, as: UInt8.self) | 0x20
      guard byte == name.load(fromByteOffset: index, as: UInt8.self) else { return false }
    }
    return true
  }

  @inline(__always) private func word(_ bytes: UnsafeRawPointer, _ offset: Int) -> UInt64 {
    bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) | 0x2020_2020_2020_2020
  }

  @inline(__always) private func half(_ bytes: UnsafeRawPointer, _ offset: Int) -> UInt32 {
    bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self) | 0x2020_2020
  }
}
