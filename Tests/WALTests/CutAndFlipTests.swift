import EngramTesting
import Model
import Testing
import WAL

/// Cut and flip: whatever is cut off or flipped, a start returns a prefix of the log or says damage; it
/// never invents.
/// At or below a witness it says damage.
struct CutAndFlipTests {
  /// Six batches, some of two blocks, the last one without a witness; then the bodies by position.
  private static func disk() throws -> (disk: SimulatedDisk, bodies: [UInt64: [UInt8]], end: Int) {
    let disk = SimulatedDisk(seed: 5)
    let world = try LogWorld(disk)
    disk.drain()
    for sizes in [[40, 50], [4_500], [7], [300, 300, 300], [6_000], [60, 5_000]] {
      #expect(world.append(sizes) == .ok)
    }
    let start = LogWorld.start(disk)
    #expect(start.bodies.count == 10)
    return (disk.copy(seed: 6), start.bodies, Int(world.log.logBytes))
  }

  /// What a start may say of a disk that was tampered with.
  private static func check(
    _ start: LogWorld.Start, _ bodies: [UInt64: [UInt8]], witness: UInt64, _ what: @autoclosure () -> String
  ) {
    for (position, body) in start.bodies where bodies[position] != body {
      Issue.record("\(what()): position \(position) is invented")
    }
    if let log = start.log {
      let end = log.tail.lastPosition.rawValue
      if end < witness { Issue.record("\(what()): ends at \(end), below the witness \(witness)") }
      if start.bodies.count != Int(end) { Issue.record("\(what()): not a prefix") }
    } else if start.damage == nil {
      Issue.record("\(what()): \(start.error.map { "\($0)" } ?? "")")
    }
  }

  private static let name = Forge.name(1)

  @Test func `the tail zeroed from any sector on`() throws {
    let (disk, bodies, end) = try Self.disk()
    guard let whole = disk.contents(Self.name) else { return }
    var prefixes = Set<UInt64>()
    for cut in stride(from: 4_096, through: end, by: 128) {
      disk.install(Self.name, Array(whole[..<cut]) + [UInt8](repeating: 0, count: whole.count - cut))
      for witness: UInt64 in [0, 4, 8, 10] {
        let start = LogWorld.start(disk, witness: Position(witness))
        Self.check(start, bodies, witness: witness, "zeroed from \(cut)")
        if let log = start.log { prefixes.insert(log.tail.lastPosition.rawValue) }
      }
    }
    // Each batch's end was met: a cut never costs more than the batch it goes through.
    #expect(prefixes == [0, 2, 3, 4, 7, 8, 10])
  }

  @Test func `the tail overwritten by an earlier life from any sector on`() throws {
    let (disk, bodies, end) = try Self.disk()
    guard let whole = disk.contents(Self.name) else { return }
    // The same batches under another salt, as a recycled file holds them.
    var earlier = whole
    for batch in stride(from: 4_096, to: end, by: 4_096)
    where Array(whole[batch..<batch + 8]) == Array("ENGBATCH".utf8) {
      earlier[batch + 8] ^= 0xff
    }
    for cut in stride(from: 4_096, through: end, by: 512) {
      disk.install(Self.name, Array(whole[..<cut]) + Array(earlier[cut...]))
      let start = LogWorld.start(disk)
      Self.check(start, bodies, witness: 0, "earlier life from \(cut)")
      #expect(start.log != nil, "a torn tail is no damage: \(cut)")
    }
  }

  @Test func `the file truncated at any place`() throws {
    let (disk, bodies, _) = try Self.disk()
    guard let whole = disk.contents(Self.name) else { return }
    for cut in stride(from: 0, to: whole.count, by: 509) {
      disk.install(Self.name, Array(whole[..<cut]))
      Self.check(LogWorld.start(disk), bodies, witness: 0, "truncated to \(cut)")
      Self.check(LogWorld.start(disk, witness: Position(1)), bodies, witness: 1, "truncated to \(cut)")
    }
  }

  @Test func `any byte of the last two batches flipped`() throws {
    let (disk, bodies, end) = try Self.disk()
    for offset in (end - 4 * 4_096)..<end {
      let mask = UInt8(1 << (offset % 8))
      disk.rot(Self.name, at: UInt64(offset), mask: mask)
      let start = LogWorld.start(disk)
      Self.check(start, bodies, witness: 0, "flipped at \(offset)")
      if start.log?.tail.lastPosition == Position(10) { Issue.record("a flip at \(offset) goes unseen") }
      if offset % 16 == 0 {
        let witnessed = LogWorld.start(disk, witness: Position(10))
        if witnessed.damage == nil { Issue.record("a flip at \(offset), below the witness, is not damage") }
      }
      disk.rot(Self.name, at: UInt64(offset), mask: mask)
    }
    #expect(LogWorld.start(disk).log?.tail.lastPosition == Position(10))
  }

  @Test func `any byte of the header flipped`() throws {
    let (disk, bodies, _) = try Self.disk()
    for offset in 0..<4_096 {
      disk.rot(Self.name, at: UInt64(offset), mask: 0x40)
      let start = LogWorld.start(disk)
      if start.damage?.row != .lostHeader { Issue.record("a flip at \(offset) of the header goes unseen") }
      Self.check(start, bodies, witness: 0, "flipped at \(offset)")
      disk.rot(Self.name, at: UInt64(offset), mask: 0x40)
    }
  }
}
