import Testing

@testable import Bytes

@Suite struct JSONKeysTests {
  private func object(_ names: [String]) -> String {
    "{" + names.map { "\"\($0)\":0" }.joined(separator: ",") + "}"
  }

  @Test(arguments: [1, 2, 63, 64, 65, 66, 200, 5000])
  func findsARepeatedNameAmongAnyNumber(_ count: Int) {
    let names = (0..<count).map { "key\($0)" }
    #expect(fault(object(names)) == nil)
    for repeated in [0, count / 2, count - 1] {
      #expect(fault(object(names + [names[repeated]]))?.reason == .duplicateMember)
    }
  }

  @Test func findsARepeatedNameInAnotherSpellingAmongMany() {
    let names = (0..<1000).map { "key\($0)" }
    #expect(fault(object(names + [#"\u006bey500"#]))?.reason == .duplicateMember)
    #expect(fault(object(names + [#"\u006bey1000"#])) == nil)
  }

  @Test func objectsWithinObjectsKeepTheirNamesApart() {
    let inner = object((0..<100).map { "n\($0)" })
    #expect(fault(#"{"n0":\#(inner),"n1":\#(inner),"n2":[\#(inner),\#(inner)]}"#) == nil)
    #expect(fault(#"{"n0":\#(inner),"n1":\#(inner),"n0":1}"#)?.reason == .duplicateMember)
  }

  @Test func aHundredThousandNamesCostNoSquare() {
    // 100,000 names compared in pairs would be 5 × 10^9 comparisons: this test would not end.
    let names = (0..<100_000).map { String($0, radix: 36) }
    #expect(fault(object(names)) == nil)
    #expect(fault(object(names + ["0"]))?.reason == .duplicateMember)
  }

  @Test func whatIsPassedOverIsLimitedPerText() {
    let most = String(repeating: #"{"a":0},"#, count: JSONKeys.skippedMax / 2 - 1)
    #expect(fault("[\(most){\"a\":0}]") == nil)
    #expect(fault("[\(most){\"a\":0},{}]")?.reason == .tooManySkipped)
    let zeros = String(repeating: "0,", count: JSONKeys.skippedMax)
    #expect(fault("[\(zeros)0]")?.reason == .tooManySkipped)
  }
}
