import Bytes
import Testing

@testable import Model

@Suite struct UnitIDTests {
  private func read(_ text: String) -> UnitID? { Body(text).withBytes { UnitID($0) } }

  @Test func readsEitherCaseAndWritesTheLower() throws {
    let id = try #require(read("019ABCDE-f012-7345-89aB-cDeF01234567"))
    #expect(id == UnitID(high: 0x019a_bcde_f012_7345, low: 0x89ab_cdef_0123_4567))
    #expect(id.description == "019abcde-f012-7345-89ab-cdef01234567")
  }

  @Test(arguments: [
    "", "019abcde-f012-7345-89ab-cdef0123456", "019abcde-f012-7345-89ab-cdef012345678",
    "019abcdef01273458-9ab-cdef01234567",
    "019abcde-f012-4345-89ab-cdef01234567", "019abcde-f012-8345-89ab-cdef01234567",
    "019abcde-f012-7345-79ab-cdef01234567",
    "019abcde-f012-7345-c9ab-cdef01234567", "019abcdg-f012-7345-89ab-cdef01234567",
    "019abcde_f012_7345_89ab_cdef01234567",
    "{19abcde-f012-7345-89ab-cdef0123456}", "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "é9abcde-f012-7345-89ab-cdef01234567", "019abcde-f012-7345-89ab-cdef0123456 ",
    "019abcd@-f012-7345-89ab-cdef01234567",
    "019abcd`-f012-7345-89ab-cdef01234567", "\u{11}19abcde-f012-7345-89ab-cdef01234567",
    "019abcd/-f012-7345-89ab-cdef01234567",
    "019abcd:-f012-7345-89ab-cdef01234567", "019abcdG-f012-7345-89ab-cdef01234567",
  ])
  func refusesTheRest(_ text: String) {
    #expect(read(text) == nil)
  }

  @Test func everyByteInEveryPlaceIsADigitOrRefused() {
    let text = bytes("019abcde-f012-7345-89ab-cdef01234567")
    for place in text.indices {
      for byte in UInt8.min...UInt8.max {
        var changed = text
        changed[place] = byte
        let id = Body(changed).withBytes { UnitID($0) }
        if let id {
          #expect(bytes(id.description) == bytes(String(decoding: changed, as: UTF8.self).lowercased()))
        }
        let isDigit = byte < 0x80 && Character(Unicode.Scalar(byte)).isHexDigit
        if ![8, 13, 14, 18, 19, 23].contains(place) { #expect((id != nil) == isDigit) }
      }
    }
  }

  @Test func textIsTheSameAfterARoundTrip() {
    var random = SplitMix(seed: 11)
    for _ in 0..<2000 {
      let id = UnitID.make(logTime: LogTime(microseconds: random.next() >> 8), random: random.next())
      #expect(id.isVersion7 && read(id.description) == id)
    }
  }

  @Test func theTimeStandsInFront() {
    let id = UnitID.make(logTime: LogTime(microseconds: 1_700_000_000_123_999), random: .max)
    #expect(id.high >> 16 == 1_700_000_000_123)
    #expect(id.high & 0xFFF == 999 * 4096 / 1000)
    #expect(id.low == 0xBFFF_FFFF_FFFF_FFFF)
  }

  @Test func idsSortInTheOrderOfTheLog() {
    var maker = UnitIDMaker()
    var random = SplitMix(seed: 12)
    var time = LogTime(microseconds: 1_700_000_000_000_000)
    var last: UnitID?
    for n in 0..<50_000 {
      // Many in one microsecond, then some apart.
      if n % 97 == 0 { time.microseconds += UInt64(random.below(3000)) }
      let id = maker.make(logTime: time, random: random.next())
      if let last { #expect(last < id) }
      #expect(id.isVersion7)
      last = id
    }
  }

  @Test func aMakerGoesOnAfterWhatItReplayed() {
    let time = LogTime(microseconds: 1_700_000_000_000_000)
    var first = UnitIDMaker()
    let made = (0..<9000).map { _ in first.make(logTime: time, random: 0) }
    var second = UnitIDMaker()
    for id in made { second.observe(id, logTime: time) }
    #expect(made.last.map { $0 < second.make(logTime: time, random: 0) } == true)
    // A client's id of the far future is not followed.
    let future = UnitID.make(logTime: LogTime(microseconds: time.microseconds + 3_600_000_000), random: 0)
    second.observe(future, logTime: time)
    #expect(second.make(logTime: time, random: 0) < future)
    let last = UnitID.make(logTime: LogTime(microseconds: .max), random: 0)
    second.observe(last, logTime: LogTime(microseconds: .max))
    #expect(second.make(logTime: time, random: 0).isVersion7)
  }
}
