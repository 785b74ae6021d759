import Bytes
import HTTP
import Testing

@Suite struct DateCacheTests {
  /// From `date -u -R -d @SECONDS`.
  @Test(
    arguments: [
      (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),  // the example of RFC 9110, section 5.6.7
      (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
      (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
      (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
      (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
      (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
      (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
      (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
      (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
      (-62_167_219_200, "Sat, 01 Jan 0000 00:00:00 GMT"),
      (Int64.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
      (Int64.min, "Sat, 01 Jan 0000 00:00:00 GMT"),
    ] as [(Int64, String)])
  func formatsKnownDates(seconds: Int64, expected: String) {
    let date = DateCache(unixSeconds: seconds)
    #expect(written(capacity: DateCache.dateBytes) { date.writeDate(to: &$0) } == expected)
    #expect(written(capacity: DateCache.lineBytes) { date.write(to: &$0) } == "Date: \(expected)\r\n")
  }

  @Test func refreshMovesTheLine() {
    var date = DateCache(unixSeconds: 784_111_777)
    date.refresh(unixSeconds: 784_111_777)
    date.refresh(unixSeconds: 784_111_778)
    #expect(date.seconds == 784_111_778)
    #expect(written(capacity: 29) { date.writeDate(to: &$0) } == "Sun, 06 Nov 1994 08:49:38 GMT")
  }

  @Test func everyDayFollowsTheOneBefore() {
    let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    var last = written(capacity: 29) { DateCache(unixSeconds: 0).writeDate(to: &$0) }
    for day in 1...Int64(150 * 366) {
      let next = written(capacity: 29) { DateCache(unixSeconds: day * 86_400).writeDate(to: &$0) }
      #expect(next.prefix(3) == weekdays[Int(day + 4) % 7])
      let (from, to) = (Int(last.dropFirst(5).prefix(2))!, Int(next.dropFirst(5).prefix(2))!)
      #expect(
        to == from + 1
          || (to == 1 && from >= 28 && last.dropFirst(8).prefix(3) != next.dropFirst(8).prefix(3)))
      last = next
    }
  }
}
