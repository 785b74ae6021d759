internal import Bytes
internal import Model

/// A filter as a token of the index: a kind letter, and 64 bits of a fingerprint as eleven characters. Units that
/// share a tag nearly always share the value: hits are compared with their records, so a collision that someone made
/// on purpose shows nobody anything. Tags stand on disk: they are for ever (of one format).
struct SearchTag: Hashable {
  enum Kind: UInt8 {
    case context = 0x63  // c
    case agent = 0x61  // a
    case type = 0x74  // t
    case metadata = 0x6D  // m
  }

  /// A tag as it stands in bodies and in match expressions, the mark at its beginning included.
  static let bytes = 13

  var kind: Kind
  var value: UInt64

  static func context(_ id: UnsafeRawBufferPointer) -> SearchTag {
    SearchTag(kind: .context, value: Fingerprint.of(id, seed: 0x63).high)
  }

  static func agent(_ id: UnsafeRawBufferPointer) -> SearchTag {
    SearchTag(kind: .agent, value: Fingerprint.of(id, seed: 0x61).high)
  }

  static func type(_ number: UInt8) -> SearchTag { SearchTag(kind: .type, value: UInt64(number)) }

  static func metadata(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> SearchTag {
    let key = Fingerprint.of(key, seed: 0x6D)
    return SearchTag(kind: .metadata, value: Fingerprint.of(value, seed: key.high).high)
  }

  func write(to out: inout ByteWriter) {
    out.byte(SearchFormat.tagMark)
    out.byte(kind.rawValue)
    var rest = value
    for _ in 0..<SearchTag.bytes - 2 {
      out.byte(SearchTag.digit(UInt8(truncatingIfNeeded: rest & 63)))
      rest >>= 6
    }
  }

  /// Characters that neither end a tag nor mean anything in a match expression.
  private static func digit(_ value: UInt8) -> UInt8 {
    switch value {
    case 0..<10: 0x30 + value  // 0-9
    case 10..<36: 0x41 + value - 10  // A-Z
    case 36..<62: 0x61 + value - 36  // a-z
    case 62: 0x2B
    default: 0x2D
    }
  }
}
