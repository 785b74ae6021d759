import EngramTesting
import Model
import Testing
import WAL

/// What `engram inspect` says of a stopped server's log.
struct LogInspectionTests {
  private static func disk() throws -> SimulatedDisk {
    let disk = SimulatedDisk(seed: 13)
    let world = try LogWorld(disk)
    disk.drain()
    for _ in 0..<3 {
      #expect(world.append([25_000, 100]) == .ok)
      disk.drain()
    }
    #expect(world.append([30]) == .ok)
    return disk
  }

  @Test func `a sound log`() throws {
    let disk = try Self.disk()
    let calls = disk.fileNames.map { disk.contents($0) }
    let inspection = try LogInspection.run(disk)
    #expect(!inspection.isDamaged && inspection.exitCode == 0)
    #expect(inspection.tail?.lastPosition == Position(7) && inspection.tail?.number == 4)
    let live = inspection.segments.filter { $0.state == .live }
    #expect(live.map(\.batches) == [2, 2] && live.map(\.records) == [4, 3])
    #expect(live.map(\.lastPosition) == [Position(4), Position(7)] && live.map(\.firstBatch) == [1, 3])
    #expect(inspection.segments.filter { $0.state == .spare }.count == 2)
    #expect(disk.fileNames.map { disk.contents($0) } == calls, "nothing is written")
    let text = inspection.text
    #expect(
      text.contains("segment 2, term 1") && text.contains("positions 5 to 7") && text.hasSuffix("no damage\n")
    )
  }

  @Test func `a torn tail is no damage`() throws {
    let disk = try Self.disk()
    let tail = try LogInspection.run(disk).segments.last { $0.state == .live }?.usedBytes ?? 0
    Forge.flip(disk, Forge.name(2), at: Int(tail) - 4_096 + 150)
    let inspection = try LogInspection.run(disk)
    #expect(inspection.exitCode == 0 && inspection.tornTail?.count == 1)
    #expect(inspection.text.contains("torn tail: \(Forge.name(2)), offset \(tail - 4_096)"))
  }

  @Test func `damage is named, and what follows it is read`() throws {
    let disk = try Self.disk()
    Forge.flip(disk, Forge.name(1), at: 5_000)
    let inspection = try LogInspection.run(disk)
    #expect(inspection.exitCode == 1 && inspection.findings.count == 1)
    #expect(inspection.tail?.lastPosition == Position(7))
    #expect(inspection.text.contains("damaged log: \(Forge.name(1)), offset 4096, position 1"))
  }

  @Test func `a damaged header is named`() throws {
    let disk = try Self.disk()
    Forge.flip(disk, Forge.name(2), at: 100)
    let inspection = try LogInspection.run(disk)
    #expect(inspection.exitCode == 1)
    #expect(inspection.segments.contains { $0.state == .unreadable && $0.file == Forge.name(2) })
  }

  @Test func `an empty directory`() throws {
    let inspection = try LogInspection.run(SimulatedDisk(seed: 1))
    #expect(inspection.exitCode == 0 && inspection.text == "no log\n" && inspection.tail == nil)
  }
}
