internal import Bytes

/// Reads a payload's bytes from its JSON string token, piece by piece. The token is borrowed.
struct PayloadReader {
  /// A piece of payload is at most this long where it has to be decoded, in bytes; base64 takes 4/3 of it.
  static let scratchBytes = 4096 + 3072

  enum Piece {
    /// Valid until the next call.
    case bytes(UnsafeRawBufferPointer)
    case end
    case malformed
  }

  private var rest: UnsafeRawBufferPointer
  private let hasEscapes: Bool
  private let encoding: PayloadEncoding
  /// Characters of base64 that are unescaped but not yet a group of four; they stand at the scratch's start.
  private var carried = 0

  /// `raw`: what stands between the token's quotes.
  init(_ raw: UnsafeRawBufferPointer, hasEscapes: Bool, encoding: PayloadEncoding) {
    rest = raw
    self.hasEscapes = hasEscapes
    self.encoding = encoding
  }

  /// The next piece. `scratch`: the same `scratchBytes` bytes at every call.
  mutating func next(_ scratch: UnsafeMutableRawBufferPointer) -> Piece {
    guard !rest.isEmpty || carried > 0 else { return .end }
    switch (encoding, hasEscapes) {
    case (.utf8, false):
      defer { rest = UnsafeRawBufferPointer(start: nil, count: 0) }
      return .bytes(rest)
    case (.utf8, true):
      let step = JSONText.decodeSome(rest, into: scratch)
      guard step.written > 0 else { return .malformed }
      drop(step.consumed)
      return .bytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scratch)[0..<step.written]))
    case (.base64, false):
      let count = min(rest.count, 4096)
      let text = UnsafeRawBufferPointer(rebasing: rest[0..<count])
      drop(count)
      return group(text, scratch)
    case (.base64, true):
      let room = UnsafeMutableRawBufferPointer(rebasing: scratch[carried..<4096])
      let step = JSONText.decodeSome(rest, into: room)
      guard step.written > 0 else { return .malformed }
      drop(step.consumed)
      let held = carried + step.written
      let count = rest.isEmpty ? held : held & ~3
      let text = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scratch)[0..<count])
      let piece = group(text, scratch)
      carried = held - count
      for n in 0..<carried { scratch[n] = scratch[count + n] }
      return piece
    }
  }

  private mutating func drop(_ count: Int) { rest = UnsafeRawBufferPointer(rebasing: rest[count...]) }

  private func group(_ text: UnsafeRawBufferPointer, _ scratch: UnsafeMutableRawBufferPointer) -> Piece {
    let room = UnsafeMutableRawBufferPointer(rebasing: scratch[4096...])
    guard let count = Base64.decode(text, into: room, isLast: rest.isEmpty) else { return .malformed }
    return .bytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[0..<count]))
  }
}

/// From a record's payload token to the bytes that the client sent.
public enum PayloadDecoder {
  /// The bytes of the payload of a unit's record; nil if the record isn't a unit's or is damaged.
  public static func decodedCount(_ record: EventView) -> Int? {
    guard let (token, encoding) = token(record) else { return nil }
    return decodedCount(token, encoding)
  }

  /// Decodes the payload of a unit's record into `to`, of at least `decodedCount` bytes.
  /// - Returns: the bytes written; nil if the record isn't a unit's or is damaged, or `to` is too small.
  public static func decode(_ record: EventView, into to: UnsafeMutableRawBufferPointer) -> Int? {
    guard let (token, encoding) = token(record) else { return nil }
    return decode(token, encoding, into: to)
  }

  /// The token of a unit's record, quotes included.
  public static func token(_ record: EventView) -> (UnsafeRawBufferPointer, PayloadEncoding)? {
    guard let head = record.unit, let encoding = PayloadEncoding(rawValue: head.encoding) else { return nil }
    let body = record.body
    let start = Int(head.payloadOffset)
    guard start <= body.count, Int(head.payloadLength) <= body.count - start else { return nil }
    return (UnsafeRawBufferPointer(rebasing: body[start..<start + Int(head.payloadLength)]), encoding)
  }

  /// `token`: with its quotes.
  public static func decodedCount(_ token: UnsafeRawBufferPointer, _ encoding: PayloadEncoding) -> Int? {
    var count = 0
    return each(token, encoding) { piece in
      count += piece.count
      return true
    } ? count : nil
  }

  public static func decode(
    _ token: UnsafeRawBufferPointer, _ encoding: PayloadEncoding, into to: UnsafeMutableRawBufferPointer
  ) -> Int? {
    var count = 0
    let whole = each(token, encoding) { piece in
      guard piece.count <= to.count - count else { return false }
      UnsafeMutableRawBufferPointer(rebasing: to[count...]).copyMemory(from: piece)
      count += piece.count
      return true
    }
    return whole ? count : nil
  }

  /// Passes the payload's pieces to `body` in order; false if the token is damaged or `body` says so.
  private static func each(
    _ token: UnsafeRawBufferPointer, _ encoding: PayloadEncoding, _ body: (UnsafeRawBufferPointer) -> Bool
  ) -> Bool {
    var scanner = JSONScanner(token)
    guard let found = try? scanner.string(), scanner.offset == token.count, found.start == 1 else {
      return false
    }
    if encoding == .utf8, !found.hasEscapes { return body(found.raw(of: token)) }
    return withUnsafeTemporaryAllocation(byteCount: PayloadReader.scratchBytes, alignment: 8) { scratch in
      var reader = PayloadReader(found.raw(of: token), hasEscapes: found.hasEscapes, encoding: encoding)
      while true {
        switch reader.next(scratch) {
        case .bytes(let piece): if !body(piece) { return false }
        case .end: return true
        case .malformed: return false
        }
      }
    }
  }
}
