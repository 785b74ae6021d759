import Bytes
import Model
import Testing
import WAL

struct BatchBuilderTests {
  @Test func `records lie aligned, in order, at their positions`() {
    let composer = Composer()
    composer.next = Position(41)
    let batch = composer.batch([1, 2, 3, 500])
    #expect(batch.count == 4 && batch.firstPosition == Position(41) && batch.lastPosition == Position(44))
    #expect(batch.recordOffsets.allSatisfy { $0 % 8 == 0 } && batch.recordOffsets.first == 128)
    for index in 0..<4 {
      #expect(batch.record(index).position == Position(41 + UInt64(index)) && batch.record(index).isIntact)
    }
    #expect(batch.paddedBytes == 4_096 && batch.bytes.count == 4_096)
  }

  @Test func `batches follow each other in one slab, at multiples of 4 KiB`() {
    let composer = Composer(slabBytes: 16 << 10)
    let first = composer.batch([10])
    let second = composer.batch([5_000])
    let third = composer.batch([10])
    #expect(first.slab === second.slab && second.slab === third.slab)
    #expect([first, second, third].map(\.offset) == [0, 4_096, 12_288])
    let fourth = composer.batch([10])
    #expect(fourth.slab !== first.slab && fourth.offset == 0)
  }

  @Test func `an open batch moves to a new slab when the old one ends`() {
    let composer = Composer(slabBytes: 16 << 10)
    let sealed = composer.batch([10_000])
    #expect(composer.add(1_000) && composer.add(9_000))
    let moved = composer.builder.seal()
    #expect(moved?.slab !== sealed.slab && moved?.offset == 0 && moved?.count == 2)
    #expect(moved?.record(0).isIntact == true && moved?.record(1).isIntact == true)
  }

  @Test func `a request larger than a slab gets one of its own`() {
    let composer = Composer(limit: 1 << 20, batchBytesMax: 32 << 10, slabBytes: 32 << 10)
    let batch = composer.batch([100_000])
    #expect(batch.paddedBytes > 100_000 && batch.record(0).isIntact)
    #expect(composer.batch([10]).record(0).isIntact)
  }

  @Test func `an open batch stays below its maximum, apart from a single request`() {
    let composer = Composer(limit: 60 << 10, batchBytesMax: 8 << 10)
    #expect(composer.add(7_000))
    #expect(!composer.add(2_000), "to be sealed first")
    #expect(composer.builder.seal()?.count == 1)
    #expect(composer.add(20_000), "one request may be larger")
    #expect(!composer.add(1))
  }

  @Test func `one reservation serves a request of several records`() {
    let builder = BatchBuilder(
      pool: SlabPool(slabBytes: 64 << 10, keptMax: 1), batchBytesMax: 1 << 16, batchBytesLimit: 60 << 10)
    var cursor = builder.reserve(3 * 64)
    for position: UInt64 in 1...3 {
      guard let room = cursor else { return }
      var writer = EventRecordWriter(
        at: room, capacity: 57, kind: .unit, position: Position(position), logTime: LogTime(microseconds: 1))
      writer.beginBody()
      writer.out.run("twenty-one bytes more")
      cursor = builder.commit(writer.finish())
    }
    #expect(builder.count == 3 && builder.lastPosition == Position(3))
    #expect(builder.seal()?.recordOffsets == [128, 192, 256])
  }

  @Test func `what is reserved and not committed is not in the batch`() {
    let composer = Composer()
    _ = composer.builder.reserve(50_000)
    #expect(composer.builder.isEmpty && composer.builder.seal() == nil)
    #expect(composer.batch([10]).paddedBytes == 4_096)
  }

  @Test func `reused memory leaves nothing in the padding`() {
    let pool = SlabPool(slabBytes: 16 << 10, keptMax: 1)
    do {
      let slab = pool.take()
      slab.base.initializeMemory(as: UInt8.self, repeating: 0xff, count: slab.capacity)
    }
    let builder = BatchBuilder(pool: pool, batchBytesMax: 16 << 10, batchBytesLimit: 16 << 10)
    guard let room = builder.reserve(100) else { return }
    var writer = EventRecordWriter(
      at: room, capacity: 100, kind: .unit, position: Position(1), logTime: LogTime(microseconds: 1))
    writer.beginBody()
    writer.out.byte(1)
    builder.commit(writer.finish())
    let batch = builder.seal()
    #expect(batch.map { $0.bytes[(128 + 37)...].allSatisfy { $0 == 0 } } == true)
  }
}
