internal import Access
internal import Bytes
internal import EventLoop
internal import HTTP
internal import Model

/// What an answer says to pages of other origins.
enum CrossOrigin {
  /// Nothing: CORS is off.
  case off
  /// That it depends on `Origin`.
  case depends
  /// That the page may read it.
  case granted
}

/// What the buckets have said to a request. A class, so that connections of a server without limits have no room for it.
final class RateNotice {
  var fields = RateFields()
}

extension Exchange {
  /// Room for what `writeFurtherFields` writes; 0 as a rule.
  var furtherFieldBytes: Int {
    guard crossOrigin != .off || rateNotice != nil else { return 0 }
    let origin = crossOrigin == .granted ? head[.origin].map { Int($0.length) } ?? 0 : 0
    return (crossOrigin == .off ? 0 : 256 + origin) + (rateNotice == nil ? 0 : RateFields.bytesMax)
  }

  /// What stands in every answer of this request, whatever it is.
  func writeFurtherFields(to writer: inout ByteWriter) {
    if let rates = services.rates { rateNotice?.fields.write(rates, to: &writer) }
    guard crossOrigin != .off else { return }
    writer.field("Vary", "Origin")
    guard crossOrigin == .granted, let origin = head[.origin], let browser = services.browser else { return }
    if browser.allowsAll {
      writer.field("Access-Control-Allow-Origin", "*")
    } else {
      writer.field("Access-Control-Allow-Origin", bytes(origin))
      if browser.corsCredentials { writer.field("Access-Control-Allow-Credentials", "true") }
    }
    writer.field(
      "Access-Control-Expose-Headers",
      "ETag, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID")
  }

  /// Keeps what the buckets said for the answer.
  func tell(_ verdict: RateVerdict, _ scope: RateLimiter.Scope) {
    let notice = rateNotice ?? RateNotice()
    notice.fields.set(scope, verdict)
    if !notice.fields.isEmpty { rateNotice = notice }
  }

  /// Shows the agent whose credential the request came with, if authentication is on.
  func withAgent<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
    guard case .known(let principal, _) = caller else { return nil }
    return principal.agent.withUnsafeBytes(body)
  }

  /// Who is at the other end, as far as it is known.
  var address: ClientAddress { lease?.address ?? .unknown }

  /// Answers up to this size, with what waits before them, are always given: who reads nothing is not to keep others
  /// from small ones.
  private static let smallAnswerBytesMax = 64 << 10

  /// Throws if an answer of about `bytes` is large, and the peers of all connections have so much to read already that
  /// none is left for this one.
  func requireRoom(for bytes: Int) throws(Problem) {
    let isSmall = socket.queuedBytes + bytes <= Exchange.smallAnswerBytesMax
    guard isSmall || lease?.admitsAnswer(of: bytes) ?? true else {
      throw Problem(.unavailable, "too many answers wait to be read; try again")
    }
  }
}
