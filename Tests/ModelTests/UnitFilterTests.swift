import Bytes
import Testing

@testable import Model

@Suite struct UnitFilterTests {
  private func admits(_ record: [UInt8], _ fill: (inout UnitFilter) -> Void) -> Bool {
    var filter = UnitFilter()
    fill(&filter)
    return Body(record).withBytes { bytes in EventView(bytes).map { filter.admits($0) } ?? false }
  }

  private func metadata(_ record: [UInt8]) -> [String] {
    Body(record).withBytes { bytes in
      var found: [String] = []
      if let view = EventView(bytes) {
        UnitMetadata.forEach(view) { key, value in
          found.append("\(text(key) ?? "")=\(text(value) ?? "")")
          return true
        }
      }
      return found
    }
  }

  @Test func metadataIsReadAsItWasMeant() {
    #expect(metadata(Parsed(unit()).record()) == [])
    #expect(metadata(Parsed(unit(#""metadata":{}"#)).record()) == [])
    #expect(metadata(Parsed(unit(#""metadata":{"a":"b","c":""}"#)).record()) == ["a=b", "c="])
    #expect(metadata(Parsed(unit(#""metadata":{"\u0061\/":"\u00e9\n"}"#)).record()) == ["a/=é\n"])
    // What looks like the end of empty metadata is the inside of a value.
    #expect(metadata(Parsed(unit(#""metadata":{"a":"{},\"payload\":"}"#)).record()) == [#"a={},"payload":"#])
    #expect(metadata(Parsed(unit(context: #""metadata""#, #""metadata":{"a":"b"}"#)).record()) == ["a=b"])
  }

  @Test func everyPartMustHold() {
    let record = Parsed(unit(type: "3", #""metadata":{"k":"v","l":"\u0077"}"#)).record()
    let now = UnitFacts.example.logTime
    let later = LogTime(microseconds: now.microseconds + 1)
    func pair(_ key: String, _ value: String) -> UnitFilter.Pair {
      UnitFilter.Pair(key: bytes(key), value: bytes(value))
    }
    #expect(admits(record) { _ in })
    #expect(admits(record) { $0.insert(.toolCall) })
    #expect(!admits(record) { $0.insert(.message) })
    #expect(
      admits(record) {
        $0.insert(.message)
        $0.insert(.toolCall)
      })
    #expect(admits(record) { $0.agent = bytes("a") })
    #expect(!admits(record) { $0.agent = bytes("A") })
    #expect(admits(record) { $0.since = now })
    #expect(!admits(record) { $0.since = later })
    #expect(!admits(record) { $0.until = now })
    #expect(admits(record) { $0.until = later })
    #expect(admits(record) { $0.insert(pair("l", "w")) })
    #expect(
      admits(record) {
        $0.insert(pair("k", "v"))
        $0.insert(pair("l", "w"))
        $0.insert(pair("k", "v"))
      })
    for wrong in [pair("k", "w"), pair("k", ""), pair("K", "v"), pair("m", "v"), pair("", "v")] {
      #expect(!admits(record) { $0.insert(wrong) })
      #expect(
        !admits(record) {
          $0.insert(pair("k", "v"))
          $0.insert(wrong)
        })
    }
    #expect(
      !admits(record) {
        $0.insert(.toolCall)
        $0.agent = bytes("b")
        $0.insert(pair("k", "v"))
      })
  }

  @Test func someFiltersLeaveNothing() {
    var span = UnitFilter()
    span.until = LogTime(microseconds: 5)
    #expect(!span.isImpossible && span.isOfTimeOnly && !span.isEmpty)
    span.since = LogTime(microseconds: 5)
    #expect(span.isImpossible)
    var pairs = UnitFilter()
    pairs.insert(UnitFilter.Pair(key: [1], value: [1]))
    pairs.insert(UnitFilter.Pair(key: [1], value: [1]))
    #expect(!pairs.isImpossible && pairs.metadata.count == 1 && !pairs.isOfTimeOnly)
    pairs.insert(UnitFilter.Pair(key: [1], value: [2]))
    #expect(pairs.isImpossible)
  }

  @Test func identityTellsFiltersApart() {
    let pair = { (key: [UInt8], value: [UInt8]) in UnitFilter.Pair(key: key, value: value) }
    var filters: [UnitFilter] = []
    for change in 0..<11 {
      var filter = UnitFilter()
      switch change {
      case 1: filter.insert(.message)
      case 2: filter.insert(.reasoning)
      case 3: filter.agent = [1]
      case 4: filter.since = LogTime(microseconds: 1)
      case 5: filter.until = LogTime(microseconds: 1)
      case 6: filter.insert(pair([1], [2, 3]))
      case 7: filter.insert(pair([1, 2], [3]))
      case 8: filter.insert(pair([], [1]))
      case 9: filter.insert(pair([1], []))
      case 10:
        filter.insert(pair([1], []))
        filter.insert(pair([], [1]))
      default: break
      }
      filters.append(filter)
    }
    #expect(Set(filters.map(\.identity)).count == filters.count)
    // The order in which a client names pairs is nothing.
    var turned = UnitFilter()
    turned.insert(pair([], [1]))
    turned.insert(pair([1], []))
    #expect(turned.identity == filters[10].identity)
  }

  @Test func aContextsJSONUpToItsLastNumber() {
    func head(_ json: String) -> String? { Body(json).withBytes { text(ContextJSON.head($0)) } }
    #expect(head(#"{"id":"a","last_sequence":123}"#) == #"{"id":"a","last_sequence":"#)
    for wrong in ["", "}", "1}", #""last_sequence":5}"#, #"{"last_sequence":5"#, #"{"id":"a","revision":5}"#]
    {
      #expect(head(wrong) == nil, "\(wrong)")
    }
  }

  @Test func aContextsAgents() {
    let json =
      #"{"id":"a","display_name":"\"agent_ids\":[\"x\"]","agent_ids":["bo\u0062","eve"],"revision":1}"#
    func lists(_ agent: String) -> Bool { Body(json).withBytes { ContextJSON.lists(bytes(agent), in: $0) } }
    #expect(lists("bob") && lists("eve"))
    #expect(!lists("x") && !lists("bo") && !lists(""))
    #expect(!Body("nonsense").withBytes { ContextJSON.lists([1], in: $0) })
  }
}
