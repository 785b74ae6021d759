/// The fields that somebody in the house asks for by name. The parser recognises them by length and by whole
/// words, and keeps the place of the first of each, so that looking one up costs a load.
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

  /// Fields that decide where the message ends or whom it is for: a second one is refused at once.
  var framesMessage: Bool { self == .host || self == .contentLength || self == .transferEncoding }

  /// The field whose name is these `count` (at least 1) bytes, in any case. A match proves that the name is a
  /// token: setting bit 5 turns no printable byte but a letter into a letter, and none but '-' into '-'.
  static func match(_ bytes: UnsafeRawPointer, _ count: Int) -> KnownField? {
    let first = bytes.load(as: UInt8.self) | 0x20
    let last = bytes.load(fromByteOffset: count - 1, as: UInt8.self) | 0x20
    guard let candidate = candidate(count, first, last) else { return nil }
    return spell(bytes, UnsafeRawPointer(candidate.name.utf8Start), count) ? candidate : nil
  }

  /// The only field with this length and these letters at its ends, so that one comparison decides.
  @inline(__always) private static func candidate(_ count: Int, _ first: UInt8, _ last: UInt8) -> KnownField? {
    switch (count, UnicodeScalar(first)) {
    case (2, "t"): .te
    case (4, "h"): .host
    case (5, "r"): .range
    case (6, "a"): .accept
    case (6, "c"): .cookie
    case (6, "e"): .expect
    case (6, "o"): .origin
    case (6, "p"): .prefer
    case (7, "r"): .referer
    case (7, "t"): .trailer
    case (7, "u"): .upgrade
    case (8, "i"): UnicodeScalar(last) == "h" ? .ifMatch : .ifRange
    case (9, "f"): .forwarded
    case (10, "c"): .connection
    case (10, "t"): .tracestate
    case (10, "u"): .userAgent
    case (10, "x"): .xAgentID
    case (11, "t"): .traceparent
    case (12, "c"): .contentType
    case (12, "x"): .xRequestID
    case (13, "a"): .authorization
    case (13, "c"): .cacheControl
    case (13, "i"): .ifNoneMatch
    case (13, "l"): .lastEventID
    case (14, "c"): .contentLength
    case (15, "a"): .acceptEncoding
    case (15, "i"): .idempotencyKey
    case (15, "x"): .xForwardedFor
    case (16, "c"): .contentEncoding
    case (17, "i"): .ifModifiedSince
    case (17, "s"): .secWebSocketKey
    case (17, "t"): .transferEncoding
    case (17, "x"): .xForwardedProto
    case (19, "i"): .ifUnmodifiedSince
    case (21, "s"): .secWebSocketVersion
    case (22, "s"): .secWebSocketProtocol
    case (24, "s"): .secWebSocketExtensions
    case (29, "a"): .accessControlRequestMethod
    case (30, "a"): .accessControlRequestHeaders
    default: nil
    }
  }

  /// Whether `bytes` spell the lower-case `name` of equal length, by words of eight bytes that may overlap.
  @inline(__always) private static func spell(
    _ bytes: UnsafeRawPointer, _ name: UnsafeRawPointer, _ count: Int
  ) -> Bool {
    guard count >= 8 else {
      for index in 0..<count where bytes.load(fromByteOffset: index, as: UInt8.self) | 0x20
        != name.load(fromByteOffset: index, as: UInt8.self)
      { return false }
      return true
    }
    let bit5: UInt64 = 0x2020_2020_2020_2020
    var offset = 0
    while true {
      let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) | bit5
      guard word == name.loadUnaligned(fromByteOffset: offset, as: UInt64.self) else { return false }
      if offset == count - 8 { return true }
      offset = min(offset + 8, count - 8)
    }
  }
}
