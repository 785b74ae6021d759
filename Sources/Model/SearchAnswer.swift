internal import Bytes

/// Writes the answer of a search: `{"results": […], "total_count", …}`. Units' JSON is copied from their records.
public struct SearchAnswer {
  /// What stands behind the results.
  public struct Summary: Hashable, Sendable {
    public var total = 0
    public var isTotalExact = true
    /// The text of a cursor; empty: the last page.
    public var cursor: [UInt8] = []
    public var indexed = Position.zero
    public var isPartial = false

    public init() {}
  }

  public private(set) var bytes: [UInt8]
  public private(set) var count = 0

  public init() {
    bytes = []
    bytes.reserveCapacity(32 << 10)
    text("{\"results\":[")
  }

  /// - Parameter highlight: nil: none was asked for, or nothing is to be marked.
  public mutating func add(_ unit: EventView, score: Double, highlight: [UInt8]?) {
    text(count == 0 ? "{\"work_unit\":" : ",{\"work_unit\":")
    bytes.append(contentsOf: unit.body)
    text(",\"score\":")
    // A finite number's description is one of JSON's, too.
    bytes.append(contentsOf: (score.isFinite ? score : 0).description.utf8)
    text(",\"highlight\":")
    if let highlight { quoted(highlight) } else { text("null") }
    text("}")
    count += 1
  }

  public mutating func finish(_ summary: Summary) -> [UInt8] {
    text("],\"total_count\":")
    bytes.append(contentsOf: "\(summary.total)".utf8)
    text(
      summary.isTotalExact
        ? ",\"total_is_exact\":true,\"next_cursor\":" : ",\"total_is_exact\":false,\"next_cursor\":")
    quoted(summary.cursor)
    text(",\"indexed_position\":")
    bytes.append(contentsOf: "\(summary.indexed.rawValue)".utf8)
    text(summary.isPartial ? ",\"partial\":true}" : ",\"partial\":false}")
    return bytes
  }

  private mutating func text(_ text: StaticString) {
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Valid UTF-8.
  private mutating func quoted(_ text: [UInt8]) {
    text.withUnsafeBytes { text in
      let room = JSONText.quotedCount(text)
      bytes.append(contentsOf: ByteWriter.bytes(capacity: room) { JSONText.writeQuoted(text, to: &$0) })
    }
  }
}
