internal import Bytes
internal import EventLoop
internal import Model

/// Reads the batches of one segment into slabs that the batches share.
struct SegmentScanner {
  let disk: any Disk
  let file: DiskFile
  let fileBytes: UInt64
  let salt: UInt64
  /// Memory to read at once; a larger batch gets a slab of its own size.
  let scanBytes: Int
  private var slab: Slab?
  private var slabOffset: UInt64 = 0
  private var slabCount = 0

  init(disk: any Disk, file: DiskFile, fileBytes: UInt64, salt: UInt64, scanBytes: Int) {
    self.disk = disk
    self.file = file
    self.fileBytes = fileBytes
    self.salt = salt
    self.scanBytes = max(LogFormat.padded(scanBytes), LogFormat.blockBytes)
  }

  /// What stands at `offset`, and the batch if it is intact.
  mutating func look(at offset: UInt64) throws(DiskError) -> (seen: RecoveryTable.Seen, batch: Batch?) {
    guard let head = try memory(at: offset, bytes: LogFormat.blockBytes) else { return (.nothing, nil) }
    switch BatchHeader.decode(head, salt: salt) {
    case .nothing: return (.nothing, nil)
    case .broken: return (.brokenHeader, nil)
    case .header(let header):
      guard UInt64(header.paddedBytes) <= fileBytes - offset else { return (.pastEnd(header), nil) }
      guard let bytes = try memory(at: offset, bytes: header.paddedBytes), let slab else {
        return (.broken(header), nil)
      }
      return Self.check(header, bytes, slab: slab, offset: Int(offset - slabOffset))
    }
  }

  /// Whether `bytes` (header, records, padding) hold what `header` says.
  private static func check(
    _ header: BatchHeader, _ bytes: UnsafeRawBufferPointer, slab: Slab, offset: Int
  ) -> (RecoveryTable.Seen, Batch?) {
    if header.flags & ~LogFormat.flagSealed != 0 {
      return (.unknown(header, "batch flags \(header.flags)"), nil)
    }
    let end = LogFormat.batchHeaderBytes + Int(header.recordBytes)
    var offsets = ContiguousArray<UInt32>()
    // The count is the header's claim: no more records can stand there than their smallest size allows.
    offsets.reserveCapacity(min(Int(header.count), Int(header.recordBytes) / EventRecord.headerBytes))
    var crc: UInt32 = 0
    var unknown: String?
    var next = LogFormat.batchHeaderBytes
    while next < end {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[next..<end])
      guard offsets.count < Int(header.count), let record = EventView(rest), record.isIntact,
        record.position.rawValue == header.firstPosition.rawValue + UInt64(offsets.count)
      else { return (.broken(header), nil) }
      let after = LogFormat.aligned(next + record.length)
      guard after <= end,
        isZero(UnsafeRawBufferPointer(rebasing: bytes[next + record.length..<after]))
      else { return (.broken(header), nil) }
      crc = CRC32C.checksum(
        UnsafeRawBufferPointer(rebasing: record.bytes[(record.length - EventRecord.checksumBytes)...]),
        continuing: crc)
      if record.namespace != 0 { unknown = unknown ?? "namespace \(record.namespace)" }
      if record.kind == nil, record.flags & EventRecord.flagRequired != 0 {
        unknown = unknown ?? "required kind \(record.kindNumber)"
      }
      offsets.append(UInt32(next))
      next = after
    }
    guard offsets.count == Int(header.count), crc == header.recordsCRC,
      isZero(UnsafeRawBufferPointer(rebasing: bytes[end...]))
    else { return (.broken(header), nil) }
    if let unknown { return (.unknown(header, unknown), nil) }
    let batch = Batch(
      slab: slab, offset: offset, recordBytes: Int(header.recordBytes), firstPosition: header.firstPosition,
      recordOffsets: offsets, recordsCRC: header.recordsCRC)
    batch.place(term: header.term, number: header.number)
    return (.intact(header), batch)
  }

  /// The first intact header of this life at or beyond `offset`.
  func later(from offset: UInt64) throws(DiskError) -> RecoveryTable.Later {
    try Self.find(disk, file, from: offset, to: fileBytes, salt: salt) { _ in true }
  }

  /// The first intact header at a block's beginning in `from ..< to` that `matches`; `salt` nil: of any life.
  static func find(
    _ disk: any Disk, _ file: DiskFile, from: UInt64, to: UInt64, salt: UInt64?,
    where matches: (BatchHeader) -> Bool
  ) throws(DiskError) -> RecoveryTable.Later {
    let scratch = UnsafeMutableRawBufferPointer.allocate(
      byteCount: 256 << 10, alignment: LogFormat.blockBytes)
    defer { scratch.deallocate() }
    var offset = from
    while offset < to {
      let wanted = Int(min(UInt64(scratch.count), to - offset))
      let room = UnsafeMutableRawBufferPointer(rebasing: scratch[0..<LogFormat.padded(wanted)])
      let got = min(try disk.read(file, at: offset, into: room), wanted)
      var block = 0
      while block + LogFormat.batchHeaderBytes <= got {
        let bytes = UnsafeRawBufferPointer(rebasing: scratch[block..<got])
        if case .header(let header) = BatchHeader.decode(bytes, salt: salt), matches(header) {
          return .found(offset: offset + UInt64(block), header)
        }
        block += LogFormat.blockBytes
      }
      if got < wanted { break }
      offset += UInt64(got)
    }
    return .nothing
  }

  /// `bytes` of the file from `offset`, in the shared slab; nil if the file ends before.
  private mutating func memory(at offset: UInt64, bytes: Int) throws(DiskError) -> UnsafeRawBufferPointer? {
    guard offset <= fileBytes, UInt64(bytes) <= fileBytes - offset else { return nil }
    if slab == nil || offset < slabOffset || offset + UInt64(bytes) > slabOffset + UInt64(slabCount) {
      let rest = fileBytes - offset
      let fresh = Slab(capacity: max(bytes, Int(min(UInt64(scanBytes), rest))))
      let wanted = Int(min(UInt64(fresh.capacity), rest))
      // Whole blocks, as direct I/O wants them, also where the file ends within one.
      let room = UnsafeMutableRawBufferPointer(start: fresh.base, count: LogFormat.padded(wanted))
      slabCount = min(try disk.read(file, at: offset, into: room), wanted)
      slabOffset = offset
      slab = fresh
      guard bytes <= slabCount else { return nil }
    }
    guard let slab else { return nil }
    return UnsafeRawBufferPointer(start: slab.base + Int(offset - slabOffset), count: bytes)
  }
}
