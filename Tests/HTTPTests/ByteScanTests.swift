import HTTP
import Testing

/// The scans look at 32, 16 or single bytes at a time: each byte must be judged alike wherever it stands.
@Suite struct ByteScanTests {
  private func reading(_ parts: [UInt8]...) -> Reading { Reading(parts.flatMap { $0 }) }

  private func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }

  private func isControl(_ byte: UInt8) -> Bool { (byte < 0x20 && byte != 0x09) || byte == 0x7f }

  private func isToken(_ byte: UInt8) -> Bool {
    ascii("!#$%&'*+-.^_`|~").contains(byte) || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
      || (0x61...0x7a).contains(byte)
  }

  @Test(arguments: 0...255 as ClosedRange<UInt8>)
  func everyByteInAValue(byte: UInt8) {
    let expected: HTTPError? =
      switch byte {
      case 0x0a: .bareLineFeed
      case 0x0d: .bareCarriageReturn
      default: isControl(byte) ? .controlCharacter : nil
      }
    for length in [1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 70] {
      for place in 0..<length {
        var value = [UInt8](repeating: 0x61, count: length)
        value[place] = byte
        let reading = reading(ascii("GET / HTTP/1.0\r\nx:"), value, ascii("a\r\n\r\n"))
        if let expected {
          #expect(reading == .failure(expected))
        } else {
          #expect(reading.description?.fields.count == 1)
        }
      }
    }
  }

  @Test(arguments: 0...255 as ClosedRange<UInt8>)
  func everyByteInATarget(byte: UInt8) {
    let passes = (0x21...0x7e).contains(byte) && byte != 0x23
    for length in [1, 14, 15, 16, 17, 31, 32, 33, 50] {
      for place in 0..<length {
        var path = [UInt8](repeating: 0x61, count: length)
        path[place] = byte
        let reading = reading(ascii("GET /"), path, ascii("a HTTP/1.0\r\n\r\n"))
        #expect((reading.description != nil) == passes)
        if byte >= 0x80 || byte == 0x23 { #expect(reading == .failure(.malformedTarget)) }
      }
    }
  }

  @Test(arguments: 0...255 as ClosedRange<UInt8>)
  func everyByteInANameAndAMethod(byte: UInt8) {
    let name = reading(ascii("GET / HTTP/1.0\r\nx"), [byte], ascii("y: v\r\n\r\n"))
    // A colon ends the name early, which is fine.
    #expect((name.description != nil) == (isToken(byte) || byte == 0x3a))
    let method = reading(ascii("X"), [byte], ascii("Y / HTTP/1.0\r\n\r\n"))
    #expect((method.description != nil) == (isToken(byte) && !(0x61...0x7a).contains(byte)))
  }

  @Test(arguments: 0...255 as ClosedRange<UInt8>)
  func everyByteInAHost(byte: UInt8) {
    let host = reading(ascii("GET / HTTP/1.1\r\nHost: a"), [byte], ascii("1\r\n\r\n"))
    let passes =
      ascii("-._~!$&'()*+,;=").contains(byte) || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
      || (0x61...0x7a).contains(byte) || byte == 0x3a
    #expect((host.description != nil) == passes)
  }
}
