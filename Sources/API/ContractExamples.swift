/// Examples of the contract. Tests hold requests against the server's own readers, and play them against a
/// server, in this order: what it answers is the example of the same name, but for times, positions and what
/// the server names by chance.
enum Examples {
  /// The id that the example of a whole unit chooses.
  static let unitID = "0192f0c1-7b5a-7c3d-8e4f-5a6b7c8d9e0f"

  static let newUnits: [(name: String, value: String)] = [
    (
      "whole",
      #"""
      {"id": "\#(unitID)", "context_id": "demo", "agent_id": "anna", "type": "MESSAGE", "payload": "hello",
       "metadata": {"mood": "good"}}
      """#
    ),
    (
      "answer",
      #"""
      {"context_id": "demo", "agent_id": "bob", "type": 2, "payload": "and hello back",
       "relationships": [{"target_id": "\#(unitID)", "type": "RESPONDS_TO"}]}
      """#
    ),
    (
      "bytes",
      #"""
      {"context_id": "demo", "agent_id": "anna", "type": "FILE_CHANGE", "payload": "3q2+7w==", "payload_encoding": "base64",
       "meta": {"path": "src/main.c"}}
      """#
    ),
  ]

  private static func unit(
    _ id: String, _ agent: String, _ type: String, _ payload: String, encoding: String = "utf8",
    metadata: String,
    relationships: String = "", sequence: Int, position: Int, context: String = "demo"
  ) -> String {
    #"""
    {"id": "\#(id)", "context_id": "\#(context)", "agent_id": "\#(agent)", "type": "\#(type)",
     "timestamp": "2026-01-02T03:04:05.678901Z", "metadata": {\#(metadata)}, "payload": "\#(payload)",
     "payload_encoding": "\#(encoding)", "relationships": [\#(relationships)], "sequence": \#(sequence), "position": \#(position)}
    """#
  }

  private static let first = unit(
    unitID, "anna", "MESSAGE", "hello", metadata: #""mood": "good""#, sequence: 1, position: 2)

  static let second = unit(
    "019b7c9e-2c5e-7a41-9f00-3b6d1c2e4f50", "bob", "REASONING", "and hello back", metadata: "",
    relationships: #"{"target_id": "\#(unitID)", "type": "RESPONDS_TO", "metadata": {}}"#, sequence: 2,
    position: 4)

  private static let third = unit(
    "019b7c9e-2c5f-7b52-8e11-4c7e2d3f5061", "anna", "FILE_CHANGE", "3q2+7w==", encoding: "base64",
    metadata: #""path": "src/main.c""#, sequence: 3, position: 5)

  static let createdUnits: [(name: String, value: String)] = [
    ("whole", #"{"work_unit": \#(first)}"#), ("answer", #"{"work_unit": \#(second)}"#),
    ("bytes", #"{"work_unit": \#(third)}"#),
  ]

  static let found: [(name: String, value: String)] = [("whole", #"{"work_unit": \#(first)}"#)]

  private static let pair = [
    #"{"context_id": "demo-batch", "agent_id": "anna", "type": "TOOL_CALL", "payload": "ls"}"#,
    #"{"context_id": "demo-batch", "agent_id": "anna", "type": "TOOL_RESULT", "payload": "README.md"}"#,
  ]

  static let batches: [(name: String, value: String)] = [
    ("array", "[\(pair.joined(separator: ", "))]"),
    ("object", #"{"work_units": [\#(pair.joined(separator: ", "))]}"#),
  ]

  /// An array, whose elements are sent one to a line.
  static let lines: [(name: String, value: String)] = [("lines", "[\(pair.joined(separator: ", "))]")]

  private static func created(after sequence: Int, position: Int) -> String {
    let units = [
      unit(
        "019b7c9e-2c60-7c63-9d22-5d8f3e406172", "anna", "TOOL_CALL", "ls", metadata: "",
        sequence: sequence + 1,
        position: position, context: "demo-batch"),
      unit(
        "019b7c9e-2c60-7c64-8c33-6e904f517283", "anna", "TOOL_RESULT", "README.md", metadata: "",
        sequence: sequence + 2, position: position + 1, context: "demo-batch"),
    ]
    return #"{"work_units": [\#(units.joined(separator: ", "))]}"#
  }

  // MARK: Search

  /// They find the first units, which were posted one by one.
  static let searches: [(name: String, value: String)] = [
    (
      "words",
      #"""
      {"query": "hello", "context_id": "demo", "order": "recent", "highlight": true, "min_position": 5, "wait_seconds": 20}
      """#
    ),
    (
      "filters",
      #"""
      {"context_ids": ["demo"], "agent_ids": ["anna"], "types": ["FILE_CHANGE"], "metadata": {"path": "src/main.c"},
       "since": "2026-01-02T03:04:05Z", "limit": 10, "min_position": 5, "wait_seconds": 20}
      """#
    ),
  ]

  private static func found(_ results: [(unit: String, highlight: String)]) -> String {
    let list = results.map { #"{"work_unit": \#($0.unit), "score": 0, "highlight": \#($0.highlight)}"# }
    return #"""
      {"results": [\#(list.joined(separator: ", "))], "total_count": \#(results.count), "total_is_exact": true,
       "next_cursor": "", "indexed_position": 12, "partial": false}
      """#
  }

  static let foundBySearch: [(name: String, value: String)] = [
    (
      "words",
      found([(second, #""and <mark>hello</mark> back""#), (first, #""<mark>hello</mark>""#)])
    ),
    ("filters", found([(third, "null")])),
  ]

  static let createdBatches: [(name: String, value: String)] = [
    ("array", created(after: 0, position: 7)), ("object", created(after: 2, position: 9)),
    ("lines", created(after: 4, position: 11)),
  ]
}
