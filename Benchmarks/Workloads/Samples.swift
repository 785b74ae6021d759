/// Requests as they arrive.
enum Samples {
  static let get = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"

  /// What an agent's HTTP client sends before a unit.
  static let post = """
    POST /workunit HTTP/1.1\r
    Host: engram.internal:8080\r
    User-Agent: agent-runtime/4.2 (linux; x86_64) httpx/0.27\r
    Accept: application/json\r
    Accept-Encoding: gzip, deflate\r
    Connection: keep-alive\r
    Content-Type: application/json\r
    Content-Length: 1183\r
    X-Agent-ID: planner-7\r
    X-Request-ID: 018f3c1e-7b5a-7c3d-9e21-5a4b6c7d8e9f\r
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r
    \r

    """

  /// A unit whose payload has 1 KiB.
  static func unit(context: String = "context-1", more: String = "") -> String {
    """
    {"context_id": "\(context)", "agent_id": "planner-7", "type": "REASONING", \
    "payload": "\(text(1 << 10))"\(more)}
    """
  }

  /// Eight pairs and four relationships.
  static let details: String = {
    let pairs = (0..<8).map { #""key-\#($0)": "value number \#($0)""# }
    let targets = (0..<4).map {
      #"{"target_id": "018f3c1e-7b5a-7c3d-9e21-5a4b6c7d8e0\#($0)", "type": "DEPENDS_ON"}"#
    }
    return """
      , "metadata": {\(pairs.joined(separator: ", "))}, "relationships": [\(targets.joined(separator: ", "))]
      """
  }()

  /// A unit whose payload is 64 KiB of source code: a line break or a quote every 32 bytes, escaped.
  static let large: String = {
    let line = #"    let name = \"value\" // why\n"#
    let lines = String(repeating: line, count: (64 << 10) / line.utf8.count)
    return
      #"{"context_id": "context-1", "agent_id": "planner-7", "type": "TOOL_RESULT", "payload": "\#(lines)"}"#
  }()

  static func text(_ count: Int) -> String {
    let words = "the quick brown fox jumps over the lazy dog and "
    return String(String(repeating: words, count: count / words.utf8.count + 1).prefix(count))
  }
}
