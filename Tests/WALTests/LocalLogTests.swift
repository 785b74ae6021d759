import EngramTesting
import EventLoop
import Model
import Testing
import WAL

struct LocalLogTests {
  @Test func `spares are made ahead, and used in turn`() throws {
    let world = try LogWorld()
    #expect(world.log.spareCount == 1, "one is made at once, so that a ready log can be written")
    world.disk.drain()
    #expect(world.log.spareCount == 2 && world.log.segmentCount == 0)
    world.append([1])
    world.disk.drain()
    #expect(world.log.spareCount == 2 && world.log.segmentCount == 1)
    world.fillSegment()
    #expect(world.log.segmentCount == 2)
  }

  @Test func `a batch never straddles segments, and the header names the predecessor`() throws {
    let world = try LogWorld()
    for _ in 0..<5 {
      #expect(world.append([25_000]) == .ok)
      world.disk.drain()
    }
    #expect(world.log.segmentCount == 3)
    #expect(Forge.number(world.disk, Forge.name(2), at: 80) as UInt64 == 4_096 + 2 * 28_672)
    let start = LogWorld.start(world.disk)
    #expect(start.log?.tail == world.log.tail && start.bodies.count == 5)
  }

  @Test func `a request as large as a segment fits, and no larger one is reserved`() throws {
    let world = try LogWorld()
    let room = world.log.batchBytesLimit
    #expect(room == 60 << 10)
    #expect(world.composer.builder.reserve(world.composer.builder.reservationMax) != nil)
    #expect(world.composer.builder.reserve(world.composer.builder.reservationMax + 1) == nil)
    let largest = world.composer.builder.reservationMax - 64
    #expect(world.append([largest]) == .ok)
    #expect(world.append([largest]) == .ok)
    #expect(LogWorld.start(world.disk).bodies[2]?.count == largest)
  }

  @Test func `a failed write ends the log`() throws {
    let world = try LogWorld()
    world.disk.drain()
    #expect(world.append([1]) == .ok)
    var told: [DiskError] = []
    world.log.onFailure = { told.append($0) }
    world.disk.failCall(world.disk.calls + 1)
    let barrier = Outcomes()
    let batch = world.composer.batch([2])
    world.log.append(batch, number: 2, term: 1, completion: world.outcomes)
    world.log.barrier(completion: barrier)
    #expect(world.wait() == .unknown)
    #expect(barrier.list == [.unknown])
    #expect(
      told == [DiskError(code: 5, operation: "write", file: Forge.name(1))] && world.log.failure == told.first
    )
    // Nothing is taken any more, in whatever way it is asked.
    #expect(world.append(batch) == .unknown)
    #expect(world.witness() == .unknown && world.seal() == .unknown && world.claim(2) == .unknown)
    #expect(told.count == 1 && world.log.tail.number == 1)
  }

  @Test func `a short write ends the log`() throws {
    let world = try LogWorld()
    world.disk.drain()
    #expect(world.append([1]) == .ok)
    world.disk.drain()
    world.disk.shortenCall(world.disk.calls + 1)
    #expect(world.append([10, 20]) == .unknown)
    #expect(world.log.failure?.code == 5)
  }

  @Test func `a failed segment header ends the log`() throws {
    let world = try LogWorld()
    world.disk.drain()
    world.disk.failCall(world.disk.calls + 1)
    #expect(world.append([10]) == .unknown)
    #expect(world.log.failure != nil && world.log.segmentCount == 0)
  }

  @Test func `without spares the storage is full, and the log is sound`() throws {
    let disk = SimulatedDisk(seed: 2)
    disk.capacityBytes = 3 * LogWorld.segmentBytes
    let world = try LogWorld(disk)
    disk.drain()
    var rooms = 0
    world.log.onRoom = { rooms += 1 }
    var outcome = CommitOutcome.ok
    var batch = world.composer.batch([25_000])
    while outcome == .ok {
      outcome = world.append(batch)
      disk.drain()
      if outcome == .ok { batch = world.composer.batch([25_000]) }
    }
    #expect(outcome == .storageFull && world.log.failure == nil && world.log.isStorageFull)
    #expect(world.log.tail.lastPosition == Position(6) && rooms == 0)
    world.log.trim(through: Position(2))
    #expect(rooms == 1 && !world.log.isStorageFull)
    #expect(world.append(batch) == .ok)
    #expect(LogWorld.start(disk, after: Position(2)).log?.tail.lastPosition == Position(7))
  }

  @Test func `more space is found by the next tick`() throws {
    let disk = SimulatedDisk(seed: 2)
    disk.capacityBytes = LogWorld.segmentBytes
    let world = try LogWorld(disk)
    disk.drain()
    #expect(world.append([25_000]) == .ok)
    disk.drain()
    #expect(world.append([50_000]) == .storageFull && world.log.isStorageFull)
    disk.capacityBytes = .max
    var rooms = 0
    world.log.onRoom = { rooms += 1 }
    world.log.tick()
    disk.drain()
    #expect(rooms == 1 && world.log.spareCount == 2 && !world.log.isStorageFull)
  }

  @Test func `a start without any space is a log that can be read`() throws {
    let disk = SimulatedDisk(seed: 2)
    disk.capacityBytes = 0
    let world = try LogWorld(disk)
    #expect(world.log.isStorageFull)
    #expect(world.append([1]) == .storageFull)
  }

  @Test func `trimming recycles the oldest segments, and keeps the newest`() throws {
    let world = try LogWorld()
    for _ in 0..<9 {
      world.append([25_000])
      world.disk.drain()
    }
    #expect(world.log.segmentCount == 5 && world.log.firstPosition == Position(1))
    world.log.trim(through: Position(3))
    #expect(world.log.segmentCount == 4 && world.log.firstPosition == Position(3))
    world.log.trim(through: Position(9))
    #expect(world.log.segmentCount == 1 && world.log.firstPosition == Position(9))
    #expect(world.log.spareCount == 6)
    let calls = world.disk.calls
    world.append([25_000])
    world.append([25_000])
    #expect(world.disk.calls == calls + 3, "recycled segments cost a header and no creation")
    let start = LogWorld.start(world.disk, after: Position(9))
    #expect(start.bodies.keys.sorted() == [10, 11])
  }

  @Test func `spares beyond the maximum are removed`() throws {
    var configuration = LogConfiguration(segmentBytes: LogWorld.segmentBytes)
    configuration.sparesMax = 3
    let world = try LogWorld(configuration: configuration)
    for _ in 0..<9 {
      world.append([25_000])
      world.disk.drain()
    }
    world.log.trim(through: Position(9))
    world.disk.drain()
    #expect(world.log.spareCount == 3 && world.disk.fileNames.count == 4)
  }

  @Test func `segments of another size are read, and then removed`() throws {
    let disk = SimulatedDisk(seed: 8)
    let small = try LogWorld(disk)
    disk.drain()
    #expect(small.append([100]) == .ok)
    let large = try LogWorld(disk, configuration: LogConfiguration(segmentBytes: 128 << 10))
    disk.drain()
    #expect(large.append([100]) == .ok)
    #expect(large.read.count == 1)
    large.log.trim(through: Position(2))
    disk.drain()
    #expect(disk.fileNames.allSatisfy { disk.contents($0)?.count == 128 << 10 })
  }

  @Test func `a start writes nothing into segments, and every life goes on in a fresh one`() throws {
    let disk = SimulatedDisk(seed: 9)
    for life in 1...3 {
      let world = try LogWorld(disk)
      disk.drain()
      #expect(world.log.segmentCount == life - 1)
      #expect(world.append([10]) == .ok)
      #expect(world.log.segmentCount == life)
    }
  }

  @Test func `the term and the seal survive a restart`() throws {
    let disk = SimulatedDisk(seed: 10)
    let first = try LogWorld(disk)
    #expect(first.claim(7) == .ok)
    #expect(first.append([1]) == .ok && first.seal() == .ok)
    let second = try LogWorld(disk)
    #expect(second.log.tail == first.log.tail && second.log.tail.isSealed && second.log.tail.term == 7)
    #expect(second.append([2]) == .fenced)
    second.composer.next = Position(2)
    #expect(second.claim(8) == .ok)
    #expect(second.append([2]) == .ok)
    #expect(LogWorld.start(disk).log?.tail.term == 8)
  }

  @Test func `a recovered tail without a witness gets one`() throws {
    let disk = SimulatedDisk(seed: 12)
    let first = try LogWorld(disk)
    #expect(first.append([1]) == .ok)
    let second = try LogWorld(disk)
    disk.drain()
    #expect(second.witness() == .ok && second.log.tail.number == 2)
    // After an orderly end the next life needs none.
    let third = try LogWorld(disk)
    let calls = disk.calls
    #expect(third.witness() == .ok && third.log.tail.number == 2)
    disk.drain()
    #expect(third.log.segmentCount == second.log.segmentCount && disk.calls >= calls)
  }

  @Test func `each durable write is reported with its time`() throws {
    let world = try LogWorld()
    var now: UInt64 = 0
    world.log.clock = {
      now += 100
      return now
    }
    var samples: [LocalLog.WriteSample] = []
    world.log.onWrite = { samples.append($0) }
    world.append([5_000])
    #expect(samples.map(\.bytes) == [4_096, 8_192] && samples.allSatisfy { $0.nanoseconds == 100 })
  }

  @Test func `the same disk and randomness give the same bytes`() throws {
    var disks: [SimulatedDisk] = []
    for _ in 0..<2 {
      let world = try LogWorld(SimulatedDisk(seed: 21))
      for size in 1...20 { world.append([size * 500]) }
      world.disk.drain()
      disks.append(world.disk)
    }
    #expect(disks[0].fileNames == disks[1].fileNames)
    for name in disks[0].fileNames { #expect(disks[0].contents(name) == disks[1].contents(name)) }
  }
}
