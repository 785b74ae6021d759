import EngramTesting
import EventLoop
import Testing

/// The disk of the tests keeps no more than a disk must.
struct SimulatedDiskTests {
  private static func write(
    _ disk: SimulatedDisk, _ file: DiskFile, at offset: UInt64, _ byte: UInt8, _ count: Int
  ) throws {
    try [UInt8](repeating: byte, count: count).withUnsafeBytes { bytes in
      try disk.write(file, at: offset, from: bytes)
    }
  }

  @Test func `what is synced stays, what isn't may go, sector by sector`() throws {
    var kept = 0
    var lost = 0
    var torn = 0
    for seed in 0..<50 {
      let disk = SimulatedDisk(seed: UInt64(seed))
      try disk.create("a", bytes: 8_192)
      let file = try disk.open("a", writable: true)
      try Self.write(disk, file, at: 0, 1, 4_096)
      try disk.synchronize(file)
      try Self.write(disk, file, at: 4_096, 2, 4_096)
      disk.crash()
      let bytes = try #require(disk.contents("a"))
      #expect(bytes[..<4_096].allSatisfy { $0 == 1 })
      for sector in stride(from: 4_096, to: 8_192, by: 512) {
        let found = Set(bytes[sector..<sector + 512])
        if found == [2] {
          kept += 1
        } else if found == [0] {
          lost += 1
        } else if found == [0, 2] {
          torn += 1
        }
      }
    }
    #expect(kept > 0 && lost > 0 && torn > 0 && kept + lost + torn == 400)
  }

  @Test func `names that aren't synced may be lost`() throws {
    var outcomes = Set<[String]>()
    for seed in 0..<40 {
      let disk = SimulatedDisk(seed: UInt64(seed))
      try disk.create("a", bytes: 512)
      try disk.rename("a", to: "b")
      disk.cutPower(atCall: disk.calls + 1)
      #expect(throws: DiskError.self) { try disk.create("c", bytes: 512) }
      #expect(throws: DiskError.self) { try disk.list() }
      disk.crash()
      outcomes.insert(try disk.list().sorted())
    }
    #expect(outcomes == [["a"], ["b"], ["b", "c"]])
  }

  @Test func `a durable write in flight may be lost, kept or torn; a completed one stays`() throws {
    final class Done: DiskCompletion {
      var results: [Int32] = []
      func diskWriteCompleted(tag: UInt64, result: Int32) { results.append(result) }
    }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_096, alignment: 4_096)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 9)
    var seen = Set<Int>()
    for seed in 0..<40 {
      let disk = SimulatedDisk(seed: UInt64(seed))
      try disk.create("a", bytes: 8_192)
      let file = try disk.open("a", writable: true)
      let done = Done()
      disk.writeDurably(file, at: 0, from: UnsafeRawBufferPointer(memory), registration: -1, done, tag: 1)
      #expect(done.results.isEmpty && disk.hasPendingWrite)
      disk.drain()
      #expect(done.results == [4_096])
      disk.writeDurably(file, at: 4_096, from: UnsafeRawBufferPointer(memory), registration: -1, done, tag: 2)
      disk.crash()
      #expect(!disk.step() && done.results.count == 1)
      let bytes = try #require(disk.contents("a"))
      #expect(bytes[..<4_096].allSatisfy { $0 == 9 })
      seen.insert(bytes[4_096...].count { $0 == 9 })
    }
    #expect(seen.count > 10)
  }

  @Test func `the same seed gives the same disk`() throws {
    func life(_ seed: UInt64) throws -> [UInt8]? {
      let disk = SimulatedDisk(seed: seed)
      try disk.create("a", bytes: 65_536)
      let file = try disk.open("a", writable: true)
      for block in 0..<16 { try Self.write(disk, file, at: UInt64(block * 4_096), UInt8(block + 1), 4_000) }
      disk.crash()
      return disk.contents("a")
    }
    #expect(try life(4) == life(4))
    #expect(try life(4) != life(5))
  }

  @Test func `the n-th call fails, once`() throws {
    let disk = SimulatedDisk(seed: 1)
    try disk.create("a", bytes: 512)
    disk.failCall(2, code: SimulatedDisk.noSpace)
    #expect(throws: DiskError(code: SimulatedDisk.noSpace, operation: "open", file: "a")) {
      try disk.open("a", writable: false)
    }
    #expect(try disk.size(disk.open("a", writable: false)) == 512)
    #expect(disk.calls == 4)
  }
}
