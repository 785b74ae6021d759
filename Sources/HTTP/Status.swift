/// The status codes that this server sends (RFC 9110, section 15; RFC 6585; RFC 4918).
public enum Status: UInt16, Sendable, CaseIterable {
  case `continue` = 100
  case switchingProtocols = 101
  case ok = 200
  case created = 201
  case accepted = 202
  case noContent = 204
  case partialContent = 206
  case notModified = 304
  case badRequest = 400
  case unauthorized = 401
  case forbidden = 403
  case notFound = 404
  case methodNotAllowed = 405
  case notAcceptable = 406
  case requestTimeout = 408
  case conflict = 409
  case gone = 410
  case lengthRequired = 411
  case preconditionFailed = 412
  case contentTooLarge = 413
  case unsupportedMediaType = 415
  case rangeNotSatisfiable = 416
  case expectationFailed = 417
  case misdirectedRequest = 421
  case unprocessableContent = 422
  case upgradeRequired = 426
  case preconditionRequired = 428
  case tooManyRequests = 429
  case requestHeaderFieldsTooLarge = 431
  case internalServerError = 500
  case notImplemented = 501
  case serviceUnavailable = 503
  case httpVersionNotSupported = 505
  case insufficientStorage = 507

  public var code: Int { Int(rawValue) }

  /// Whether an answer with this status never has a body, nor a Content-Length of one (RFC 9110, section 8.6).
  public var isBodiless: Bool { self == .noContent || rawValue < 200 }

  /// The status line with its CRLF.
  public var line: StaticString {
    switch self {
    case .continue: "HTTP/1.1 100 Continue\r\n"
    case .switchingProtocols: "HTTP/1.1 101 Switching Protocols\r\n"
    case .ok: "HTTP/1.1 200 OK\r\n"
    case .created: "HTTP/1.1 201 Created\r\n"
    case .accepted: "HTTP/1.1 202 Accepted\r\n"
    case .noContent: "HTTP/1.1 204 No Content\r\n"
    case .partialContent: "HTTP/1.1 206 Partial Content\r\n"
    case .notModified: "HTTP/1.1 304 Not Modified\r\n"
    case .badRequest: "HTTP/1.1 400 Bad Request\r\n"
    case .unauthorized: "HTTP/1.1 401 Unauthorized\r\n"
    case .forbidden: "HTTP/1.1 403 Forbidden\r\n"
    case .notFound: "HTTP/1.1 404 Not Found\r\n"
    case .methodNotAllowed: "HTTP/1.1 405 Method Not Allowed\r\n"
    case .notAcceptable: "HTTP/1.1 406 Not Acceptable\r\n"
    case .requestTimeout: "HTTP/1.1 408 Request Timeout\r\n"
    case .conflict: "HTTP/1.1 409 Conflict\r\n"
    case .gone: "HTTP/1.1 410 Gone\r\n"
    case .lengthRequired: "HTTP/1.1 411 Length Required\r\n"
    case .preconditionFailed: "HTTP/1.1 412 Precondition Failed\r\n"
    case .contentTooLarge: "HTTP/1.1 413 Content Too Large\r\n"
    case .unsupportedMediaType: "HTTP/1.1 415 Unsupported Media Type\r\n"
    case .rangeNotSatisfiable: "HTTP/1.1 416 Range Not Satisfiable\r\n"
    case .expectationFailed: "HTTP/1.1 417 Expectation Failed\r\n"
    case .misdirectedRequest: "HTTP/1.1 421 Misdirected Request\r\n"
    case .unprocessableContent: "HTTP/1.1 422 Unprocessable Content\r\n"
    case .upgradeRequired: "HTTP/1.1 426 Upgrade Required\r\n"
    case .preconditionRequired: "HTTP/1.1 428 Precondition Required\r\n"
    case .tooManyRequests: "HTTP/1.1 429 Too Many Requests\r\n"
    case .requestHeaderFieldsTooLarge: "HTTP/1.1 431 Request Header Fields Too Large\r\n"
    case .internalServerError: "HTTP/1.1 500 Internal Server Error\r\n"
    case .notImplemented: "HTTP/1.1 501 Not Implemented\r\n"
    case .serviceUnavailable: "HTTP/1.1 503 Service Unavailable\r\n"
    case .httpVersionNotSupported: "HTTP/1.1 505 HTTP Version Not Supported\r\n"
    case .insufficientStorage: "HTTP/1.1 507 Insufficient Storage\r\n"
    }
  }

  /// The reason phrase: the `title` of a problem document.
  public var phrase: String {
    String(decoding: UnsafeBufferPointer(rebasing: lineBytes.dropFirst(13).dropLast(2)), as: UTF8.self)
  }

  private var lineBytes: UnsafeBufferPointer<UInt8> {
    let line = line
    return UnsafeBufferPointer(start: line.utf8Start, count: line.utf8CodeUnitCount)
  }
}
