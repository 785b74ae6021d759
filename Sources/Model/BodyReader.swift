public import Bytes

/// Reads the JSON object that is a small request's body or a message: one per request. Values are copied out of the
/// body. What is wrong is told with its place; `read` of the caller throws on.
public struct BodyReader: ~Copyable {
  /// Of a member that is refused, so much is named, in bytes.
  private static let quotedBytesMax = 128

  public var scanner: JSONScanner
  private var keys = JSONKeys()
  private var pending: Problem?

  public init(_ body: UnsafeRawBufferPointer) { scanner = JSONScanner(body) }

  /// Reads the body: `member` is called at each member's value, with its name and its number in `names`, once at most.
  public mutating func readBody(
    _ names: [StaticString],
    _ member: (inout BodyReader, _ index: Int, _ pointer: String) throws(JSONError) -> Void
  ) throws(Problem) {
    guard scanner.bytes.count <= Limits.bodyBytesMax else {
      throw Problem(.payloadTooLarge, "The body is larger than \(Limits.bodyBytesMax) bytes")
    }
    do throws(JSONError) {
      try scanner.beginDocument()
      try readMembers(names, member)
      try scanner.endDocument()
    } catch {
      throw pending ?? Problem(error)
    }
  }

  private mutating func readMembers(
    _ names: [StaticString],
    _ member: (inout BodyReader, _ index: Int, _ pointer: String) throws(JSONError) -> Void
  ) throws(JSONError) {
    guard try scanner.peek() == .object else { throw refuse("", "must be an object") }
    var seen: UInt64 = 0
    var more = try scanner.enterObject()
    while more {
      let name = try scanner.key()
      guard let index = names.firstIndex(where: { scanner.matches(name, $0) }) else {
        throw refuse(step(name), "is not a member of this object")
      }
      guard seen >> UInt64(index) & 1 == 0 else { throw refuse(step(name), "is given twice") }
      seen |= 1 << UInt64(index)
      try member(&self, index, "/\(names[index])")
      more = try scanner.nextMember()
    }
  }

  // MARK: Values

  public mutating func string(_ pointer: String) throws(JSONError) -> JSONString {
    guard try scanner.peek() == .string else { throw refuse(pointer, "must be a string") }
    return try scanner.string()
  }

  /// A string of at most so many bytes, decoded.
  public mutating func text(_ pointer: String, bytesMax: Int) throws(JSONError) -> [UInt8] {
    let token = try string(pointer)
    guard token.decodedCount <= bytesMax else { throw refuse(pointer, "must be at most \(bytesMax) bytes") }
    return decoded(token)
  }

  public mutating func identifier(_ pointer: String) throws(JSONError) -> [UInt8] {
    let token = try string(pointer)
    guard token.decodedCount >= 1, token.decodedCount <= Limits.identifierBytesMax else {
      throw refuse(pointer, "must be 1 to \(Limits.identifierBytesMax) bytes")
    }
    let text = decoded(token)
    guard !text.withUnsafeBytes({ JSONText.hasControl($0) }) else {
      throw refuse(pointer, "must not hold control characters")
    }
    return text
  }

  mutating func unitID(_ pointer: String) throws(JSONError) -> UnitID {
    let token = try string(pointer)
    guard token.decodedCount == UnitID.textBytes,
      let found = decoded(token).withUnsafeBytes({ UnitID($0) })
    else { throw refuse(pointer, "must be a UUID of version 7 (RFC 9562)") }
    return found
  }

  /// A path in canonical form.
  mutating func resourcePath(_ pointer: String) throws(JSONError) -> [UInt8] {
    let token = try string(pointer)
    // A leading slash more than the limit.
    guard token.decodedCount <= Limits.resourcePathBytesMax + 1 else {
      throw refuse(pointer, ResourcePath.Fault.tooLong.detail)
    }
    do throws(ResourcePath.Fault) { return try ResourcePath.canonical(decoded(token)) } catch {
      throw refuse(pointer, error.detail)
    }
  }

  /// A number of seconds within a range, in microseconds; what is finer is cut off.
  mutating func seconds(_ pointer: String, _ range: ClosedRange<UInt64>) throws(JSONError) -> UInt64 {
    func outside() -> JSONError {
      let (low, high) = (Decimals(range.lowerBound), Decimals(range.upperBound))
      return refuse(pointer, "must be a number from \(low) to \(high)")
    }
    guard try scanner.peek() == .number else { throw outside() }
    let token: JSONNumber
    do throws(JSONError) { token = try scanner.number() } catch {
      guard error.reason == .integerTooLarge else { throw error }
      throw outside()
    }
    let text = scanner.bytes[Int(token.start)..<Int(token.start) + Int(token.count)]
    guard let found = Decimals(text), range.contains(found.microseconds),
      found.isExact || found.microseconds < range.upperBound
    else { throw outside() }
    return found.microseconds
  }

  /// An array: `element` is called at each.
  public mutating func array(
    _ pointer: String, countMax: Int, of noun: String,
    _ element: (inout BodyReader, _ pointer: String) throws(JSONError) -> Void
  ) throws(JSONError) {
    guard try scanner.peek() == .array else { throw refuse(pointer, "must be an array") }
    var count = 0
    var more = try scanner.enterArray()
    while more {
      guard count < countMax else { throw refuse(pointer, "must hold at most \(countMax) \(noun)") }
      try element(&self, "\(pointer)/\(count)")
      count += 1
      more = try scanner.nextElement()
    }
  }

  /// Metadata, within the limits of its pairs: `pair` is called with each key and value; a value that is null is nil,
  /// where that is allowed.
  mutating func metadata(
    _ pointer: String, pairsMax: Int, allowsNull: Bool, _ pair: (JSONString, JSONString?) -> Void
  ) throws(JSONError) {
    let wanted = allowsNull ? "must be a string or null" : "must be a string"
    guard try scanner.peek() == .object else { throw refuse(pointer, "must be an object of strings") }
    let mark = keys.begin()
    var count = 0
    var more = try scanner.enterObject()
    while more {
      let key = try scanner.key()
      guard count < pairsMax else { throw refuse(pointer, "must hold at most \(pairsMax) pairs") }
      count += 1
      guard key.decodedCount <= Limits.metadataKeyBytesMax else {
        throw refuse(pointer, "must have keys of at most \(Limits.metadataKeyBytesMax) bytes")
      }
      let hash = JSONText.withDecoded(key, of: scanner.bytes) { Fingerprint.of($0).low }
      do throws(JSONError) { try keys.insert(key, hash: hash, of: scanner.bytes, since: mark) } catch {
        throw refuse(pointer + step(key), "is given twice")
      }
      switch try scanner.peek() {
      case .string:
        let value = try scanner.string()
        guard value.decodedCount <= Limits.metadataValueBytesMax else {
          throw refuse(pointer + step(key), "must be at most \(Limits.metadataValueBytesMax) bytes")
        }
        pair(key, value)
      case .null where allowsNull:
        try scanner.null()
        pair(key, nil)
      default: throw refuse(pointer + step(key), wanted)
      }
      more = try scanner.nextMember()
    }
    do throws(JSONError) { try keys.end(mark, of: scanner.bytes) } catch {
      throw refuse(pointer, "has a key that is given twice")
    }
  }

  public func decoded(_ token: JSONString) -> [UInt8] {
    JSONText.withDecoded(token, of: scanner.bytes) { Array($0) }
  }

  // MARK: Errors

  public mutating func refuse(_ pointer: String, _ detail: String) -> JSONError {
    pending = Problem(at: pointer, detail)
    return JSONError(.refused, at: 0)
  }

  /// A step of a JSON pointer by a member's name, cut if that is very long.
  private func step(_ name: JSONString) -> String {
    JSONText.withDecoded(name, of: scanner.bytes) {
      Problem.pointer(to: String(decoding: $0.prefix(Self.quotedBytesMax), as: UTF8.self))
    }
  }
}

/// A decimal number with six digits behind the point, computed in integers.
struct Decimals: Hashable, CustomStringConvertible {
  var microseconds: UInt64
  /// Whether nothing was cut off.
  var isExact = true

  init(_ microseconds: UInt64) { self.microseconds = microseconds }

  /// Of a number token by the grammar of RFC 8259, section 6. Nil if it is below 0, or beyond 2^64 millionths.
  init?(_ token: Slice<UnsafeRawBufferPointer>) {
    var digits: UInt64 = 0
    var scale = 6
    var isBehindPoint = false
    var isExact = true
    var rest = token[...]
    let isNegative = rest.first == UInt8(ascii: "-")
    if isNegative { rest = rest.dropFirst() }
    while let byte = rest.first, byte | 0x20 != UInt8(ascii: "e") {
      rest = rest.dropFirst()
      if byte == UInt8(ascii: ".") {
        isBehindPoint = true
      } else if digits < 1_000_000_000_000_000_000 {
        digits = digits * 10 + UInt64((byte &- UInt8(ascii: "0")) & 0xF)
        if isBehindPoint { scale -= 1 }
      } else {
        if byte != UInt8(ascii: "0") { isExact = false }
        if !isBehindPoint { scale += 1 }
      }
    }
    scale += Self.exponent(rest.dropFirst())
    while digits > 0, scale > 0 {
      let (product, overflow) = digits.multipliedReportingOverflow(by: 10)
      guard !overflow else { return nil }
      digits = product
      scale -= 1
    }
    while digits > 0, scale < 0 {
      if digits % 10 != 0 { isExact = false }
      digits /= 10
      scale += 1
    }
    guard !isNegative || (digits == 0 && isExact) else { return nil }
    microseconds = digits
    self.isExact = isExact
  }

  /// What stands behind the `e`; so large that more makes no difference, at most.
  private static func exponent(_ text: Slice<UnsafeRawBufferPointer>) -> Int {
    let isNegative = text.first == UInt8(ascii: "-")
    var value = 0
    for byte in text {
      guard let digit = byte >= 0x30 && byte <= 0x39 ? Int(byte - 0x30) : nil else { continue }
      value = min(value * 10 + digit, 1 << 40)
    }
    return isNegative ? -value : value
  }

  var description: String {
    let (whole, part) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
    guard part > 0 else { return "\(whole)" }
    var digits = Array("\(part)".utf8)
    digits = Array(repeating: UInt8(ascii: "0"), count: 6 - digits.count) + digits
    while digits.last == UInt8(ascii: "0") { digits.removeLast() }
    return "\(whole)." + String(decoding: digits, as: UTF8.self)
  }
}
