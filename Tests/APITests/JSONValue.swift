import Bytes
import Testing

/// JSON as a value, read with the server's own scanner: what it refuses is no JSON here either.
enum JSON: Equatable, Sendable, CustomStringConvertible {
  case text(String)
  case whole(Int)
  case other
  case list([JSON])
  case object([Member])

  struct Member: Equatable, Sendable {
    var name: String
    var value: JSON
  }

  static func read(_ bytes: [UInt8]) -> JSON? {
    bytes.withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      return try? whole(&scanner)
    }
  }

  private static func whole(_ scanner: inout JSONScanner) throws(JSONError) -> JSON {
    try scanner.beginDocument()
    let value = try value(&scanner)
    try scanner.endDocument()
    return value
  }

  private static func value(_ scanner: inout JSONScanner) throws(JSONError) -> JSON {
    switch try scanner.peek() {
    case .object:
      var members: [Member] = []
      var more = try scanner.enterObject()
      while more {
        let name = decoded(try scanner.key(), scanner)
        members.append(Member(name: name, value: try value(&scanner)))
        more = try scanner.nextMember()
      }
      return .object(members)
    case .array:
      var elements: [JSON] = []
      var more = try scanner.enterArray()
      while more {
        elements.append(try value(&scanner))
        more = try scanner.nextElement()
      }
      return .list(elements)
    case .string: return .text(decoded(try scanner.string(), scanner))
    case .number:
      guard let number = try scanner.number().integer else { return .other }
      return .whole(Int(number))
    default:
      var keys = JSONKeys()
      try scanner.skipValue(&keys)
      return .other
    }
  }

  private static func decoded(_ token: JSONString, _ scanner: JSONScanner) -> String {
    JSONText.withDecoded(token, of: scanner.bytes) { String(decoding: $0, as: UTF8.self) }
  }

  var members: [(name: String, value: JSON)] {
    if case .object(let members) = self { members.map { ($0.name, $0.value) } } else { [] }
  }
  var names: [String] { members.map(\.name) }
  var elements: [JSON] { if case .list(let elements) = self { elements } else { [] } }
  var string: String? { if case .text(let text) = self { text } else { nil } }
  var number: Int? { if case .whole(let number) = self { number } else { nil } }

  subscript(_ name: String) -> JSON? { members.first { $0.name == name }?.value }

  var description: String { string ?? "\(members.count) members, \(elements.count) elements" }
}
