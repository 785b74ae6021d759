import HTTP
import Testing

/// What came of feeding a body to a decoder.
struct Decoding: Equatable {
  var data: [UInt8] = []
  var consumed = 0
  var state = BodyDecoder.State.more

  /// Feeds `bytes` in pieces that end at `cuts` and at the end, each in memory of its own.
  init(
    _ bytes: [UInt8], _ framing: BodyFraming = .chunked, cuts: some Sequence<Int> = [],
    bytesMax: UInt64 = 1 << 20,
    limits: HTTPLimits = HTTPLimits()
  ) {
    var decoder = BodyDecoder(framing, bytesMax: bytesMax, limits: limits)
    for end in Array(cuts) + [bytes.count] {
      var found: [UInt8] = []
      let (used, state) = Array(bytes[consumed..<max(end, consumed)]).withUnsafeBytes { input in
        decoder.decode(input) { found.append(contentsOf: $0) }
      }
      data += found
      consumed += used
      self.state = state
      if state != .more { break }
    }
    if case .failure = state {
      // What was decoded before a failure, and how far, is nobody's business and depends on the cuts.
      data = []
      consumed = 0
    }
  }

  init(_ text: String, limits: HTTPLimits = HTTPLimits()) { self.init(Array(text.utf8), limits: limits) }
}

@Suite struct BodyDecoderTests {
  static let good: [(String, String)] = [
    ("0\r\n\r\n", ""),
    ("000\r\n\r\n", ""),
    ("5\r\nhello\r\n0\r\n\r\n", "hello"),
    ("1\r\na\r\n02\r\nbc\r\n00000003\r\ndef\r\n0\r\n\r\n", "abcdef"),
    ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"),
    ("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", "x"),
    ("2;a\r\n\r\n\r\n0;b=c\r\n\r\n", "\r\n"),
    ("3;a;b=c;d=\"e f;\\\"\\\\\tg\"\r\nabc\r\n0;q=\"\"\r\n\r\n", "abc"),
    ("1\r\nx\r\n0\r\nTrailer: value\r\n\r\n", "x"),
    ("0\r\nContent-Length: 5\r\nHost:\r\nX: \t\"q\" é\r\n\r\n", ""),
    ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
  ]

  static let bad: [(String, HTTPError)] = [
    ("\r\n", .malformedChunkSize), ("g\r\n", .malformedChunkSize), (" 5\r\n", .malformedChunkSize),
    ("5 \r\nhello", .malformedChunkSize), ("5\t\r\n", .malformedChunkSize), ("-1\r\n", .malformedChunkSize),
    ("+5\r\n", .malformedChunkSize), ("0x5\r\n", .malformedChunkSize), ("5_0\r\n", .malformedChunkSize),
    ("5.\r\n", .malformedChunkSize), ("5,5\r\n", .malformedChunkSize), (";a\r\n", .malformedChunkSize),
    ("00000000000000005\r\nhello", .malformedChunkSize), ("10000000000000000\r\n", .malformedChunkSize),
    ("ffffffffffffffffff\r\n", .malformedChunkSize), ("ffffffffffffffff\r\n", .bodyTooLarge),
    ("8000000000000000\r\n", .bodyTooLarge), ("5\nhello", .bareLineFeed), ("\n", .bareLineFeed),
    ("5\rhello", .bareCarriageReturn), ("5\r\r\n", .bareCarriageReturn), ("\0", .controlCharacter),
    ("5\0\r\n", .controlCharacter), ("5;\r\n", .malformedChunkExtension),
    ("5;a=\r\n", .malformedChunkExtension),
    ("5; a\r\n", .malformedChunkExtension), ("5;a =b\r\n", .malformedChunkExtension),
    ("5;a= b\r\n", .malformedChunkExtension), ("5 ;a\r\n", .malformedChunkSize),
    ("5;a=b=c\r\n", .malformedChunkExtension), ("5;=b\r\n", .malformedChunkExtension),
    ("5;;\r\n", .malformedChunkExtension), ("5;a\n", .bareLineFeed), ("5;a=\"b\n\"\r\n", .bareLineFeed),
    ("5;a=\"b\r\n\"\r\n", .malformedChunkExtension), ("5;a=\"\\\r\n", .malformedChunkExtension),
    ("5;a=\"b\"c\r\n", .malformedChunkExtension), ("5;a\rb", .bareCarriageReturn),
    ("5;a\u{7f}\r\n", .controlCharacter),
    ("5;a=\0\r\n", .controlCharacter), ("5;a=(\r\n", .malformedChunkExtension),
    ("5;é\r\n", .malformedChunkExtension),
    ("5\r\nhello0\r\n", .malformedChunkEnd), ("5\r\nhello\n0\r\n", .malformedChunkEnd),
    ("5\r\nhello\r0\r\n", .malformedChunkEnd), ("5\r\nhell\r\n0\r\n\r\n", .malformedChunkEnd),
    ("5\r\nhello!\r\n0\r\n\r\n", .malformedChunkEnd), ("1\r\nx\r\n\r\n", .malformedChunkSize),
    ("0\r\n\n", .bareLineFeed), ("0\r\n\rx", .bareCarriageReturn), ("0\n\n", .bareLineFeed),
    ("0\r\n a: b\r\n\r\n", .foldedField), ("0\r\n\ta: b\r\n\r\n", .foldedField),
    ("0\r\na: b\r\n c\r\n\r\n", .foldedField), ("0\r\na\r\n\r\n", .malformedTrailer),
    ("0\r\na : b\r\n\r\n", .malformedTrailer), ("0\r\n: b\r\n\r\n", .malformedTrailer),
    ("0\r\na: \0\r\n\r\n", .controlCharacter), ("0\r\na: b\n\r\n", .bareLineFeed),
    ("0\r\na: b\rc\r\n\r\n", .bareCarriageReturn), ("0\r\né: b\r\n\r\n", .malformedTrailer),
    ("0\r\na b: c\r\n\r\n", .malformedTrailer), ("0\r\na: \u{7f}\r\n\r\n", .controlCharacter),
  ]

  @Test(arguments: good)
  func chunksAreJoined(wire: String, data: String) {
    let expected = Decoding(Array(wire.utf8))
    #expect(expected.state == .complete)
    #expect(expected.data == Array(data.utf8))
    #expect(expected.consumed == wire.utf8.count)
  }

  @Test(arguments: bad)
  func badChunksAreRefused(wire: String, error: HTTPError) {
    #expect(Decoding(wire).state == .failure(error))
    #expect(error.status.code == (error == .bodyTooLarge ? 413 : 400))
  }

  @Test(arguments: good.map(\.0) + bad.map(\.0))
  func anyCutGivesTheSame(wire: String) {
    let bytes = Array(wire.utf8) + Array("GET / ".utf8)
    let whole = Decoding(bytes)
    for first in 0...bytes.count {
      #expect(Decoding(bytes, cuts: [first]) == whole)
      for second in first...bytes.count { #expect(Decoding(bytes, cuts: [first, second]) == whole) }
    }
    #expect(Decoding(bytes, cuts: 0...bytes.count) == whole)
  }

  @Test func whatFollowsIsLeft() {
    let bytes = Array("3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n".utf8)
    #expect(Decoding(bytes).consumed == 13)
    #expect(Decoding(Array("abcdef".utf8), .length(3)).consumed == 3)
    #expect(Decoding(Array("abcdef".utf8), .none) == Decoding([], .none))
  }

  @Test func aFixedLengthIsTakenAsItComes() {
    let bytes = Array("hello, world".utf8)
    for cut in 0...bytes.count {
      let decoding = Decoding(bytes, .length(12), cuts: [cut])
      #expect(decoding.data == bytes)
      #expect(decoding.state == .complete)
    }
    #expect(Decoding(bytes, .length(13)).state == .more)
    #expect(Decoding(bytes, .length(0)).state == .complete)
    #expect(Decoding([], .length(0)).state == .complete)
  }

  private func step(_ decoder: inout BodyDecoder, _ input: UnsafeRawBufferPointer) -> String {
    let step = decoder.decode(input)
    return "\(step.consumed) of them, data \(step.piece), \(step.state)"
  }

  @Test func oneStepFindsOnePiece() {
    withBytes("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n!") { input in
      var decoder = BodyDecoder(.chunked, bytesMax: 10)
      #expect(step(&decoder, input) == "11 of them, data 3..<6, more")
      let rest = UnsafeRawBufferPointer(rebasing: input[11...])
      #expect(step(&decoder, rest) == "9 of them, data 0..<2, complete")
      #expect(decoder.isComplete)
      #expect(step(&decoder, rest) == "0 of them, data 0..<0, complete")
    }
  }

  @Test func aFailureStays() {
    withBytes("0\r\n\r\n") { input in
      var decoder = BodyDecoder(.length(9), bytesMax: 8)
      #expect(decoder.decode(input).state == .failure(.bodyTooLarge))
      #expect(step(&decoder, input) == "0 of them, data 0..<0, failure(HTTP.HTTPError.bodyTooLarge)")
    }
  }
}

@Suite struct BodyLimitTests {
  @Test func decodedBytes() {
    let bytes = Array("4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n".utf8)
    #expect(Decoding(bytes, bytesMax: 8).state == .complete)
    #expect(Decoding(bytes, bytesMax: 7).state == .failure(.bodyTooLarge))
    #expect(Decoding(bytes, cuts: 0...bytes.count, bytesMax: 7).state == .failure(.bodyTooLarge))
    #expect(Decoding([], .length(8), bytesMax: 8).state == .more)
    #expect(Decoding([], .length(9), bytesMax: 8).state == .failure(.bodyTooLarge))
    #expect(Decoding([], .length(.max), bytesMax: .max).state == .more)
  }

  @Test func extensionBytesOfAllChunksTogether() {
    var limits = HTTPLimits()
    limits.chunkExtensionBytesMax = 6
    #expect(Decoding("1;a\r\nx\r\n0;b=c\r\n\r\n", limits: limits).state == .complete)
    #expect(
      Decoding("1;a\r\nx\r\n0;b=cd\r\n\r\n", limits: limits).state == .failure(.chunkExtensionsTooLarge))
    let long = String(repeating: "e", count: 4095)
    #expect(Decoding("0;\(long)\r\n\r\n").state == .complete)
    #expect(Decoding("0;\(long)e\r\n\r\n").state == .failure(.chunkExtensionsTooLarge))
  }

  @Test func trailerBytes() {
    func body(_ bytes: Int) -> String { "0\r\na:\(String(repeating: "v", count: bytes - 6))\r\n\r\n" }
    #expect(Decoding(body(8192)).state == .complete)
    #expect(Decoding(body(8193)).state == .failure(.trailersTooLarge))
  }

  @Test func trailerFields() {
    func body(_ fields: Int) -> String { "0\r\n\(String(repeating: "a:\r\n", count: fields))\r\n" }
    #expect(Decoding(body(100)).state == .complete)
    #expect(Decoding(body(101)).state == .failure(.trailersTooLarge))
    func named(_ bytes: Int) -> String { "0\r\n\(String(repeating: "n", count: bytes)):\r\n\r\n" }
    #expect(Decoding(named(255)).state == .complete)
    #expect(Decoding(named(256)).state == .failure(.fieldNameTooLong))
  }

  @Test(arguments: [11, 12] as [UInt64])
  func mutatedChunks(seed: UInt64) {
    print("seed \(seed)")
    var random = SeededGenerator(seed: seed)
    let corpus =
      BodyDecoderTests.good.map { Array($0.0.utf8) } + BodyDecoderTests.bad.map { Array($0.0.utf8) }
    for _ in 0..<6000 {
      var bytes = corpus.randomElement(using: &random) ?? []
      for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: at)
        case 2: bytes.insert(bytes[at], at: at)
        default: bytes.insert(contentsOf: corpus.randomElement(using: &random) ?? [], at: at)
        }
      }
      let whole = Decoding(bytes, bytesMax: 64)
      #expect(whole.consumed <= bytes.count)
      #expect(whole.data.count <= 64)
      let cuts = (0..<3).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
      #expect(Decoding(bytes, cuts: cuts, bytesMax: 64) == whole)
      #expect(Decoding(bytes, cuts: 0...bytes.count, bytesMax: 64) == whole)
    }
  }
}
