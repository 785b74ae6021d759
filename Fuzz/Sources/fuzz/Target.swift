/// What is fuzzed: a reader of bytes that nobody vouches for, and what must hold of it. The raw value names the target
/// in `ENGRAM_FUZZ`, in `Corpus` and in `Dictionaries`.
enum Target: String, CaseIterable {
  case httpHead = "http-head"
  case chunkedBody = "chunked-body"
  case webSocket = "websocket"
  case json = "json"
  case lockPath = "lock-path"
  case logRecord = "log-record"
  /// A bug on purpose: the runner fails if it isn't found.
  case planted = "planted"

  func run(_ input: [UInt8]) {
    switch self {
    case .httpHead: HTTPHead.run(input)
    case .chunkedBody: ChunkedBody.run(input)
    case .webSocket: WebSocket.run(input)
    case .json: JSON.run(input)
    case .lockPath: LockPath.run(input)
    case .logRecord: LogRecord.run(input)
    case .planted: demand(!input.starts(with: Array("bug".utf8)), "the planted bug was found")
    }
  }
}
