public import Bytes

/// The `Date` line (RFC 9110, section 6.6.1), made once a second. A loop keeps one, refreshes it from its
/// timer, and every answer copies it. A value without a clock of its own.
public struct DateCache: Sendable {
  /// Bytes of an IMF-fixdate such as `Sun, 06 Nov 1994 08:49:37 GMT`.
  public static let dateBytes = 29
  /// Bytes of the whole line: `Date: `, the date, CRLF.
  public static let lineBytes = 37

  public private(set) var seconds: Int64
  private var line: [37 of UInt8]

  /// The line for a time in seconds since 1970, UTC, leap seconds left out.
  public init(unixSeconds: Int64 = 0) {
    seconds = unixSeconds
    line = DateCache.format(unixSeconds)
  }

  /// Moves the line to `unixSeconds`; nothing to do within the same second.
  public mutating func refresh(unixSeconds: Int64) {
    guard unixSeconds != seconds else { return }
    self = DateCache(unixSeconds: unixSeconds)
  }

  /// Writes the line, `lineBytes` long.
  public func write(to writer: inout ByteWriter) {
    withUnsafeBytes(of: line) { writer.run($0) }
  }

  /// Writes the date alone, `dateBytes` long.
  public func writeDate(to writer: inout ByteWriter) {
    withUnsafeBytes(of: line) { writer.run(UnsafeRawBufferPointer(rebasing: $0[6..<35])) }
  }

  /// Years outside 0 to 9999 can't be written in four digits, and become the nearest that can.
  private static func format(_ unixSeconds: Int64) -> [37 of UInt8] {
    let time = min(max(unixSeconds, -62_167_219_200), 253_402_300_799)
    let days = Int(time >= 0 ? time / 86_400 : (time - 86_399) / 86_400)
    let second = Int(time) - days * 86_400
    let (year, month, day) = civil(days)
    var out = [37 of UInt8](repeating: ASCII.space)
    var next = 0
    func put(_ byte: UInt8) {
      out[next] = byte
      next += 1
    }
    func put(_ text: StaticString) {
      for offset in 0..<text.utf8CodeUnitCount { put(text.utf8Start[offset]) }
    }
    func put(name index: Int, of names: StaticString) {
      for offset in 0..<3 { put(names.utf8Start[index * 3 + offset]) }
    }
    func put(number: Int, _ digits: Int) {
      var divisor = digits == 4 ? 1000 : 10
      while divisor > 0 {
        put(UInt8(truncatingIfNeeded: 0x30 + number / divisor % 10))
        divisor /= 10
      }
    }
    put("Date: ")
    put(name: ((days % 7) + 11) % 7, of: "SunMonTueWedThuFriSat")  // day 0 was a Thursday
    put(", ")
    put(number: day, 2)
    put(ASCII.space)
    put(name: month - 1, of: "JanFebMarAprMayJunJulAugSepOctNovDec")
    put(ASCII.space)
    put(number: year, 4)
    put(ASCII.space)
    put(number: second / 3600, 2)
    put(UInt8(ascii: ":"))
    put(number: second / 60 % 60, 2)
    put(UInt8(ascii: ":"))
    put(number: second % 60, 2)
    put(" GMT\r\n")
    return out
  }

  /// The Gregorian date of a day counted from 1970-01-01, by eras of 400 years that begin on 1 March
  /// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
  private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }
}
