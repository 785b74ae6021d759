/// What is fuzzed: a reader of bytes that nobody vouches for, and what must hold of it. The raw value names the target
/// in `ENGRAM_FUZZ`, in `Corpus` and in `Dictionaries`.
enum Target: String, CaseIterable {
  case httpHead = "http-head"
  case chunkedBody = "chunked-body"
  case webSocket = "websocket"
  case json = "json"
  case token = "jwt"
  case policy = "toml-policy"
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
    case .token: Token.run(input)
    case .policy: PolicyFile.run(input)
    case .lockPath: LockPath.run(input)
    case .logRecord: LogRecord.run(input)
    case .planted: plant(input)
    }
  }

  /// Before the first input: what is good is taken, so that no target passes because it refuses everything.
  func prove() {
    switch self {
    case .httpHead: HTTPHead.prove()
    case .chunkedBody: ChunkedBody.prove()
    case .webSocket: WebSocket.prove()
    case .json: JSON.prove()
    case .token: Token.prove()
    case .policy: PolicyFile.prove()
    case .lockPath: LockPath.prove()
    case .logRecord: LogRecord.prove()
    case .planted: break
    }
  }

  /// Byte after byte, so that each that is right is new to see.
  private func plant(_ input: [UInt8]) {
    guard input.count >= 3, input[0] == UInt8(ascii: "b") else { return }
    guard input[1] == UInt8(ascii: "u") else { return }
    demand(input[2] != UInt8(ascii: "g"), "the planted bug was found")
  }
}
