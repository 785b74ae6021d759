internal import CBytes

/// Takes a request body out of the bytes behind its head: a fixed length, or chunks (RFC 9112, section 7.1),
/// strictly. A machine without I/O: data is not copied but pointed at, and the outcome does not depend on how
/// the bytes are cut. Chunk extensions and trailer fields are checked, bounded and ignored.
public struct BodyDecoder: Sendable {
  public enum State: Equatable, Sendable {
    /// Not at the end: call again with what was not consumed, or with more bytes if everything was.
    case more
    /// The body has ended behind the consumed bytes.
    case complete
    /// Answer with the error's status and close. Every further call says the same.
    case failure(HTTPError)
  }

  /// What one call has found.
  public struct Step: Equatable, Sendable {
    /// Bytes of the input that are done with, `piece` included.
    public let consumed: Int
    /// Where in the input body data stands; may be empty.
    public let piece: Range<Int>
    public let state: State
  }

  private enum Stage: Equatable {
    case fixed, size, sizeEnd, data, dataReturn, dataEnd
    case extensionName, extensionNameRest, extensionValue, extensionToken, quoted, quotedPair, quotedEnd
    case trailerStart, trailerName, trailerValue, trailerEnd, lastReturn, complete
    case failed(HTTPError)
  }

  private var stage: Stage
  /// Bytes left of the fixed length or of the chunk.
  private var remaining: UInt64 = 0
  /// Bytes that may still be decoded.
  private var room: UInt64
  private var digits: UInt8 = 0
  private var trailerFields: UInt8 = 0
  private var extensionBytes: UInt16 = 0
  private var trailerBytes: UInt16 = 0
  private var nameBytes: UInt16 = 0
  private let limits: HTTPLimits

  /// A decoder for a body framed as `framing` of at most `bytesMax` decoded bytes; a larger one is
  /// `bodyTooLarge`, at once if its length is declared.
  public init(_ framing: BodyFraming, bytesMax: UInt64, limits: HTTPLimits = HTTPLimits()) {
    self.limits = limits
    room = bytesMax
    switch framing {
    case .none: stage = .complete
    case .length(let length):
      remaining = length
      stage = length > bytesMax ? .failed(.bodyTooLarge) : length == 0 ? .complete : .fixed
    case .chunked: stage = .size
    }
  }

  public var isComplete: Bool { stage == .complete }

  /// Decodes on, over at most one piece of data, up to the next one or to the end of the input.
  public mutating func decode(_ input: UnsafeRawBufferPointer) -> Step {
    var piece = 0..<0
    var index = 0
    while true {
      switch stage {
      case .complete: return Step(consumed: index, piece: piece, state: .complete)
      case .failed(let error): return Step(consumed: index, piece: piece, state: .failure(error))
      default: break
      }
      guard index < input.count else { return Step(consumed: index, piece: piece, state: .more) }
      if stage == .data || stage == .fixed {
        guard piece.isEmpty else { return Step(consumed: index, piece: piece, state: .more) }
        let taken = Int(min(remaining, UInt64(input.count - index)))
        piece = index..<index + taken
        index += taken
        remaining -= UInt64(taken)
        if remaining == 0 { stage = stage == .fixed ? .complete : .dataReturn }
      } else {
        do throws(HTTPError) {
          try take(input[index])
          index += 1
        } catch {
          stage = .failed(error)
        }
      }
    }
  }

  /// Decodes all of `input` and hands each piece of data, which is part of it, to `sink`.
  /// Returns the bytes consumed (all of them unless the body ends before) and the state.
  public mutating func decode(
    _ input: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) -> Void
  ) -> (consumed: Int, state: State) {
    var consumed = 0
    while true {
      let rest = UnsafeRawBufferPointer(rebasing: input[consumed...])
      let step = decode(rest)
      if !step.piece.isEmpty { sink(UnsafeRawBufferPointer(rebasing: rest[step.piece])) }
      consumed += step.consumed
      if step.state != .more || consumed == input.count { return (consumed, step.state) }
    }
  }
}

extension BodyDecoder {
  /// One byte of chunk framing.
  private mutating func take(_ byte: UInt8) throws(HTTPError) {
    switch stage {
    case .size: try takeSize(byte)
    case .sizeEnd:
      try expectLineFeed(byte)
      stage = remaining > 0 ? .data : .trailerStart
      digits = 0
    case .dataReturn:
      guard byte == ASCII.carriageReturn else { throw .malformedChunkEnd }
      stage = .dataEnd
    case .dataEnd:
      guard byte == ASCII.lineFeed else { throw .malformedChunkEnd }
      stage = .size
    case .extensionName, .extensionNameRest, .extensionValue, .extensionToken, .quoted, .quotedPair,
      .quotedEnd:
      try takeExtension(byte)
    default: try takeTrailer(byte)
    }
  }

  private func expectLineFeed(_ byte: UInt8) throws(HTTPError) {
    guard byte == ASCII.lineFeed else { throw .bareCarriageReturn }
  }

  /// What to call a byte that doesn't belong: some are wrong anywhere.
  private func fault(_ byte: UInt8, else error: HTTPError) -> HTTPError {
    if byte == ASCII.lineFeed { return .bareLineFeed }
    return isText(byte) || byte == ASCII.carriageReturn ? error : .controlCharacter
  }

  private mutating func takeSize(_ byte: UInt8) throws(HTTPError) {
    if let value = ASCII.hexadecimal(byte) {
      guard Int(digits) < HTTPLimits.chunkSizeDigitsMax else { throw .malformedChunkSize }
      remaining = remaining << 4 | UInt64(value)
      digits += 1
      return
    }
    guard digits > 0 else { throw fault(byte, else: .malformedChunkSize) }
    if byte == ASCII.carriageReturn {
      try endSize()
    } else if byte == UInt8(ascii: ";") {
      try count()
      stage = .extensionName
    } else {
      throw fault(byte, else: .malformedChunkSize)
    }
  }

  private mutating func endSize() throws(HTTPError) {
    guard remaining <= room else { throw .bodyTooLarge }
    room -= remaining
    stage = .sizeEnd
  }

  private mutating func count() throws(HTTPError) {
    guard extensionBytes < limits.chunkExtensionBytesMax else { throw .chunkExtensionsTooLarge }
    extensionBytes += 1
  }

  /// `*( ";" token [ "=" ( token / quoted-string ) ] )` without the white space that a recipient need not take.
  private mutating func takeExtension(_ byte: UInt8) throws(HTTPError) {
    let isToken = self.isToken(byte)
    if stage != .extensionName, stage != .extensionValue, stage != .quoted, stage != .quotedPair {
      if byte == ASCII.carriageReturn { return try endSize() }
      if byte == UInt8(ascii: ";") {
        try count()
        stage = .extensionName
        return
      }
    }
    try count()
    switch stage {
    case .extensionName where isToken: stage = .extensionNameRest
    case .extensionNameRest where isToken: break
    case .extensionNameRest where byte == UInt8(ascii: "="): stage = .extensionValue
    case .extensionValue where isToken: stage = .extensionToken
    case .extensionValue where byte == UInt8(ascii: "\""): stage = .quoted
    case .extensionToken where isToken: break
    case .quoted where byte == UInt8(ascii: "\""): stage = .quotedEnd
    case .quoted where byte == UInt8(ascii: "\\"): stage = .quotedPair
    case .quoted where isText(byte): break
    case .quotedPair where isText(byte): stage = .quoted
    default: throw fault(byte, else: .malformedChunkExtension)
    }
  }

  /// RFC 9110, section 5.6.2: tchar.
  private func isToken(_ byte: UInt8) -> Bool {
    withUnsafeBytes(of: byte) { engram_scan_token($0.baseAddress, 0, 1) == 1 }
  }

  private func isText(_ byte: UInt8) -> Bool { byte == ASCII.tab || (byte >= 0x20 && byte != 0x7f) }

  private mutating func takeTrailer(_ byte: UInt8) throws(HTTPError) {
    guard trailerBytes < limits.trailerBytesMax else { throw .trailersTooLarge }
    trailerBytes += 1
    switch stage {
    case .trailerStart:
      if byte == ASCII.carriageReturn {
        stage = .lastReturn
        return
      }
      guard byte != ASCII.space, byte != ASCII.tab else { throw .foldedField }
      guard isToken(byte) else { throw fault(byte, else: .malformedTrailer) }
      guard trailerFields < limits.trailerFieldsMax else { throw .trailersTooLarge }
      trailerFields += 1
      nameBytes = 1
      stage = .trailerName
    case .trailerName:
      if byte == UInt8(ascii: ":") {
        stage = .trailerValue
        return
      }
      guard isToken(byte) else { throw fault(byte, else: .malformedTrailer) }
      guard Int(nameBytes) < HTTPLimits.fieldNameBytesMax else { throw .fieldNameTooLong }
      nameBytes += 1
    case .trailerValue:
      if byte == ASCII.carriageReturn {
        stage = .trailerEnd
      } else if !isText(byte) {
        throw fault(byte, else: .malformedTrailer)
      }
    case .trailerEnd:
      try expectLineFeed(byte)
      stage = .trailerStart
    default:
      try expectLineFeed(byte)
      stage = .complete
    }
  }
}
