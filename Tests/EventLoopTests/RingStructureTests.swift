import Testing

@testable import EventLoop
// Testing has a Tag too.
@testable import struct EventLoop.Tag

/// The two structures in raw memory under everything: the queue, and the table of who owns an operation.
struct RingStructureTests {
  @Test func `a queue keeps its order while it wraps and grows`() {
    var queue = Fifo<Int>(capacity: 2)
    var next = 0
    var expected = 0
    for round in 1...50 {
      for _ in 0..<round {
        queue.append(next)
        next += 1
      }
      for _ in 0..<round / 2 {
        #expect(queue.popFirst() == expected)
        expected += 1
      }
    }
    while let first = queue.popFirst() {
      #expect(first == expected)
      expected += 1
    }
    #expect(expected == next && queue.isEmpty)
  }

  private final class Guest: Resident {
    func completed(_ kind: Tag.Kind, _ result: Int32, _ flags: UInt32) {}
    func loopIsStopping() {}
  }

  @Test func `a slot's tag is stale once its resident has left, though the slot is used again`() throws {
    var table = SlotTable(capacity: 1)
    let firstPlace = table.insert(Guest())
    let first = try #require(firstPlace)
    let otherPlace = table.insert(Guest())
    let other = try #require(otherPlace)
    #expect(table.resident(first.slot, first.generation) != nil)
    table.remove(first.slot)
    #expect(table.resident(first.slot, first.generation) == nil)
    let secondPlace = table.insert(Guest())
    let second = try #require(secondPlace)
    #expect(second.slot == first.slot && second.generation != first.generation)
    #expect(table.resident(first.slot, first.generation) == nil)
    #expect(table.resident(second.slot, second.generation) != nil)
    #expect(table.resident(99, 1) == nil)
    #expect(table.count == 2)
    table.remove(other.slot)
    table.remove(other.slot)
    #expect(table.count == 1)
  }

  @Test func `a tag carries kind, slot and generation through the kernel`() {
    let tag = Tag(raw: Tag(.diskSync, slot: UInt32(Tag.slotMax), generation: .max).raw)
    #expect(tag.kind == .diskSync && tag.slot == UInt32(Tag.slotMax) && tag.generation == .max)
    #expect(Tag(raw: 0xff).kind == .ignored)
  }
}
