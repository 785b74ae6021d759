public import Bytes

/// The fields that tell a client of its limits (draft-ietf-httpapi-ratelimit-headers-10): structured lists (RFC 9651)
/// with one member for each bucket that was asked.
/// ```
/// RateLimit-Policy: "agent-requests";q=100;w=1, "agent-bytes";q=1048576;w=2;qu="content-bytes"
/// RateLimit: "agent-requests";r=12;t=1, "agent-bytes";r=1040000;t=1
/// ```
/// `q` is what a full bucket holds and `w` the seconds in which an empty one fills; `r` is what is left and `t` the
/// seconds until it is full.
public struct RateFields: Sendable {
  /// Bytes that `write` takes at most.
  public static let bytesMax = 40 + RateLimiter.Scope.allCases.count * RateKind.count * (policyBytesMax + 72)
  private static let policyBytesMax = 72

  private var verdicts: [2 of RateVerdict] = .init(repeating: RateVerdict())
  /// Whether there is anything to tell.
  public private(set) var isEmpty = true

  public init() {}

  public mutating func set(_ scope: RateLimiter.Scope, _ verdict: RateVerdict) {
    for place in verdict.asked.indices where verdict.asked[place].isAsked {
      verdicts[scope.rawValue].asked[place] = verdict.asked[place]
      isEmpty = false
    }
  }

  static func name(_ scope: RateLimiter.Scope, _ kind: RateKind) -> StaticString {
    switch (scope, kind) {
    case (.agent, .requests): "\"agent-requests\""
    case (.agent, .bytes): "\"agent-bytes\""
    case (.agent, .publishes): "\"agent-publishes\""
    case (.agent, .searches): "\"agent-searches\""
    case (.agent, .failures): "\"agent-failures\""
    case (.address, .requests): "\"address-requests\""
    case (.address, .bytes): "\"address-bytes\""
    case (.address, .publishes): "\"address-publishes\""
    case (.address, .searches): "\"address-searches\""
    case (.address, .failures): "\"address-failures\""
    }
  }

  static func policy(_ scope: RateLimiter.Scope, _ kind: RateKind, _ rate: Rate) -> String {
    guard rate.isLimited else { return "" }
    let seconds = (rate.capacity + rate.perSecond - 1) / rate.perSecond
    let unit = kind == .bytes ? ";qu=\"content-bytes\"" : ""
    return "\(name(scope, kind));q=\(rate.capacity);w=\(max(seconds, 1))\(unit)"
  }

  /// Writes both fields, if there is anything to tell.
  public func write(_ limiter: RateLimiter, to writer: inout ByteWriter) {
    guard !isEmpty else { return }
    list("RateLimit-Policy: ", to: &writer) { scope, kind, _, writer in
      var policy = limiter.policy(scope, kind)
      policy.withUTF8 { writer.run(UnsafeRawBufferPointer($0)) }
    }
    list("RateLimit: ", to: &writer) { scope, kind, state, writer in
      writer.run(RateFields.name(scope, kind))
      writer.run(";r=")
      RateFields.decimal(state.remaining, to: &writer)
      writer.run(";t=")
      RateFields.decimal(state.seconds, to: &writer)
    }
  }

  private func list(
    _ name: StaticString, to writer: inout ByteWriter,
    _ member: (RateLimiter.Scope, RateKind, (remaining: UInt64, seconds: UInt64), inout ByteWriter) -> Void
  ) {
    writer.run(name)
    var isFirst = true
    for scope in RateLimiter.Scope.allCases {
      for kind in RateKind.allCases where verdicts[scope.rawValue].asked[kind.rawValue].isAsked {
        if !isFirst { writer.run(", ") }
        isFirst = false
        let state = verdicts[scope.rawValue].asked[kind.rawValue]
        member(scope, kind, (state.remaining, state.seconds), &writer)
      }
    }
    writer.run("\r\n")
  }

  private static func decimal(_ value: UInt64, to writer: inout ByteWriter) {
    var digits = String(value)
    digits.withUTF8 { writer.run(UnsafeRawBufferPointer($0)) }
  }
}
