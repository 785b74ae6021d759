internal import Bytes

/// Reads JSON objects whose members are partly known: the rest is checked, names given twice included, and passed
/// over. Text that isn't strict JSON is refused whole.
struct ObjectReader: ~Copyable {
  var scanner: JSONScanner
  private var keys = JSONKeys()

  init(_ text: UnsafeRawBufferPointer) { scanner = JSONScanner(text) }

  /// Reads a text that is one object.
  mutating func document(
    _ member: (inout ObjectReader, JSONString) throws(JSONError) -> Bool
  ) throws(JSONError) {
    try scanner.beginDocument()
    try object(member)
    try scanner.endDocument()
  }

  /// Reads the object that comes next. `member` is called at each member's value, with the member's name: it reads
  /// the value and says true, or leaves it and says false.
  mutating func object(
    _ member: (inout ObjectReader, JSONString) throws(JSONError) -> Bool
  ) throws(JSONError) {
    let mark = keys.begin()
    var more = try scanner.enterObject()
    while more {
      let name = try scanner.key()
      let hash = JSONText.withDecoded(name, of: scanner.bytes) { Fingerprint.of($0).low }
      try keys.insert(name, hash: hash, of: scanner.bytes, since: mark)
      if try !member(&self, name) { try scanner.skipValue(&keys) }
      more = try scanner.nextMember()
    }
    try keys.end(mark, of: scanner.bytes)
  }

  /// Passes over the value that comes next, checking it.
  mutating func skip() throws(JSONError) { try scanner.skipValue(&keys) }

  /// The string that comes next, decoded.
  mutating func text() throws(JSONError) -> [UInt8] { decoded(try scanner.string()) }

  /// The array of strings that comes next, decoded.
  mutating func texts(countMax: Int) throws(JSONError) -> [[UInt8]] {
    var found: [[UInt8]] = []
    var more = try scanner.enterArray()
    while more {
      guard found.count < countMax else { throw JSONError(.refused, at: scanner.offset) }
      found.append(try text())
      more = try scanner.nextElement()
    }
    return found
  }

  func decoded(_ token: JSONString) -> [UInt8] {
    JSONText.withDecoded(token, of: scanner.bytes) { Array($0) }
  }

  func names(_ token: JSONString, _ bytes: [UInt8]) -> Bool {
    JSONText.withDecoded(token, of: scanner.bytes) { name in bytes.withUnsafeBytes { JSONText.same(name, $0) }
    }
  }

  func refused() -> JSONError { JSONError(.refused, at: scanner.offset) }
}
