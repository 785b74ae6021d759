internal import Bytes
internal import EventLoop
internal import HTTP
internal import Model

/// The frames by which a WebSocket is answered, written into the outbox: whole, and without allocation where they come
/// often.
enum WebSocketReply {
  private static let ackLead: StaticString = "{\"type\":\"ack\","
  private static let refName: StaticString = "\"ref\":"

  /// `{"type":"ack","ref":…,"id":"…","sequence":…,"position":…}`
  /// - Parameter ref: the client's token; left out if it is empty.
  static func ack(_ unit: EventView, ref: [UInt8], to output: OutputBuffer) {
    guard let head = unit.unit else { return }
    let (sequence, position) = (head.sequence.rawValue, unit.position.rawValue)
    let refBytes = ref.isEmpty ? 0 : refName.utf8CodeUnitCount + ref.count + 1
    let length =
      ackLead.utf8CodeUnitCount + refBytes + 6 + UnitID.textBytes + 13 + decimalDigits(sequence) + 12
      + decimalDigits(position) + 1
    text(length, to: output) { writer in
      writer.run(ackLead)
      if !ref.isEmpty {
        writer.run(refName)
        ref.withUnsafeBytes { writer.run($0) }
        writer.run(",")
      }
      writer.run("\"id\":\"")
      head.id.write(to: &writer)
      writer.run("\",\"sequence\":")
      writer.decimal(sequence)
      writer.run(",\"position\":")
      writer.decimal(position)
      writer.run("}")
    }
  }

  /// `{"type":"error","ref":…,"code":"…","detail":"…"}`
  static func error(_ problem: Problem, ref: some Collection<UInt8>, to output: OutputBuffer) {
    let detail = Array(problem.detail.utf8)
    let json = detail.withUnsafeBytes { detail in
      ByteWriter.bytes(capacity: 96 + ref.count + JSONText.quotedCount(detail)) { writer in
        writer.run("{\"type\":\"error\",")
        if !ref.isEmpty {
          writer.run(refName)
          for byte in ref { writer.byte(byte) }
          writer.run(",")
        }
        writer.run("\"code\":\"")
        writer.run(problem.code.name)
        writer.run("\",\"detail\":")
        JSONText.writeQuoted(detail, to: &writer)
        writer.run("}")
      }
    }
    text(json.count, to: output) { writer in json.withUnsafeBytes { writer.run($0) } }
  }

  static func pong(to output: OutputBuffer) {
    let json: StaticString = "{\"type\":\"pong\"}"
    text(json.utf8CodeUnitCount, to: output) { $0.run(json) }
  }

  /// A control frame of at most 125 bytes.
  static func control(
    _ opcode: WebSocketOpcode,
    _ payload: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    to output: OutputBuffer
  ) {
    let room = WebSocketFrame.bytes(payload.count)
    var writer = ByteWriter(output.reserve(room), capacity: room)
    WebSocketFrame.write(opcode, payload, to: &writer)
    output.commit(writer.count)
  }

  /// A close frame; without a code it has no payload.
  static func close(_ code: WebSocketCloseCode?, reason: StaticString, to output: OutputBuffer) {
    let reason = UnsafeRawBufferPointer(start: reason.utf8Start, count: reason.utf8CodeUnitCount)
    let room = WebSocketFrame.closeBytes(code, reason: reason)
    var writer = ByteWriter(output.reserve(room), capacity: room)
    WebSocketFrame.close(code, reason: reason, to: &writer)
    output.commit(writer.count)
  }

  /// A text frame of `length` bytes, which `body` writes.
  @inline(__always)
  private static func text(_ length: Int, to output: OutputBuffer, _ body: (inout ByteWriter) -> Void) {
    let room = WebSocketFrame.bytes(length)
    var writer = ByteWriter(output.reserve(room), capacity: room)
    WebSocketFrame.writeHeader(.text, length: length, to: &writer)
    body(&writer)
    assert(writer.count == room)
    output.commit(writer.count)
  }
}
