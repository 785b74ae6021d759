import Bytes
import EngramTesting
import Model
import Testing

@testable import API

struct StreamFormatTests {
  /// The frame of an event, from the pieces that followers are sent.
  private static func frame(_ record: [UInt8], _ format: StreamFormat) -> [UInt8]? {
    record.withUnsafeBytes { memory in
      guard let event = EventView(memory), let body = format.body(of: event) else { return nil }
      return ByteWriter.bytes(capacity: StreamFormat.prefixBytesMax + body.count + 2) { writer in
        format.writePrefix(of: event, bodyBytes: body.count, to: &writer)
        #expect(writer.count <= StreamFormat.prefixBytesMax)
        writer.run(body)
        writer.run(format.suffix(event.kind))
      }
    }
  }

  private static func body(_ record: [UInt8]) -> String {
    record.withUnsafeBytes { EventView($0).map { String(decoding: $0.body, as: UTF8.self) } ?? "" }
  }

  /// The payload of an unmasked text frame (RFC 6455, section 5.2), if that is all that `bytes` are.
  private static func text(_ bytes: [UInt8]?) -> String? {
    guard let bytes, bytes.count >= 2, bytes[0] == 0x81 else { return nil }
    var (length, start) = (Int(bytes[1]), 2)
    if length >= 126 {
      start = length == 126 ? 4 : 10
      length = bytes[2..<start].reduce(0) { $0 << 8 | Int($1) }
      guard length >= (start == 4 ? 126 : 65536) else { return nil }
    }
    guard bytes.count == start + length else { return nil }
    return String(decoding: bytes[start...], as: UTF8.self)
  }

  private static func unit(_ position: UInt64, bodyBytes: Int = 20) -> [UInt8] {
    EventSamples.unit(
      position: position, context: Array("c".utf8), sequence: 1, bodyBytes: bodyBytes, logTime: 1)
  }

  @Test(arguments: [1, 9_007_199_254_740_993, UInt64.max])
  func `a unit`(position: UInt64) throws {
    let record = Self.unit(position)
    let sse = try #require(Self.frame(record, .sse))
    #expect(
      String(decoding: sse, as: UTF8.self)
        == "event: workunit\nid: \(position)\ndata: \(Self.body(record))\n\n")
    #expect(
      Self.text(Self.frame(record, .webSocket))
        == "{\"type\":\"workunit\",\"cursor\":\"\(position)\",\"work_unit\":\(Self.body(record))}")
  }

  @Test(arguments: [0, 60, 61, 62, 63, 64, 65, 66, 67, 65_470, 65_471, 65_472, 65_473, 65_474, 100_000])
  func `every length of a frame has its head`(bodyBytes: Int) {
    let record = Self.unit(7, bodyBytes: bodyBytes)
    #expect(
      Self.text(Self.frame(record, .webSocket))
        == "{\"type\":\"workunit\",\"cursor\":\"7\",\"work_unit\":\(Self.body(record))}")
  }

  @Test func `a context`() {
    let record = EventSamples.context(position: 12, context: Array("c".utf8))
    #expect(
      Self.frame(record, .sse).map { String(decoding: $0, as: UTF8.self) }
        == "event: context\nid: 12\ndata: \(Self.body(record))\n\n")
    #expect(
      Self.text(Self.frame(record, .webSocket))
        == "{\"type\":\"context\",\"cursor\":\"12\",\"context\":\(Self.body(record))}")
  }

  @Test(arguments: LockAction.allCases) func `a lock`(action: LockAction) throws {
    let record = EventSamples.lock(action, position: 5, path: Array("repo/main".utf8))
    let body = Self.body(record)
    let start = "{\"action\":\"\(action.name)\",\"lock\":{"
    #expect(body.hasPrefix(start))
    #expect(
      Self.frame(record, .sse).map { String(decoding: $0, as: UTF8.self) }
        == "event: lock\nid: 5\ndata: \(body)\n\n")
    #expect(
      Self.text(Self.frame(record, .webSocket))
        == "{\"type\":\"lock\",\"cursor\":\"5\",\(body.dropFirst())")
  }

  @Test func `a restart is nobody's`() {
    let record = EventSamples.restart(position: 1)
    for format in StreamFormat.allCases { #expect(Self.frame(record, format) == nil) }
  }

  @Test func `subscribed says where it starts, and what it names`() {
    let names = [Array("a".utf8), Array("b\"\\".utf8), Array(String(repeating: "\u{1F98A}", count: 64).utf8)]
    let list = "[\"a\",\"b\\\"\\\\\",\"\(String(repeating: "\u{1F98A}", count: 64))\"]"
    #expect(
      String(decoding: StreamFormat.sse.subscribed(Position(3), contexts: names), as: UTF8.self)
        == "retry: 1000\n\nevent: subscribed\nid: 3\ndata: {\"position\":3,\"contexts\":\(list)}\n\n")
    #expect(
      Self.text(StreamFormat.webSocket.subscribed(Position(3), contexts: names))
        == "{\"type\":\"subscribed\",\"position\":3,\"contexts\":\(list)}")
    #expect(
      Self.text(StreamFormat.webSocket.subscribed(.zero, contexts: []))
        == "{\"type\":\"subscribed\",\"position\":0,\"contexts\":[]}")
  }

  @Test func `progress, for who waits`() {
    func progress(_ format: StreamFormat, _ position: UInt64) -> [UInt8] {
      ByteWriter.bytes(capacity: StreamFormat.progressBytesMax) {
        format.writeProgress(Position(position), to: &$0)
      }
    }
    #expect(String(decoding: progress(.sse, .max), as: UTF8.self) == ": \n\nid: \(UInt64.max)\n\n")
    #expect(
      Self.text(progress(.webSocket, .max)) == "{\"type\":\"progress\",\"cursor\":\"\(UInt64.max)\"}")
  }

  @Test func `a gap, behind which one resumes without another`() {
    #expect(
      String(decoding: StreamFormat.sse.gap(after: Position(4), next: Position(90)), as: UTF8.self)
        == "event: gap\nid: 89\ndata: {\"after\":\"4\",\"next\":\"90\"}\n\n")
    #expect(
      Self.text(StreamFormat.webSocket.gap(after: Position(4), next: Position(90)))
        == "{\"type\":\"gap\",\"after\":\"4\",\"next\":\"90\"}")
  }
}
