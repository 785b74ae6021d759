internal import CIOUring
internal import Glibc

/// What the start-up probe measured on this device, and what follows from it.
public struct ProbeResult: Equatable, Sendable {
  public var primitive: DurablePrimitive
  /// Median of one durable 4 KiB write, ns.
  public var directSync: UInt64
  public var writeThenDatasync: UInt64
  /// It was read from an earlier probe of the same device and kernel.
  public var isCached: Bool
}

extension RingDisk {
  /// Where the result is kept, in the directory itself.
  static let probeFile = "durable-primitive"
  private static let probeTime: UInt64 = 180_000_000
  private static let probeRoundsMax = 200

  /// Measures both primitives with 4 KiB writes over `scratchName`, a file of at least 64 KiB of written
  /// zeros that is in nobody's use, for at most 200 ms; it is zeros again afterwards. The result is kept in a
  /// file for the next start on the same device and kernel. Sets `primitive`. Blocking: before the loop
  /// starts.
  @discardableResult
  public func probe(on scratchName: String) throws(DiskError) -> ProbeResult {
    let key = try probeKey()
    if let cached = cachedProbe(key) {
      primitive = cached.primitive
      return cached
    }
    let file = try open(scratchName, writable: true)
    defer { close(file) }
    guard try size(file) >= 65_536 else {
      throw DiskError(code: EINVAL, operation: "probe", file: scratchName)
    }
    let zeros = UnsafeMutableRawBufferPointer.allocate(
      byteCount: RingDisk.alignment, alignment: RingDisk.alignment)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    let source = UnsafeRawBufferPointer(zeros)

    var direct: [UInt64] = []
    var synced: [UInt64] = []
    let end = engram_monotonic_ns() + RingDisk.probeTime
    // In turns, so that whatever else the disk does meets both.
    while direct.count < RingDisk.probeRoundsMax, direct.count < 3 || engram_monotonic_ns() < end {
      let offset = UInt64(direct.count % 16) * UInt64(RingDisk.alignment)
      let begin = engram_monotonic_ns()
      let written = engram_write_durably(file.id, source.baseAddress, source.count, off_t(offset))
      guard written == source.count else {
        throw DiskError(code: written < 0 ? Int32(-written) : EIO, operation: "pwritev2", file: scratchName)
      }
      let middle = engram_monotonic_ns()
      try write(file, at: offset, from: source)
      try synchronize(file)
      direct.append(middle - begin)
      synced.append(engram_monotonic_ns() - middle)
    }
    direct.sort()
    synced.sort()
    let (a, b) = (direct[direct.count / 2], synced[synced.count / 2])
    // Within a tenth the single submission wins: it leaves the helper threads of the ring out.
    let result = ProbeResult(
      primitive: a <= b + b / 10 ? .directSync : .writeThenDatasync, directSync: a, writeThenDatasync: b,
      isCached: false)
    try keepProbe(result, key)
    primitive = result.primitive
    return result
  }

  private func probeKey() throws(DiskError) -> String {
    var status = stat()
    guard fstat(directory, &status) == 0 else { throw failure("fstat", path) }
    var system = utsname()
    uname(&system)
    let kernel = withUnsafeBytes(of: &system.release) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    return "device=\(status.st_dev) kernel=\(kernel)"
  }

  private func cachedProbe(_ key: String) -> ProbeResult? {
    let descriptor = openat(directory, RingDisk.probeFile, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { Glibc.close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    guard count > 0 else { return nil }
    let words = String(decoding: bytes.prefix(count), as: UTF8.self).split(whereSeparator: \.isWhitespace)
    func value(_ name: String) -> Substring? {
      words.first { $0.hasPrefix("\(name)=") }?.dropFirst(name.utf8.count + 1)
    }
    guard words.prefix(2).joined(separator: " ") == key,
      let primitive = value("primitive").flatMap({ DurablePrimitive(rawValue: String($0)) }),
      let direct = value("directSync").flatMap({ UInt64($0) }),
      let synced = value("writeThenDatasync").flatMap({ UInt64($0) })
    else { return nil }
    return ProbeResult(primitive: primitive, directSync: direct, writeThenDatasync: synced, isCached: true)
  }

  private func keepProbe(_ result: ProbeResult, _ key: String) throws(DiskError) {
    let text =
      "\(key)\nprimitive=\(result.primitive.rawValue)\ndirectSync=\(result.directSync)\n"
      + "writeThenDatasync=\(result.writeThenDatasync)\n"
    let name = RingDisk.probeFile
    let descriptor = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else { throw failure("open", name) }
    defer { Glibc.close(descriptor) }
    let bytes = Array(text.utf8)
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else { throw failure("write", name) }
  }
}
