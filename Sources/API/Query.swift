internal import Access
internal import Bytes
internal import HTTP
internal import Model

/// The parameters of a request's query, decoded. Cold enough to allocate.
struct Query {
  private(set) var items: [(name: String, value: [UInt8])] = []

  /// Throws a problem for encodings that aren't right, and for names that are not in `known` and don't start with
  /// `prefix`.
  init(_ exchange: Exchange, known: [String], prefix: String? = nil) throws(Problem) {
    guard !exchange.head.query.isEmpty else { return }
    var walk = QueryItems(exchange.head.query, in: exchange.headBytes)
    while let item = walk.next() {
      let name = try Query.decode(exchange.bytes(item.name), plusIsSpace: true)
      let value = try Query.decode(exchange.bytes(item.value), plusIsSpace: true)
      let text = String(decoding: name, as: UTF8.self)
      guard known.contains(text) || (prefix.map { text.utf8.starts(with: $0.utf8) } ?? false) else {
        throw Problem(at: Problem.pointer(to: text), "is not a query parameter of this path")
      }
      items.append((text, value))
    }
  }

  static func decode(_ text: UnsafeRawBufferPointer, plusIsSpace: Bool = false) throws(Problem) -> [UInt8] {
    do throws(HTTPError) {
      let to = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, text.count), alignment: 1)
      defer { to.deallocate() }
      let count = try PercentEncoding.decode(text, into: to, plusIsSpace: plusIsSpace)
      return [UInt8](to[..<count])
    } catch {
      throw Problem(.invalidRequest, "\(error.reason)")
    }
  }

  /// The values of a parameter that may be repeated.
  func all(_ name: String) -> [[UInt8]] { items.filter { $0.name == name }.map(\.value) }

  /// The value of a parameter that may stand once.
  func one(_ name: String) throws(Problem) -> [UInt8]? {
    let values = all(name)
    guard values.count <= 1 else { throw Problem(at: "/\(name)", "stands more than once") }
    return values.first
  }

  /// A decimal number in `range`.
  func number(_ name: String, in range: ClosedRange<UInt64>) throws(Problem) -> UInt64? {
    guard let text = try one(name) else { return nil }
    guard let value = Query.decimal(text), range.contains(value) else {
      throw Problem(at: "/\(name)", "is not a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// The id of a context or an agent that may stand once.
  func identifier(_ name: String) throws(Problem) -> [UInt8]? {
    guard let text = try one(name) else { return nil }
    return try Query.identifier(text, at: "/\(name)")
  }

  /// Items of a page.
  func limit() throws(Problem) -> Int {
    Int(try number("limit", in: 1...UInt64(Limits.pageMax)) ?? UInt64(Limits.pageDefault))
  }

  /// What the cursors of a list of names are bound to. No name holds a zero byte: it keeps the parts apart.
  static func hash(prefix: [UInt8], agent: [UInt8]?) -> UInt64 {
    (prefix + [0] + (agent ?? [])).withUnsafeBytes { Fingerprint.of($0).low }
  }

  /// The name that a page of names begins behind.
  /// - Parameter nameBytesMax: of the list's names.
  func nameCursor(of hash: UInt64, nameBytesMax: Int) throws(Problem) -> [UInt8]? {
    guard let text = try one("cursor"), !text.isEmpty else { return nil }
    return try Query.cursor { () throws(PageCursor.Fault) in
      if NameSeal.isSealed(text) {
        return try NameSeal.ofProcess.open(text, of: hash, nameBytesMax: nameBytesMax)
      }
      return try NameCursor(text, of: hash).name
    }
  }

  /// The cursor of a page of names that goes on behind `name`.
  /// - Parameter isSealed: the reader may not see every name, and so perhaps not this one.
  static func nameCursor(
    _ name: [UInt8], of hash: UInt64, nameBytesMax: Int, isSealed: Bool
  ) throws(Problem) -> [UInt8] {
    guard isSealed else { return NameCursor(queryHash: hash, name: name).text() }
    guard let text = NameSeal.ofProcess.seal(name, of: hash, nameBytesMax: nameBytesMax) else {
      throw Problem(.internal, "a cursor can't be made")
    }
    return text
  }

  /// A time of RFC 3339, counted to the microsecond. A space where an offset's sign belongs is a `+` that the client
  /// didn't encode.
  func time(_ name: String) throws(Problem) -> LogTime? {
    guard var text = try one(name) else { return nil }
    if text.count > 6, text[text.count - 6] == UInt8(ascii: " ") { text[text.count - 6] = UInt8(ascii: "+") }
    guard let time = text.withUnsafeBytes({ LogTime($0) }) else {
      throw Problem(at: "/\(name)", "is not a time as of RFC 3339")
    }
    return time
  }

  /// A type of work units, by name or number.
  static func type(_ text: [UInt8]) -> WorkUnitType? {
    text.withUnsafeBytes { WorkUnitType(name: $0) }
      ?? decimal(text).flatMap { WorkUnitType(number: Int64(clamping: $0)) }
  }

  /// A type of relationships, by name or number.
  static func relationshipType(_ text: [UInt8]) -> RelationshipType? {
    text.withUnsafeBytes { RelationshipType(name: $0) }
      ?? decimal(text).flatMap { RelationshipType(number: Int64(clamping: $0)) }
  }

  func flag(_ name: String) throws(Problem) -> Bool {
    switch try one(name).map({ String(decoding: $0, as: UTF8.self) }) {
    case nil, "false": return false
    case "true": return true
    default: throw Problem(at: "/\(name)", "is neither true nor false")
    }
  }

  /// Digits only, no sign, no leading zero but 0 itself, within 64 bits.
  static func decimal(_ text: [UInt8]) -> UInt64? {
    guard !text.isEmpty, text.count == 1 || text[0] != UInt8(ascii: "0") else { return nil }
    var value: UInt64 = 0
    for byte in text {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(UInt64(byte - 0x30))
      guard !overflow, !carry else { return nil }
      value = sum
    }
    return value
  }

  /// An id of a context or an agent: 1 to 256 bytes of UTF-8 without control characters.
  static func identifier(_ bytes: [UInt8], at pointer: String) throws(Problem) -> [UInt8] {
    let fault = bytes.withUnsafeBytes { identifierFault($0) }
    if let fault { throw Problem(at: pointer, fault) }
    return bytes
  }

  static func identifierFault(_ bytes: UnsafeRawBufferPointer) -> String? {
    guard !bytes.isEmpty, bytes.count <= Limits.identifierBytesMax else {
      return "is not of 1 to \(Limits.identifierBytesMax) bytes"
    }
    guard JSONText.isUTF8(bytes) else { return "is not UTF-8" }
    return JSONText.hasControl(bytes) ? "contains a control character" : nil
  }
}
