import EngramTesting
import Model
import Storage
import Testing

@Suite struct UnitContextTests {
  @Test(arguments: StoreKind.allCases)
  func `the context of a unit is found by its position, and of nothing else`(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let long = [UInt8](repeating: 0x78, count: 256)
    try store.apply(
      [
        EventSamples.context(position: 1, context: bytes("a")),
        EventSamples.unit(position: 2, context: bytes("a"), sequence: 1),
        EventSamples.lock(.acquired, position: 3, path: bytes("a/b")),
        EventSamples.unit(position: 5, context: bytes("a/b\u{0}c"), sequence: 1),
        EventSamples.unit(position: 6, context: long, sequence: 1),
      ], batch: 5)
    for flushed in [false, true] {
      if flushed { try store.flush(wait: true) }
      let expected: [UInt64: [UInt8]] = [2: bytes("a"), 5: bytes("a/b\u{0}c"), 6: long]
      for position in UInt64(0)...8 {
        var found: [UInt8]?
        let presence = try store.context(ofUnitAt: Position(position)) { found = Array($0) }
        #expect(found == expected[position], "at \(position)")
        #expect(presence == (found == nil ? .notFound : .found))
      }
    }
  }
}
