internal import CBytes

/// What the next value of a JSON text is.
public enum JSONKind: UInt8, Sendable {
  case object, array, string, number, boolean, null
}

/// A string token in the scanned text: `start` is the byte behind the opening quote, `count` the raw bytes
/// between the quotes, `decodedCount` the bytes of UTF-8 that they stand for. An escape is always longer
/// than what it stands for, hence `hasEscapes`.
public struct JSONString: Hashable, Sendable {
  public var start: UInt32
  public var count: UInt32
  public var decodedCount: UInt32

  @inlinable public init(start: Int, count: Int, decodedCount: Int) {
    self.start = UInt32(truncatingIfNeeded: start)
    self.count = UInt32(truncatingIfNeeded: count)
    self.decodedCount = UInt32(truncatingIfNeeded: decodedCount)
  }

  @inlinable public var hasEscapes: Bool { decodedCount != count }
}

/// A number token. `integer` is nil where the token has a fraction or an exponent.
public struct JSONNumber: Hashable, Sendable {
  public var start: UInt32
  public var count: UInt32
  public var integer: Int64?
}

/// Reads one JSON text (RFC 8259) from memory that may be hostile, value by value, without allocating.
/// Strings are checked to be UTF-8 with well-formed escapes and returned as ranges of the text. The caller
/// knows the schema and asks for what it expects:
///
///     try scanner.beginDocument()
///     var more = try scanner.enterObject()
///     while more {
///       let key = try scanner.key()
///       …one value: string(), integer(), enterArray(), skipValue(&keys), …
///       more = try scanner.nextMember()
///     }
///     try scanner.endDocument()
///
/// Names given twice are found by `JSONKeys`, or by the caller's own bookkeeping of the names it knows.
/// After an error the scanner is of no further use. The memory is borrowed and outlives the scanner.
public struct JSONScanner {
  /// Containers within one another, limit: bounds every recursion over a text.
  public static let depthMax = 32
  /// RFC 7493 (I-JSON), section 2.2: beyond this a double no longer tells neighbours apart.
  public static let integerMax: Int64 = 1 << 53 - 1

  public let bytes: UnsafeRawBufferPointer
  /// The next byte to read.
  @inlinable public var offset: Int { cursor }
  @usableFromInline var cursor: Int
  @usableFromInline var depth = 0
  /// Members and elements of values that were passed over.
  private var skipped = 0

  @inlinable @inline(__always)
  func byte(_ at: Int) -> UInt8 {
    bytes.baseAddress.unsafelyUnwrapped.load(fromByteOffset: at, as: UInt8.self)
  }

  public init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    cursor = 0
  }

  /// Starts a text: refuses an empty one, a byte order mark (RFC 8259, section 8.1), and 4 GiB or more.
  public mutating func beginDocument() throws(JSONError) {
    guard bytes.count < UInt32.max else { throw JSONError(.tooLong, at: 0) }
    if bytes.count >= 3, byte(0) == 0xEF, byte(1) == 0xBB, byte(2) == 0xBF {
      throw JSONError(.byteOrderMark, at: 0)
    }
    guard skipSpace() else { throw JSONError(.unexpectedEnd, at: offset) }
  }

  /// Ends a text: nothing but white space may follow.
  public mutating func endDocument() throws(JSONError) {
    if skipSpace() { throw JSONError(.trailingBytes, at: offset) }
  }

  /// False at the end of the text.
  @inlinable @inline(__always)
  mutating func skipSpace() -> Bool {
    if cursor < bytes.count, byte(cursor) > 0x20 { return true }
    return skipSpaces()
  }

  @usableFromInline
  mutating func skipSpaces() -> Bool {
    while cursor < bytes.count {
      let next = byte(cursor)
      guard next == 0x20 || next == 0x0A || next == 0x0D || next == 0x09 else { return true }
      cursor += 1
    }
    return false
  }

  /// The kind of the value that comes next, by its first byte.
  @inlinable public mutating func peek() throws(JSONError) -> JSONKind {
    guard skipSpace() else { throw JSONError(.unexpectedEnd, at: offset) }
    switch byte(offset) {
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    default: throw JSONError(.unexpectedByte, at: offset)
    }
  }

  @inlinable @inline(__always)
  mutating func expect(_ kind: JSONKind) throws(JSONError) {
    guard try peek() == kind else { throw JSONError(.wrongType, at: offset) }
  }

  // MARK: Containers

  /// Enters an object. True if it has a member, whose `key()` comes next.
  @inlinable public mutating func enterObject() throws(JSONError) -> Bool {
    try expect(.object)
    return try enter(closing: UInt8(ascii: "}"))
  }

  /// Enters an array. True if it has an element, which comes next.
  @inlinable public mutating func enterArray() throws(JSONError) -> Bool {
    try expect(.array)
    return try enter(closing: UInt8(ascii: "]"))
  }

  @inlinable mutating func enter(closing: UInt8) throws(JSONError) -> Bool {
    guard depth < Self.depthMax else { throw JSONError(.tooDeep, at: offset) }
    cursor += 1
    guard skipSpace() else { throw JSONError(.unexpectedEnd, at: offset) }
    if byte(offset) == closing {
      cursor += 1
      return false
    }
    depth += 1
    return true
  }

  /// A member's name, and the colon behind it.
  @inlinable public mutating func key() throws(JSONError) -> JSONString {
    guard skipSpace() else { throw JSONError(.unexpectedEnd, at: offset) }
    guard byte(offset) == UInt8(ascii: "\"") else { throw JSONError(.unexpectedByte, at: offset) }
    let name = try stringToken()
    guard skipSpace() else { throw JSONError(.unexpectedEnd, at: offset) }
    guard byte(offset) == UInt8(ascii: ":") else { throw JSONError(.unexpectedByte, at: offset) }
    cursor += 1
    return name
  }

  /// Moves behind a member's value: true if another member follows, false if the object ended.
  @inlinable public mutating func nextMember() throws(JSONError) -> Bool {
    try next(closing: UInt8(ascii: "}"))
  }

  /// Moves behind an element: true if another one follows, false if the array ended.
  @inlinable public mutating func nextElement() throws(JSONError) -> Bool {
    try next(closing: UInt8(ascii: "]"))
  }

  @inlinable @inline(__always)
  mutating func next(closing: UInt8) throws(JSONError) -> Bool {
    guard skipSpace() else { throw JSONError(.unexpectedEnd, at: offset) }
    let found = byte(offset)
    guard found == UInt8(ascii: ",") || found == closing else { throw JSONError(.unexpectedByte, at: offset) }
    cursor += 1
    if found == closing {
      depth -= 1
      return false
    }
    return true
  }

  // MARK: Scalars

  @inlinable public mutating func string() throws(JSONError) -> JSONString {
    try expect(.string)
    return try stringToken()
  }

  @usableFromInline
  mutating func stringToken() throws(JSONError) -> JSONString {
    let start = offset + 1
    let token = engram_json_string(bytes.baseAddress, bytes.count, start)
    let end = Int(token.end)
    if token.status != 0 {
      throw JSONError(
        JSONError.Reason(rawValue: UInt8(truncatingIfNeeded: token.status)) ?? .badEscape, at: end)
    }
    cursor = end + 1
    return JSONString(start: start, count: end - start, decodedCount: Int(token.decoded))
  }

  /// A number by the grammar of RFC 8259, section 6. Integers stay within ±`integerMax`.
  public mutating func number() throws(JSONError) -> JSONNumber {
    try expect(.number)
    let start = offset
    var at = offset
    let negative = byte(at) == UInt8(ascii: "-")
    if negative { at += 1 }
    var value: Int64 = 0
    let digits = at
    while let digit = digit(at) {
      // Capped far beyond `integerMax` and far below overflow, however many digits come.
      value = min(value &* 10 &+ Int64(digit), 1 << 58)
      at += 1
    }
    guard at > digits else { throw JSONError(at < bytes.count ? .badNumber : .unexpectedEnd, at: at) }
    guard at == digits + 1 || byte(digits) != UInt8(ascii: "0") else {
      throw JSONError(.badNumber, at: digits)
    }
    var whole = true
    if at < bytes.count, byte(at) == UInt8(ascii: ".") {
      whole = false
      at = try skipDigits(from: at + 1)
    }
    if at < bytes.count, byte(at) | 0x20 == UInt8(ascii: "e") {
      whole = false
      at += 1
      if at < bytes.count, byte(at) == UInt8(ascii: "+") || byte(at) == UInt8(ascii: "-") { at += 1 }
      at = try skipDigits(from: at)
    }
    if whole, value > Self.integerMax { throw JSONError(.integerTooLarge, at: start) }
    cursor = at
    return JSONNumber(
      start: UInt32(truncatingIfNeeded: start), count: UInt32(truncatingIfNeeded: at - start),
      integer: whole ? (negative ? -value : value) : nil)
  }

  @inline(__always)
  private func digit(_ at: Int) -> UInt8? {
    guard at < bytes.count else { return nil }
    let value = byte(at) &- UInt8(ascii: "0")
    return value < 10 ? value : nil
  }

  /// One digit or more.
  private func skipDigits(from start: Int) throws(JSONError) -> Int {
    var at = start
    while digit(at) != nil { at += 1 }
    guard at > start else { throw JSONError(at < bytes.count ? .badNumber : .unexpectedEnd, at: at) }
    return at
  }

  public mutating func boolean() throws(JSONError) -> Bool {
    try expect(.boolean)
    let value = byte(offset) == UInt8(ascii: "t")
    try literal(value ? "true" : "false")
    return value
  }

  public mutating func null() throws(JSONError) {
    try expect(.null)
    try literal("null")
  }

  private mutating func literal(_ text: StaticString) throws(JSONError) {
    for n in 0..<text.utf8CodeUnitCount {
      guard offset < bytes.count else { throw JSONError(.unexpectedEnd, at: offset) }
      guard byte(offset) == text.utf8Start[n] else { throw JSONError(.unexpectedByte, at: offset) }
      cursor += 1
    }
  }

  /// Passes over one value of any kind, checking all of it, names given twice included.
  public mutating func skipValue(_ keys: inout JSONKeys) throws(JSONError) {
    switch try peek() {
    case .string: _ = try stringToken()
    case .number: _ = try number()
    case .boolean: _ = try boolean()
    case .null: try null()
    case .array:
      var more = try enterArray()
      while more {
        try countSkipped()
        try skipValue(&keys)
        more = try nextElement()
      }
    case .object:
      let mark = keys.begin()
      var more = try enterObject()
      while more {
        let name = try key()
        try countSkipped()
        try keys.insert(name, hash: JSONText.hash(name, of: bytes), of: bytes, since: mark)
        try skipValue(&keys)
        more = try nextMember()
      }
      try keys.end(mark, of: bytes)
    }
  }

  /// Counts one member or element of a value that is passed over: of the whole text, however many values they are in.
  private mutating func countSkipped() throws(JSONError) {
    skipped += 1
    guard skipped <= JSONKeys.skippedMax else { throw JSONError(.tooManySkipped, at: offset) }
  }

  // MARK: Tokens

  /// The raw bytes between a token's quotes.
  @inlinable public func raw(_ token: JSONString) -> UnsafeRawBufferPointer { token.raw(of: bytes) }

  /// Whether a token stands for exactly this ASCII text.
  public func matches(_ token: JSONString, _ text: StaticString) -> Bool {
    JSONText.equal(token, of: bytes, text)
  }
}

extension JSONString {
  /// The raw bytes between the quotes; `text` is what the scanner scanned.
  @inlinable public func raw(of text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: text[Int(start)..<Int(start) + Int(count)])
  }

  /// The raw token with its quotes.
  @inlinable public func quoted(of text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: text[Int(start) - 1..<Int(start) + Int(count) + 1])
  }
}
