internal import Bytes
internal import Glibc
internal import Model

/// What is indexed of a unit: its tags, then its text. One buffer, used again for each unit.
struct UnitBody: ~Copyable {
  /// What a buffer keeps from one unit to the next.
  static let keptBytes = 1 << 20

  private static let firstBytes = 64 << 10

  private var memory = UnsafeMutableRawPointer.allocate(byteCount: UnitBody.firstBytes, alignment: 16)
  private var capacity = UnitBody.firstBytes

  deinit { memory.deallocate() }

  /// The body of a unit's event: `\u{1}TAG…\u{2}TEXT`, `\u{3}` before each metadata value. Valid until
  /// the next call. Nil: the event is no unit.
  mutating func make(_ event: EventView) -> UnsafeRawBufferPointer? {
    guard let head = event.unit, let context = event.contextID, let agent = event.agentID else { return nil }
    // Decoded bytes are never more than those of the record; each pair of it, `"":"",`, has at least 6.
    reserve(event.length + (event.length / 6 + 4) * (SearchTag.bytes + 1))
    var out = ByteWriter(memory, capacity: capacity)
    SearchTag.context(context).write(to: &out)
    SearchTag.agent(agent).write(to: &out)
    SearchTag.type(head.type).write(to: &out)
    UnitMetadata.forEach(event) { key, value in
      SearchTag.metadata(key, value).write(to: &out)
      return true
    }
    out.byte(SearchFormat.textMark)
    if head.encoding == PayloadEncoding.utf8.rawValue {
      let room = UnsafeMutableRawBufferPointer(start: memory + out.count, count: out.remaining)
      // A record that isn't what it should be has passed its checksum: it is indexed without its payload.
      if let count = PayloadDecoder.decode(event, into: room) {
        out.advance(count)
        UnitBody.replaceGaps(UnsafeMutableRawBufferPointer(rebasing: room[0..<count]))
      }
    }
    UnitMetadata.forEach(event) { _, value in
      out.byte(SearchFormat.gapMark)
      out.run(value)
      UnitBody.replaceGaps(
        UnsafeMutableRawBufferPointer(start: memory + out.count - value.count, count: value.count))
      return true
    }
    return UnsafeRawBufferPointer(start: memory, count: out.count)
  }

  /// A text's own `\u{3}` is a space to phrases.
  private static func replaceGaps(_ text: UnsafeMutableRawBufferPointer) {
    var rest = text
    while let base = rest.baseAddress, let found = memchr(base, Int32(SearchFormat.gapMark), rest.count) {
      found.storeBytes(of: UInt8(ascii: " "), as: UInt8.self)
      rest = UnsafeMutableRawBufferPointer(rebasing: rest[(found + 1 - base)...])
    }
  }

  private mutating func reserve(_ bytes: Int) {
    guard bytes > capacity || (capacity > UnitBody.keptBytes && bytes <= UnitBody.keptBytes) else { return }
    memory.deallocate()
    capacity = max(bytes, UnitBody.firstBytes)
    memory = .allocate(byteCount: capacity, alignment: 16)
  }
}
