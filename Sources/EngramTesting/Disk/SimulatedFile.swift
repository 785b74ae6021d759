internal import EventLoop
internal import Glibc

/// One file in memory: what a reader sees now, and what of it a crash can still take back.
final class SimulatedFile {
  static let sectorBytes = 512
  static let pageBytes = 4096

  /// Nil: zeros.
  private var pages: [[UInt8]?] = []
  private(set) var size: UInt64 = 0
  /// Per sector written since the last sync: what was durable there before.
  private var unsynced: [UInt64: [UInt8]] = [:]
  /// The size that is durable.
  private var syncedSize: UInt64 = 0

  init(zeros: UInt64) { resize(zeros) }

  init(_ bytes: [UInt8]) {
    resize(UInt64(bytes.count))
    bytes.withUnsafeBytes { store($0, at: 0) }
    syncAll()
  }

  private func resize(_ bytes: UInt64) {
    size = bytes
    let count = Int((bytes + UInt64(Self.pageBytes) - 1) / UInt64(Self.pageBytes))
    if count < pages.count { pages.removeLast(pages.count - count) }
    while pages.count < count { pages.append(nil) }
  }

  func truncate(_ bytes: UInt64) {
    resize(bytes)
    unsynced = unsynced.filter { $0.key * UInt64(Self.sectorBytes) < bytes }
    syncedSize = min(syncedSize, bytes)
  }

  func read(at offset: UInt64, into room: UnsafeMutableRawBufferPointer) -> Int {
    guard offset < size, let base = room.baseAddress else { return 0 }
    let count = Int(min(UInt64(room.count), size - offset))
    var done = 0
    while done < count {
      let at = Int(offset) + done
      let inPage = at % Self.pageBytes
      let run = min(Self.pageBytes - inPage, count - done)
      if let page = pages[at / Self.pageBytes] {
        page.withUnsafeBytes { bytes in
          guard let from = bytes.baseAddress else { return }
          (base + done).copyMemory(from: from + inPage, byteCount: run)
        }
      } else {
        (base + done).initializeMemory(as: UInt8.self, repeating: 0, count: run)
      }
      done += run
    }
    return count
  }

  /// The bytes of a range that lies within the file.
  func bytes(at offset: UInt64, count: Int) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: count)
    _ = result.withUnsafeMutableBytes { read(at: offset, into: $0) }
    return result
  }

  /// A write that is not durable yet.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
    guard !bytes.isEmpty else { return }
    let end = offset + UInt64(bytes.count)
    if end > size { resize(end) }
    let sector = UInt64(Self.sectorBytes)
    for index in offset / sector...(end - 1) / sector where unsynced[index] == nil {
      unsynced[index] = self.bytes(at: index * sector, count: Self.sectorBytes)
    }
    store(bytes, at: offset)
  }

  private func store(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
    var done = 0
    while done < bytes.count {
      let at = Int(offset) + done
      let inPage = at % Self.pageBytes
      let run = min(Self.pageBytes - inPage, bytes.count - done)
      var page = pages[at / Self.pageBytes] ?? [UInt8](repeating: 0, count: Self.pageBytes)
      pages[at / Self.pageBytes] = nil
      page.withUnsafeMutableBytes { room in
        room.baseAddress.map { UnsafeMutableRawBufferPointer(start: $0 + inPage, count: run) }?
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[done..<done + run]))
      }
      pages[at / Self.pageBytes] = page
      done += run
    }
  }

  func syncAll() {
    unsynced.removeAll()
    syncedSize = size
  }

  /// What `RWF_DSYNC` does for the range of its own write.
  func sync(at offset: UInt64, count: Int) {
    guard count > 0 else { return }
    let sector = UInt64(Self.sectorBytes)
    for index in offset / sector...(offset + UInt64(count) - 1) / sector { unsynced[index] = nil }
    syncedSize = max(syncedSize, min(size, offset + UInt64(count)))
  }

  /// Where `bytes` begin, at the start of a page, and are durable as a whole.
  func durableOffset(of bytes: UnsafeRawBufferPointer) -> UInt64? {
    let count = bytes.count / Self.pageBytes
    guard count > 0, count <= pages.count else { return nil }
    for first in 0...pages.count - count {
      guard (0..<count).allSatisfy({ holds(bytes, page: $0, at: first + $0) }) else { continue }
      let start = UInt64(first * Self.pageBytes / Self.sectorBytes)
      let end = start + UInt64(bytes.count / Self.sectorBytes)
      if (start..<end).allSatisfy({ unsynced[$0] == nil }), end * UInt64(Self.sectorBytes) <= syncedSize {
        return UInt64(first * Self.pageBytes)
      }
    }
    return nil
  }

  private func holds(_ bytes: UnsafeRawBufferPointer, page: Int, at index: Int) -> Bool {
    guard let own = pages[index] else { return false }
    let from = page * Self.pageBytes
    return own.withUnsafeBytes { own in
      own.isSame(as: UnsafeRawBufferPointer(rebasing: bytes[from..<from + Self.pageBytes]))
    }
  }

  /// The file as a crash leaves it that takes back all it may.
  func durableBytes() -> [UInt8] {
    var result = bytes(at: 0, count: Int(size))
    for (sector, before) in unsynced {
      let offset = Int(sector) * Self.sectorBytes
      result.replaceSubrange(offset..<offset + Self.sectorBytes, with: before)
    }
    result.removeLast(max(0, result.count - Int(syncedSize)))
    return result
  }

  var hasUnsynced: Bool { !unsynced.isEmpty || syncedSize != size }

  /// Power goes: each sector that wasn't durable is kept, lost or torn, each for itself.
  func crash(_ random: inout SeededRandom) {
    for index in unsynced.keys.sorted() {
      guard let before = unsynced[index] else { continue }
      let offset = index * UInt64(Self.sectorBytes)
      switch random.below(8) {
      case 0...3: break
      case 4...6: before.withUnsafeBytes { store($0, at: offset) }
      default:
        let kept = random.below(Self.sectorBytes)
        before[kept...].withUnsafeBytes { store($0, at: offset + UInt64(kept)) }
      }
    }
    unsynced.removeAll()
    if syncedSize < size, random.oneIn(2) {
      resize(syncedSize + UInt64(random.below(Int(size - syncedSize) + 1)))
    }
    syncedSize = size
  }

  func flip(at offset: UInt64, mask: UInt8) {
    guard offset < size else { return }
    let byte = bytes(at: offset, count: 1)[0] ^ mask
    withUnsafeBytes(of: byte) { store($0, at: offset) }
  }
}

extension UnsafeRawBufferPointer {
  /// Byte for byte, by memcmp(3): comparing element by element takes most of a simulation's time.
  func isSame(as other: UnsafeRawBufferPointer) -> Bool {
    guard count == other.count, let own = baseAddress, let base = other.baseAddress else {
      return count == other.count
    }
    return memcmp(own, base, count) == 0
  }
}
