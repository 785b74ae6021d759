@testable internal import HTTP

/// `BodyDecoder`: data, end and error don't depend on the cuts; a plain reader of RFC 9112, section 7.1, accepts the
/// same; what was decoded, framed anew in chunks, is decoded again.
///
/// The first byte of an input says how the body is framed and bounded, the rest is the body.
enum ChunkedBody {
  static func run(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let bytes = Array(input[1...])
    let framing: BodyFraming = first < 0x80 ? .chunked : .length(UInt64(first & 0x7f))
    // Half of the bodies meet a bound that small ones pass.
    let bytesMax: UInt64 = first & 1 == 0 ? 1 << 20 : 24
    let whole = Decoded(bytes, framing, bytesMax, cuts: [])
    var chance = Chance(input)
    for cuts in [chance.cuts(of: bytes.count, 4), Array(0...bytes.count)] {
      let found = Decoded(bytes, framing, bytesMax, cuts: cuts)
      demand(found == whole, "cut at \(cuts): \(found), not \(whole)")
    }
    demand(whole.consumed <= bytes.count, "more is consumed than there is")
    demand(UInt64(whole.data.count) <= bytesMax, "more is decoded than may be")
    guard framing == .chunked else { return }
    let naive = NaiveChunks(bytes, bytesMax: Int(bytesMax))
    switch whole.state {
    case .complete:
      demand(naive.end == whole.consumed && naive.data == whole.data, "\(naive), not \(whole)")
      again(whole.data, bytesMax)
    case .more: demand(naive.end == nil, "the body ends at \(naive.end ?? 0), and isn't seen to")
    case .failure: demand(naive.end == nil, "a good body is refused: \(whole)")
    }
  }

  static func prove() {
    let found = Decoded(Array("5;a=\"b\"\r\nhello\r\n0\r\nT: x\r\n\r\n".utf8), .chunked, 99, cuts: [1, 9])
    demand(found.state == .complete && found.data == Array("hello".utf8), "\(found)")
  }

  private static func again(_ data: [UInt8], _ bytesMax: UInt64) {
    var bytes: [UInt8] = []
    var rest = data[...]
    while !rest.isEmpty {
      let chunk = rest.prefix(7)
      rest = rest.dropFirst(chunk.count)
      bytes += Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + [13, 10]
    }
    bytes += Array("0\r\n\r\n".utf8)
    let found = Decoded(bytes, .chunked, bytesMax, cuts: [])
    demand(found.state == .complete && found.data == data && found.consumed == bytes.count, "\(found)")
  }

  /// What a decoder says of bytes that come in pieces, each in memory of its own.
  struct Decoded: Equatable {
    var data: [UInt8] = []
    var consumed = 0
    var state = BodyDecoder.State.more

    init(_ bytes: [UInt8], _ framing: BodyFraming, _ bytesMax: UInt64, cuts: [Int]) {
      var decoder = BodyDecoder(framing, bytesMax: bytesMax)
      var start = 0
      for end in cuts + [bytes.count] where end >= start && state == .more {
        let piece = UnsafeRawBufferPointer(Fenced.copy(bytes[start..<end]))
        var found: [UInt8] = []
        let (taken, now) = decoder.decode(piece) { found.append(contentsOf: $0) }
        demand(taken <= piece.count && (now != .more || taken == piece.count), "\(taken) of \(piece.count)")
        demand((now == .complete) == decoder.isComplete, "complete or not")
        data += found
        consumed += taken
        state = now
        start = end
      }
    }
  }
}

/// A chunked body by the grammar: where it ends, if it is a good one and all there, and its data.
struct NaiveChunks {
  private(set) var data: [UInt8] = []
  private(set) var end: Int?

  init(_ bytes: [UInt8], bytesMax: Int) {
    var rest = bytes[...]
    var extensionBytes = 0
    while let line = NaiveChunks.line(&rest) {
      let size = line.prefix { $0 != UInt8(ascii: ";") }
      let digits = String(decoding: size, as: UTF8.self)
      guard (1...16).contains(size.count), size.allSatisfy(NaiveChunks.isHexadecimal),
        let count = UInt64(digits, radix: 16), NaiveChunks.areExtensions(line.dropFirst(size.count))
      else { return }
      extensionBytes += line.count - size.count
      guard extensionBytes <= 4 << 10, count <= UInt64(bytesMax - data.count) else { return }
      guard count > 0 else {
        readTrailer(rest)
        return
      }
      guard rest.count >= Int(count) + 2 else { return }
      data += rest.prefix(Int(count))
      rest = rest.dropFirst(Int(count))
      guard rest.starts(with: [13, 10]) else { return }
      rest = rest.dropFirst(2)
    }
  }

  private mutating func readTrailer(_ trailer: ArraySlice<UInt8>) {
    var rest = trailer
    var fields = 0
    while let line = NaiveChunks.line(&rest) {
      guard rest.startIndex - trailer.startIndex <= 8 << 10 else { return }
      guard !line.isEmpty else {
        end = rest.startIndex
        return
      }
      fields += 1
      guard fields <= 100, let colon = line.firstIndex(of: UInt8(ascii: ":")),
        (1...255).contains(colon - line.startIndex), line[..<colon].allSatisfy(NaiveHead.isToken),
        line[colon...].allSatisfy(NaiveChunks.isText)
      else { return }
    }
  }

  /// The bytes up to CRLF, which is passed over; nil if there is none, or a CR or LF by itself.
  private static func line(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard let stop = rest.firstIndex(where: { $0 == 13 || $0 == 10 }), rest[stop...].starts(with: [13, 10])
    else {
      return nil
    }
    defer { rest = rest[(stop + 2)...] }
    return rest[..<stop]
  }

  /// `*( ";" token [ "=" ( token / quoted-string ) ] )`
  private static func areExtensions(_ text: ArraySlice<UInt8>) -> Bool {
    var rest = text
    while rest.first == UInt8(ascii: ";") {
      rest = rest.dropFirst()
      let name = rest.prefix(while: NaiveHead.isToken)
      guard !name.isEmpty else { return false }
      rest = rest.dropFirst(name.count)
      guard rest.first == UInt8(ascii: "=") else { continue }
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: "\"") {
        rest = rest.dropFirst()
        while let byte = rest.first, byte != UInt8(ascii: "\"") {
          guard isText(byte) else { return false }
          rest = rest.dropFirst()
          if byte == UInt8(ascii: "\\") {
            guard let pair = rest.first, isText(pair) else { return false }
            rest = rest.dropFirst()
          }
        }
        guard rest.first == UInt8(ascii: "\"") else { return false }
        rest = rest.dropFirst()
      } else {
        let value = rest.prefix(while: NaiveHead.isToken)
        guard !value.isEmpty else { return false }
        rest = rest.dropFirst(value.count)
      }
    }
    return rest.isEmpty
  }

  private static func isText(_ byte: UInt8) -> Bool { byte == 9 || (byte >= 0x20 && byte != 0x7f) }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
    default: false
    }
  }
}
