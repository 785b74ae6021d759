internal import Access
internal import Bytes
internal import Testing

@Suite struct AuditEventTests {
  private func line(_ event: AuditEvent) -> String {
    String(decoding: AuditLine.json(event, time: "2026-01-02T03:04:05Z"), as: UTF8.self)
  }

  @Test func whatIsKnownIsWrittenAndNothingElse() {
    var event = AuditEvent(.denial, .failure)
    event.requestID = Array("r1".utf8)
    event.agent = Array("anna".utf8)
    event.address = ClientAddress(ipv4: 0xc000_0201)
    event.verb = .contextWrite
    event.resource = Array("context/plans".utf8)
    event.reason = "policy"
    #expect(
      line(event)
        == #"{"time":"2026-01-02T03:04:05Z","event":"denial","result":"failure","request_id":"r1","#
        + #""agent":"anna","address":"192.0.2.1","verb":"context:write","resource":"context/plans","#
        + #""reason":"policy"}"# + "\n")
    #expect(
      line(AuditEvent(.start, .success))
        == #"{"time":"2026-01-02T03:04:05Z","event":"start","result":"success"}"# + "\n")
  }

  /// Bytes of a peer, and what stands for them in the line.
  static let hostile: [([UInt8], String)] = [
    (Array("a\nb\r\t\u{1b}[31m".utf8), #"a\nb\r\t\u001b[31m"#),
    (Array(#"","event":"start"#.utf8), #"\",\"event\":\"start"#),
    ([0x61, 0xff, 0xc0, 0x80, 0x62], "a\u{fffd}\u{fffd}\u{fffd}b"),
    (Array("a\u{85}\u{9b}31m\u{2028}\u{202e}".utf8), "a\u{fffd}\u{fffd}31m\u{fffd}\u{fffd}"),
    ([0], #"\u0000"#),
    (Array(repeating: 0x61, count: 1025), String(repeating: "a", count: 1024) + "…"),
    // Cut inside of a character.
    (
      Array(repeating: 0x61, count: 1023) + Array("é!".utf8),
      String(repeating: "a", count: 1023) + "\u{fffd}…"
    ),
  ]

  @Test(arguments: hostile) func aLineStaysOneLine(_ bytes: [UInt8], _ text: String) {
    for field in [\AuditEvent.agent, \AuditEvent.resource, \AuditEvent.requestID] {
      var event = AuditEvent(.authenticationFailure, .failure)
      event[keyPath: field] = bytes
      let line = line(event)
      #expect(line.contains("\"\(text)\""))
      #expect(line.utf8.filter { $0 == 0x0a }.count == 1)
      #expect(line.utf8.allSatisfy { $0 >= 0x20 || $0 == 0x0a })
      #expect(isJSON(line))
    }
  }

  private func isJSON(_ line: String) -> Bool {
    let bytes = Array(line.utf8)
    return bytes.withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      var keys = JSONKeys()
      do throws(JSONError) {
        try scanner.beginDocument()
        try scanner.skipValue(&keys)
        try scanner.endDocument()
        return true
      } catch {
        return false
      }
    }
  }

  @Test func addressesAreWrittenAsTheyAre() {
    #expect(ClientAddress(ipv4: 0x7f00_0001).text == "127.0.0.1")
    #expect(ClientAddress(high: 0, low: 1).text == "::1")
    #expect(ClientAddress(high: 0x2001_0db8_0000_0001, low: 2).text == "2001:db8:0:1::2")
    #expect(ClientAddress.unknown.text == "::")
  }

  @Test func aNetworkIsAllOfIPv4AndHalfOfIPv6() {
    let four = ClientAddress(ipv4: 0xc000_0201)
    #expect(four.network == four)
    #expect(ClientAddress(high: 5, low: 7).network == ClientAddress(high: 5, low: 9).network)
    #expect(ClientAddress(high: 5, low: 7).network != ClientAddress(high: 6, low: 7).network)
    #expect(ClientAddress(high: 0, low: 1).network == ClientAddress(high: 0, low: 1))
  }
}
