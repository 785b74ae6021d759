/// RFC 8259 with the house's limits, by recursive descent over an array: what `JSONScanner` passes over, this accepts,
/// and nothing else.
struct NaiveJSON {
  enum Value: Equatable {
    case object([[UInt8]: Value])
    case array([Value])
    case string([UInt8])
    /// As it is written.
    case number([UInt8])
    case boolean(Bool)
    case null

    subscript(_ name: String) -> Value? {
      if case .object(let members) = self { members[Array(name.utf8)] } else { nil }
    }

    var text: [UInt8]? { if case .string(let text) = self { text } else { nil } }
    var list: [Value]? { if case .array(let list) = self { list } else { nil } }
  }

  private static let depthMax = 32
  private static let integerMax = (1 << 53) - 1
  private let bytes: [UInt8]
  private var at = 0

  static func accepts(_ bytes: [UInt8]) -> Bool { value(of: bytes) != nil }

  static func value(of bytes: [UInt8]) -> Value? {
    guard !bytes.starts(with: [0xef, 0xbb, 0xbf]) else { return nil }
    var reader = NaiveJSON(bytes: bytes)
    reader.skipSpace()
    guard let value = reader.value(depth: 0) else { return nil }
    reader.skipSpace()
    return reader.at == bytes.count ? value : nil
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

  private mutating func take(_ byte: Character) -> Bool {
    guard next == byte.asciiValue else { return false }
    at += 1
    return true
  }

  private mutating func skipSpace() {
    while let byte = next, [0x20, 0x0a, 0x0d, 0x09].contains(byte) { at += 1 }
  }

  private mutating func value(depth: Int) -> Value? {
    switch next {
    case UInt8(ascii: "{"): object(depth: depth + 1)
    case UInt8(ascii: "["): array(depth: depth + 1)
    case UInt8(ascii: "\""): string().map(Value.string)
    case UInt8(ascii: "t"): literal("true", .boolean(true))
    case UInt8(ascii: "f"): literal("false", .boolean(false))
    case UInt8(ascii: "n"): literal("null", .null)
    default: number()
    }
  }

  private mutating func literal(_ text: String, _ value: Value) -> Value? {
    guard bytes[at...].starts(with: text.utf8) else { return nil }
    at += text.utf8.count
    return value
  }

  private mutating func array(depth: Int) -> Value? {
    guard depth <= NaiveJSON.depthMax, take("[") else { return nil }
    var elements: [Value] = []
    skipSpace()
    if take("]") { return .array(elements) }
    while true {
      skipSpace()
      guard let element = value(depth: depth) else { return nil }
      elements.append(element)
      skipSpace()
      if take("]") { return .array(elements) }
      guard take(",") else { return nil }
    }
  }

  private mutating func object(depth: Int) -> Value? {
    guard depth <= NaiveJSON.depthMax, take("{") else { return nil }
    var members: [[UInt8]: Value] = [:]
    skipSpace()
    if take("}") { return .object(members) }
    while true {
      skipSpace()
      guard let name = string(), members[name] == nil else { return nil }
      skipSpace()
      guard take(":") else { return nil }
      skipSpace()
      guard let member = value(depth: depth) else { return nil }
      members[name] = member
      skipSpace()
      if take("}") { return .object(members) }
      guard take(",") else { return nil }
    }
  }

  /// The text of a string, nil if it is none.
  private mutating func string() -> [UInt8]? {
    guard take("\"") else { return nil }
    var text: [UInt8] = []
    while let byte = next {
      at += 1
      if byte == UInt8(ascii: "\"") { return text.isText ? text : nil }
      guard byte >= 0x20 else { return nil }
      guard byte == UInt8(ascii: "\\") else {
        text.append(byte)
        continue
      }
      // A run of bytes ends at an escape: a character can't go on behind it.
      guard text.isText, let scalar = escape() else { return nil }
      text += Array(String(Character(scalar)).utf8)
    }
    return nil
  }

  private mutating func escape() -> UnicodeScalar? {
    guard let byte = next else { return nil }
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return UnicodeScalar(byte)
    case UInt8(ascii: "b"): return UnicodeScalar(8)
    case UInt8(ascii: "f"): return UnicodeScalar(12)
    case UInt8(ascii: "n"): return UnicodeScalar(10)
    case UInt8(ascii: "r"): return UnicodeScalar(13)
    case UInt8(ascii: "t"): return UnicodeScalar(9)
    case UInt8(ascii: "u"): break
    default: return nil
    }
    guard let high = unit() else { return nil }
    guard (0xd800..<0xdc00).contains(high) else { return UnicodeScalar(high) }
    guard take("\\"), take("u"), let low = unit(), (0xdc00..<0xe000).contains(low) else { return nil }
    return UnicodeScalar(0x10000 + (high - 0xd800) << 10 + (low - 0xdc00))
  }

  private mutating func unit() -> UInt32? {
    guard at + 4 <= bytes.count, bytes[at..<at + 4].allSatisfy(NaiveJSON.isHexadecimal) else { return nil }
    defer { at += 4 }
    return UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
  }

  private mutating func number() -> Value? {
    let start = at
    _ = take("-")
    let digits = digits()
    guard !digits.isEmpty, digits.count == 1 || digits.first != UInt8(ascii: "0") else { return nil }
    var isWhole = true
    if take(".") {
      isWhole = false
      guard !self.digits().isEmpty else { return nil }
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      at += 1
      isWhole = false
      if !take("+") { _ = take("-") }
      guard !self.digits().isEmpty else { return nil }
    }
    let token = Array(bytes[start..<at])
    guard isWhole else { return .number(token) }
    let value = Int(String(decoding: token, as: UTF8.self))
    return value.map { abs($0) <= NaiveJSON.integerMax } ?? false ? .number(token) : nil
  }

  private mutating func digits() -> ArraySlice<UInt8> {
    let start = at
    while let byte = next, (0x30...0x39).contains(byte) { at += 1 }
    return bytes[start..<at]
  }
}
