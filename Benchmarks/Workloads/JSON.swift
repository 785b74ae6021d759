import Bytes
import Model

extension Workload {
  private static let bodies: @Sendable () -> [(name: String, body: String)] = {
    [
      ("1 KiB", Samples.unit()),
      ("1 KiB, 8 pairs, 4 relationships", Samples.unit(more: Samples.details)),
      ("64 KiB with escapes", Samples.large),
    ]
  }

  static let json =
    bodies().map { name, body in
      Workload("json.scan \(name)", allocationsMax: 0) { try ScanPass(body) }
    }
    + bodies().map { name, body in
      Workload("json.parse unit of \(name)", allocationsMax: 0) { try ParsePass(body) }
    }
    + bodies().map { name, body in
      Workload("json.encode unit of \(name)", allocationsMax: 0) { try EncodePass(body) }
    }
    + [
      Workload("json.quote 1 KiB of plain text", allocationsMax: 0) {
        quotePass(Samples.text(1 << 10))
      },
      Workload("json.quote 1 KiB of code", allocationsMax: 0) {
        quotePass(String(repeating: "  print(\"x\")\t// a comment\n", count: 39))
      },
    ]

  /// Text becomes a string token.
  private static func quotePass(_ text: String) -> any Pass {
    let text = Memory(text)
    let out = Memory(count: JSONText.quotedCount(text.raw))
    return Repeated { operations in
      for _ in 0..<operations {
        var writer = ByteWriter(out.base, capacity: out.bytes.count)
        JSONText.writeQuoted(text.raw, to: &writer)
        guard writer.remaining == 0 else { throw Unexpected("the token is too short") }
      }
    }
  }
}

/// Checks a text without a schema.
private final class ScanPass: Pass {
  private let text: Memory
  private var keys = JSONKeys()

  init(_ text: String) throws {
    self.text = Memory(text)
    try run(1)
  }

  func run(_ operations: Int) throws {
    for _ in 0..<operations {
      keys.reset()
      var scanner = JSONScanner(text.raw)
      try scanner.beginDocument()
      try scanner.skipValue(&keys)
      try scanner.endDocument()
    }
  }
}

/// From a request's body to a draft.
private final class ParsePass: Pass {
  private let body: Memory
  private let draft = UnitDraft()

  init(_ body: String) throws {
    self.body = Memory(body)
    try run(1)
  }

  func run(_ operations: Int) throws {
    for _ in 0..<operations {
      if let problem = draft.parse(body.raw) { throw Unexpected("\(problem)") }
    }
  }
}

/// From a draft to the record that everybody shares.
private final class EncodePass: Pass {
  private let body: Memory
  private let draft = UnitDraft()
  private let record: Memory
  private var facts = UnitFacts(
    id: UnitID(high: 0x018f_3c1e_7b5a_7c3d, low: 0x9e21_5a4b_6c7d_8e9f), sequence: Sequence(41),
    position: Position(1_000_000), logTime: LogTime(microseconds: 1_700_000_000_000_000))

  init(_ body: String) throws {
    self.body = Memory(body)
    if let problem = draft.parse(self.body.raw) { throw Unexpected("\(problem)") }
    record = Memory(count: UnitEncoder.bytesMax(for: draft))
  }

  func run(_ operations: Int) throws {
    for _ in 0..<operations {
      facts.position = Position(facts.position.rawValue + 1)
      let length = UnitEncoder.encode(draft, facts, into: record.base, capacity: record.bytes.count)
      guard length > draft.payload.count else { throw Unexpected("a record of \(length) bytes") }
    }
    try expect(EventView(record.raw)?.isIntact == true, "the record is damaged")
  }
}
