import Testing

@testable import API

/// RFC 9110, section 14.1.2, on a payload of 100 bytes.
@Suite struct ByteRangeTests {
  private func range(_ field: String, of count: Int = 100) -> ByteRange {
    Array(field.utf8).withUnsafeBytes { ByteRange($0, of: count) }
  }

  @Test(arguments: [
    ("bytes=0-0", 0..<1), ("Bytes=0-0", 0..<1), ("BYTES=-1", 99..<100), ("bytes=0-99", 0..<100),
    ("bytes=10-19", 10..<20), ("bytes=99-99", 99..<100),
    ("bytes=0-", 0..<100), ("bytes=99-", 99..<100), ("bytes=50-100", 50..<100), ("bytes=50-9999", 50..<100),
    ("bytes=0-18446744073709551615", 0..<100), ("bytes=007-009", 7..<10), ("bytes=-1", 99..<100),
    ("bytes=-100", 0..<100), ("bytes=-101", 0..<100), ("bytes=-18446744073709551615", 0..<100),
  ])
  func satisfiable(field: String, expected: Range<Int>) { #expect(range(field) == .range(expected)) }

  @Test(arguments: ["bytes=100-", "bytes=100-200", "bytes=18446744073709551615-", "bytes=-0"])
  func unsatisfiable(field: String) { #expect(range(field) == .unsatisfiable) }

  @Test(arguments: [
    "", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=5-4", "bytes=200-100", "bytes=a-b", "bytes=0-x",
    "bytes=x-9", "bytes=-x", "bytes=--1", "bytes=-1-2", "bytes=+1-2", "bytes= 1-2", "bytes=1-2 ",
    "bytes=0-1,3-4",
    "bytes=0-1,", "bytes 0-1", "items=0-1", "bytes=0-18446744073709551616", "bytes=18446744073709551616-",
    "bytes=-18446744073709551616", "bytes=1.0-2",
  ])
  func ignored(field: String) { #expect(range(field) == .ignored) }

  @Test(arguments: ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"])
  func `of nothing there is no range`(field: String) { #expect(range(field, of: 0) == .unsatisfiable) }
}
