import Bytes
import Testing

@testable import Model

@Suite struct LogTimeTests {
  private func read(_ text: String) -> UInt64? {
    Body(text).withBytes { LogTime($0)?.microseconds }
  }

  /// Seconds by `date -u -d … +%s`.
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000000Z"), (1, "1970-01-01T00:00:00.000001Z"),
      (86_399_999_999, "1970-01-01T23:59:59.999999Z"), (86_400_000_000, "1970-01-02T00:00:00.000000Z"),
      (68_169_600_000_000, "1972-02-29T00:00:00.000000Z"),
      (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
      (951_868_800_000_000, "2000-03-01T00:00:00.000000Z"),
      (978_307_199_999_999, "2000-12-31T23:59:59.999999Z"),
      (1_709_164_800_000_000, "2024-02-29T00:00:00.000000Z"),
      (1_700_000_000_123_456, "2023-11-14T22:13:20.123456Z"),
      (2_147_483_647_000_000, "2038-01-19T03:14:07.000000Z"),
      (2_147_483_648_000_000, "2038-01-19T03:14:08.000000Z"),
      (4_107_542_399_000_000, "2100-02-28T23:59:59.000000Z"),
      (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
      (4_294_967_296_000_000, "2106-02-07T06:28:16.000000Z"),
      (13_574_563_200_000_000, "2400-02-29T00:00:00.000000Z"),
      (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
    ] as [(UInt64, String)])
  func writesAndReadsKnownTimes(_ microseconds: UInt64, _ text: String) {
    #expect(LogTime(microseconds: microseconds).description == text)
    #expect(read(text) == microseconds)
  }

  @Test func whatFitsNoFourDigitsIsTheLastThatDoes() {
    #expect(LogTime(microseconds: .max).description == "9999-12-31T23:59:59.999999Z")
  }

  @Test(
    arguments: [
      ("2023-11-14T22:13:20Z", 1_700_000_000_000_000), ("2023-11-14t22:13:20z", 1_700_000_000_000_000),
      ("2023-11-14T22:13:20.5Z", 1_700_000_000_500_000),
      ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123_456),
      ("2023-11-14T23:13:20+01:00", 1_700_000_000_000_000),
      ("2023-11-14T16:43:20.1-05:30", 1_700_000_000_100_000),
      ("2016-12-31T23:59:60Z", 1_483_228_800_000_000), ("1969-12-31T23:59:59Z", 0),
      ("0000-01-01T00:00:00Z", 0),
      ("1970-01-01T00:00:00+23:59", 0), ("2023-11-14T22:13:20-00:00", 1_700_000_000_000_000),
    ] as [(String, UInt64)])
  func readsEverySpelling(_ text: String, _ microseconds: UInt64) {
    #expect(read(text) == microseconds)
  }

  @Test(arguments: [
    "", "2023", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14 22:13:20Z", "2023-11-14T22:13Z",
    "2023-13-01T00:00:00Z", "2023-00-01T00:00:00Z", "2023-01-00T00:00:00Z", "2023-01-32T00:00:00Z",
    "2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2023-04-31T00:00:00Z", "2023-01-01T24:00:00Z",
    "2023-01-01T00:60:00Z", "2023-01-01T00:00:61Z", "2023-01-01T00:00:00.Z", "2023-01-01T00:00:00.5",
    "2023-01-01T00:00:00+1:00", "2023-01-01T00:00:00+0100", "2023-01-01T00:00:00+24:00",
    "2023-01-01T00:00:00ZZ",
    "2023-01-01T00:00:00Z ", " 2023-01-01T00:00:00Z", "+023-01-01T00:00:00Z", "2023-01-01T00:00:-1Z",
    "２023-01-01T00:00:00Z", "20230101T000000Z", "1700000000", "2023-01-01T00:00:00,5Z",
  ])
  func refusesTheRest(_ text: String) {
    #expect(read(text) == nil)
  }

  @Test func everyDayUntil2110FollowsTheOneBefore() throws {
    var (year, month, day) = (1970, 1, 1)
    for n in 0..<52_000 as Range<UInt64> {
      let text = LogTime(microseconds: n * 86_400_000_000).description
      func padded(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: width - digits.count) + digits
      }
      try #require(text == "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T00:00:00.000000Z")
      try #require(read(text) == n * 86_400_000_000)
      let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      let length = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
      day += 1
      if day > length { (month, day) = (month + 1, 1) }
      if month > 12 { (year, month) = (year + 1, 1) }
    }
  }
}
