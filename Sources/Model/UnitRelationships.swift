internal import Bytes

/// How a unit names another one, as its record has it.
public struct UnitRelationship {
  /// Its place in the unit's list, from 0.
  public var index: UInt16
  public var target: UnitID
  public var type: RelationshipType
  /// A JSON object; points into the record.
  public var metadata: UnsafeRawBufferPointer
}

/// The relationships of a unit's record, found from behind its payload: nothing else of the record is read.
public enum UnitRelationships {
  /// What stands behind the payload's token: `UnitEncoder`. The array's bracket ends it.
  private static let utf8: StaticString = ",\"payload_encoding\":\"utf8\",\"relationships\":["
  private static let base64: StaticString = ",\"payload_encoding\":\"base64\",\"relationships\":["

  /// The record's text from its list of relationships on; nil if the list is empty, or the record is no unit's.
  /// - Parameter head: the record's. Costs a few nanoseconds.
  @inline(__always)
  public static func list(_ event: EventView, _ head: UnitHead) -> UnsafeRawBufferPointer? {
    let json = event.body
    let intro = (head.encoding == PayloadEncoding.base64.rawValue ? base64 : utf8).bytes
    let start = Int(head.payloadOffset) + Int(head.payloadLength)
    let bracket = start + intro.count - 1
    guard bracket + 1 < json.count, json[bracket + 1] != UInt8(ascii: "]"),
      JSONText.same(UnsafeRawBufferPointer(rebasing: json[start...bracket]), intro)
    else { return nil }
    return UnsafeRawBufferPointer(rebasing: json[bracket...])
  }

  /// Hands over what a unit's record names, in the order in which the client gave it, until `body` returns false. A
  /// body that is no unit's JSON names nothing.
  public static func forEach(_ event: EventView, _ body: (UnitRelationship) -> Bool) {
    guard let head = event.unit, let list = list(event, head) else { return }
    forEach(in: list, body)
  }

  /// Hands over the relationships of a `list`.
  public static func forEach(in list: UnsafeRawBufferPointer, _ body: (UnitRelationship) -> Bool) {
    var scanner = JSONScanner(list)
    try? read(&scanner, body)
  }

  private static func read(
    _ scanner: inout JSONScanner, _ body: (UnitRelationship) -> Bool
  ) throws(JSONError) {
    try scanner.beginDocument()
    var more = try scanner.enterArray()
    var index = 0
    while more, let number = UInt16(exactly: index), let found = try one(&scanner, number) {
      guard body(found) else { return }
      more = try scanner.nextElement()
      index += 1
    }
  }

  /// Nil for what `UnitEncoder` doesn't write.
  private static func one(_ scanner: inout JSONScanner, _ index: UInt16) throws(JSONError)
    -> UnitRelationship?
  {
    guard try scanner.enterObject() else { return nil }
    var target: UnitID?
    var type: RelationshipType?
    var metadata: UnsafeRawBufferPointer?
    repeat {
      let name = try scanner.key()
      if scanner.matches(name, "target_id") {
        target = UnitID(scanner.raw(try scanner.string()))
      } else if scanner.matches(name, "type") {
        type = RelationshipType(name: scanner.raw(try scanner.string()))
      } else if scanner.matches(name, "metadata") {
        metadata = try pairs(&scanner)
      } else {
        return nil
      }
    } while try scanner.nextMember()
    guard let target, let type, let metadata else { return nil }
    return UnitRelationship(index: index, target: target, type: type, metadata: metadata)
  }

  /// Passes over an object of strings.
  private static func pairs(_ scanner: inout JSONScanner) throws(JSONError) -> UnsafeRawBufferPointer {
    let start = scanner.offset
    var more = try scanner.enterObject()
    while more {
      _ = try scanner.key()
      _ = try scanner.string()
      more = try scanner.nextMember()
    }
    return UnsafeRawBufferPointer(rebasing: scanner.bytes[start..<scanner.offset])
  }
}
