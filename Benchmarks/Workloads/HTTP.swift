import HTTP

extension Workload {
  static let http = [
    Workload("http.head of a small GET", allocationsMax: 0) { try HeadPass(Samples.get) },
    Workload("http.head of an agent's POST", allocationsMax: 0) { try HeadPass(Samples.post) },
    Workload("http.chunked body, 16 chunks of 1 KiB", allocationsMax: 0) { ChunkedPass() },
  ]
}

/// Finds and reads one request head, whole in memory.
private final class HeadPass: Pass {
  private let head: Memory
  private var parsed = RequestHead()
  private var parser = HeadParser()

  init(_ text: String) throws {
    head = Memory(text)
    try run(1)
  }

  func run(_ operations: Int) throws {
    let bytes = head.raw
    for _ in 0..<operations {
      guard case .head(let consumed) = parser.parse(bytes, into: &parsed), consumed == bytes.count else {
        throw Unexpected("the head is refused")
      }
    }
  }
}

private final class ChunkedPass: Pass {
  private let body: Memory
  private let bytes = 16 << 10

  init() {
    let chunk = String(repeating: "x", count: 1 << 10)
    body = Memory(String(repeating: "400\r\n\(chunk)\r\n", count: 16) + "0\r\n\r\n")
  }

  func run(_ operations: Int) throws {
    for _ in 0..<operations {
      var decoder = BodyDecoder(.chunked, bytesMax: 1 << 20)
      var decoded = 0
      let outcome = decoder.decode(body.raw) { decoded += $0.count }
      guard outcome.state == .complete, decoded == bytes else { throw Unexpected("the body is refused") }
    }
  }
}
