internal import CBytes

/// `uri-host [ ":" port ]` (RFC 3986, section 3.2), without user information.
enum Authority {
  /// Checks the form, and returns whether there is a port in digits. An empty host is invalid in `http` URIs
  /// (RFC 9110, section 4.2.1). Throws `invalidHost`.
  static func check(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) -> Bool {
    guard bytes.count > 0 else { throw .invalidHost }
    let hostEnd = bytes[0] == UInt8(ascii: "[") ? try literalEnd(bytes) : try nameEnd(bytes)
    guard hostEnd < bytes.count else { return false }
    guard bytes[hostEnd] == UInt8(ascii: ":") else { throw .invalidHost }
    var port = 0
    for index in (hostEnd + 1)..<bytes.count {
      guard ASCII.isDigit(bytes[index]) else { throw .invalidHost }
      port = port * 10 + Int(bytes[index] - 0x30)
      guard port <= 65535 else { throw .invalidHost }
    }
    return bytes.count > hostEnd + 1
  }

  /// The end of a registered name or IPv4 address, which is not empty.
  private static func nameEnd(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) -> Int {
    var index = engram_scan_host(bytes.baseAddress, 0, bytes.count)
    while index < bytes.count, bytes[index] != UInt8(ascii: ":") {
      guard bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
        ASCII.hexadecimal(bytes[index + 1]) != nil, ASCII.hexadecimal(bytes[index + 2]) != nil
      else { throw .invalidHost }
      index = engram_scan_host(bytes.baseAddress, index + 3, bytes.count)
    }
    guard index > 0 else { throw .invalidHost }
    return index
  }

  /// The end of `[` IPv6 address `]`. Groups are counted; an IPv4 tail counts as two.
  private static func literalEnd(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) -> Int {
    guard let close = bytes.firstIndex(of: UInt8(ascii: "]")) else { throw .invalidHost }
    var groups = 0
    var digits = 0
    var compressed = false
    var index = 1
    while index < close {
      let byte = bytes[index]
      if byte == UInt8(ascii: ":") {
        if index + 1 < close, bytes[index + 1] == UInt8(ascii: ":") {
          guard !compressed else { throw .invalidHost }
          compressed = true
          index += 1
        } else {
          // A single colon joins two groups.
          guard digits > 0, index + 1 < close else { throw .invalidHost }
        }
        digits = 0
      } else if ASCII.hexadecimal(byte) != nil {
        if digits == 0 {
          if isIPv4(bytes, index, close) {
            groups += 2
            break
          }
          groups += 1
        }
        digits += 1
        guard digits <= 4 else { throw .invalidHost }
      } else {
        throw .invalidHost
      }
      index += 1
    }
    guard compressed ? groups < 8 : groups == 8 else { throw .invalidHost }
    return close + 1
  }

  /// Whether `start ..< end` is four decimal numbers up to 255, joined by dots.
  private static func isIPv4(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
    var parts = 0
    var digits = 0
    var value = 0
    for index in start...end {
      if index == end || bytes[index] == UInt8(ascii: ".") {
        guard digits > 0, digits <= 3, value <= 255 else { return false }
        parts += 1
        digits = 0
        value = 0
      } else {
        guard ASCII.isDigit(bytes[index]), digits < 3 else { return false }
        value = value * 10 + Int(bytes[index] - 0x30)
        digits += 1
      }
    }
    return parts == 4
  }
}
