import Testing

@testable import Bytes

/// What is wrong with a text that may be any JSON value; nil if nothing is.
func fault(_ text: [UInt8]) -> JSONError? {
  text.withUnsafeBytes { bytes in
    var scanner = JSONScanner(bytes)
    var keys = JSONKeys()
    do throws(JSONError) {
      try scanner.beginDocument()
      try scanner.skipValue(&keys)
      try scanner.endDocument()
      return nil
    } catch {
      return error
    }
  }
}

func fault(_ text: String) -> JSONError? { fault(Array(text.utf8)) }

@Suite struct JSONScannerTests {
  @Test(arguments: JSONCases.accepted)
  func acceptsWhatRFC8259Allows(_ text: String) {
    #expect(fault(text) == nil)
  }

  @Test(arguments: JSONCases.refused)
  func refusesTheRest(_ text: String, _ reason: JSONError.Reason) {
    #expect(fault(text)?.reason == reason)
  }

  @Test(arguments: JSONCases.refusedBytes)
  func refusesWhatIsNoUTF8(_ hex: String, _ reason: JSONError.Reason) {
    #expect(fault(JSONCases.bytes(hex))?.reason == reason)
  }

  @Test func knowsMoreThanAHundredAndFiftyCases() {
    #expect(JSONCases.accepted.count + JSONCases.refused.count + JSONCases.refusedBytes.count >= 150)
  }

  @Test func everyPrefixOfADocumentIsAnErrorAndNotATrap() {
    let text = Array(
      #" {"a":[1,-2.5e+3,true,false,null,"x\n\u00e9\ud83d\ude00é😀"],"b":{"c":{}},"d":"\\"} "#.utf8)
    #expect(fault(text) == nil)
    for length in 0..<text.count - 1 {
      let cut = Array(text[..<length])
      #expect(fault(cut) != nil, "\(length) bytes")
    }
  }

  @Test func findsWhatEndsAStringWhereverItStandsInABlock() {
    for length in 0..<70 {
      for place in 0..<length {
        var text = Array("\"".utf8) + Array(repeating: UInt8(ascii: "x"), count: length) + Array("\"".utf8)
        text[place + 1] = 0x1F
        #expect(fault(text) == JSONError(.controlCharacter, at: place + 1))
        text[place + 1] = 0xFF
        #expect(fault(text) == JSONError(.invalidUTF8, at: place + 1))
        text[place + 1] = UInt8(ascii: "\"")
        #expect(fault(text) == (place == length ? nil : JSONError(.trailingBytes, at: place + 2)))
      }
    }
  }

  @Test func containersNestThirtyTwoDeepAndNoDeeper() {
    func nested(_ depth: Int, _ open: String, _ inner: String, _ close: String) -> String {
      String(repeating: open, count: depth) + inner + String(repeating: close, count: depth)
    }
    #expect(fault(nested(32, "[", "", "]")) == nil)
    #expect(fault(nested(32, "[", "1", "]")) == nil)
    #expect(fault(nested(33, "[", "", "]"))?.reason == .tooDeep)
    #expect(fault(nested(32, #"{"a":"#, "1", "}")) == nil)
    #expect(fault(nested(33, #"{"a":"#, "1", "}")) == JSONError(.tooDeep, at: 32 * 5))
    #expect(fault(nested(31, "[", "[],[],{}", "]")) == nil)
    #expect(fault(nested(100_000, "[", "", ""))?.reason == .tooDeep)
  }

  @Test(
    arguments: [
      ("0", 0), ("-0", 0), ("7", 7), ("9007199254740991", 9_007_199_254_740_991),
      ("-9007199254740991", -9_007_199_254_740_991), ("1.0", nil), ("1e3", nil), ("-1E-2", nil),
      ("1e999", nil), ("9007199254740993.0", nil),
    ] as [(String, Int64?)])
  func readsIntegers(_ text: String, _ value: Int64?) throws {
    let number = try Array(text.utf8).withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      return try scanner.number()
    }
    #expect(number.integer == value)
    #expect(number.count == text.utf8.count)
  }

  @Test(arguments: [
    "9007199254740992", "-9007199254740992", "9223372036854775807", "9223372036854775808",
    "18446744073709551616", "99999999999999999999999999999999999999",
  ])
  func refusesIntegersThatADoubleCannotTellApart(_ text: String) {
    #expect(fault(text) == JSONError(.integerTooLarge, at: 0))
  }

  @Test func pullsADocumentApart() throws {
    let text = Array(#"{"name":"a\tb", "list" : [1, 2], "ok":true, "none":null, "empty":{}, "zero":[]}"#.utf8)
    try text.withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      try scanner.beginDocument()
      var more = try scanner.enterObject()
      #expect(more)
      #expect(scanner.matches(try scanner.key(), "name"))
      let name = try scanner.string()
      #expect(name.hasEscapes && name.count == 4 && name.decodedCount == 3)
      #expect(String(decoding: name.quoted(of: bytes), as: UTF8.self) == #""a\tb""#)
      more = try scanner.nextMember()
      #expect(scanner.matches(try scanner.key(), "list"))
      var sum: Int64 = 0
      var another = try scanner.enterArray()
      while another {
        sum += try scanner.number().integer ?? 0
        another = try scanner.nextElement()
      }
      #expect(sum == 3)
      more = try scanner.nextMember()
      #expect(!scanner.matches(try scanner.key(), "list"))
      #expect(try scanner.boolean())
      more = try scanner.nextMember()
      _ = try scanner.key()
      #expect(try scanner.peek() == .null)
      try scanner.null()
      more = try scanner.nextMember()
      _ = try scanner.key()
      let empty = try scanner.enterObject()
      #expect(!empty)
      more = try scanner.nextMember()
      _ = try scanner.key()
      let zero = try scanner.enterArray()
      #expect(!zero)
      more = try scanner.nextMember()
      #expect(!more)
      try scanner.endDocument()
    }
  }

  @Test func saysWhichTypeItDidNotFind() {
    let text = Array(#""text""#.utf8)
    text.withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      #expect(throws: JSONError(.wrongType, at: 0)) { try scanner.number() }
      #expect(throws: JSONError(.wrongType, at: 0)) { try scanner.enterObject() }
      #expect(throws: JSONError(.wrongType, at: 0)) { try scanner.enterArray() }
      #expect(throws: JSONError(.wrongType, at: 0)) { try scanner.boolean() }
      #expect(throws: JSONError(.wrongType, at: 0)) { try scanner.null() }
    }
  }

  /// Every byte of a valid document changed, inserted or removed at random: whatever comes, no trap, and
  /// what is accepted is accepted again after it has been re-read.
  @Test func survivesMutation() {
    var random = SplitMix(seed: 0x5EED)
    let seeds = JSONCases.accepted.map { Array($0.utf8) }
    for _ in 0..<20_000 {
      var text = seeds[random.below(seeds.count)]
      for _ in 0...random.below(4) {
        let at = random.below(text.count + 1)
        switch random.below(3) {
        case 0 where at < text.count: text[at] = UInt8(truncatingIfNeeded: random.next())
        case 1 where at < text.count: text.remove(at: at)
        default: text.insert(JSONCases.alphabet[random.below(JSONCases.alphabet.count)], at: at)
        }
      }
      if fault(text) == nil { #expect(String(validating: text, as: UTF8.self) != nil) }
    }
  }
}

/// A small seeded generator, so that a failure comes back.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }
}
