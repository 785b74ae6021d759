import Bytes
import EngramTesting
import HTTP
import Testing

@Suite struct WebSocketFrameTests {
  /// What `body` writes, in exactly `count` bytes.
  private func bytes(_ count: Int, _ body: (inout ByteWriter) -> Void) -> [UInt8] {
    let bytes = ByteWriter.bytes(capacity: count, body)
    #expect(bytes.count == count, "the size told beforehand")
    return bytes
  }

  private func close(_ code: UInt16?, _ reason: String) -> [UInt8] {
    let code = code.map { WebSocketCloseCode(rawValue: $0) }
    return withBytes(reason) { reason in
      bytes(WebSocketFrame.closeBytes(code, reason: reason)) {
        WebSocketFrame.close(code, reason: reason, to: &$0)
      }
    }
  }

  /// RFC 6455, section 5.7: not masked.
  @Test func theExamplesOfTheRFC() {
    withBytes("Hello") { hello in
      let text = bytes(WebSocketFrame.bytes(5)) { WebSocketFrame.write(.text, hello, to: &$0) }
      #expect(text == [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f])
      let ping = bytes(WebSocketFrame.bytes(5)) { WebSocketFrame.write(.ping, hello, to: &$0) }
      #expect(ping == [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f])
    }
    #expect(
      bytes(4) { WebSocketFrame.writeHeader(.binary, length: 256, to: &$0) } == [0x82, 0x7e, 0x01, 0x00])
    #expect(
      bytes(10) { WebSocketFrame.writeHeader(.binary, length: 65536, to: &$0) }
        == [0x82, 0x7f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00])
  }

  @Test(
    arguments: [
      (0, [0x81, 0]), (1, [0x81, 1]), (125, [0x81, 125]), (126, [0x81, 126, 0, 126]),
      (127, [0x81, 126, 0, 127]),
      (65535, [0x81, 126, 255, 255]), (65536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
      (0x1234_5678, [0x81, 127, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78]),
      (Int.max, [0x81, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
    ] as [(Int, [UInt8])])
  func headersAreMinimal(length: Int, expected: [UInt8]) {
    #expect(WebSocketFrame.headerBytes(length) == expected.count)
    #expect(expected.count <= WebSocketFrame.headerBytesMax)
    #expect(bytes(expected.count) { WebSocketFrame.writeHeader(.text, length: length, to: &$0) } == expected)
  }

  @Test(arguments: WebSocketOpcode.allCases)
  func everyOpcodeIsFinal(opcode: WebSocketOpcode) {
    #expect(
      bytes(2) { WebSocketFrame.writeHeader(opcode, length: 0, to: &$0) } == [0x80 | opcode.rawValue, 0])
  }

  @Test func closeFrames() {
    #expect(close(nil, "") == [0x88, 0])
    #expect(close(nil, "a reason needs a code") == [0x88, 0])
    #expect(close(1000, "") == [0x88, 2, 0x03, 0xe8])
    #expect(close(1009, "big") == [0x88, 5, 0x03, 0xf1, 0x62, 0x69, 0x67])
  }

  /// A reason of any length is cut where a character ends, and the frame is one that a peer takes.
  @Test(arguments: ["x", "é", "€", "𝄞"])
  func longReasonsAreCut(character: String) {
    let size = character.utf8.count
    for count in 0...130 {
      for lead in 0..<size {
        let reason = String(repeating: "-", count: lead) + String(repeating: character, count: count)
        let frame = close(1011, reason)
        let payload = frame[2...]
        #expect(payload.count == Int(frame[1]) && payload.count <= 125)
        let sent = Array(payload.dropFirst(2))
        #expect(String(validating: sent, as: UTF8.self).map { reason.hasPrefix($0) } == true)
        #expect(sent.count == reason.utf8.count || sent.count > 123 - size)
      }
    }
  }

  /// What is written here and masked as a client would is read as it was.
  @Test(arguments: [0, 1, 125, 126, 65535, 65536])
  func whatIsWrittenIsRead(count: Int) {
    let payload = (0..<count).map { UInt8(97 + $0 % 26) }
    let written = payload.withUnsafeBytes { payload in
      bytes(WebSocketFrame.bytes(count)) { WebSocketFrame.write(.text, payload, to: &$0) }
    }
    let header = WebSocketFrame.headerBytes(count)
    let key: [UInt8] = [1, 2, 3, 4]
    var client = Array(written[..<header]) + key + masked(Array(written[header...]), key)
    client[1] |= 0x80
    #expect(told(client) == [.text(payload)])
  }
}
