public import Bytes

extension LogTime {
  /// Bytes of a time as text: `YYYY-MM-DDTHH:MM:SS.ffffffZ` (RFC 3339).
  public static let textBytes = 27
  /// 9999-12-31T23:59:59.999999Z: what is later is written as this.
  public static let textMax = LogTime(microseconds: 253_402_300_799_999_999)

  /// Writes `textBytes` bytes.
  public func write(to out: inout ByteWriter) {
    let (seconds, fraction) = min(self, Self.textMax).microseconds.quotientAndRemainder(dividingBy: 1_000_000)
    let (days, second) = seconds.quotientAndRemainder(dividingBy: 86_400)
    let (year, month, day) = Self.date(days: UInt32(truncatingIfNeeded: days))
    let clock = UInt32(truncatingIfNeeded: second)
    let part = UInt32(truncatingIfNeeded: fraction)
    out.integer(Self.two(year / 100))
    out.integer(Self.two(year % 100))
    out.byte(UInt8(ascii: "-"))
    out.integer(Self.two(month))
    out.byte(UInt8(ascii: "-"))
    out.integer(Self.two(day))
    out.byte(UInt8(ascii: "T"))
    out.integer(Self.two(clock / 3_600))
    out.byte(UInt8(ascii: ":"))
    out.integer(Self.two(clock / 60 % 60))
    out.byte(UInt8(ascii: ":"))
    out.integer(Self.two(clock % 60))
    out.byte(UInt8(ascii: "."))
    out.integer(Self.two(part / 10_000))
    out.integer(Self.two(part / 100 % 100))
    out.integer(Self.two(part % 100))
    out.byte(UInt8(ascii: "Z"))
  }

  /// Two digits as text, the first in the lower byte.
  @inline(__always)
  private static func two(_ value: UInt32) -> UInt16 {
    UInt16(truncatingIfNeeded: 0x3030 | value / 10 | (value % 10) << 8)
  }

  /// The date so many days after 1970-01-01, in the proleptic Gregorian calendar, whose pattern repeats
  /// every 146,097 days. Years are counted from 1 March, so that the leap day is the last of a year.
  private static func date(days: UInt32) -> (year: UInt32, month: UInt32, day: UInt32) {
    let shifted = days + 719_468  // days since 0000-03-01
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let march = (5 * dayOfYear + 2) / 153
    let month = march < 10 ? march + 3 : march - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * march + 2) / 5 + 1)
  }

  /// Days from 1970-01-01 to a date that exists; negative before.
  private static func days(year: Int, month: Int, day: Int) -> Int {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// Reads an RFC 3339 date-time (section 5.6): any fraction, of which microseconds count, `Z` or an offset.
  /// A leap second is the second after it. A time before 1970 is 0: nothing in the log is older. Nil for
  /// anything else.
  public init?(_ text: UnsafeRawBufferPointer) {
    guard text.count >= 20, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"),
      text[10] | 0x20 == UInt8(ascii: "t"), text[13] == UInt8(ascii: ":"), text[16] == UInt8(ascii: ":"),
      let century = Self.pair(text, 0), let years = Self.pair(text, 2), let month = Self.pair(text, 5),
      let day = Self.pair(text, 8), let hour = Self.pair(text, 11), let minute = Self.pair(text, 14),
      let second = Self.pair(text, 17)
    else { return nil }
    let year = century * 100 + years
    guard (1...12).contains(month), day >= 1, day <= Self.daysInMonth(month, year), hour <= 23, minute <= 59,
      second <= 60, let (fraction, end) = Self.fraction(text), let offset = Self.offset(text, end)
    else { return nil }
    let seconds = Self.days(year: year, month: month, day: day) * 86_400 + hour * 3_600 + minute * 60 + second
    self.init(microseconds: UInt64(max(0, (seconds - offset) * 1_000_000 + fraction)))
  }

  private static func pair(_ text: UnsafeRawBufferPointer, _ at: Int) -> Int? {
    let tens = Int(text[at]) - 0x30
    let ones = Int(text[at + 1]) - 0x30
    return (0...9).contains(tens) && (0...9).contains(ones) ? tens * 10 + ones : nil
  }

  private static func daysInMonth(_ month: Int, _ year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// The microseconds of a fraction at byte 19, if there is one, and where it ends.
  private static func fraction(_ text: UnsafeRawBufferPointer) -> (microseconds: Int, end: Int)? {
    guard text[19] == UInt8(ascii: ".") else { return (0, 19) }
    var value = 0
    var scale = 100_000
    var at = 20
    while at < text.count, (0x30...0x39).contains(text[at]) {
      value += (Int(text[at]) - 0x30) * scale
      scale /= 10
      at += 1
    }
    return at > 20 ? (value, at) : nil
  }

  /// The seconds by which local time is ahead of UTC, from what stands at `at` to the end.
  private static func offset(_ text: UnsafeRawBufferPointer, _ at: Int) -> Int? {
    guard at < text.count else { return nil }
    if text[at] | 0x20 == UInt8(ascii: "z") { return text.count == at + 1 ? 0 : nil }
    guard text[at] == UInt8(ascii: "+") || text[at] == UInt8(ascii: "-"), text.count == at + 6,
      text[at + 3] == UInt8(ascii: ":"), let hours = pair(text, at + 1), let minutes = pair(text, at + 4),
      hours <= 23, minutes <= 59
    else { return nil }
    let seconds = hours * 3_600 + minutes * 60
    return text[at] == UInt8(ascii: "-") ? -seconds : seconds
  }

  public var description: String {
    String(unsafeUninitializedCapacity: Self.textBytes) { memory in
      guard let base = memory.baseAddress else { return 0 }
      var out = ByteWriter(base, capacity: memory.count)
      write(to: &out)
      return out.count
    }
  }
}

extension LogTime: CustomStringConvertible {}
