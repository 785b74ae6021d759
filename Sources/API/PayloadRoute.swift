internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

extension LoopServices {
  /// `GET /workunit/{id}/payload`: the bytes as they were posted. They never change, so the unit's id is their tag.
  func payload(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    let page = try await find(exchange, subject)
    for unit in page.units { try payload(exchange, unit) }
    withExtendedLifetime(page) {}
  }

  private func payload(_ exchange: Exchange, _ unit: EventView) throws(Problem) {
    guard let head = unit.unit, let count = PayloadDecoder.decodedCount(unit) else {
      throw Problem(.internal, "the stored payload can't be decoded")
    }
    let tag = "\"\(head.id.description)\""
    let isText = head.encoding == PayloadEncoding.utf8.rawValue
    if matches(exchange, .ifNoneMatch, tag, whenAbsent: false) {
      return exchange.begin(.notModified, .none, length: nil, fieldBytes: 128) { write(tag, to: &$0) }
    }
    var range: Range<Int>?
    if exchange.head.method == .get, matches(exchange, .ifRange, tag, whenAbsent: true),
      let field = try exchange.field(.range)
    {
      switch ByteRange(field, of: count) {
      case .ignored: break
      case .unsatisfiable:
        return exchange.begin(.rangeNotSatisfiable, .none, length: 0, fieldBytes: 128) { writer in
          writer.run("Content-Range: bytes */")
          writer.decimal(UInt64(count))
          writer.run("\r\n")
        }
      case .range(let found): range = found
      }
    }
    let sent = range ?? 0..<count
    exchange.begin(
      range == nil ? .ok : .partialContent, isText ? .text : .binary, length: sent.count, fieldBytes: 256
    ) { writer in
      write(tag, to: &writer)
      guard let range else { return }
      writer.run("Content-Range: bytes ")
      writer.decimal(UInt64(range.lowerBound))
      writer.run("-")
      writer.decimal(UInt64(range.upperBound - 1))
      writer.run("/")
      writer.decimal(UInt64(count))
      writer.run("\r\n")
    }
    guard !exchange.isHeadOnly, !sent.isEmpty else { return }
    send(unit, count, sent, to: exchange)
  }

  private func write(_ tag: String, to writer: inout ByteWriter) {
    var tag = tag
    tag.withUTF8 { writer.field("ETag", UnsafeRawBufferPointer($0)) }
    writer.field("Accept-Ranges", "bytes")
  }

  private func send(_ unit: EventView, _ count: Int, _ range: Range<Int>, to exchange: Exchange) {
    let output = exchange.socket.output
    if range.count == count {
      let memory = UnsafeMutableRawBufferPointer(start: output.reserve(count), count: count)
      output.commit(PayloadDecoder.decode(unit, into: memory) ?? 0)
    } else {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
      defer { memory.deallocate() }
      guard PayloadDecoder.decode(unit, into: memory) == count else { return }
      output.write(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[range]))
    }
  }

  /// Whether a list of entity tags names this one, or is `*`, comparing weakly (RFC 9110, section 13.1.2).
  /// `If-Range` holds one tag, compares strongly, and knows no `*` (section 13.1.5).
  func matches(_ exchange: Exchange, _ field: KnownField, _ tag: String, whenAbsent: Bool) -> Bool {
    guard let tags = exchange.members(of: field) else { return whenAbsent }
    return tags.contains { $0 == tag || (field == .ifNoneMatch && ($0 == "W/" + tag || $0 == "*")) }
  }
}

/// One range of bytes that a request asks for (RFC 9110, section 14.1.2). Several ranges, other units and
/// malformed ones are ignored, as a server may.
enum ByteRange: Equatable {
  case ignored
  case unsatisfiable
  case range(Range<Int>)

  init(_ field: UnsafeRawBufferPointer, of count: Int) {
    self = .ignored
    let text = [UInt8](field)
    // Names of units are case-insensitive (section 14.1).
    let unit = UnsafeRawBufferPointer(rebasing: field.prefix(5))
    guard text.count > 6, ASCII.equalIgnoringCase(unit, "bytes"), text[5] == UInt8(ascii: "=") else { return }
    let bounds = text[6...].split(
      separator: UInt8(ascii: "-"), maxSplits: 1, omittingEmptySubsequences: false)
    guard bounds.count == 2 else { return }
    func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
      digits.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } ? UInt64(String(decoding: digits, as: UTF8.self)) : nil
    }
    if bounds[0].isEmpty {
      guard let suffix = number(bounds[1]) else { return }
      let length = Int(min(suffix, UInt64(count)))
      self = length == 0 ? .unsatisfiable : .range(count - length..<count)
      return
    }
    guard let first = number(bounds[0]) else { return }
    let last = number(bounds[1])
    if last == nil, !bounds[1].isEmpty { return }
    if let last, last < first { return }
    guard first < UInt64(count) else {
      self = .unsatisfiable
      return
    }
    self = .range(Int(first)..<Int(min(last ?? .max, UInt64(count) - 1)) + 1)
  }
}
