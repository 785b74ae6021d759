/// What can be wrong with a request or with the server, as the wire says it: a closed list (`api.md`, errors).
public enum ErrorCode: UInt8, CaseIterable, Sendable {
  case invalidRequest, unauthenticated, permissionDenied, notFound, methodNotAllowed
  case conflict, lockHeld, lockNotHeld, fenceRejected, deadlock
  case gone, preconditionFailed, payloadTooLarge, unsupportedMediaType, idempotencyMismatch
  case upgradeRequired, rateLimited, headTooLarge, `internal`, unavailable, storageFull

  /// The `code` member.
  public var name: StaticString { row.name }
  /// The status code (RFC 9110, section 15).
  public var status: Int { row.status }
  /// The `title` member: the same for every occurrence (RFC 9457, section 3.1.3).
  public var title: StaticString { row.title }
  /// Whether the answer carries `Retry-After`.
  public var asksToRetry: Bool { status == 429 || status == 503 }

  private var row: (name: StaticString, status: Int, title: StaticString) {
    switch self {
    case .invalidRequest: ("invalid_request", 400, "The request is not valid")
    case .unauthenticated: ("unauthenticated", 401, "Credentials are missing or not accepted")
    case .permissionDenied: ("permission_denied", 403, "The caller may not do this")
    case .notFound: ("not_found", 404, "There is no such thing")
    case .methodNotAllowed: ("method_not_allowed", 405, "The path does not answer to this method")
    case .conflict: ("conflict", 409, "The request conflicts with what is stored")
    case .lockHeld: ("lock_held", 409, "The lock is held by another agent")
    case .lockNotHeld: ("lock_not_held", 409, "The lock is not held as the request says")
    case .fenceRejected: ("fence_rejected", 409, "The fencing token is stale")
    case .deadlock: ("deadlock", 409, "Waiting would never end")
    case .gone: ("gone", 410, "The history asked for is not there")
    case .preconditionFailed: ("precondition_failed", 412, "The state is not the expected one")
    case .payloadTooLarge: ("payload_too_large", 413, "The content is too large")
    case .unsupportedMediaType: ("unsupported_media_type", 415, "The media type is not supported")
    case .idempotencyMismatch: ("idempotency_mismatch", 422, "The idempotency key was used differently")
    case .upgradeRequired: ("upgrade_required", 426, "Another protocol is required")
    case .rateLimited: ("rate_limited", 429, "Too many requests")
    case .headTooLarge: ("head_too_large", 431, "The request head is too large")
    case .internal: ("internal", 500, "The server failed")
    case .unavailable: ("unavailable", 503, "The server can not take this now")
    case .storageFull: ("storage_full", 507, "The disk is full")
    }
  }
}
