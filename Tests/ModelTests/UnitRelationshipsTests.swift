import Bytes
import Model
import Testing

@Suite struct UnitRelationshipsTests {
  /// What a posted unit's record names.
  private func names(_ body: String) throws -> [String] {
    let parsed = Parsed(body)
    #expect(parsed.problem == nil)
    return names(parsed.record())
  }

  private func names(_ record: [UInt8]) -> [String] {
    var found: [String] = []
    record.withUnsafeBytes { memory in
      guard let view = EventView(memory) else { return }
      UnitRelationships.forEach(view) { one in
        found.append("\(one.index) \(one.target) \(one.type.name) \(text(one.metadata) ?? "")")
        return true
      }
    }
    return found
  }

  private let trap = #"\",\"payload_encoding\":\"utf8\",\"relationships\":[{"#

  @Test func whatTheEncoderWritesIsRead() throws {
    #expect(try names(unit()) == [])
    #expect(try names(unit(#""relationships":[]"#)) == [])
    #expect(try names(unit(payload: #""\#(trap)""#)) == [])
    let body = unit(
      payload: #""\#(trap)""#,
      #""relationships":[{"target_id":"\#(target)","type":"CAUSES"},{"type":7,"target_id":"01900000-0000-7ABC-8000-000000000009","metadata":{"a\u0022}]":"é,\\","b":""}}],"metadata":{"x":"\#(trap)"}"#
    )
    #expect(
      try names(body) == [
        "0 \(target) CAUSES {}",
        #"1 01900000-0000-7abc-8000-000000000009 REPLACES {"a\u0022}]":"é,\\","b":""}"#,
      ])
    let bytes = unit(
      payload: #""AAEC""#,
      #""payload_encoding":"base64","relationships":[{"target_id":"\#(target)","type":1}]"#)
    #expect(try names(bytes) == ["0 \(target) SEQUENTIAL {}"])
  }

  @Test func asManyAsAUnitMayHaveAreRead() throws {
    let list = (0..<256).map { #"{"target_id":"\#(target)","type":\#($0 % 7 + 1)}"# }
    let found = try names(unit(#""relationships":[\#(list.joined(separator: ","))]"#))
    #expect(found.count == 256 && found[255].hasPrefix("255 \(target) REFERENCES"))
  }

  /// A record that is damaged in one byte names something or nothing, and stops nobody.
  @Test func damagedRecordsTrapNowhere() throws {
    let parsed = Parsed(
      unit(#""relationships":[{"target_id":"\#(target)","type":"CAUSES","metadata":{"a":"b"}}]"#))
    let record = parsed.record()
    for place in record.indices {
      for bit in [0x01, 0x20, 0x80] as [UInt8] {
        var damaged = record
        damaged[place] ^= bit
        _ = names(damaged)
      }
    }
    #expect(names(record).count == 1)
  }
}
